//! Why nothing came of it, and the exit status that says so.

use std::io;
use std::process::ExitCode;

/// Why a statement, or the whole command, failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failed {
    /// The statement ended with an error.
    #[error("{0}")]
    Statement(String),
    /// The server refused a call: the error's code, and what it says.
    #[error("{operation}: {message} ({code})")]
    Refused {
        /// What was called.
        operation: String,
        /// The error's code.
        code: String,
        /// What it says.
        message: String,
    },
    /// The query was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The server could not be asked.
    #[error("{0}")]
    Unreachable(String),
    /// What was given on the command line does not fit.
    #[error("{0}")]
    Usage(String),
    /// The result could not be written.
    #[error("the result cannot be written: {0}")]
    Output(String),
    /// Whoever reads has seen enough.
    #[error("the output was closed")]
    Enough,
}

/// What Ctrl-C leaves, as shells have it: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

impl Failed {
    /// The exit status.
    pub fn status(&self) -> ExitCode {
        match self {
            Self::Enough => ExitCode::SUCCESS,
            Self::Statement(_) | Self::Output(_) => ExitCode::FAILURE,
            // Rights that are lacking are an answer, as a failed statement is.
            Self::Refused { .. } => ExitCode::FAILURE,
            Self::Cancelled => ExitCode::from(INTERRUPTED),
            Self::Unreachable(_) | Self::Usage(_) => ExitCode::from(2),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Enough,
            _ => Self::Output(error.to_string()),
        }
    }
}
