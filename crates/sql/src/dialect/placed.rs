//! Places of what is told of a call or an operator once its types are known: the engine's plan has none.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens;

/// Codes of errors that Trino tells with a place.
const CODES: [&str; 3] = ["FUNCTION_NOT_FOUND: ", "TYPE_MISMATCH: ", "NOT_SUPPORTED: "];
/// How words about a call go on.
const CALL: &str = " for function ";
/// How words about an operator begin.
const OPERATOR: &str = "Cannot apply operator: ";
const OPERATORS: [&str; 12] = ["=", "<>", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "||"];

/// The words with a place, where the statement has one alone that they can be about.
pub fn placed(statement: &str, words: String) -> String {
    let Some((code, said)) = CODES.iter().find_map(|code| words.strip_prefix(code).map(|said| (*code, said))) else {
        return words;
    };
    if said.starts_with("line ") {
        return words;
    }
    match tokens::of(statement).ok().and_then(|tokens| place(&tokens, said)) {
        Some(place) => format!("{code}{place}{said}"),
        None => words,
    }
}

fn place(tokens: &[TokenWithSpan], said: &str) -> Option<String> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let found: Vec<&TokenWithSpan> = if let Some(kinds) = said.strip_prefix(OPERATOR) {
        let operator = OPERATORS.iter().find(|operator| kinds.contains(&format!(" {operator} ")))?;
        tokens.iter().filter(|token| tokens::is(token, operator)).collect()
    } else {
        let name = said.split_once(CALL)?.1.split(|letter| !is_name(letter)).next()?;
        let is_call = |pair: &&[TokenWithSpan]| matches!(pair, [first, second] if tokens::is(first, name) && second.token == Token::LParen);
        tokens.windows(2).filter(is_call).filter_map(<[_]>::first).collect()
    };
    match found.as_slice() {
        [one] => Some(tokens::shown(one.span)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_sure() {
        let words =
            "FUNCTION_NOT_FOUND: Unexpected parameters (integer) for function length. Expected: length(varchar)";
        for (statement, words, due) in [
            ("SELECT a,\n Length(1)", words, "FUNCTION_NOT_FOUND: line 2:2: Unexpected"),
            ("SELECT length(1), length('a')", words, "FUNCTION_NOT_FOUND: Unexpected"),
            ("SELECT 1 FROM v", words, "FUNCTION_NOT_FOUND: Unexpected"),
            (
                "SELECT 1 = 'a'",
                "TYPE_MISMATCH: Cannot apply operator: integer = varchar",
                "TYPE_MISMATCH: line 1:10: Cannot",
            ),
            ("SELECT 1 / 0", "DIVISION_BY_ZERO: Division by zero", "DIVISION_BY_ZERO: Division"),
        ] {
            assert!(placed(statement, words.to_owned()).starts_with(due), "{statement}");
        }
    }
}
