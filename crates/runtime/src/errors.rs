//! Errors as AWS words them.

use bytes::Bytes;
use millpond_sandbox::Exit;
use serde_json::json;

/// The largest answer of a function: 6 MiB and 100 bytes ("Lambda quotas", and the message of the Runtime API).
pub(crate) const MAX_ANSWER: usize = 6_291_556;

/// An error object.
pub(crate) fn payload(kind: &str, message: &str) -> Bytes {
    Bytes::from(json!({ "errorType": kind, "errorMessage": message }).to_string())
}

/// What is said of an answer that is too large.
pub(crate) fn too_large() -> Bytes {
    let message = format!("Response payload size exceeded maximum allowed payload size ({MAX_ANSWER} bytes).");
    payload("Function.ResponseSizeTooLarge", &message)
}

/// How a process ended, in AWS's words.
pub(crate) fn exited(exit: Exit) -> String {
    match exit {
        Exit::Code(0) => "Runtime exited without providing a reason".to_owned(),
        Exit::Code(code) => format!("Runtime exited with error: exit status {code}"),
        Exit::Signal(signal) => format!("Runtime exited with error: signal: {}", signal_name(signal)),
        Exit::Killed => "Runtime exited with error: signal: killed".to_owned(),
    }
}

/// signal(7), in the words of Go's runtime, which AWS's messages have.
fn signal_name(signal: i32) -> String {
    let known = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        _ => return signal.to_string(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_told_as_aws_tells_them() {
        for (exit, told) in [
            (Exit::Code(0), "Runtime exited without providing a reason"),
            (Exit::Code(3), "Runtime exited with error: exit status 3"),
            (Exit::Signal(9), "Runtime exited with error: signal: killed"),
            (Exit::Signal(11), "Runtime exited with error: signal: segmentation fault"),
            (Exit::Signal(40), "Runtime exited with error: signal: 40"),
        ] {
            assert_eq!(exited(exit), told);
        }
    }
}
