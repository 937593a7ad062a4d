//! The DDL that Athena takes, which is Hive's: texts to statements.
//!
//! Sources: Athena User Guide, "DDL statements" and "Escape reserved keywords"; Hive wiki, "LanguageManual DDL".

mod alter;
mod ast;
mod create;
mod error;
mod kind;
mod lex;
mod parser;
mod reserved;
#[cfg(test)]
mod tests;
mod utility;

pub use ast::*;
pub use error::{DdlError, Fault};
pub use kind::{Kind, QueryKind, kind_of, single};
pub use reserved::is_reserved;

use parser::Parser;

/// The longest text of a statement, in bytes (Athena User Guide, "Service quotas").
pub const MAX_STATEMENT_BYTES: usize = 262_144;
/// The most columns, properties or partitions that one list of a statement may have; what Glue holds is less.
pub const MAX_LIST: usize = 20_000;

/// Reads one statement. Names come out as the catalog keeps them, in lower case.
///
/// Texts of other kinds (queries, INSERT) are refused; ask [`kind_of`] first.
pub fn parse(sql: &str) -> Result<Statement, DdlError> {
    let mut parser = Parser::new(sql)?;
    let statement = parser.statement()?;
    parser.finish()?;
    Ok(statement)
}
