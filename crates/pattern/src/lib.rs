//! Event patterns: parsed once, matched many at a time, and able to say why not. Pure: no I/O, no clock.
//!
//! The language is that of EventBridge ("Comparison operators for use in event patterns" in its user guide), and what it means is what
//! AWS's open-source matcher (event-ruler) says. SNS's filter policies are the same language within limits of their own.
//!
//! ```
//! use std::sync::Arc;
//! use millpond_pattern::{Event, Pattern, RuleSet};
//!
//! let pattern = Pattern::parse(r#"{"source": ["shop"], "detail": {"amount": [{"numeric": [">", 300]}]}}"#)?;
//! let event = Event::parse(br#"{"source": "shop", "detail": {"amount": 200}}"#)?;
//! assert!(!pattern.matches(&event));
//! assert_eq!(pattern.explain(&event).to_string(), r#"detail.amount wants {"numeric": [">", 300]} but has 200"#);
//!
//! // Many at once. A set is never changed; `changed` makes the next one.
//! let rules = RuleSet::build([("large", Arc::new(pattern))]);
//! let mut matching = Vec::new();
//! rules.matching_bytes(br#"{"source": "shop", "detail": {"amount": 301}}"#, &mut matching)?;
//! assert_eq!(matching, ["large"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Pattern`] is one pattern; [`Pattern::matches`] asks it of one event, simply.
//! - [`RuleSet`] is many, each with a key; its answers are the same.
//! - [`PatternError`] says what is wrong with a pattern, in AWS's words and with the place.

mod address;
mod consistency;
mod error;
mod event;
mod explain;
mod filter_policy;
mod folded;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
mod hash;
mod number;
mod parse;
mod pattern;
mod reader;
mod rules;
mod scan;
mod test;
mod wildcard;

pub use error::{EventError, PatternError};
pub use event::{Attribute, Event, MAX_EVENT_BYTES, MAX_EVENT_DEPTH};
pub use explain::{Explanation, FieldExplanation};
pub use filter_policy::{FilterScope, MAX_FILTER_POLICY_BYTES, MAX_FILTER_POLICY_COMBINATIONS, MAX_FILTER_POLICY_KEYS};
pub use pattern::{MAX_PATTERN_BYTES, Pattern};
pub use rules::RuleSet;
