//! The IAM policy language and its evaluator: pure, no I/O, and able to explain itself.
//!
//! [`Policy::parse`] turns a document into compiled statements or says what is wrong and where; [`decide`] answers a [`Question`] from the
//! [`Policies`] that have a say; [`explain`] answers it too, and tells which statement matched on which values. `naive` (with the feature
//! `testing`) is a slow twin that follows the documentation line by line.
//!
//! Reading order: `question` (what is asked), `document` (what a policy may say), `statement`, `who`, `condition`, `pattern` (what its parts
//! mean), `decide` (how policies are combined).

mod action;
mod condition;
mod context;
mod decide;
mod document;
mod error;
mod explain;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
mod json;
#[cfg(any(test, feature = "testing"))]
pub mod naive;
mod pattern;
mod policy;
mod principal;
mod public;
mod question;
mod shown;
mod simulated;
mod statement;
mod vocabulary;
mod who;

pub use context::{Context, ContextValue};
pub use decide::{decide, denying_policy};
pub use error::{Fault, PolicyError};
pub use explain::{ConditionLook, Explanation, GrantLook, PolicyLook, StatementLook, Suggestion, Unmet, explain};
pub use json::Place;
pub use policy::{Policy, PolicyKind, Says, limits};
pub use principal::Principal;
pub use question::{
    Denial, Grant, Grantee, Kind, Limits, Named, Policies, PolicySource, Question, ResourceRule, Verdict,
};
pub use shown::with_principals;
pub use simulated::ValueType;
pub use statement::{Effect, Statement};
pub use who::{Name, Reach};
