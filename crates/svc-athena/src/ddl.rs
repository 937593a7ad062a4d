//! Statements about the catalog: who carries them out.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use millpond_ddl::Statements;
use millpond_kernel::{Caller, Kernel};

/// A column of what such a statement shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DdlColumn {
    /// Its name.
    pub name: String,
    /// Its type: `string`, where the catalog says something in words.
    pub kind: String,
}

/// What such a statement shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DdlResult {
    /// Its columns; none for a statement that only does something.
    pub columns: Vec<DdlColumn>,
    /// The result object: a line for each row, with tabs between values.
    pub text: String,
}

/// Why such a statement failed, in Athena's words (`FAILED: SemanticException ...`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DdlError(pub String);

/// Carries out statements about the catalog, as their callers.
pub trait Ddl: Send + Sync + 'static {
    /// Carries one out. `database` is that of names which name none.
    fn run<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        statement: &'a str,
    ) -> BoxFuture<'a, Result<DdlResult, DdlError>>;
}

/// Refuses all of them, by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDdl;

impl Ddl for NoDdl {
    fn run<'a>(&'a self, _: Arc<Caller>, _: &'a str, statement: &'a str) -> BoxFuture<'a, Result<DdlResult, DdlError>> {
        let name = crate::statement::parse(statement).map(|it| it.subkind.replace('_', " ")).unwrap_or_default();
        ready(Err(DdlError(format!("NOT_SUPPORTED: {name} is not carried out by this server")))).boxed()
    }
}

/// Carries them out on the catalog that the kernel has been told of.
#[derive(Clone)]
pub struct CatalogDdl {
    kernel: Arc<Kernel>,
}

impl CatalogDdl {
    /// On the kernel's catalog, and its objects, at the time of each statement.
    pub fn new(kernel: Arc<Kernel>) -> Self {
        Self { kernel }
    }
}

/// The type of what the catalog says in words.
const WORDS: &str = "string";

impl Ddl for CatalogDdl {
    fn run<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        statement: &'a str,
    ) -> BoxFuture<'a, Result<DdlResult, DdlError>> {
        async move {
            let (Some(catalog), Some(objects)) = (self.kernel.catalog(), self.kernel.object_reads()) else {
                return Err(DdlError("NOT_SUPPORTED: this server has no catalog of tables".to_owned()));
            };
            let shown = Statements { catalog, objects }.run(caller, database, statement).await;
            let shown = shown.map_err(|error| DdlError(error.to_string()))?;
            let column = |name: &'static str| DdlColumn { name: name.to_owned(), kind: WORDS.to_owned() };
            let mut text = shown.lines.join("\n");
            if !text.is_empty() {
                text.push('\n');
            }
            Ok(DdlResult { columns: shown.columns.into_iter().map(column).collect(), text })
        }
        .boxed()
    }
}
