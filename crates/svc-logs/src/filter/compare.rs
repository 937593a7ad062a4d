//! Comparisons: `= value` with wildcards, numbers and regular expressions, `!=`, `<`, `<=`, `>`, `>=`.

use regex::Regex;

use super::text::Text;
use super::{PatternError, wrong};

/// How two values are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is compared with.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// A number as it is written, and its text.
    Number(f64, String),
    /// A text, cut at its wildcards: one piece has none.
    Text(Vec<String>),
    Regex(Regex),
}

/// What a message has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    Text(&'a str),
    Number(f64, &'a str),
}

#[derive(Clone, Debug)]
pub(super) struct Comparison {
    operator: Operator,
    operand: Operand,
}

/// Whether a text fits pieces between which anything may stand.
fn wild(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return pieces.first().is_some_and(|whole| whole == text) };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        match rest.split_once(piece.as_str()) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

fn operator(text: &mut Text<'_>) -> Option<Operator> {
    // The longer ones first.
    let all = [
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("=", Operator::Equal),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    all.into_iter().find(|(sign, _)| text.take(sign)).map(|(_, operator)| operator)
}

impl Comparison {
    /// Reads an operator and its operand; an unquoted one ends where `ends` says.
    pub fn parse(text: &mut Text<'_>, ends: impl Fn(char) -> bool) -> Result<Self, PatternError> {
        text.spaces();
        let Some(operator) = operator(text) else {
            return wrong(format!("an operator is missing before {:?}", text.rest()));
        };
        text.spaces();
        let operand = match text.peek() {
            Some('"') => Operand::Text(text.quoted()?.split('*').map(str::to_owned).collect()),
            Some('%') => Operand::Regex(text.regex()?),
            _ => {
                let word = text.until(|c| c.is_whitespace() || ends(c));
                match word.parse::<f64>() {
                    _ if word.is_empty() => return wrong("a value is missing behind an operator"),
                    Ok(number) if number.is_finite() => Operand::Number(number, word.to_owned()),
                    _ => Operand::Text(word.split('*').map(str::to_owned).collect()),
                }
            }
        };
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordered && !matches!(operand, Operand::Number(..)) {
            return wrong("only numbers can be compared by <, <=, > and >=");
        }
        Ok(Self { operator, operand })
    }

    /// Whether what a message has fits.
    pub fn holds(&self, found: Found<'_>) -> bool {
        match (self.operator, &self.operand) {
            (Operator::Equal, _) => self.equal(found),
            (Operator::NotEqual, _) => !self.equal(found),
            (ordered, Operand::Number(wanted, _)) => {
                let number = match found {
                    Found::Number(number, _) => number,
                    Found::Text(_) => return false,
                };
                match ordered {
                    Operator::Less => number < *wanted,
                    Operator::LessOrEqual => number <= *wanted,
                    Operator::Greater => number > *wanted,
                    _ => number >= *wanted,
                }
            }
            _ => false,
        }
    }

    fn equal(&self, found: Found<'_>) -> bool {
        match (&self.operand, found) {
            (Operand::Number(wanted, _), Found::Number(number, _)) => number == *wanted,
            (Operand::Number(_, wanted), Found::Text(text)) => text == wanted,
            (Operand::Text(pieces), Found::Text(text) | Found::Number(_, text)) => wild(pieces, text),
            (Operand::Regex(regex), Found::Text(text) | Found::Number(_, text)) => regex.is_match(text),
        }
    }
}
