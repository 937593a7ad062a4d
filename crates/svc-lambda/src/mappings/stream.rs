//! Reading a table's stream: each shard on its own, in order, children after their parents.
//!
//! How far a shard is done is a row, which moves when a batch is done or given up; what is given up is told in the same commit. So every record is
//! processed at least once, whenever the server is killed, and none holds its shard up for longer than the mapping says.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use millpond_kernel::{Arrival, Delivery, Rejection, StreamStart, TableRecord, TableShard, TableStreams};
use millpond_meta::{Batch, CommitError, Cond, Op, Scan};
use millpond_runtime::Ended;
use millpond_types::{Arn, CauseChain, Timestamp};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::batch::{self, MAX_RECORDS_BYTES};
use super::rows::{self, ProgressRow};
use super::{Acting, Mapping, pause};
use crate::async_invoke::count;
use crate::destinations::{iso8601, shown_function};
use crate::errors::LambdaError;
use crate::names::uuid;
use crate::state::{Core, decode};
use crate::tables;

/// Records that one read gives at most (DynamoDB API reference, GetRecords).
const MAX_READ: usize = 1_000;
/// Records that are looked at for one batch, when filters pass most over.
const MAX_LOOKED: usize = 20_000;
/// How long nobody looks for records that nobody told of, and for new shards.
const LOOK: Duration = Duration::from_secs(5);
/// Waits after failures: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// Tries to tell of what is given up, before the batch is tried once more.
const TELLINGS: u32 = 20;
const TELLING_PAUSE: Duration = Duration::from_millis(250);
/// Shards of a stream that are read.
const MAX_SHARDS: usize = 1_000;

/// Why a shard is not gone on with for now.
struct Stuck(String);

impl From<Rejection> for Stuck {
    fn from(rejection: Rejection) -> Self {
        Self(rejection.to_string())
    }
}

impl From<LambdaError> for Stuck {
    fn from(error: LambdaError) -> Self {
        Self(error.to_string())
    }
}

impl From<millpond_meta::ReadError> for Stuck {
    fn from(error: millpond_meta::ReadError) -> Self {
        Self(error.to_string())
    }
}

