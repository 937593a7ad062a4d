//! Where in a statement an error is, for people.

use super::failed::Failed;

/// The first number in a text and what is behind it.
fn number(text: &str) -> Option<(usize, &str)> {
    let text = text.trim_start_matches([' ', ':']);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// Line and column that a message names: `line 1:8`, `Line: 1, Column: 8`.
fn named(message: &str) -> Option<(usize, usize)> {
    let lower = message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("line")?;
    let (line, rest) = number(rest)?;
    let rest = rest.trim_start_matches([',', ' ']);
    let (column, _) = number(rest.strip_prefix("column").unwrap_or(rest))?;
    (line > 0 && column > 0).then_some((line, column))
}

/// The failure of a statement, with the line that it names and a sign below the place.
pub fn shown(failed: Failed, statement: &str) -> Failed {
    let Failed::Statement(message) = failed else { return failed };
    let found = named(&message).and_then(|(line, column)| Some((statement.lines().nth(line - 1)?, column)));
    let Some((line, column)) = found.filter(|(line, column)| *column <= line.chars().count() + 1) else {
        return Failed::Statement(message);
    };
    let before: String = line.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    Failed::Statement(format!("{message}\n  {line}\n  {before}^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shown_below_their_lines() {
        for (message, expected) in [
            ("SYNTAX_ERROR: line 2:3: no", "SYNTAX_ERROR: line 2:3: no\n  b c\n    ^"),
            ("wrong at Line: 1, Column: 1", "wrong at Line: 1, Column: 1\n  a\n  ^"),
            ("line 9:9: no", "line 9:9: no"),
            ("no place", "no place"),
            ("a line without numbers", "a line without numbers"),
        ] {
            assert_eq!(shown(Failed::Statement(message.into()), "a\nb c"), Failed::Statement(expected.into()));
        }
    }
}
