//! The cursor over tokens, and what all statements have in common.

use std::collections::VecDeque;

use super::ast::{Column, Name, Partition, Properties, Statement};
use super::error::{DdlError, Fault, shown};
use super::lex::{self, Spanned, Token};
use super::{MAX_LIST, MAX_STATEMENT_BYTES, is_reserved};
use crate::types::Type;

pub struct Parser<'a> {
    pub sql: &'a str,
    /// What was read ahead.
    ahead: VecDeque<Spanned>,
    /// Where the last token taken ends.
    pub at: usize,
}

impl<'a> Parser<'a> {
    pub fn new(sql: &'a str) -> Result<Self, DdlError> {
        if sql.len() > MAX_STATEMENT_BYTES {
            return Err(DdlError::at(sql, 0, Fault::TooLong { bytes: sql.len() }));
        }
        Ok(Self { sql, ahead: VecDeque::new(), at: 0 })
    }

    pub fn statement(&mut self) -> Result<Statement, DdlError> {
        // Semicolons before it say nothing.
        while self.symbol(";")? {}
        if self.peek(0)?.token == Token::End {
            return Err(DdlError::at(self.sql, 0, Fault::Empty));
        }
        if self.word("create")? {
            return self.create();
        }
        if self.word("drop")? {
            return self.drop();
        }
        if self.word("alter")? {
            return self.alter();
        }
        if self.word("msck")? {
            return self.repair();
        }
        if self.word("show")? {
            return self.show();
        }
        if self.word("describe")? || self.word("desc")? {
            return self.describe();
        }
        Err(self.unexpected("one of CREATE, DROP, ALTER, MSCK, SHOW, DESCRIBE")?)
    }

    /// Nothing more but semicolons.
    pub fn finish(&mut self) -> Result<(), DdlError> {
        let mut ended = false;
        while self.symbol(";")? {
            ended = true;
        }
        match self.peek(0)?.token {
            Token::End => Ok(()),
            _ if ended => Err(DdlError::at(self.sql, self.at, Fault::Several { sql: shown(self.sql.trim()) })),
            _ => Err(self.unexpected("the end of the statement")?),
        }
    }

    /// The token so many places ahead.
    pub fn peek(&mut self, places: usize) -> Result<&Spanned, DdlError> {
        while self.ahead.len() <= places {
            let from = self.ahead.back().map_or(self.at, |last| last.end);
            self.ahead.push_back(lex::token(self.sql, from)?);
        }
        match self.ahead.get(places) {
            Some(spanned) => Ok(spanned),
            None => Err(DdlError::at(self.sql, self.at, Fault::Empty)),
        }
    }

    /// Goes on at a place, whatever was read ahead.
    pub fn skip_to(&mut self, at: usize) {
        self.ahead.clear();
        self.at = at;
    }

    /// Takes the next token.
    pub fn next(&mut self) -> Result<Spanned, DdlError> {
        self.peek(0)?;
        let Some(spanned) = self.ahead.pop_front() else {
            return Err(DdlError::at(self.sql, self.at, Fault::Empty));
        };
        self.at = spanned.end;
        Ok(spanned)
    }

    fn is_word(&mut self, places: usize, word: &str) -> Result<bool, DdlError> {
        Ok(matches!(&self.peek(places)?.token, Token::Word(found) if found.eq_ignore_ascii_case(word)))
    }

