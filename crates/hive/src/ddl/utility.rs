//! `SHOW` and `DESCRIBE`.

use super::ast::*;
use super::error::DdlError;
use super::lex::Token;
use super::parser::Parser;

impl Parser<'_> {
    pub(super) fn show(&mut self) -> Result<Statement, DdlError> {
        if self.word("databases")? || self.word("schemas")? {
            return Ok(Statement::ShowDatabases { like: self.like()? });
        }
        if self.word("tables")? {
            let database = self.in_database()?;
            return Ok(Statement::ShowTables { database, like: self.like()? });
        }
        if self.word("views")? {
            let database = self.in_database()?;
            return Ok(Statement::ShowViews { database, like: self.like()? });
        }
        if self.word("partitions")? {
            let table = self.table()?;
            if self.word("partition")? {
                return Err(self.refused("SHOW PARTITIONS ... PARTITION", "; query \"table$partitions\" instead"));
            }
            return Ok(Statement::ShowPartitions { table });
        }
        if self.word("columns")? {
            return self.show_columns();
        }
        if self.word("tblproperties")? {
            let table = self.table()?;
            let property = match self.symbol("(")? {
                true => {
                    let property = self.text("the name of a property in quotes")?;
                    self.require(")")?;
                    Some(property)
                }
                false => None,
            };
            return Ok(Statement::ShowProperties { table, property });
        }
        if self.words(&["create", "table"])? {
            return Ok(Statement::ShowCreateTable { table: self.table()? });
        }
        if self.words(&["create", "view"])? {
            return Ok(Statement::ShowCreateView { view: self.view()? });
        }
        for other in [
            "functions",
            "indexes",
            "index",
            "locks",
            "grant",
            "role",
            "roles",
            "transactions",
            "compactions",
            "table",
            "stats",
        ] {
            if self.word(other)? {
                return Err(self.refused(format!("SHOW {}", other.to_uppercase()), ""));
            }
        }
        Err(self.unexpected(
            "one of DATABASES, SCHEMAS, TABLES, VIEWS, PARTITIONS, COLUMNS, TBLPROPERTIES, CREATE TABLE, CREATE VIEW",
        )?)
    }

    /// `[LIKE] 'expression'`
    fn like(&mut self) -> Result<Option<String>, DdlError> {
        if self.word("like")? {
            return self.text("a regular expression in quotes").map(Some);
        }
        self.optional_text()
    }

    fn in_database(&mut self) -> Result<Option<String>, DdlError> {
        if self.word("in")? || self.word("from")? {
            return self.name("the name of a database").map(Some);
        }
        Ok(None)
    }

    fn show_columns(&mut self) -> Result<Statement, DdlError> {
        if !self.word("in")? && !self.word("from")? {
            return Err(self.unexpected("one of IN, FROM")?);
        }
        let mut table = self.table()?;
        if table.database.is_none() {
            table.database = self.in_database()?;
        }
        Ok(Statement::ShowColumns { table })
    }

    pub(super) fn describe(&mut self) -> Result<Statement, DdlError> {
        for other in ["database", "schema", "function"] {
            if self.at_words(&[other])? && matches!(self.peek(1)?.token, Token::Word(_) | Token::Quoted(_)) {
                self.next()?;
                return Err(self.refused(format!("DESCRIBE {}", other.to_uppercase()), ""));
            }
        }
        let view = self.at_words(&["view"])? && !matches!(self.peek(1)?.token, Token::End | Token::Symbol(_));
        if view {
            self.next()?;
            let table = self.view()?;
            let (detail, partition, column) = (Detail::Columns, None, Vec::new());
            return Ok(Statement::Describe(Describe { table, view, detail, partition, column }));
        }
        let detail = if self.word("extended")? {
            Detail::Extended
        } else if self.at_words(&["formatted"])? && !matches!(self.peek(1)?.token, Token::End | Token::Symbol(_)) {
            self.next()?;
            Detail::Formatted
        } else {
            Detail::Columns
        };
        let table = self.table()?;
        let partition = if self.word("partition")? { Some(self.partition()?) } else { None };
        let column = self.way()?;
        Ok(Statement::Describe(Describe { table, view, detail, partition, column }))
    }

    /// `column.field.'$elem$'...`, if a column is next.
    fn way(&mut self) -> Result<Vec<String>, DdlError> {
        let mut way = Vec::new();
        if matches!(self.peek(0)?.token, Token::End | Token::Symbol(";")) {
            return Ok(way);
        }
        way.push(self.name("the name of a column")?);
        while self.symbol(".")? {
            way.push(match self.optional_text()? {
                Some(part) => part.to_lowercase(),
                None => self.name("the name of a field")?,
            });
        }
        Ok(way)
    }
}
