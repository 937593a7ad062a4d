//! Why a query fails, and whose fault it is.

use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use millpond_query::{Failure, FailureKind};

use crate::{dialect, functions};

/// What our own parts fail with.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Problem {
    /// What the server refused.
    #[error("{message}")]
    Refused {
        /// The error's code.
        code: String,
        /// What it says.
        message: String,
    },
    /// What is in an object, or in the catalog about it, cannot be read.
    #[error("{0}")]
    Data(String),
    /// The statement asks for what is not carried out.
    #[error("{0}")]
    Statement(String),
    /// More bytes would be read than the limit allows.
    #[error("Query cancelled! : Bytes scanned limit was exceeded: it is {0} bytes")]
    Cutoff(u64),
    /// Ours.
    #[error("{0}")]
    Internal(String),
}

impl Problem {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { .. } => FailureKind::Refused,
            Self::Data(_) => FailureKind::Data,
            Self::Statement(_) => FailureKind::Statement,
            Self::Cutoff(_) => FailureKind::Cutoff,
            Self::Internal(_) => FailureKind::Internal,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Refused { code, message } if code == "AccessDenied" => {
                format!("Permission denied: {message}")
            }
            other => other.to_string(),
        }
    }
}

/// Our own part of an error, if it has one.
pub fn found<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Problem> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(problem) = error.downcast_ref::<Problem>() {
            return Some(problem);
        }
        next = error.source();
    }
    None
}

/// As the server is told.
pub fn failure(error: &DataFusionError) -> Failure {
    let root = error.find_root();
    let (kind, message) = match (found(error), root) {
        (Some(problem), _) => (problem.kind(), problem.words()),
        (None, DataFusionError::ResourcesExhausted(why)) => (
            FailureKind::Resources,
            format!(
                "Query exhausted resources at this scale factor: {why}. Read fewer columns or rows at once, or give queries more memory (--query-memory)"
            ),
        ),
        (None, DataFusionError::SQL(error, _)) => (FailureKind::Statement, format!("SYNTAX_ERROR: {error}")),
        (None, DataFusionError::SchemaError(error, _)) => (FailureKind::Statement, schema_error(error)),
        (None, DataFusionError::Plan(why) | DataFusionError::NotImplemented(why)) => {
            let known = coded(why).or_else(|| unmatched(why));
            (FailureKind::Statement, known.unwrap_or_else(|| planned(why)))
        }
        (None, DataFusionError::ArrowError(error, _)) if matches!(**error, ArrowError::DivideByZero) => {
            (FailureKind::Data, "DIVISION_BY_ZERO: Division by zero".to_owned())
        }
        (None, DataFusionError::ArrowError(error, _)) => match &**error {
            ArrowError::ArithmeticOverflow(what) => (FailureKind::Data, format!("NUMERIC_VALUE_OUT_OF_RANGE: {what}")),
            other => (FailureKind::Data, other.to_string()),
        },
        (None, DataFusionError::ParquetError(error)) => (FailureKind::Data, error.to_string()),
        (None, DataFusionError::Execution(why)) => (FailureKind::Data, why.clone()),
        (None, other) => (FailureKind::Internal, other.to_string()),
    };
    Failure { kind: kind.into(), message, stats: None }
}

/// What the engine says of a call that it has no function for.
const UNMATCHED: &str = "No function matches the given name and argument types '";

/// Our own words in what the engine made of them.
fn coded(why: &str) -> Option<String> {
    let codes = ["FUNCTION_NOT_FOUND: ", "NOT_SUPPORTED: ", "TYPE_MISMATCH: "];
    let at = codes.iter().filter_map(|code| why.find(code)).min()?;
    let words = why.get(at..)?;
    Some(words.split(UNMATCHED).next().unwrap_or(words).trim_end_matches([' ', '.']).to_owned())
}

