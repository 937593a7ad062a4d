//! The language of expressions: conditions and filters, key conditions, updates, projections; and the parameters that were there
//! before it, which become the same.
//!
//! Text goes through `lex` and `syntax` to a tree, `check` asks what needs no placeholder, `build` puts names and values in and
//! makes the typed expression. The order of these is the order in which AWS finds faults.

mod apply;
mod build;
mod check;
mod condition;
mod error;
mod key_condition;
mod key_use;
pub mod legacy;
mod lex;
mod path;
mod placeholders;
mod projection;
mod reserved;
mod syntax;
#[cfg(test)]
mod tests;
mod update;

pub use apply::Applied;
pub use condition::{Comparator, Condition, Operand};
pub use error::{ExpressionError, Map, Parameter, Problem, UpdateError};
pub use key_condition::{KeyCondition, KeyConditionError, KeyQuery, KeyTest};
pub use key_use::KeyUseError;
pub use path::{MAX_LIST_INDEX, MAX_PATH_DEPTH, Path, Segment};
pub use placeholders::{MAX_PLACEHOLDER_BYTES, Placeholders};
pub use projection::Projection;
pub use syntax::{MAX_EXPRESSION_BYTES, MAX_OPERATORS};
pub use update::{SetValue, Source, Update};