/// Reads a stream until it is told to stop.
pub(crate) async fn run(core: Arc<Core>, mapping: Arc<Mapping>, mut stopped: watch::Receiver<bool>) {
    let (mut reading, mut tasks) = (HashSet::new(), JoinSet::new());
    while !*stopped.borrow() {
        match begun(&core, &mapping).await {
            Ok(shards) => {
                mapping.runs();
                for shard in shards {
                    if reading.len() < MAX_SHARDS && reading.insert(shard.clone()) {
                        let shard = Shard::new(&core, &mapping, shard);
                        tasks.spawn(shard.run(stopped.clone()));
                    }
                }
            }
            Err(Stuck(why)) => mapping.problem(&why),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            Some(ended) = tasks.join_next() => match ended {
                Ok(_) => {}
                // The mapping's reading is begun anew.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
    // What functions are at comes to its end.
    while tasks.join_next().await.is_some() {}
}

/// The shards that are to be read now, each with the place where reading begins on disk.
async fn begun(core: &Core, mapping: &Mapping) -> Result<Vec<String>, Stuck> {
    let acting = core.acting(mapping).await?;
    let streams = streams(core)?;
    let shards = streams.shards(&mapping.source, &acting.caller).await?;
    let known = known(core, mapping).await?;
    if known.is_empty() {
        let place = |shard: &TableShard| {
            let (streams, acting, shard) = (&streams, &acting, shard.clone());
            async move {
                let after = match mapping.row.start {
                    2 => {
                        let from = StreamStart::Latest;
                        let read = streams.read(&mapping.source, &shard.id, &from, 1, &acting.caller).await?;
                        // One that came meanwhile is read again.
                        place(&read.next).unwrap_or_default()
                    }
                    _ => String::new(),
                };
                Ok::<_, Stuck>((shard.id, after))
            }
        };
        let places: Vec<_> = join_all(shards.iter().map(place)).await.into_iter().collect::<Result<_, _>>()?;
        let mut batch = Batch::default();
        for (shard, after) in &places {
            let row = ProgressRow { after: after.clone(), ..ProgressRow::default() };
            let key = rows::progress(mapping.id, shard);
            batch.conds.push(Cond::Absent(key.clone()));
            batch.ops.push(Op::Put(key, tables::encode(&row)));
        }
        core.kv.commit(batch).await.map_err(|error| Stuck(error.to_string()))?;
        return Ok(places.into_iter().map(|(shard, _)| shard).collect());
    }
    let there: HashSet<&str> = shards.iter().map(|shard| shard.id.as_str()).collect();
    let done = |shard: &str| known.iter().any(|(id, row)| id == shard && row.ended);
    let ready = |shard: &&TableShard| {
        let parent = shard.parent.as_deref().filter(|parent| there.contains(parent));
        !done(&shard.id) && parent.is_none_or(done)
    };
    Ok(shards.iter().filter(ready).map(|shard| shard.id.clone()).collect())
}

fn streams(core: &Core) -> Result<Arc<dyn TableStreams>, Stuck> {
    core.kernel.table_streams().ok_or_else(|| Stuck("streams of tables are not served".to_owned()))
}

/// The place as it is kept.
fn place(start: &StreamStart) -> Option<String> {
    match start {
        StreamStart::After(sequence) => Some(sequence.clone()),
        StreamStart::TrimHorizon | StreamStart::Latest => None,
    }
}

async fn known(core: &Core, mapping: &Mapping) -> Result<Vec<(String, ProgressRow)>, Stuck> {
    let prefix = rows::all_progress(mapping.id);
    let (from, to) = millpond_meta::key::prefix_range(prefix.clone());
    let (from, to) = (Bound::Included(from), Bound::Excluded(to));
    let all = core.kv.scan(Scan { from, to, reverse: false, limit: MAX_SHARDS }).await?;
    let row = |(key, value): (Bytes, Bytes)| {
        let mut reader = millpond_meta::key::KeyReader::new(&key);
        let damaged = || Stuck("the progress of a mapping is damaged".to_owned());
        let read = reader.table().and_then(|_| reader.u128()).and_then(|_| reader.bytes());
        let shard = String::from_utf8(read.map_err(|_| damaged())?.into_owned()).map_err(|_| damaged())?;
        Ok((shard, decode(&value)?))
    };
    all.into_iter().map(row).collect()
}

/// A shard being read.
struct Shard {
    core: Arc<Core>,
    mapping: Arc<Mapping>,
    id: String,
    row: ProgressRow,
    /// As it lies in the store; `None` before it was read.
    raw: Option<Bytes>,
    loaded: bool,
}

/// What a step came to.
enum Step {
    /// There is nothing.
    Idle,
    /// Something was done.
    Went,
    /// All of the shard is done.
    Ended,
    /// A batch failed, so often by now.
    Failed(u32),
}

/// Records for one batch.
struct Gathered {
    records: Vec<TableRecord>,
    /// The place behind all that were looked at.
    next: StreamStart,
    /// Whether any were.
    moved: bool,
    ended: bool,
}

impl Shard {
    fn new(core: &Arc<Core>, mapping: &Arc<Mapping>, id: String) -> Self {
        let (core, mapping) = (Arc::clone(core), Arc::clone(mapping));
        Self { core, mapping, id, row: ProgressRow::default(), raw: None, loaded: false }
    }

    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let Ok(streams) = streams(&self.core) else { return };
        let mut news = streams.watch(&self.mapping.source);
        let mut stuck: u32 = 0;
        while !*stopped.borrow() {
            news.borrow_and_update();
            let wait = match self.step(&*streams, &mut stopped).await {
                Ok(Step::Ended) => return,
                Ok(Step::Went) => {
                    stuck = 0;
                    continue;
                }
                Ok(Step::Idle) => {
                    stuck = 0;
                    tokio::select! {
                        // When nobody tells any more, time does.
                        Ok(()) = news.changed() => {}
                        () = tokio::time::sleep(LOOK) => {}
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                    continue;
                }
                Ok(Step::Failed(tried)) => back_off(tried),
                Err(Stuck(why)) => {
                    self.mapping.problem(&why);
                    stuck += 1;
                    back_off(stuck)
                }
            };
            pause(&mut stopped, wait).await;
        }
    }

    fn start(&self) -> StreamStart {
        if self.row.after.is_empty() { StreamStart::TrimHorizon } else { StreamStart::After(self.row.after.clone()) }
    }

    async fn load(&mut self) -> Result<(), Stuck> {
        if self.loaded {
            return Ok(());
        }
        self.raw = self.core.kv.get(&rows::progress(self.mapping.id, &self.id)).await?;
        self.row = self.raw.as_ref().map(decode).transpose()?.unwrap_or_default();
        self.loaded = true;
        Ok(())
    }

    /// Goes on by one batch.
    async fn step(&mut self, streams: &dyn TableStreams, stopped: &mut watch::Receiver<bool>) -> Result<Step, Stuck> {
        self.load().await?;
        if self.row.ended {
            return Ok(Step::Ended);
        }
        let core = Arc::clone(&self.core);
        let acting = core.acting(&self.mapping).await?;
        let Gathered { mut records, next, moved, ended } = self.gather(streams, &acting, stopped).await?;
        if *stopped.borrow() {
            return Ok(Step::Idle);
        }
        if records.is_empty() {
            if moved || ended {
                let after = place(&next).unwrap_or_else(|| self.row.after.clone());
                let row = ProgressRow { after, ended, ..ProgressRow::default() };
                self.commit(row, Arrival::default()).await?;
            }
            return Ok(if ended { Step::Ended } else { Step::Idle });
        }
        if let Some((length, condition)) = self.hopeless(&acting, &records) {
            records.truncate(length);
            if condition == LOOP_CONDITION {
                count(&core.counters.loops);
                tracing::warn!(mapping = uuid(self.mapping.id), "records were not processed: {}", batch::LOOP);
            }
            let gone = Gone { condition, request_id: uuid(core.new_id()), runs: 0, version: None };
            self.give_up(&acting, &records, &gone).await?;
            return Ok(Step::Went);
        }
        let whole = self.cut(&acting, &mut records);
        self.process(&acting, &records, whole.then_some(&next)).await
    }

    /// Records for the next batch: as many as it is to have, or those that come within its window.
    async fn gather(
        &self,
        streams: &dyn TableStreams,
        acting: &Acting,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Gathered, Stuck> {
        let mapping = &self.mapping;
        let again = self.row.sizes.last().copied();
        let want = usize::try_from(again.unwrap_or(mapping.row.batch)).unwrap_or(1).max(1);
        let window = if again.is_some() { 0 } else { mapping.row.window };
        let until = Instant::now() + Duration::from_secs(u64::from(window));
        let mut news = streams.watch(&mapping.source);
        let mut found = Gathered { records: Vec::new(), next: self.start(), moved: false, ended: false };
        let (mut bytes, mut looked) = (0, 0);
        loop {
            news.borrow_and_update();
            let most = (want - found.records.len()).min(MAX_READ);
            let page = streams.read(&mapping.source, &self.id, &found.next, most, &acting.caller).await?;
            let none = page.records.is_empty();
            for record in page.records {
                if batch::wanted(&mapping.filters, &record.json) {
                    bytes += record.json.len() + 1;
                    if bytes > MAX_RECORDS_BYTES && !found.records.is_empty() {
                        return Ok(found);
                    }
                    found.next = StreamStart::After(record.sequence.clone());
                    found.records.push(record);
                } else {
                    found.next = StreamStart::After(record.sequence);
                }
                (found.moved, looked) = (true, looked + 1);
            }
            if none {
                found.next = page.next;
            }
            found.ended = page.ended;
            let enough = found.records.len() >= want || looked >= MAX_LOOKED || found.ended;
            if enough || (none && (found.records.is_empty() || Instant::now() >= until)) {
                return Ok(found);
            }
            if none {
                tokio::select! {
                    _ = news.changed() => {}
                    () = tokio::time::sleep_until(until) => {}
                    _ = stopped.wait_for(|stop| *stop) => return Ok(found),
                }
            }
        }
    }

    /// Records at the beginning that are not to be processed any more: how many, and why.
    fn hopeless(&self, acting: &Acting, records: &[TableRecord]) -> Option<(usize, &'static str)> {
        let now = self.core.clock.now();
        let first = |is: &dyn Fn(&TableRecord) -> bool| records.iter().take_while(|record| is(record)).count();
        let old = match u64::try_from(self.mapping.row.age) {
            Ok(age) => first(&|record| now.since(record.time).as_secs() >= age.max(1)),
            Err(_) => 0,
        };
        if old > 0 {
            return Some((old, "RecordAgeExceeded"));
        }
        let looped = first(&|record| batch::is_loop(acting, &record.causes));
        (looped > 0).then_some((looped, LOOP_CONDITION))
    }

    /// Ends a batch before the first record that is part of a loop. Whether it is the whole one.
    fn cut(&self, acting: &Acting, records: &mut Vec<TableRecord>) -> bool {
        match records.iter().position(|record| batch::is_loop(acting, &record.causes)) {
            Some(at) => {
                records.truncate(at);
                false
            }
            None => true,
        }
    }

    /// Invokes the function with records; `next` is the place behind what was looked at for them.
    async fn process(
        &mut self,
        acting: &Acting,
        records: &[TableRecord],
        next: Option<&StreamStart>,
    ) -> Result<Step, Stuck> {
        let longest = records.iter().map(|record| &record.causes).max_by_key(|causes| causes.len());
        let causes: CauseChain = longest.cloned().unwrap_or_default();
        let payload = batch::event(records.iter().map(|record| &record.json));
        let ran = batch::invoke(&self.core, acting, payload, causes).await?;
        let done = match &ran.ended {
            Ended::Answer(answer) if self.mapping.row.partial => done(answer, records),
            Ended::Answer(_) => records.len(),
            Ended::Failed { .. } => 0,
        };
        if done == records.len() {
            self.mapping.say("OK");
            let after = next.and_then(place).or_else(|| records.last().map(|record| record.sequence.clone()));
            let mut sizes = self.row.sizes.clone();
            sizes.pop();
            let row = ProgressRow { after: after.unwrap_or_default(), sizes, ..ProgressRow::default() };
            self.commit(row, Arrival::default()).await?;
            return Ok(Step::Went);
        }
        self.mapping.problem("Function call failed");
        self.failed(acting, records, done, ran).await
    }

    /// What follows where a function has done the first of some records, and failed the rest.
    async fn failed(
        &mut self,
        acting: &Acting,
        records: &[TableRecord],
        done: usize,
        ran: batch::Ran,
    ) -> Result<Step, Stuck> {
        let rest = records.get(done..).unwrap_or_default();
        let mut row = self.row.clone();
        row.sizes.pop();
        if let Some(last) = done.checked_sub(1).and_then(|at| records.get(at)) {
            (row.after, row.tried) = (last.sequence.clone(), 0);
        }
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        if self.mapping.row.bisect && length > 1 {
            // That is no further try (Developer Guide, "BisectBatchOnFunctionError").
            row.sizes.extend([length - length / 2, length / 2]);
            row.tried = 0;
            self.commit(row, Arrival::default()).await?;
            return Ok(Step::Went);
        }
        row.tried += 1;
        let tried = row.tried;
        row.sizes.push(length);
        let over = u32::try_from(self.mapping.row.retries).is_ok_and(|most| tried > most);
        self.commit(row, Arrival::default()).await?;
        if !over {
            return Ok(Step::Failed(tried));
        }
        let batch::Ran { request_id, version, .. } = ran;
        let gone = Gone { condition: "RetryAttemptsExhausted", request_id, runs: tried, version: Some(version) };
        self.give_up(acting, rest, &gone).await?;
        Ok(Step::Went)
    }

    /// Tells of records that are given up, and goes on behind them, in one commit.
    async fn give_up(&mut self, acting: &Acting, records: &[TableRecord], gone: &Gone) -> Result<(), Stuck> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let mut row = ProgressRow { after: last.sequence.clone(), tried: 0, ..self.row.clone() };
        let length = u32::try_from(records.len()).unwrap_or(u32::MAX);
        if let Some(size) = row.sizes.pop()
            && size > length
        {
            row.sizes.push(size - length);
        }
        tracing::warn!(
            mapping = uuid(self.mapping.id),
            shard = self.id,
            from = first.sequence,
            to = last.sequence,
            condition = gone.condition,
            "records of a stream are given up"
        );
        let mut tries = 0;
        loop {
            let told = match self.letter(acting, records, gone).await {
                Err(rejection) if rejection.is_final() => {
                    tracing::error!(mapping = uuid(self.mapping.id), %rejection, "the destination of a mapping does not take what was given up");
                    Ok(Arrival::default())
                }
                told => told,
            };
            let stuck = match told {
                Ok(arrival) => match self.commit(row.clone(), arrival).await {
                    Ok(()) => return Ok(()),
                    Err(stuck) => stuck,
                },
                Err(rejection) => rejection.into(),
            };
            tries += 1;
            if tries >= TELLINGS {
                return Err(stuck);
            }
            tokio::time::sleep(TELLING_PAUSE).await;
        }
    }

    /// What the destination gets: where the records are, not what they say (Developer Guide, "Retain records for a failed batch").
    async fn letter(&self, acting: &Acting, records: &[TableRecord], gone: &Gone) -> Result<Arrival, Rejection> {
        let core = &self.core;
        let Some(to) = self.mapping.row.on_failure.as_deref().and_then(Arn::parse) else {
            return Ok(Arrival::default());
        };
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(Arrival::default()) };
        let now = core.clock.now();
        let seconds = |time: Timestamp| {
            let mut text = String::new();
            millpond_wire::push_iso8601(&mut text, time, false);
            text
        };
        let arn = shown_function(core, &acting.function, &acting.qualifier);
        let mut body = json!({
            "requestContext": {
                "requestId": gone.request_id,
                "functionArn": arn.as_str(),
                "condition": gone.condition,
                "approximateInvokeCount": gone.runs,
            },
            "version": "1.0",
            "timestamp": iso8601(now),
            "DDBStreamBatchInfo": {
                "shardId": self.id,
                "startSequenceNumber": first.sequence,
                "endSequenceNumber": last.sequence,
                "approximateArrivalOfFirstRecord": seconds(first.time),
                "approximateArrivalOfLastRecord": seconds(last.time),
                "batchSize": records.len(),
                "streamArn": self.mapping.source.as_str(),
            },
        });
        if let Some(version) = &gone.version {
            body["responseContext"] =
                json!({"statusCode": 200, "executedVersion": version, "functionError": "Unhandled"});
        }
        let longest = records.iter().map(|record| &record.causes).max_by_key(|causes| causes.len());
        let causes = core.chain(&acting.function, &gone.request_id, longest.cloned().unwrap_or_default());
        let mut id = sha2::Sha256::default();
        for part in [uuid(self.mapping.id).as_str(), &self.id, &first.sequence, &last.sequence] {
            sha2::Digest::update(&mut id, part.as_bytes());
            sha2::Digest::update(&mut id, [0]);
        }
        let id = sha2::Digest::finalize(id);
        let delivery = Delivery {
            id: id.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes)),
            body: body.to_string().into(),
            attributes: Vec::new(),
            group: None,
            dedup: None,
            time: now,
            causes: causes.clone(),
            event: String::new(),
        };
        let from = core.as_role(&acting.function, &acting.version, causes).await?;
        core.kernel.targets().arrive(&to, &from, &delivery).await
    }

    async fn commit(&mut self, row: ProgressRow, arrival: Arrival) -> Result<(), Stuck> {
        let key = rows::progress(self.mapping.id, &self.id);
        let Arrival { mut conds, mut ops } = arrival;
        conds.push(match &self.raw {
            Some(raw) => Cond::Equals(key.clone(), raw.clone()),
            None => Cond::Absent(key.clone()),
        });
        let raw = tables::encode(&row);
        ops.push(Op::Put(key, raw.clone()));
        match self.core.kv.commit(Batch { conds, ops, ..Batch::default() }).await {
            Ok(_) => {
                (self.row, self.raw) = (row, Some(raw));
                Ok(())
            }
            Err(error) => {
                // What is there is not known for sure any more.
                self.loaded = !matches!(error, CommitError::Conflict(_)) && self.loaded;
                Err(Stuck(error.to_string()))
            }
        }
    }
}

