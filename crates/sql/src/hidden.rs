//! Columns that every table has and no list shows: which object a row is from.
//!
//! Athena User Guide, "Query the file locations for source data in Amazon S3"; Trino documentation, "Hive connector", "Metadata columns".

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::Session;
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::Statement;

use crate::dialect::{self, HIDDEN, Known};
use crate::prune;
use crate::remote::{Remote, Source};

/// The columns, in the order of [`HIDDEN`].
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let kinds =
        [DataType::Utf8View, DataType::Int64, DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))];
    let fields = HIDDEN.iter().zip(kinds).map(|(name, kind)| Field::new(*name, kind, false));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
});

/// The columns.
pub fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// What they are of an object.
pub fn values(source: &Source) -> Vec<ScalarValue> {
    let size = i64::try_from(source.size).ok();
    // Milliseconds, as Trino has it, in the microseconds of all timestamps here.
    let modified = i64::try_from(source.modified / 1_000_000).ok().map(|millis| millis * 1_000);
    vec![
        ScalarValue::Utf8View(Some(source.path())),
        ScalarValue::Int64(size),
        ScalarValue::TimestampMicrosecond(modified, Some(Arc::from("UTC"))),
    ]
}

/// The objects that conditions on these columns alone leave.
pub fn kept(session: &dyn Session, filters: &[Expr], sources: Vec<Source>) -> Result<Vec<Source>> {
    let filters = prune::of_keys(filters, &SCHEMA);
    if filters.is_empty() || sources.is_empty() {
        return Ok(sources);
    }
    let rows: Vec<Vec<ScalarValue>> = sources.iter().map(values).collect();
    let kept = prune::kept(session, &filters, &SCHEMA, &rows)?;
    Ok(sources.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(source, _)| source).collect())
}

/// Keeps the columns out of the stars of a statement that names one of them: its tables have them then.
///
/// # Errors
/// A star over several tables of which not all have names; what the server refuses.
pub async fn out_of_stars(state: &SessionState, remote: &Remote, database: &str, parsed: &mut Parsed) -> Result<()> {
    let Parsed::Statement(statement) = parsed else { return Ok(()) };
    if !dialect::has_star(statement) {
        return Ok(());
    }
    let known = tables(state, remote, database, statement).await?;
    match dialect::without_hidden(statement, &known) {
        ControlFlow::Break(problem) => Err(problem.into()),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The tables of a statement that are no views.
async fn tables(state: &SessionState, remote: &Remote, database: &str, statement: &Statement) -> Result<Known> {
    let normalize = state.config_options().sql_parser.enable_ident_normalization;
    let (names, common) = resolve_table_references(&Parsed::Statement(Box::new(statement.clone())), normalize)?;
    let mut known = Known::new(database, common.iter().map(|name| name.table().to_owned()));
    for name in names {
        let of = name.schema().unwrap_or(database).to_lowercase();
        let table = name.table().to_lowercase();
        if remote.table(&of, &table).await?.is_some_and(|table| table.view.is_empty()) {
            known.add(of, table);
        }
    }
    Ok(known)
}
