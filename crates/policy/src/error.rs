//! What is wrong with a policy, and where.

use crate::json::{JsonError, Place};

/// What is wrong with a policy document.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}{} (line {}, column {})", shown(place), at.line, at.column)]
pub struct PolicyError {
    /// Which rule is broken, for services that have a message of their own for it.
    pub fault: Fault,
    /// In words.
    pub reason: String,
    /// The path to it, such as `Statement[1].Condition.StringLike`; empty for the document as a whole.
    pub place: String,
    /// Where in the text.
    pub at: Place,
}

/// The rule that a document breaks. Services word them differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is no JSON object.
    Json,
    /// An element that there is not, one of the wrong type, or two that exclude each other.
    Syntax,
    /// An element is missing, named by `place`.
    Missing(&'static str),
    /// The version is not one of the two, or not the one that this kind of policy must have.
    Version,
    /// `Statement` has none.
    NoStatement,
    /// A statement's id has characters that it may not have, or stands twice.
    Sid,
    /// Neither `Allow` nor `Deny`.
    Effect,
    /// A principal that cannot be.
    Principal,
    /// An action that cannot be.
    Action,
    /// An action that is about none of the statement's resources.
    NoResource,
    /// A resource that cannot be.
    Resource,
    /// A condition that cannot be.
    Condition,
    /// Larger than this kind of policy may be.
    TooLarge,
}

fn shown(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" at {place}") }
}

impl From<JsonError> for PolicyError {
    fn from(error: JsonError) -> Self {
        Self {
            fault: Fault::Json,
            reason: format!("This is no valid JSON: {}", error.reason),
            place: String::new(),
            at: error.at,
        }
    }
}
