//! Runs queries in the background, as their callers: whether they may is decided each time that something is touched, by the rights of that moment.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use millpond_kernel::{Caller, NewObject, ServiceError};
use millpond_query::{QueryError, Run, Stats};
use millpond_types::AccountId;
use tokio::sync::oneshot;

use crate::columns;
use crate::errors::AthenaError;
use crate::failed::Failed;
use crate::host::Answers;
use crate::limits::MAX_COLUMN_BYTES;
use crate::output;
use crate::reuse::{self, Reused};
use crate::running::{Live, Place};
use crate::spool::{Pieces, Spool};
use crate::state::{Core, Stored, uuid};
use crate::statement::{self, Action, Statement};
use crate::tables::{ColumnRow, ExecutionRow, ResultRow, SaidRow, State, StatsRow};

/// How often the end of an execution is tried to be written, and how long after the last time.
const FINISH_TRIES: usize = 60;
const FINISH_PAUSE: Duration = Duration::from_secs(1);

/// An execution that came to its end.
#[derive(Default)]
pub(crate) struct Done {
    pub stats: StatsRow,
    pub result: ResultRow,
    /// Where its result is, if that is another's.
    pub reused: Option<String>,
    /// The digest under which others find its result.
    pub digest: Option<Vec<u8>>,
}

/// An execution at work.
struct Work<'a> {
    core: &'a Arc<Core>,
    live: &'a Arc<Live>,
    account: AccountId,
    stored: Stored,
    said: SaidRow,
    caller: &'a Arc<Caller>,
    via: Arc<Caller>,
}

/// Runs an execution that is queued, as its caller.
pub(crate) fn launch(place: Place, core: Arc<Core>, account: AccountId, caller: Arc<Caller>) {
    tokio::spawn(async move {
        let live = Arc::clone(&place.live);
        tokio::select! {
            biased;
            // The row says so already.
            () = live.cancelled.notified() => {}
            // It is queued or running in the next start's eyes.
            () = core.running.stopped() => {}
            () = carry_out(&core, &live, account, place.id, &caller) => {}
        }
        drop(place);
    });
}

async fn carry_out(core: &Arc<Core>, live: &Arc<Live>, account: AccountId, id: u128, caller: &Arc<Caller>) {
    let done = AssertUnwindSafe(execute(core, live, account, id, caller)).catch_unwind().await;
    let done = done.unwrap_or_else(|_| Err(Failed::internal("a query panicked")));
    for attempt in 1..=FINISH_TRIES {
        match core.finish(account, id, &done).await {
            Ok(()) => return,
            Err(error) => tracing::error!(%error, attempt, id = uuid(id), "the end of a query cannot be written"),
        }
        tokio::time::sleep(FINISH_PAUSE).await;
    }
}

async fn execute(
    core: &Arc<Core>,
    live: &Arc<Live>,
    account: AccountId,
    id: u128,
    caller: &Arc<Caller>,
) -> Result<Done, Failed> {
    let gone = || Failed::internal("an execution is gone");
    let stored = core.execution(account, id).await?.ok_or_else(gone)?;
    let said: SaidRow = core.unseal_row(id, "said", &stored.row.said).await?;
    let via = core.via(caller);
    let work = Work { core, live, account, stored, said, caller, via };
    let text = work.said.statement.clone();
    let parsed = statement::parse(&text).map_err(Failed::syntax)?;
    match &parsed.action {
        Action::Query => work.query(&text, work.said.parameters.clone()).await,
        Action::Execute { name, values } => {
            if !values.is_empty() && !work.said.parameters.is_empty() {
                return Err(Failed::user("ExecutionParameters and USING cannot be specified together."));
            }
            let values = if values.is_empty() { work.said.parameters.clone() } else { values.clone() };
            work.prepared(name, values).await
        }
        Action::Explain => work.run(&text, work.said.parameters.clone(), true).await.map(|(done, _)| done),
        Action::Ddl => work.ddl(&text).await,
        Action::Prepare { name, statement } => {
            core.prepare(caller, account, &work.stored.row.group, name, statement).await?;
            work.nothing_to_show().await
        }
        Action::Deallocate { name } => {
            core.deallocate(caller, account, &work.stored.row.group, name).await?;
            work.nothing_to_show().await
        }
        Action::Unserved => Err(unserved(&parsed)),
    }
}

