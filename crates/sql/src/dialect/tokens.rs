//! A statement's tokens: put so that the parser takes what only Trino writes, and asked where words stand.

use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, TokenizerError};

use super::trino::Trino;

/// What may end the rows of VALUES.
const AFTER_VALUES: &[&str] = &["UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "OFFSET", "FETCH"];

/// The tokens of a text without its blanks and comments.
pub fn of(text: &str) -> Result<Vec<TokenWithSpan>, TokenizerError> {
    let mut tokens = Tokenizer::new(&Trino, text).tokenize_with_location()?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    Ok(tokens)
}

/// Whether a token is a word without quotes, or a symbol.
pub fn is(token: &TokenWithSpan, wanted: &str) -> bool {
    match &token.token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted),
        Token::SingleQuotedString(_) | Token::EOF => false,
        other => other.to_string() == wanted,
    }
}

/// Where a word begins that has digits in front of it: a number and a name, to the tokenizer.
pub fn begins_with_digits(two: &[TokenWithSpan]) -> Option<Span> {
    match two {
        [digits, word] if matches!((&digits.token, &word.token), (Token::Number(..), Token::Word(_))) => {
            (digits.span.end == word.span.start).then_some(digits.span)
        }
        _ => None,
    }
}

/// Where words first stand one after the other: `line 1:8: `, or nothing.
pub fn place(tokens: &[TokenWithSpan], words: &[&str]) -> String {
    let at =
        tokens.windows(words.len().max(1)).find(|some| some.iter().zip(words).all(|(token, word)| is(token, word)));
    at.and_then(<[_]>::first).map(|token| shown(token.span)).unwrap_or_default()
}

/// A place as errors begin with it.
pub fn shown(span: Span) -> String {
    let start = span.start;
    if start.line == 0 { String::new() } else { format!("line {}:{}: ", start.line, start.column) }
}

/// Puts rows of VALUES without parentheses, and parameters, as the parser takes them.
pub fn prepared(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut tokens = rows(&tokens);
    let mut count = 0;
    for token in &mut tokens {
        if let Token::Placeholder(name) = &mut token.token {
            count += 1;
            *name = format!("?{count}");
        }
    }
    tokens
}

fn symbol(token: Token, span: Span) -> TokenWithSpan {
    TokenWithSpan { token, span }
}

/// `VALUES 1, ROW(2)` as `VALUES (1), (2)`.
fn rows(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let (mut out, mut at) = (Vec::with_capacity(tokens.len()), 0);
    while let Some(token) = tokens.get(at) {
        at += 1;
        out.push(token.clone());
        let after = tokens.get(at);
        if !is(token, "VALUES") || after.is_none_or(|next| is(next, ")") || is(next, ".") || is(next, ",")) {
            continue;
        }
        loop {
            let row = row(tokens.get(at..).unwrap_or_default());
            out.extend(in_parentheses(row));
            at += row.len();
            match tokens.get(at) {
                Some(comma) if comma.token == Token::Comma && !row.is_empty() => out.push(comma.clone()),
                _ => break,
            }
            at += 1;
        }
    }
    out
}

/// One row: the tokens before a comma, a closing parenthesis or what may end VALUES.
fn row(tokens: &[TokenWithSpan]) -> &[TokenWithSpan] {
    let mut depth = 0_usize;
    let end = tokens.iter().position(|token| match token.token {
        Token::LParen | Token::LBracket => {
            depth += 1;
            false
        }
        Token::RParen | Token::RBracket if depth > 0 => {
            depth -= 1;
            false
        }
        Token::RParen | Token::Comma | Token::SemiColon | Token::EOF => depth == 0,
        _ => depth == 0 && AFTER_VALUES.iter().any(|word| is(token, word)),
    });
    tokens.get(..end.unwrap_or(tokens.len())).unwrap_or_default()
}

fn in_parentheses(row: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let inner = match row {
        [word, rest @ ..] if is(word, "ROW") => rest,
        _ => row,
    };
    // One group from the first token to the last stands already as it should.
    let whole = matches!(inner, [first, middle @ .., last] if first.token == Token::LParen && last.token == Token::RParen && is_balanced(middle));
    match (row.first(), row.last()) {
        (Some(first), Some(last)) if !whole => {
            // A row may have VALUES within it.
            let mut row = rows(row);
            row.insert(0, symbol(Token::LParen, first.span));
            row.push(symbol(Token::RParen, last.span));
            row
        }
        _ => rows(inner),
    }
}

/// Whether every parenthesis is closed, and none that was not opened.
fn is_balanced(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => {}
        }
    }
    depth == 0
}
