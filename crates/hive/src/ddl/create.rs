//! `CREATE` and `DROP`.

use super::ast::*;
use super::error::{DdlError, Fault};
use super::kind;
use super::lex::{self, Token};
use super::parser::Parser;

const ONLY_EXTERNAL: &str =
    ": the tables of Athena that are not Iceberg's are external; write CREATE EXTERNAL TABLE ... LOCATION 's3://...'";
const NO_ICEBERG: &str = " here yet; CREATE EXTERNAL TABLE takes Parquet, ORC, JSON and text";

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<Statement, DdlError> {
        if self.word("database")? || self.word("schema")? {
            return self.create_database();
        }
        if self.words(&["or", "replace"])? {
            self.expect_word("view")?;
            return self.create_view(true);
        }
        if self.word("view")? {
            return self.create_view(false);
        }
        if self.word("external")? {
            self.expect_word("table")?;
            return self.create_table();
        }
        if self.word("table")? {
            return Err(self.managed_table());
        }
        for other in ["temporary", "function", "index", "macro", "role", "materialized", "managed", "transactional"] {
            if self.word(other)? {
                return Err(self.refused(format!("CREATE {}", other.to_uppercase()), ""));
            }
        }
        Err(self.unexpected("one of DATABASE, SCHEMA, EXTERNAL TABLE, VIEW, OR REPLACE VIEW")?)
    }

    /// What is said of `CREATE TABLE` without `EXTERNAL`.
    fn managed_table(&self) -> DdlError {
        if is_iceberg(self.sql, self.at) {
            return self.refused("CREATE TABLE of an Iceberg table", NO_ICEBERG);
        }
        self.refused("CREATE TABLE without EXTERNAL", ONLY_EXTERNAL)
    }

    fn create_database(&mut self) -> Result<Statement, DdlError> {
        let if_not_exists = self.if_not_exists()?;
        let mut database =
            CreateDatabase { name: self.name("the name of a database")?, if_not_exists, ..Default::default() };
        database.comment = self.comment()?;
        if self.word("location")? {
            database.location = Some(self.text("a location in quotes")?);
        }
        if database.comment.is_none() {
            database.comment = self.comment()?;
        }
        if self.words(&["with", "dbproperties"])? {
            database.properties = self.properties()?;
        }
        Ok(Statement::CreateDatabase(database))
    }

    fn create_view(&mut self, or_replace: bool) -> Result<Statement, DdlError> {
        if self.at_words(&["if", "not", "exists"])? {
            return Err(self.refused("CREATE VIEW IF NOT EXISTS", "; write CREATE OR REPLACE VIEW"));
        }
        let name = self.view()?;
        let columns = match self.peek(0)?.token {
            Token::Symbol("(") => self.list(|parser| parser.name_or_quoted("the name of a column"))?,
            _ => Vec::new(),
        };
        self.expect_word("as")?;
        // What follows is Trino's language.
        let (query, end) = kind::body(self.sql, self.at)?;
        self.skip_to(end);
        Ok(Statement::CreateView(CreateView { name, or_replace, columns, query }))
    }

    fn create_table(&mut self) -> Result<Statement, DdlError> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.table()?;
        if self.at_words(&["like"])? {
            return Err(self.refused("CREATE TABLE LIKE", ""));
        }
        let columns = self.columns()?;
        let mut table = CreateTable {
            name,
            if_not_exists,
            columns,
            comment: None,
            partitioned_by: Vec::new(),
            buckets: None,
            row_format: None,
            stored_as: None,
            serde_properties: Properties::new(),
            location: None,
            properties: Properties::new(),
        };
        let mut seen = Vec::new();
        while let Some((clause, at)) = self.clause()? {
            if seen.contains(&clause) {
                return Err(DdlError::at(self.sql, at, Fault::Twice { clause }));
            }
            seen.push(clause);
            self.table_clause(clause, &mut table, at)?;
        }
        Ok(Statement::CreateTable(Box::new(table)))
    }

    /// Goes past the words that begin a clause. People write clauses in any order, each at most once.
    fn clause(&mut self) -> Result<Option<(&'static str, usize)>, DdlError> {
        const CLAUSES: [&str; 10] = [
            "COMMENT",
            "PARTITIONED BY",
            "CLUSTERED BY",
            "ROW FORMAT",
            "STORED AS",
            "WITH SERDEPROPERTIES",
            "LOCATION",
            "TBLPROPERTIES",
            "SKEWED BY",
            "STORED BY",
        ];
        let at = self.peek(0)?.start;
        for clause in CLAUSES {
            let words: Vec<&str> = clause.split(' ').collect();
            if self.words(&words)? {
                return Ok(Some((clause, at)));
            }
        }
        Ok(None)
    }

    fn table_clause(&mut self, clause: &str, table: &mut CreateTable, at: usize) -> Result<(), DdlError> {
        match clause {
            "COMMENT" => table.comment = Some(self.text("a comment in quotes")?),
            "PARTITIONED BY" => {
                table.partitioned_by = self.columns()?;
                if let Some(key) = table.partitioned_by.iter().find(|k| table.columns.iter().any(|c| c.name == k.name))
                {
                    return Err(DdlError::at(self.sql, at, Fault::RepeatedInPartition { name: key.name.clone() }));
                }
            }
            "CLUSTERED BY" => table.buckets = Some(self.buckets()?),
            "ROW FORMAT" => {
                table.row_format = Some(self.row_format()?);
                if matches!(table.row_format, Some(RowFormat::Serde(_))) && self.words(&["with", "serdeproperties"])? {
                    table.serde_properties = self.properties()?;
                }
            }
            "STORED AS" => table.stored_as = Some(self.stored_as()?),
            // After the one of ROW FORMAT, or alone.
            "WITH SERDEPROPERTIES" => table.serde_properties.extend(self.properties()?),
            "LOCATION" => table.location = Some(self.text("a location in quotes")?),
            "TBLPROPERTIES" => table.properties = self.properties()?,
            other => return Err(self.refused(other, "")),
        }
        Ok(())
    }

    fn buckets(&mut self) -> Result<Buckets, DdlError> {
        let columns = self.list(|parser| parser.name("the name of a column"))?;
        if self.at_words(&["sorted", "by"])? {
            return Err(self.refused("SORTED BY", ""));
        }
        self.expect_word("into")?;
        let at = self.peek(0)?.start;
        let count = self.constant()?.parse().ok().filter(|count| (1..=1_000_000).contains(count));
        let Some(count) = count else {
            let fault = Fault::Value { what: "the number of buckets", must: "between 1 and 1000000" };
            return Err(DdlError::at(self.sql, at, fault));
        };
        self.expect_word("buckets")?;
        Ok(Buckets { columns, count })
    }

    fn row_format(&mut self) -> Result<RowFormat, DdlError> {
        if self.word("serde")? {
            return Ok(RowFormat::Serde(self.text("the class of a serde in quotes")?));
        }
        if !self.word("delimited")? {
            return Err(self.unexpected("one of DELIMITED, SERDE")?);
        }
        const CLAUSES: [&str; 6] = [
            "FIELDS TERMINATED BY",
            "ESCAPED BY",
            "COLLECTION ITEMS TERMINATED BY",
            "MAP KEYS TERMINATED BY",
            "LINES TERMINATED BY",
            "NULL DEFINED AS",
        ];
        let mut format = Delimited::default();
        'clauses: loop {
            let at = self.peek(0)?.start;
            for clause in CLAUSES {
                let words: Vec<&str> = clause.split(' ').collect();
                if self.words(&words)? {
                    self.delimiter(clause, at, &mut format)?;
                    continue 'clauses;
                }
            }
            return Ok(RowFormat::Delimited(format));
        }
    }

    fn delimiter(&mut self, clause: &'static str, at: usize, format: &mut Delimited) -> Result<(), DdlError> {
        let text = self.text("a delimiter in quotes")?;
        let slot = match clause {
            "FIELDS TERMINATED BY" => &mut format.fields,
            "ESCAPED BY" => &mut format.escape,
            "COLLECTION ITEMS TERMINATED BY" => &mut format.items,
            "MAP KEYS TERMINATED BY" => &mut format.keys,
            "LINES TERMINATED BY" => &mut format.lines,
            _ => &mut format.null,
        };
        if slot.replace(text).is_some() {
            return Err(DdlError::at(self.sql, at, Fault::Twice { clause }));
        }
        if clause == "LINES TERMINATED BY" && !matches!(format.lines.as_deref(), Some("\n" | "10")) {
            let fault =
                Fault::Value { what: "LINES TERMINATED BY", must: "newline '\\n': Hive reads no other end of lines" };
            return Err(DdlError::at(self.sql, at, fault));
        }
        Ok(())
    }

    fn stored_as(&mut self) -> Result<StoredAs, DdlError> {
        if self.word("inputformat")? {
            let input = self.text("the class of an input format in quotes")?;
            self.expect_word("outputformat")?;
            let output = self.text("the class of an output format in quotes")?;
            return Ok(StoredAs::Classes { input, output });
        }
        for (word, format) in [
            ("textfile", StoredAs::TextFile),
            ("parquet", StoredAs::Parquet),
            ("orc", StoredAs::Orc),
            ("avro", StoredAs::Avro),
            ("sequencefile", StoredAs::SequenceFile),
            ("rcfile", StoredAs::RcFile),
            ("jsonfile", StoredAs::JsonFile),
            ("ion", StoredAs::Ion),
        ] {
            if self.word(word)? {
                return Ok(format);
            }
        }
        Err(self.unexpected("one of TEXTFILE, PARQUET, ORC, AVRO, SEQUENCEFILE, RCFILE, JSONFILE, ION, INPUTFORMAT")?)
    }

    pub(super) fn drop(&mut self) -> Result<Statement, DdlError> {
        if self.word("database")? || self.word("schema")? {
            let if_exists = self.if_exists()?;
            let name = self.name("the name of a database")?;
            let cascade = self.word("cascade")?;
            if !cascade {
                self.word("restrict")?;
            }
            return Ok(Statement::DropDatabase { name, if_exists, cascade });
        }
        if self.word("table")? {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropTable { table: self.table()?, if_exists });
        }
        if self.word("view")? {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropView { view: self.view()?, if_exists });
        }
        for other in ["function", "index", "macro", "role"] {
            if self.word(other)? {
                return Err(self.refused(format!("DROP {}", other.to_uppercase()), ""));
            }
        }
        Err(self.unexpected("one of DATABASE, SCHEMA, TABLE, VIEW")?)
    }
}

/// Whether `'table_type' = 'ICEBERG'` stands after a place.
fn is_iceberg(sql: &str, from: usize) -> bool {
    let mut at = from;
    let mut last = [Token::End, Token::End];
    while let Ok(spanned) = lex::token(sql, at) {
        let is = |token: &Token, text: &str| matches!(token, Token::Text(t, _) if t.eq_ignore_ascii_case(text));
        match &last {
            [name, Token::Symbol("=")] if is(name, "table_type") && is(&spanned.token, "iceberg") => return true,
            _ => {}
        }
        if spanned.token == Token::End {
            break;
        }
        at = spanned.end;
        let [_, second] = last;
        last = [second, spanned.token];
    }
    false
}
