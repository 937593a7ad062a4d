//! GetQueryResults: a page of a result, read from its object by ranges, as the caller.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::BytesMut;
use millpond_api_athena as api;
use millpond_kernel::{Caller, ObjectReads, ObjectState, ServiceError, paging};
use millpond_types::AccountId;
use prost::Message;

use super::executions::touched;
use crate::csv::{self, Values};
use crate::errors::{AthenaError, Failure, invalid, unserved};
use crate::limits::{MAX_ROW_BYTES, MAX_ROWS, PAGE_BYTES, READ_BYTES};
use crate::state::{Core, Stored};
use crate::tables::{ResultRow, State};
use crate::{columns, output};

/// What a token says: whose result, as it was, and where the page begins.
#[derive(Clone, PartialEq, Message)]
struct Place {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    etag: String,
    #[prost(uint64, tag = "3")]
    from: u64,
}

/// A result's object, read from a place on.
struct Reader<'a> {
    reads: Arc<dyn ObjectReads>,
    caller: Arc<Caller>,
    bucket: &'a str,
    key: &'a str,
    state: ObjectState,
    /// Bytes that are read and not yet taken, and where those begin that are not read yet.
    bytes: BytesMut,
    next: u64,
    /// Whether a line is a row, and how many values are in it, with tabs between them.
    lines: Option<usize>,
}

impl Reader<'_> {
    /// The next row and its bytes; `None` at the end.
    async fn row(&mut self) -> Result<Option<(Values, usize)>, AthenaError> {
        loop {
            let last = self.next >= self.state.size;
            let row = match self.lines {
                Some(values) => line(&self.bytes, last, values),
                None => csv::row(&self.bytes, last),
            };
            match row.map_err(|error| AthenaError::Invalid(error.to_string()))? {
                Some((values, taken)) => {
                    let _ = self.bytes.split_to(taken);
                    return Ok(Some((values, taken)));
                }
                None if last => return Ok(None),
                None if self.bytes.len() > MAX_ROW_BYTES => {
                    return invalid(format!("A row of the result has more than {MAX_ROW_BYTES} bytes."));
                }
                None => self.read().await?,
            }
        }
    }

    async fn read(&mut self) -> Result<(), AthenaError> {
        // More each time, so that a long row is not looked at again and again.
        let more = READ_BYTES.max(self.bytes.len() as u64);
        let range = self.next..self.state.size.min(self.next.saturating_add(more));
        let caller = Arc::clone(&self.caller);
        let read = self.reads.get_range(caller, self.bucket, self.key, &self.state.etag, range.clone()).await;
        let read = read.map_err(|error| not_read(&error))?;
        let before = self.bytes.len();
        read.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        if self.bytes.len() == before {
            return Err(AthenaError::Internal("a result ended before its end".to_owned()));
        }
        self.next += (self.bytes.len() - before) as u64;
        Ok(())
    }
}

fn line(bytes: &[u8], last: bool, values: usize) -> Result<Option<(Values, usize)>, csv::Malformed> {
    let (line, taken) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (bytes.get(..end).unwrap_or_default(), end + 1),
        None if last && !bytes.is_empty() => (bytes, bytes.len()),
        None => return Ok(None),
    };
    let text = String::from_utf8_lossy(line);
    Ok(Some((text.splitn(values.max(1), '\t').map(|value| Some(value.to_owned())).collect(), taken)))
}

fn not_read(error: &ServiceError) -> AthenaError {
    let told = format!("{}: {}", error.code, error.message);
    match error.status {
        403 => AthenaError::Denied(format!("The result cannot be read from its OutputLocation. {told}")),
        404 => AthenaError::Invalid(format!("Could not find results. {told}")),
        status if status >= 500 => AthenaError::Internal(told),
        _ => AthenaError::Invalid(format!("The result cannot be read from its OutputLocation. {told}")),
    }
}

