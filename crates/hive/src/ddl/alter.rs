//! `ALTER` and `MSCK`.

use super::ast::*;
use super::error::{DdlError, Fault};
use super::lex::Token;
use super::parser::Parser;

const ON_PARTITION: &str = " of a partition";

impl Parser<'_> {
    pub(super) fn repair(&mut self) -> Result<Statement, DdlError> {
        self.expect_words(&["repair", "table"])?;
        let table = self.table()?;
        for option in ["add", "drop", "sync"] {
            if self.words(&[option, "partitions"])? {
                return Err(self.refused(format!("MSCK REPAIR TABLE ... {} PARTITIONS", option.to_uppercase()), ""));
            }
        }
        Ok(Statement::Repair { table })
    }

    pub(super) fn alter(&mut self) -> Result<Statement, DdlError> {
        if self.word("database")? || self.word("schema")? {
            let name = self.name("the name of a database")?;
            self.expect_word("set")?;
            if self.word("location")? || self.word("owner")? {
                return Err(self.refused("ALTER DATABASE SET LOCATION or OWNER", ""));
            }
            self.expect_word("dbproperties")?;
            return Ok(Statement::AlterDatabase { name, properties: self.properties()? });
        }
        if self.word("view")? {
            return Err(self.refused("ALTER VIEW", "; write CREATE OR REPLACE VIEW"));
        }
        if !self.word("table")? {
            return Err(self.unexpected("one of DATABASE, SCHEMA, TABLE")?);
        }
        let table = self.table()?;
        let change = self.change()?;
        Ok(Statement::AlterTable { table, change })
    }

    fn change(&mut self) -> Result<Change, DdlError> {
        if self.words(&["add", "columns"])? {
            return Ok(Change::AddColumns { partition: None, columns: self.columns_restrict()? });
        }
        if self.word("add")? {
            return self.add_partitions();
        }
        if self.word("drop")? {
            return self.drop_partitions();
        }
        if self.word("partition")? {
            return self.change_of_partition();
        }
        if self.word("set")? {
            return self.set(None);
        }
        if self.words(&["rename", "to"])? {
            return Err(self
                .refused("ALTER TABLE RENAME TO", ": Athena renames no tables; create it anew, and drop the old one"));
        }
        for other in
            ["unset", "clustered", "skewed", "touch", "archive", "unarchive", "exchange", "compact", "concatenate"]
        {
            if self.word(other)? {
                return Err(self.refused(format!("ALTER TABLE {}", other.to_uppercase()), ""));
            }
        }
        self.columns_change(None)
    }

    /// What both tables and partitions take.
    fn columns_change(&mut self, partition: Option<Partition>) -> Result<Change, DdlError> {
        if self.words(&["add", "columns"])? {
            return Ok(Change::AddColumns { partition, columns: self.columns_restrict()? });
        }
        if self.words(&["replace", "columns"])? {
            return Ok(Change::ReplaceColumns { partition, columns: self.columns_restrict()? });
        }
        if self.word("change")? {
            self.word("column")?;
            let from = self.name("the name of a column")?;
            let to = self.column()?;
            let place = if self.word("first")? {
                Some(Place::First)
            } else if self.word("after")? {
                Some(Place::After(self.name("the name of a column")?))
            } else {
                None
            };
            self.restrict()?;
            return Ok(Change::ChangeColumn { partition, from, to, place });
        }
        Err(self.unexpected(
            "one of ADD PARTITION, DROP PARTITION, PARTITION, ADD COLUMNS, REPLACE COLUMNS, CHANGE COLUMN, SET LOCATION, \
             SET TBLPROPERTIES",
        )?)
    }

    fn columns_restrict(&mut self) -> Result<Vec<Column>, DdlError> {
        let columns = self.columns()?;
        self.restrict()?;
        Ok(columns)
    }

    /// `RESTRICT` says what happens anyway; `CASCADE` would change partitions too.
    fn restrict(&mut self) -> Result<(), DdlError> {
        if self.word("cascade")? {
            return Err(self.refused("CASCADE", ": partitions are changed one by one, with PARTITION (...)"));
        }
        self.word("restrict")?;
        Ok(())
    }

    fn set(&mut self, partition: Option<Partition>) -> Result<Change, DdlError> {
        if self.word("location")? {
            let location = self.text("a location in quotes")?;
            return Ok(Change::SetLocation { partition, location });
        }
        let of = if partition.is_some() { ON_PARTITION } else { "" };
        if self.word("tblproperties")? {
            if partition.is_some() {
                return Err(self.refused(format!("SET TBLPROPERTIES{of}"), ""));
            }
            return Ok(Change::SetProperties { properties: self.properties()? });
        }
        for other in ["serde", "serdeproperties", "fileformat", "skewed", "owner"] {
            if self.word(other)? {
                return Err(self.refused(format!("ALTER TABLE SET {}{of}", other.to_uppercase()), ""));
            }
        }
        Err(self.unexpected("one of LOCATION, TBLPROPERTIES")?)
    }

    fn add_partitions(&mut self) -> Result<Change, DdlError> {
        let if_not_exists = self.if_not_exists()?;
        let mut partitions = Vec::new();
        self.expect_word("partition")?;
        loop {
            if partitions.len() == super::MAX_LIST {
                return Err(DdlError::at(self.sql, self.at, Fault::TooMany));
            }
            let partition = self.partition()?;
            let location = match self.word("location")? {
                true => Some(self.text("a location in quotes")?),
                false => None,
            };
            partitions.push((partition, location));
            self.symbol(",")?;
            if !self.word("partition")? {
                break;
            }
        }
        Ok(Change::AddPartitions { if_not_exists, partitions })
    }

    fn drop_partitions(&mut self) -> Result<Change, DdlError> {
        if self.word("columns")? || self.word("column")? {
            return Err(self.refused("ALTER TABLE DROP COLUMN", ": write REPLACE COLUMNS with those that stay"));
        }
        let if_exists = self.if_exists()?;
        let mut filters = Vec::new();
        self.expect_word("partition")?;
        loop {
            if filters.len() == super::MAX_LIST {
                return Err(DdlError::at(self.sql, self.at, Fault::TooMany));
            }
            filters.push(self.list(Self::partition_test)?);
            if !self.symbol(",")? {
                break;
            }
            self.expect_word("partition")?;
        }
        self.word("purge")?;
        Ok(Change::DropPartitions { if_exists, filters })
    }

    fn partition_test(&mut self) -> Result<PartitionTest, DdlError> {
        let key = self.name("the name of a partition key")?;
        let op = match self.peek(0)?.token {
            Token::Symbol("=" | "==") => Comparison::Equal,
            Token::Symbol("<>" | "!=") => Comparison::NotEqual,
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::LessOrEqual,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=") => Comparison::GreaterOrEqual,
            _ => return Err(self.unexpected("one of =, <>, !=, <, <=, >, >=")?),
        };
        self.next()?;
        Ok(PartitionTest { key, op, value: self.constant()? })
    }

    fn change_of_partition(&mut self) -> Result<Change, DdlError> {
        let partition = self.partition()?;
        if self.words(&["rename", "to"])? {
            self.expect_word("partition")?;
            return Ok(Change::RenamePartition { from: partition, to: self.partition()? });
        }
        if self.word("set")? {
            return self.set(Some(partition));
        }
        self.columns_change(Some(partition))
    }
}
