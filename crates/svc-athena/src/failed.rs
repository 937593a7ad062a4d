//! Why executions fail: in words, and as Athena's catalog of errors has it (Athena User Guide, "Athena error catalog").

use millpond_kernel::ServiceError;
use millpond_query::{FailureKind, QueryError, Stats};

use crate::errors::AthenaError;
use crate::run::shown_stats;
use crate::tables::{ErrorRow, StatsRow};

/// Categories: whose fault it is.
const SYSTEM: u32 = 1;
const USER: u32 = 2;
/// Types: resources are exhausted; something of ours; the result cannot be written; the statement, the data, the catalog.
const EXHAUSTED: u32 = 0;
const INTERNAL: u32 = 100;
const NOT_WRITTEN: u32 = 401;
const STATEMENT: u32 = 1_000;
const DATA: u32 = 1_001;
const DDL: u32 = 1_003;

/// What clients are told of a query that would read more than it may.
const CUTOFF: &str = "Query cancelled! : Bytes scanned limit was exceeded";

/// Why an execution failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failed {
    pub message: String,
    pub error: ErrorRow,
    /// Whether it counts as cancelled.
    pub cancelled: bool,
    pub stats: StatsRow,
}

impl Failed {
    fn new(category: u32, kind: u32, retryable: bool, message: impl Into<String>) -> Self {
        let error = ErrorRow { category, kind, retryable };
        Self { message: message.into(), error, cancelled: false, stats: StatsRow::default() }
    }

    /// The statement, or what it names.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(USER, STATEMENT, false, message)
    }

    /// No statement.
    pub fn syntax(message: String) -> Self {
        Self::user(format!("SYNTAX_ERROR: line 1:1: {message}"))
    }

    /// A statement about the catalog.
    pub fn ddl(message: String) -> Self {
        Self::new(USER, DDL, false, message)
    }

    /// Something of ours; the reason is for the log.
    pub fn internal(reason: &str) -> Self {
        tracing::error!(reason, "a query failed");
        Self::new(
            SYSTEM,
            INTERNAL,
            true,
            "INTERNAL_ERROR: The query failed by a fault of the server. Please try again.",
        )
    }

    /// The server stopped while it ran.
    pub fn interrupted(message: &str) -> Self {
        Self::new(SYSTEM, INTERNAL, true, message)
    }

    /// The result, or its metadata, cannot be put.
    pub fn not_written(error: &ServiceError) -> Self {
        let (category, retryable) = if error.status >= 500 { (SYSTEM, true) } else { (USER, false) };
        let text = format!("The result could not be written to its OutputLocation: {}: {}", error.code, error.message);
        Self::new(category, NOT_WRITTEN, retryable, text)
    }

    /// What the engine, or its worker, says.
    pub fn of_query(error: QueryError, so_far: Stats) -> Self {
        let (failure, stats) = match error {
            QueryError::Failed(failure) => {
                let stats = failure.stats.clone().unwrap_or(so_far);
                (failure, stats)
            }
            QueryError::Busy => return Self::new(SYSTEM, EXHAUSTED, true, error.to_string()),
            QueryError::Died(_) => {
                let failed = Self::new(SYSTEM, EXHAUSTED, true, error.to_string());
                return Self { stats: shown_stats(&so_far, 0, 0), ..failed };
            }
            QueryError::NoWorker(reason) => return Self::internal(&reason),
            QueryError::Sink(reason) => return Self::new(SYSTEM, NOT_WRITTEN, true, reason),
        };
        let kind = failure.kind();
        let failed = match kind {
            FailureKind::Internal => Self::new(SYSTEM, INTERNAL, true, failure.message),
            FailureKind::Statement | FailureKind::Refused => Self::user(failure.message),
            FailureKind::Data => Self::new(USER, DATA, false, failure.message),
            FailureKind::Resources => Self::new(SYSTEM, EXHAUSTED, false, failure.message),
            FailureKind::Cutoff => Self::user(CUTOFF),
        };
        Self { cancelled: kind == FailureKind::Cutoff, stats: shown_stats(&stats, 0, 0), ..failed }
    }
}

impl From<AthenaError> for Failed {
    fn from(error: AthenaError) -> Self {
        match error {
            AthenaError::Internal(reason) => Self::internal(&reason),
            AthenaError::Full | AthenaError::Busy => Self::new(SYSTEM, INTERNAL, true, error.to_string()),
            other => Self::user(other.to_string()),
        }
    }
}