/// Only of what succeeded there are results.
fn check(stored: &Stored) -> Result<(), AthenaError> {
    match stored.row.state() {
        State::Succeeded => Ok(()),
        State::Queued => invalid("Query has not yet finished. Current state: QUEUED"),
        State::Running => invalid("Query has not yet finished. Current state: RUNNING"),
        State::Failed => invalid("Query did not finish successfully. Final query state: FAILED"),
        State::Cancelled => invalid("Query did not finish successfully. Final query state: CANCELLED"),
    }
}

/// Where a page begins.
fn begins(stored: &Stored, token: Option<&str>, state: &ObjectState) -> Result<u64, AthenaError> {
    let Some(token) = token else { return Ok(0) };
    let place = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| Place::decode(bytes.as_slice()).ok());
    let place = place.filter(|place| place.id == stored.id.to_be_bytes() && place.from <= state.size);
    match place {
        Some(place) if place.etag == state.etag => Ok(place.from),
        Some(_) => invalid("The object of the result was replaced since the first page was read."),
        None => invalid("The NextToken is not valid."),
    }
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetQueryResultsInput,
) -> Result<api::GetQueryResultsOutput, Failure> {
    let (stored, _) = touched(core, caller, account, input, &input.query_execution_id).await?;
    if input.query_result_type == Some(api::QueryResultType::DataManifest) {
        return Ok(unserved("QueryResultType DATA_MANIFEST, which is for managed query results,")?);
    }
    check(&stored)?;
    let result: ResultRow = match &stored.row.result {
        Some(result) => core.unseal_row(stored.id, "result", result).await?,
        None => ResultRow::default(),
    };
    let limit = paging::limit(input.max_results, MAX_ROWS).min(MAX_ROWS);
    let page = page(core, caller, (&stored, result.columns.len()), input.next_token.as_deref(), limit);
    let (rows, next_token) = page.await?;
    let shown = |values: Values| api::Row {
        data: Some(values.into_iter().map(|var_char_value| api::Datum { var_char_value }).collect()),
    };
    let metadata = api::ResultSetMetadata { column_info: Some(result.columns.iter().map(columns::shown).collect()) };
    Ok(api::GetQueryResultsOutput {
        update_count: Some(0),
        result_set: Some(api::ResultSet {
            rows: Some(rows.into_iter().map(shown).collect()),
            result_set_metadata: Some(metadata),
        }),
        next_token,
    })
}

/// The rows of a page, and the token of the next one.
async fn page(
    core: &Core,
    caller: &Caller,
    (stored, columns): (&Stored, usize),
    token: Option<&str>,
    limit: usize,
) -> Result<(Vec<Values>, Option<String>), AthenaError> {
    let location = &stored.row.results.location;
    let (bucket, key) = output::split(location).ok_or_else(|| AthenaError::Internal("no location".to_owned()))?;
    let reads = core.kernel.object_reads().ok_or_else(|| AthenaError::Unserved("Reading of results".to_owned()))?;
    let caller = core.via(caller);
    let state = reads.head(Arc::clone(&caller), bucket, key).await.map_err(|error| not_read(&error))?;
    let from = begins(stored, token, &state)?;
    let (lines, bytes) = (key.ends_with(".txt").then_some(columns), BytesMut::new());
    let mut reader = Reader { reads, caller, bucket, key, state, bytes, next: from, lines };
    let (mut rows, mut taken) = (Vec::new(), 0);
    while rows.len() < limit && taken < PAGE_BYTES {
        let Some((values, bytes)) = reader.row().await? else { return Ok((rows, None)) };
        rows.push(values);
        taken += bytes;
    }
    let from = from + taken as u64;
    if from >= reader.state.size {
        return Ok((rows, None));
    }
    let place = Place { id: stored.id.to_be_bytes().to_vec(), etag: reader.state.etag, from };
    Ok((rows, Some(URL_SAFE_NO_PAD.encode(place.encode_to_vec()))))
}
