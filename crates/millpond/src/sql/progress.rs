//! A line that tells how far a statement is, while it runs.

use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Statements that are shorter than this have no line.
const AFTER: Duration = Duration::from_millis(300);
/// Back to the beginning of the line, and the rest of it away.
const CLEAR: &str = "\r\u{1b}[K";

/// The line, on standard error if that is a terminal.
pub struct Progress {
    enabled: bool,
    shown: bool,
}

impl Progress {
    /// None yet.
    pub fn new(quiet: bool) -> Self {
        Self { enabled: !quiet && std::io::stderr().is_terminal(), shown: false }
    }

    /// Shows how far it is.
    pub fn show(&mut self, state: &str, time: Duration, bytes: u64, objects: u64) {
        if !self.enabled || time < AFTER {
            return;
        }
        self.shown = true;
        let line = line(state, time, bytes, objects);
        let mut out = std::io::stderr();
        // A terminal that is gone needs no progress.
        let _ = write!(out, "{CLEAR}{line}").and_then(|()| out.flush());
    }

    /// Takes it away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let mut out = std::io::stderr();
            let _ = write!(out, "{CLEAR}").and_then(|()| out.flush());
        }
    }
}

fn line(state: &str, time: Duration, read: u64, objects: u64) -> String {
    let of = if objects > 0 { format!(" of {}", counted(objects, "object")) } else { String::new() };
    format!("{state} {} {} read{of} (Ctrl-C cancels)", seconds(time), bytes(read))
}

/// A time for people.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        more => format!("{} min {} s", more / 60, more % 60),
    }
}

/// Bytes for people: in units of 1,000, as Athena's console has them.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(count: u64) -> String {
    const UNITS: &[&str] = &["KB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut value, mut unit) = (count as f64 / 1000.0, 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

/// A count with its noun.
pub fn counted(count: u64, noun: &str) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KB"),
            (999_949, "999.9 KB"),
            (999_950, "1.0 MB"),
            (12_345_678_901, "12.3 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (count, text) in [(0, "0 rows"), (1, "1 row"), (1_000, "1,000 rows"), (1_234_567, "1,234,567 rows")] {
            assert_eq!(counted(count, "row"), text);
        }
        for (millis, text) in [(5, "5 ms"), (1_540, "1.5 s"), (61_000, "1 min 1 s")] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
        assert_eq!(
            line("RUNNING", Duration::from_millis(1200), 5_000_000, 7_000),
            "RUNNING 1.2 s 5.0 MB read of 7,000 objects (Ctrl-C cancels)"
        );
    }
}
