//! Tokens of expressions.

use super::error::Problem;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, or a word of the language.
    Word,
    /// `#name`
    Name,
    /// `:value`
    Value,
    /// An index.
    Number,
    /// An operator, a bracket, a comma; or a character that has no place anywhere.
    Symbol,
    End,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    /// Where it begins.
    at: usize,
}

impl Token<'_> {
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// Words of the language know no case.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// An expression as tokens, and how far it is read.
pub(super) struct Tokens<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a str) -> Tokens<'a> {
        let mut tokens = Vec::new();
        let mut at = 0;
        loop {
            at += text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n']).len();
            let (kind, length) = token(&text[at..]);
            tokens.push(Token { kind, text: &text[at..at + length], at });
            if kind == TokenKind::End {
                return Tokens { text, tokens, next: 0 };
            }
            at += length;
        }
    }

    /// The token after `ahead` others; the end stays the end.
    pub fn peek_at(&self, ahead: usize) -> Token<'a> {
        self.tokens[(self.next + ahead).min(self.tokens.len() - 1)]
    }

    pub fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    pub fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// Reads a symbol, if it is next.
    pub fn skip(&mut self, symbol: &str) -> bool {
        let is = self.peek().is_symbol(symbol);
        self.next += usize::from(is);
        is
    }

    /// Reads a word, if it is next.
    pub fn skip_word(&mut self, word: &str) -> bool {
        let is = self.peek().is_word(word);
        self.next += usize::from(is);
        is
    }

    pub fn symbol(&mut self, symbol: &str) -> Result<(), Problem> {
        if self.skip(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub fn of_kind(&mut self, kind: TokenKind) -> Result<Token<'a>, Problem> {
        if self.peek().kind == kind { Ok(self.next()) } else { Err(self.unexpected()) }
    }

    /// The next token has no place here: AWS shows it between its neighbours, as they are written.
    pub fn unexpected(&self) -> Problem {
        let token = self.peek();
        let before = self.tokens[self.next.min(self.tokens.len() - 1).saturating_sub(1)];
        let behind = self.peek_at(1);
        let near = self.text[before.at..behind.at + behind.text.len()].trim_end();
        let text = if token.kind == TokenKind::End { "<EOF>" } else { token.text };
        Problem::Syntax { token: text.to_owned(), near: near.to_owned() }
    }
}

/// The kind and the length of the first token.
fn token(text: &str) -> (TokenKind, usize) {
    let word = |from: usize| {
        let rest = &text[from..];
        rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len()
    };
    let Some(first) = text.chars().next() else {
        return (TokenKind::End, 0);
    };
    match first {
        'a'..='z' | 'A'..='Z' => (TokenKind::Word, word(0)),
        '#' | ':' if word(1) > 0 => (if first == '#' { TokenKind::Name } else { TokenKind::Value }, 1 + word(1)),
        // No zeros in front.
        '0' => (TokenKind::Number, 1),
        '1'..='9' => (TokenKind::Number, text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len()),
        _ if ["<>", "<=", ">="].iter().any(|symbol| text.starts_with(symbol)) => (TokenKind::Symbol, 2),
        other => (TokenKind::Symbol, other.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let text = "a_1.#b[10]<=:v AND_x <> ( _é01";
        let mut tokens = Tokens::new(text);
        let texts: Vec<&str> = std::iter::from_fn(|| {
            let token = tokens.next();
            (token.kind != TokenKind::End).then_some(token.text)
        })
        .collect();
        let expected = ["a_1", ".", "#b", "[", "10", "]", "<=", ":v", "AND_x", "<>", "(", "_", "é", "0", "1"];
        assert_eq!(texts, expected);
    }
}
