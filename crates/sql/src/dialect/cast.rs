//! `CAST(x AS type)` and `TRY_CAST`, with Trino's names of types.

use datafusion::sql::sqlparser::ast::{Expr, Value};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::functions::called;
use crate::functions::{CAST, TRY_CAST};

/// Reads a cast where one begins.
pub fn read(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let Token::Word(word) = &parser.peek_token_ref().token else { return None };
    let function = match word.keyword {
        Keyword::CAST if word.quote_style.is_none() => CAST,
        Keyword::TRY_CAST if word.quote_style.is_none() => TRY_CAST,
        _ => return None,
    };
    if parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    parser.next_token();
    parser.next_token();
    Some(inside(parser, function))
}

fn inside(parser: &mut Parser, function: &str) -> Result<Expr, ParserError> {
    let value = parser.parse_expr()?;
    parser.expect_keyword(Keyword::AS)?;
    let (mut depth, mut kind) = (0_usize, String::new());
    loop {
        let token = parser.next_token();
        match token.token {
            Token::EOF => return parser.expected(")", token),
            Token::RParen if depth == 0 => break,
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        kind.push_str(&token.token.to_string());
        kind.push(' ');
    }
    Ok(called(function, vec![value, Expr::value(Value::SingleQuotedString(kind.trim().to_owned()))]))
}
