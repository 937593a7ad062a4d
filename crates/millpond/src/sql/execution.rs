//! One statement: started, watched, cancelled, its result page by page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millpond_io::{Random, SystemRandom};
use serde_json::{Value, json};

use super::api::Api;
use super::failed::Failed;
use super::interrupt::Interrupt;
use super::progress::Progress;

/// Between two looks at a statement: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(250);
/// How long a cancelled statement may take to end.
const STOP_TIME: Duration = Duration::from_secs(10);
/// What StartQueryExecution says where neither it nor the work group names a place for results.
const NO_LOCATION: &str = "No output location provided";

/// How statements are run.
#[derive(Clone, Default)]
pub struct Settings {
    /// The database of names that name none.
    pub database: String,
    /// The work group.
    pub work_group: Option<String>,
    /// Where results go.
    pub location: Option<String>,
    /// Results that are at most so many minutes old are used again.
    pub reuse: Option<u32>,
}

/// A column of a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, in Athena's words.
    pub kind: String,
    /// Digits of a decimal.
    pub precision: u64,
    /// Digits behind the point.
    pub scale: u64,
}

/// A row; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// What was measured of a statement.
#[derive(Clone, Copy, Default, Debug)]
pub struct Cost {
    /// Bytes of objects that were read.
    pub scanned: u64,
    /// From the start to the end, as it was waited for.
    pub time: Duration,
    /// Whether an earlier result was used.
    pub reused: bool,
}

