//! Why an event matches a pattern, or does not.

use std::fmt;

use crate::consistency::{Asked, hold};
use crate::event::Event;
use crate::pattern::{Branch, Pattern};

/// Values shown of one field; an event can have thousands.
const MAX_VALUES: usize = 5;
/// Characters shown of one value.
const MAX_CHARS: usize = 120;

/// Why an event matches a pattern, or does not: field by field. Of a pattern with `$or` the alternative that came closest is told.
///
/// Shown on one line: `matches`, or what is missing, such as `detail.amount wants {"numeric": [">", 300]} but has 200`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Whether it matches.
    pub matches: bool,
    /// In the order of their paths.
    pub fields: Vec<FieldExplanation>,
    /// Every field is as it is wanted, but they are not in one element of an array together.
    pub apart: bool,
    /// How many alternatives `$or` makes of the pattern.
    pub alternatives: usize,
}

/// What a pattern wants of one field, and what the event has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldExplanation {
    /// Names with dots between them.
    pub path: String,
    /// Whether one of the values is wanted; or, where the field should be absent, whether it is.
    pub matches: bool,
    /// As it stands in the pattern, one of these is enough.
    pub wants: String,
    /// The first values of the event, as JSON; empty when it has none.
    pub has: Vec<String>,
    /// Further values that are not shown.
    pub more: usize,
}

impl Explanation {
    pub(crate) fn new(pattern: &Pattern, event: &Event) -> Self {
        let mut told = pattern.branches.iter().map(|branch| Self::of(branch, event)).collect::<Vec<_>>();
        let alternatives = told.len();
        // The first of those that came closest.
        let missing = |one: &Self| (!one.matches, one.fields.iter().filter(|field| !field.matches).count());
        let closest = (0..told.len()).min_by_key(|n| missing(&told[*n])).unwrap_or(0);
        if told.is_empty() {
            return Self { matches: false, fields: Vec::new(), apart: false, alternatives };
        }
        Self { alternatives, ..told.swap_remove(closest) }
    }

    fn of(branch: &Branch, event: &Event) -> Self {
        let asked = branch.asked(event);
        let fields: Vec<_> =
            branch.fields.iter().zip(&asked).map(|(field, asked)| FieldExplanation::new(&field.path, asked)).collect();
        let matches = hold(&asked, &event.scopes);
        let apart = !matches && fields.iter().all(|field| field.matches);
        Self { matches, fields, apart, alternatives: 1 }
    }
}

impl FieldExplanation {
    fn new(path: &str, asked: &Asked<'_, '_>) -> Self {
        let wants: Vec<_> = asked.tests.iter().map(ToString::to_string).collect();
        let shown = asked.leaves.iter().take(MAX_VALUES).map(|leaf| shortened(&leaf.value.to_string()));
        Self {
            path: path.to_owned(),
            matches: asked.alone(),
            wants: shortened(&wants.join(" or ")),
            has: shown.collect(),
            more: asked.leaves.len().saturating_sub(MAX_VALUES),
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.matches {
            return f.write_str("matches");
        }
        if self.alternatives > 1 {
            write!(f, "closest of {} alternatives: ", self.alternatives)?;
        }
        if self.apart {
            let paths: Vec<_> = self.fields.iter().map(|field| field.path.as_str()).collect();
            return write!(f, "no one element of the event's arrays has all of {}", paths.join(", "));
        }
        for (n, field) in self.fields.iter().filter(|field| !field.matches).enumerate() {
            write!(f, "{}{field}", if n > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for FieldExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.replace(['\n', '\r'], " ");
        write!(f, "{path} wants {} {} ", self.wants, if self.matches { "and" } else { "but" })?;
        if self.has.is_empty() {
            return f.write_str("is absent");
        }
        write!(f, "has {}", self.has.join(", "))?;
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        Ok(())
    }
}