/// Why records of a loop are given up.
const LOOP_CONDITION: &str = "RecursiveInvocation";

/// Why records are given up, and by which invocation.
struct Gone {
    condition: &'static str,
    request_id: String,
    runs: u32,
    version: Option<String>,
}

fn back_off(times: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << times.saturating_sub(1).min(16)).min(LAST_PAUSE)
}

/// How many records are done, by a function's report: all before the first that it names.
fn done(answer: &[u8], records: &[TableRecord]) -> usize {
    let Some(failed) = batch::reported(answer) else { return 0 };
    let place = |id: &String| records.iter().position(|record| record.sequence == *id);
    // One that is not of this batch makes all of it fail.
    let places: Option<Vec<usize>> = failed.iter().map(place).collect();
    places.map_or(0, |places| places.into_iter().min().unwrap_or(records.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: usize) -> Vec<TableRecord> {
        let record = |number: usize| TableRecord {
            sequence: format!("{number:021}"),
            time: Timestamp(0),
            json: Bytes::new(),
            causes: Vec::new(),
        };
        (0..count).map(record).collect()
    }

    #[test]
    fn the_first_that_failed_is_where_it_goes_on() {
        let all = records(4);
        let id = |number: usize| all[number].sequence.clone();
        let report = |ids: &[String]| {
            let items: Vec<_> = ids.iter().map(|id| json!({"itemIdentifier": id})).collect();
            json!({"batchItemFailures": items}).to_string()
        };
        for (answer, expected) in [
            (String::new(), 4),
            (report(&[]), 4),
            (report(&[id(2)]), 2),
            (report(&[id(3), id(1)]), 1),
            (report(&[id(0)]), 0),
            (report(&["unknown".to_owned()]), 0),
            ("7".to_owned(), 0),
        ] {
            assert_eq!(done(answer.as_bytes(), &all), expected, "{answer}");
        }
    }

    #[test]
    fn waits_are_bounded() {
        assert_eq!(back_off(1), FIRST_PAUSE);
        assert_eq!(back_off(2), FIRST_PAUSE * 2);
        assert_eq!(back_off(u32::MAX), LAST_PAUSE);
    }
}