/// A statement that succeeded.
pub struct Ended {
    id: String,
    /// Whether its result is rows of values, with the names of columns first.
    pub has_rows: bool,
    /// What it has cost.
    pub cost: Cost,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// Starts a statement; where there is no place for results, the bucket is made that Athena's console uses. The place, if it was found so.
async fn start(
    api: &Api,
    settings: &Settings,
    statement: &str,
    parameters: &[String],
) -> Result<(String, Option<String>), Failed> {
    let mut input = json!({
        "QueryString": statement,
        "ClientRequestToken": format!("{:032x}", SystemRandom.u128()),
        "QueryExecutionContext": {"Database": settings.database},
    });
    if let Some(group) = &settings.work_group {
        input["WorkGroup"] = json!(group);
    }
    if let Some(location) = &settings.location {
        input["ResultConfiguration"] = json!({"OutputLocation": location});
    }
    if let Some(minutes) = settings.reuse {
        input["ResultReuseConfiguration"] =
            json!({"ResultReuseByAgeConfiguration": {"Enabled": true, "MaxAgeInMinutes": minutes}});
    }
    if !parameters.is_empty() {
        input["ExecutionParameters"] = json!(parameters);
    }
    let (mut answer, mut found) = (api.athena("StartQueryExecution", &input).await, None);
    if let Err(Failed::Refused { message, .. }) = &answer
        && message.contains(NO_LOCATION)
    {
        let location = usual_location(api).await?;
        input["ResultConfiguration"] = json!({"OutputLocation": location});
        found = Some(location);
        answer = api.athena("StartQueryExecution", &input).await;
    }
    let id = text(&answer?, "/QueryExecutionId").to_owned();
    Ok((id, found))
}

/// Where Athena's console puts results where nothing is said (Athena User Guide, "Specify a query result location"). The bucket is made if
/// it is not there, and then it is said.
#[expect(clippy::print_stderr, reason = "what is made on the way is for the terminal")]
async fn usual_location(api: &Api) -> Result<String, Failed> {
    let bucket = format!("aws-athena-query-results-{}-{}", api.account().await?, api.region());
    let location = format!("s3://{bucket}/");
    if api.make_bucket(&bucket).await? {
        eprintln!("results go to {location}, a bucket that was made for them (--output-location names another place)");
    }
    Ok(location)
}

/// Runs a statement to its end. Ctrl-C cancels it.
pub async fn run(
    api: &Api,
    settings: &mut Settings,
    (statement, parameters): (&str, &[String]),
    interrupt: &Arc<Interrupt>,
    progress: &mut Progress,
) -> Result<Ended, Failed> {
    let begun = Instant::now();
    let (id, found) = start(api, settings, statement, parameters).await?;
    if found.is_some() {
        settings.location = found;
    }
    let ended = tokio::select! {
        ended = watch(api, &id, begun, progress) => ended,
        () = interrupt.happened() => {
            api.athena("StopQueryExecution", &json!({"QueryExecutionId": id})).await?;
            // It may have ended meanwhile; that is cancelled all the same.
            let _ = tokio::time::timeout(STOP_TIME, watch(api, &id, begun, progress)).await;
            Err(Failed::Cancelled)
        }
    };
    progress.clear();
    ended
}

/// Waits for the end.
async fn watch(api: &Api, id: &str, begun: Instant, progress: &mut Progress) -> Result<Ended, Failed> {
    let mut pause = FIRST_PAUSE;
    loop {
        let (answer, objects) = api.execution(id).await?;
        let execution = answer.pointer("/QueryExecution").cloned().unwrap_or_default();
        let reason = || text(&execution, "/Status/StateChangeReason").to_owned();
        let scanned = number(&execution, "/Statistics/DataScannedInBytes");
        match text(&execution, "/Status/State") {
            "SUCCEEDED" => {
                let reused = execution.pointer("/Statistics/ResultReuseInformation/ReusedPreviousResult");
                let cost =
                    Cost { scanned, time: begun.elapsed(), reused: reused.and_then(Value::as_bool) == Some(true) };
                let has_rows = text(&execution, "/StatementType") == "DML";
                return Ok(Ended { id: id.to_owned(), has_rows, cost });
            }
            "FAILED" => return Err(Failed::Statement(reason())),
            // Also by its work group's limit of bytes, and by others.
            "CANCELLED" => return Err(Failed::Statement(reason())),
            state => {
                progress.show(state, begun.elapsed(), scanned, objects);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// A page of a result.
pub struct Page {
    /// The columns, the same on each page.
    pub columns: Vec<Column>,
    /// Rows.
    pub rows: Vec<Row>,
}

/// The pages of a result.
pub struct Pages<'a> {
    api: &'a Api,
    ended: &'a Ended,
    next: Option<String>,
    begun: bool,
}

impl<'a> Pages<'a> {
    /// From the first.
    pub fn new(api: &'a Api, ended: &'a Ended) -> Self {
        Self { api, ended, next: None, begun: false }
    }

    /// The next page; `None` behind the last one.
    pub async fn next(&mut self) -> Result<Option<Page>, Failed> {
        if self.begun && self.next.is_none() {
            return Ok(None);
        }
        let mut input = json!({"QueryExecutionId": self.ended.id, "MaxResults": 1000});
        if let Some(token) = self.next.take() {
            input["NextToken"] = json!(token);
        }
        let mut answer = self.api.athena("GetQueryResults", &input).await?;
        let columns = answer.pointer("/ResultSet/ResultSetMetadata/ColumnInfo").and_then(Value::as_array);
        let columns = columns.map(|columns| columns.iter().map(column).collect()).unwrap_or_default();
        self.next = answer.pointer("/NextToken").and_then(Value::as_str).map(str::to_owned);
        let rows = answer.pointer_mut("/ResultSet/Rows").map(Value::take);
        let Some(Value::Array(rows)) = rows else { return Ok(Some(Page { columns, rows: Vec::new() })) };
        let header = usize::from(self.ended.has_rows && !self.begun);
        self.begun = true;
        Ok(Some(Page { columns, rows: rows.into_iter().skip(header).map(row).collect() }))
    }
}

fn column(info: &Value) -> Column {
    Column {
        name: text(info, "/Name").to_owned(),
        kind: text(info, "/Type").to_owned(),
        precision: number(info, "/Precision"),
        scale: number(info, "/Scale"),
    }
}

fn row(mut row: Value) -> Row {
    let Some(Value::Array(data)) = row.pointer_mut("/Data").map(Value::take) else { return Row::new() };
    let value = |mut datum: Value| match datum.pointer_mut("/VarCharValue").map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    data.into_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_no_text() {
        let answer = json!({"Data": [{"VarCharValue": "a"}, {}, {"VarCharValue": ""}]});
        assert_eq!(row(answer), vec![Some("a".to_owned()), None, Some(String::new())]);
    }
}