/// A type as the engine names it, in Trino's words.
fn word(kind: &str) -> String {
    match kind.parse::<DataType>() {
        Ok(kind) => functions::word(&Field::new("", kind, true)),
        Err(_) => kind.to_owned(),
    }
}

/// A call of one of the engine's functions with arguments that it does not take, in Trino's words.
fn unmatched(why: &str) -> Option<String> {
    let (call, _) = why.split_once(UNMATCHED)?.1.split_once("'.")?;
    let (name, arguments) = call.strip_suffix(')')?.split_once('(')?;
    let (mut kinds, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, letter) in arguments.char_indices().chain([(arguments.len(), ',')]) {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                kinds.push(arguments.get(from..at).unwrap_or_default().trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    let kinds: Vec<String> = kinds.into_iter().map(word).collect();
    let name = dialect::spoken(name);
    Some(format!("FUNCTION_NOT_FOUND: Unexpected parameters ({}) for function {name}", kinds.join(", ")))
}

fn schema_error(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, .. } => {
            format!("COLUMN_NOT_FOUND: Column '{}' cannot be resolved", field.flat_name().replace('"', ""))
        }
        SchemaError::AmbiguousReference { field } => {
            format!("AMBIGUOUS_NAME: Column '{}' is ambiguous", field.name)
        }
        other => format!("SYNTAX_ERROR: {other}"),
    }
}

/// What the engine says of a value that is no boolean where one has to be.
fn no_boolean(why: &str) -> Option<String> {
    if let Some(kind) = why.strip_prefix("Unary operator 'NOT' requires a boolean expression, got ") {
        return Some(format!("Value of logical NOT expression must evaluate to a boolean (actual: {})", word(kind)));
    }
    if why.starts_with("Cannot create filter with non-boolean predicate ") {
        let (_, kind) = why.rsplit_once(" returning ")?;
        return Some(format!("WHERE or HAVING clause must evaluate to a boolean: actual type {}", word(kind)));
    }
    if let Some(kind) = why.strip_prefix("Join condition must be boolean type, but got ") {
        return Some(format!("JOIN ON clause must evaluate to a boolean: actual type {}", word(kind)));
    }
    let kinds = why.strip_prefix("Cannot infer common argument type for logical boolean operation ")?;
    let (left, right) = kinds.split_once(" AND ").or_else(|| kinds.split_once(" OR "))?;
    let other = if left == "Boolean" { right } else { left };
    Some(format!("Logical expression term must evaluate to a boolean (actual: {})", word(other)))
}

/// What the engine says of a plan that it does not make, in Trino's words.
fn planned(why: &str) -> String {
    const LIKE: &str = " in LIKE expression";
    const PHYSICAL: &str = "Physical plan does not support logical expression ";
    if let Some(table) = why.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        return format!("TABLE_NOT_FOUND: Table '{table}' does not exist");
    }
    if why.starts_with("null_aware anti join") {
        return "NOT_SUPPORTED: NOT IN of a query that uses columns from around it is not carried out: write NOT EXISTS"
            .to_owned();
    }
    if let Some(words) = no_boolean(why) {
        return format!("TYPE_MISMATCH: {words}");
    }
    if let Some((_, kinds)) = why.split_once("a common type to coerce ").filter(|(_, kinds)| kinds.ends_with(LIKE)) {
        let kind = word(kinds.split(" and ").next().unwrap_or_default());
        return format!("TYPE_MISMATCH: Left side of LIKE expression must evaluate to a varchar (actual: {kind})");
    }
    match why.strip_prefix(PHYSICAL) {
        Some(what) if what.starts_with("InSubquery") || what.starts_with("Exists") => {
            "NOT_SUPPORTED: IN and EXISTS of a query are not carried out within other expressions: join with it"
                .to_owned()
        }
        Some(what) if what.starts_with("OuterReferenceColumn") => {
            "NOT_SUPPORTED: a query that uses columns from around it is not carried out here".to_owned()
        }
        _ => format!("SYNTAX_ERROR: {why}"),
    }
}