    /// Whether these words are next, without going past them.
    pub fn at_words(&mut self, words: &[&str]) -> Result<bool, DdlError> {
        for (place, word) in words.iter().enumerate() {
            if !self.is_word(place, word)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes past a word if it is next.
    pub fn word(&mut self, word: &str) -> Result<bool, DdlError> {
        self.words(&[word])
    }

    /// Goes past words if all of them are next.
    pub fn words(&mut self, words: &[&str]) -> Result<bool, DdlError> {
        let found = self.at_words(words)?;
        if found {
            for _ in words {
                self.next()?;
            }
        }
        Ok(found)
    }

    pub fn expect_word(&mut self, word: &str) -> Result<(), DdlError> {
        if self.word(word)? { Ok(()) } else { Err(self.unexpected(&word.to_uppercase())?) }
    }

    pub fn expect_words(&mut self, words: &[&str]) -> Result<(), DdlError> {
        words.iter().try_for_each(|word| self.expect_word(word))
    }

    pub fn symbol(&mut self, symbol: &'static str) -> Result<bool, DdlError> {
        let found = self.peek(0)?.token == Token::Symbol(symbol);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    pub fn require(&mut self, symbol: &'static str) -> Result<(), DdlError> {
        if self.symbol(symbol)? { Ok(()) } else { Err(self.unexpected(&format!("'{symbol}'"))?) }
    }

    /// The error that something else stands here.
    pub fn unexpected(&mut self, expected: &str) -> Result<DdlError, DdlError> {
        let Spanned { token, start, end } = self.peek(0)?.clone();
        let found = match token {
            Token::End => "'<EOF>'".to_owned(),
            _ => format!("'{}'", shown(self.sql.get(start..end).unwrap_or_default())),
        };
        Ok(DdlError::at(self.sql, start, Fault::Unexpected { found, expected: expected.to_owned() }))
    }

    /// The error that a statement or clause is not served, at the token before.
    pub fn refused(&self, what: impl Into<String>, reason: &'static str) -> DdlError {
        DdlError::at(self.sql, self.at, Fault::Refused { what: what.into(), reason })
    }

    /// A name: a word that is not reserved, or anything in backticks. Lower case, as the catalog has it.
    pub fn name(&mut self, expected: &str) -> Result<String, DdlError> {
        self.any_name(expected, false)
    }

    /// A name of a view, which may stand in double quotes too, as these statements are Trino's.
    pub fn name_or_quoted(&mut self, expected: &str) -> Result<String, DdlError> {
        self.any_name(expected, true)
    }

    fn any_name(&mut self, expected: &str, quoted: bool) -> Result<String, DdlError> {
        let Spanned { token, start, .. } = self.peek(0)?.clone();
        let name = match token {
            Token::Word(word) if is_reserved(&word.to_lowercase()) => {
                return Err(DdlError::at(self.sql, start, Fault::Reserved { word }));
            }
            Token::Word(word) => word,
            Token::Quoted(name) => name,
            Token::Text(name, '"') if quoted => name,
            Token::Text(name, '"') => {
                let fault =
                    Fault::DoubleQuoted { found: format!("'\"{}\"'", shown(&name)), expected: expected.to_owned() };
                return Err(DdlError::at(self.sql, start, fault));
            }
            _ => return Err(self.unexpected(expected)?),
        };
        if name.is_empty() {
            return Err(self.unexpected(expected)?);
        }
        self.next()?;
        Ok(name.to_lowercase())
    }

    /// `[database.]name`
    pub fn table(&mut self) -> Result<Name, DdlError> {
        self.qualified("the name of a table", false)
    }

    /// `[database.]name` of a view.
    pub fn view(&mut self) -> Result<Name, DdlError> {
        self.qualified("the name of a view", true)
    }

    fn qualified(&mut self, expected: &str, quoted: bool) -> Result<Name, DdlError> {
        let first = self.any_name(expected, quoted)?;
        if !self.symbol(".")? {
            return Ok(Name { database: None, name: first });
        }
        let name = self.any_name(expected, quoted)?;
        Ok(Name { database: Some(first), name })
    }

    /// A string in single or double quotes.
    pub fn text(&mut self, expected: &str) -> Result<String, DdlError> {
        match self.peek(0)?.token.clone() {
            Token::Text(text, _) => {
                self.next()?;
                Ok(text)
            }
            _ => Err(self.unexpected(expected)?),
        }
    }

    pub fn optional_text(&mut self) -> Result<Option<String>, DdlError> {
        match self.peek(0)?.token {
            Token::Text(..) => self.text("a string").map(Some),
            _ => Ok(None),
        }
    }

    /// `COMMENT 'text'`, if it is next.
    pub fn comment(&mut self) -> Result<Option<String>, DdlError> {
        if self.word("comment")? { self.text("a comment in quotes").map(Some) } else { Ok(None) }
    }

    /// Entries between parentheses, with commas between them.
    pub fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Result<T, DdlError>) -> Result<Vec<T>, DdlError> {
        self.require("(")?;
        let mut entries = Vec::new();
        loop {
            if entries.len() == MAX_LIST {
                return Err(DdlError::at(self.sql, self.at, Fault::TooMany));
            }
            entries.push(entry(self)?);
            if !self.symbol(",")? {
                break;
            }
        }
        if self.symbol(")")? { Ok(entries) } else { Err(self.unexpected("',' or ')'")?) }
    }

    /// `('name'='value', ...)`
    pub fn properties(&mut self) -> Result<Properties, DdlError> {
        let pairs = self.list(|parser| {
            let name = parser.text("the name of a property in quotes")?;
            parser.require("=")?;
            Ok((name, parser.text("the value of a property in quotes")?))
        })?;
        Ok(pairs.into_iter().collect())
    }

    /// `(name type [COMMENT 'text'], ...)`, without names given twice.
    pub fn columns(&mut self) -> Result<Vec<Column>, DdlError> {
        let mut seen = std::collections::HashSet::new();
        self.list(|parser| {
            let at = parser.peek(0)?.start;
            let column = parser.column()?;
            if seen.insert(column.name.clone()) {
                return Ok(column);
            }
            Err(DdlError::at(parser.sql, at, Fault::DuplicateColumn { name: column.name }))
        })
    }

    pub fn column(&mut self) -> Result<Column, DdlError> {
        let name = self.name("the name of a column")?;
        let kind = self.kind()?;
        Ok(Column { name, kind, comment: self.comment()? })
    }

    pub fn kind(&mut self) -> Result<Type, DdlError> {
        // Types have a reader of their own.
        let from = lex::skip(self.sql, self.at)?;
        let (kind, end) = Type::parse_ddl(self.sql, from).map_err(|error| DdlError::of_type(self.sql, &error))?;
        self.skip_to(end);
        Ok(kind)
    }

    /// A constant of a partition: a string or a number, as text.
    pub fn constant(&mut self) -> Result<String, DdlError> {
        const EXPECTED: &str = "a string or a number";
        if let Some(text) = self.optional_text()? {
            return Ok(text);
        }
        // Dates may be written as literals of SQL.
        if self.is_word(0, "date")? && matches!(self.peek(1)?.token, Token::Text(..)) {
            self.next()?;
            return self.text(EXPECTED);
        }
        let sign = if self.symbol("-")? { "-" } else { "" };
        let digits = |token: &Token| match token {
            Token::Word(word) if word.bytes().all(|b| b.is_ascii_digit()) => Some(word.clone()),
            _ => None,
        };
        let Some(whole) = digits(&self.peek(0)?.token) else { return Err(self.unexpected(EXPECTED)?) };
        self.next()?;
        if !self.symbol(".")? {
            return Ok(format!("{sign}{whole}"));
        }
        let Some(fraction) = digits(&self.peek(0)?.token) else { return Err(self.unexpected("digits")?) };
        self.next()?;
        Ok(format!("{sign}{whole}.{fraction}"))
    }

    /// `(key = value, ...)`
    pub fn partition(&mut self) -> Result<Partition, DdlError> {
        let mut seen = std::collections::HashSet::new();
        self.list(|parser| {
            let at = parser.peek(0)?.start;
            let key = parser.name("the name of a partition key")?;
            if !seen.insert(key.clone()) {
                return Err(DdlError::at(parser.sql, at, Fault::DuplicateColumn { name: key }));
            }
            parser.require("=")?;
            Ok((key, parser.constant()?))
        })
    }

    pub fn if_exists(&mut self) -> Result<bool, DdlError> {
        self.optional_words(&["if", "exists"])
    }

    pub fn if_not_exists(&mut self) -> Result<bool, DdlError> {
        self.optional_words(&["if", "not", "exists"])
    }

    /// All of the words or none of them.
    fn optional_words(&mut self, words: &[&str]) -> Result<bool, DdlError> {
        let first = words.first().copied().unwrap_or_default();
        if !self.is_word(0, first)? {
            return Ok(false);
        }
        self.expect_words(words)?;
        Ok(true)
    }
}