fn unserved(statement: &Statement<'_>) -> Failed {
    Failed::user(format!("NOT_SUPPORTED: {} is not carried out by this server", statement.subkind))
}

impl Work<'_> {
    fn row(&self) -> &ExecutionRow {
        &self.stored.row
    }

    /// A prepared statement, with values for its parameters.
    async fn prepared(&self, name: &str, values: Vec<String>) -> Result<Done, Failed> {
        let group = &self.row().group;
        let statement = self.core.prepared_text(self.caller, self.account, group, name).await?;
        let missing = || Failed::user(format!("PreparedStatement {name} was not found in workGroup {group}"));
        let statement = statement.ok_or_else(missing)?;
        let parsed = statement::parse(&statement).map_err(Failed::syntax)?;
        match parsed.action {
            Action::Query => self.query(&statement, values).await,
            _ => Err(unserved(&parsed)),
        }
    }

    /// Runs a query, unless the result of another one will do.
    async fn query(&self, statement: &str, parameters: Vec<String>) -> Result<Done, Failed> {
        let digest = reuse::digest(statement, &parameters, &self.row().database);
        if let Some(minutes) = self.row().reuse {
            let answers = self.answers();
            let found = self.core.reusable(self.account, &self.row().group, &digest, minutes, &answers, &self.via);
            if let Some(Reused { location, result, output_rows }) = found.await? {
                self.core.begin(self.account, self.stored.id).await?;
                let stats = StatsRow { output_rows, ..StatsRow::default() };
                return Ok(Done { stats, result, reused: Some(location), digest: None });
            }
        }
        let may_change = statement::may_change(statement);
        let (mut done, answers) = self.run(statement, parameters, false).await?;
        if let Some(asked) = answers.asked().filter(|_| !may_change) {
            let etag = self.etag().await;
            done.result.complete = !etag.is_empty();
            (done.result.asked, done.result.etag) = (asked, etag);
            done.digest = done.result.complete.then_some(digest);
        }
        Ok(done)
    }

    /// The entity tag of the result; empty where the caller may not know.
    async fn etag(&self) -> String {
        let (Some(reads), Some((bucket, key))) =
            (self.core.kernel.object_reads(), output::split(&self.row().results.location))
        else {
            return String::new();
        };
        reads.head(Arc::clone(&self.via), bucket, key).await.map(|state| state.etag).unwrap_or_default()
    }

    fn answers(&self) -> Answers {
        let kernel = &self.core.kernel;
        Answers::new(Arc::clone(&self.via), kernel.catalog(), kernel.object_reads())
    }

    /// Runs a statement in the engine, and puts what it gives.
    async fn run(&self, statement: &str, parameters: Vec<String>, text: bool) -> Result<(Done, Answers), Failed> {
        let answers = self.answers();
        let (mut spool, pieces, begun) = Spool::new(Arc::clone(self.live), text);
        let run = Run {
            statement: statement.to_owned(),
            database: self.row().database.clone(),
            parameters,
            now: self.row().submitted,
            cutoff: self.row().cutoff,
            ..Run::default()
        };
        let (begins, began) = oneshot::channel();
        let query = async {
            let begins = Box::new(move || {
                // Nobody waits for it when the execution ends meanwhile.
                let _ = begins.send(());
            });
            let ran = self.core.queries.run(run, &answers, &mut spool, begins).await;
            let (columns, bytes, rows) = (std::mem::take(&mut spool.columns), spool.bytes, spool.rows);
            if ran.is_ok() {
                spool.end().await;
            } else {
                drop(spool);
            }
            ran.map(|stats| (stats, columns, bytes, rows))
        };
        let running = async {
            match began.await {
                Ok(()) => self.core.begin(self.account, self.stored.id).await,
                Err(_) => Ok(()),
            }
        };
        let (ran, put, begun) = tokio::join!(query, self.put_pieces(pieces, begun, text), running);
        begun?;
        let (stats, columns, bytes, rows) = match (ran, put) {
            // The query may have ended because its result could not be put.
            (Ok(_) | Err(QueryError::Sink(_)), Err(error)) => return Err(Failed::not_written(&error)),
            (Ok(ran), Ok(())) => ran,
            (Err(error), _) => return Err(Failed::of_query(error, self.live.stats())),
        };
        let columns: Vec<_> = columns.into_iter().map(columns::row).collect();
        self.put_metadata(&columns).await?;
        let stats = shown_stats(&stats, bytes, rows);
        Ok((Done { stats, result: ResultRow { columns, ..ResultRow::default() }, reused: None, digest: None }, answers))
    }

    fn object(&self, suffix: &str, content_type: &str, body: Bytes) -> Result<NewObject, Failed> {
        let results = &self.row().results;
        let wrong = || Failed::internal("an execution has no location");
        let (bucket, key) = output::split(&results.location).ok_or_else(wrong)?;
        let headers = output::headers(results, content_type);
        Ok(NewObject { bucket: bucket.to_owned(), key: format!("{key}{suffix}"), headers, body })
    }

    /// Puts the result as it comes, once it begins.
    async fn put_pieces(&self, pieces: Pieces, begun: oneshot::Receiver<()>, text: bool) -> Result<(), ServiceError> {
        if begun.await.is_err() {
            return Ok(());
        }
        let content_type = if text { "text/plain" } else { "text/csv" };
        let object = self.object("", content_type, Bytes::new()).map_err(|_| ServiceError::internal())?;
        self.core.objects.put_stream(Arc::clone(&self.via), object, Box::new(pieces)).await
    }

    async fn put_metadata(&self, columns: &[ColumnRow]) -> Result<(), Failed> {
        let bytes: usize = columns.iter().map(|column| column.name.len() + column.kind.len()).sum();
        if bytes > MAX_COLUMN_BYTES {
            let text = format!("The names and types of the columns have more than {MAX_COLUMN_BYTES} bytes together.");
            return Err(Failed::user(text));
        }
        let body = columns::metadata(&uuid(self.stored.id), columns).into();
        let object = self.object(".metadata", "application/octet-stream", body)?;
        let put = self.core.objects.put(Arc::clone(&self.via), object).await;
        put.map_err(|error| Failed::not_written(&error))
    }

    /// A statement about the catalog.
    async fn ddl(&self, statement: &str) -> Result<Done, Failed> {
        self.core.begin(self.account, self.stored.id).await?;
        let ran = self.core.ddl.run(Arc::clone(&self.via), &self.row().database, statement).await;
        let shown = ran.map_err(|error| Failed::ddl(error.0))?;
        let row =
            |column: crate::ddl::DdlColumn| ColumnRow { name: column.name, kind: column.kind, ..ColumnRow::default() };
        let columns: Vec<_> = shown.columns.into_iter().map(row).collect();
        self.put_text(columns, shown.text).await
    }

    async fn nothing_to_show(&self) -> Result<Done, Failed> {
        self.core.begin(self.account, self.stored.id).await?;
        self.put_text(Vec::new(), String::new()).await
    }

    async fn put_text(&self, columns: Vec<ColumnRow>, text: String) -> Result<Done, Failed> {
        let (bytes, rows) = (text.len() as u64, text.lines().count() as u64);
        let object = self.object("", "text/plain", text.into())?;
        let put = self.core.objects.put(Arc::clone(&self.via), object).await;
        put.map_err(|error| Failed::not_written(&error))?;
        if !columns.is_empty() {
            self.put_metadata(&columns).await?;
        }
        let stats = StatsRow { output_bytes: bytes, output_rows: rows, ..StatsRow::default() };
        Ok(Done { stats, result: ResultRow { columns, ..ResultRow::default() }, reused: None, digest: None })
    }
}

/// What is kept of a query's costs.
pub(crate) fn shown_stats(stats: &Stats, bytes: u64, rows: u64) -> StatsRow {
    StatsRow {
        scanned: stats.scanned,
        input_rows: stats.input_rows,
        output_rows: rows,
        output_bytes: bytes,
        planning: stats.planning_ms,
        execution: stats.execution_ms,
    }
}

impl Core {
    /// Notes that an execution runs.
    async fn begin(&self, account: AccountId, id: u128) -> Result<(), AthenaError> {
        let now = self.clock.now().0;
        self.change(account, id, |row| {
            (row.state, row.started) = (State::Running as i32, now);
            (Vec::new(), Vec::new())
        })
        .await
        .map(drop)
    }
}
