//! Batches: reads and writes of several items, each by itself. What does not fit, or may not be consumed now, is answered as unprocessed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use futures_util::future::join_all;
use millpond_api_dynamodb::{
    BatchGetItemInput, BatchGetItemOutput, BatchWriteItemInput, BatchWriteItemOutput, ConsumedCapacity,
    ItemCollectionMetrics, KeysAndAttributes, ReturnConsumedCapacity, ReturnItemCollectionMetrics, WriteRequest,
};
use millpond_item::{Item, MAX_ITEM_BYTES};
use millpond_kernel::{Caller, Pin};

use crate::capacity::{Reading, Units, read_units};
use crate::errors::{DynamoError, Failure, invalid, no_table};
use crate::fetch::{self, Wanted};
use crate::inputs::{About, Input, Touch};
use crate::keys::{self, Place};
use crate::limits;
use crate::model::Table;
use crate::state::Core;
use crate::tables::WHOLE;
use crate::throttle::Way;
use crate::values::{self, Shape};
use crate::write::{Action, Write};
use crate::writing::check_key;

const DUPLICATES: &str = "Provided list of item keys contains duplicates";

/// Reads of items of one table.
#[derive(Debug)]
pub(crate) struct Reads {
    /// The table, as it is named.
    table: String,
    /// As they were given, which is how they are answered where they are unprocessed.
    shape: KeysAndAttributes,
    keys: Vec<Item>,
    wanted: Wanted,
    reading: Reading,
}

/// A BatchGetItem.
#[derive(Debug)]
pub(crate) struct Gets {
    reads: Vec<Reads>,
    consumed: Option<ReturnConsumedCapacity>,
}

pub(crate) fn gets(input: BatchGetItemInput) -> Result<Gets, DynamoError> {
    let count: usize = input.request_items.values().map(|one| one.keys.len()).sum();
    if count > limits::MAX_BATCH_KEYS {
        return Err(invalid("Too many items requested for the BatchGetItem call"));
    }
    let mut reads = Vec::new();
    for (table, shape) in input.request_items {
        let given = shape.clone();
        let keys = given.keys.into_iter().map(values::item).collect::<Result<_, _>>()?;
        let text = given.projection_expression.as_deref();
        let wanted = fetch::wanted(given.attributes_to_get, text, given.expression_attribute_names)?;
        reads.push(Reads { table, reading: Reading::of(shape.consistent_read), shape, keys, wanted });
    }
    Ok(Gets { reads, consumed: input.return_consumed_capacity })
}

/// The tables of a batch, decided about.
async fn tables_of<I: Input>(
    core: &Core,
    caller: &Caller,
    names: impl Iterator<Item = (&str, impl Fn(Option<&Table>) -> About)>,
) -> Result<(Pin, Vec<Arc<Table>>), Failure> {
    let pin = core.kernel.epoch().now();
    let (mut touches, mut tables) = (Vec::new(), Vec::new());
    for (name, about) in names {
        let (arn, account, table) = core.named(caller, name)?;
        touches.push(Touch::table(I::ACTION, arn, account, table.as_ref()).about(about(table.as_deref())));
        tables.push(table);
    }
    let authorized = core.decide::<I>(pin, caller, touches, Vec::new()).await?;
    let tables = tables.into_iter().collect::<Option<Vec<_>>>().ok_or_else(no_table)?;
    Ok((authorized.pin(), tables))
}

pub(crate) async fn get(core: &Core, caller: &Caller, gets: &Gets) -> Result<BatchGetItemOutput, Failure> {
    let names = gets.reads.iter().map(|reads| {
        let about = |table: Option<&Table>| fetch::about(table, reads.keys.iter(), &reads.wanted, gets.consumed);
        (reads.table.as_str(), about)
    });
    let (_, tables) = tables_of::<BatchGetItemInput>(core, caller, names).await?;
    let mut places = Vec::new();
    for (reads, table) in gets.reads.iter().zip(&tables) {
        let of_table =
            reads.keys.iter().map(|key| keys::place(&table.schema, key)).collect::<Result<Vec<Place>, _>>()?;
        if of_table.iter().collect::<BTreeSet<_>>().len() < of_table.len() {
            return Err(invalid(DUPLICATES).into());
        }
        places.push(of_table);
    }
    let mut answered = Answered::default();
    for ((reads, table), places) in gets.reads.iter().zip(&tables).zip(&places) {
        answered.read(core, table, reads, places).await?;
        answered.units(table, gets.consumed);
    }
    match answered.refused {
        Some(error) if answered.items == 0 => Err(error.into()),
        _ => Ok(BatchGetItemOutput {
            responses: Some(answered.responses),
            unprocessed_keys: Some(answered.unprocessed),
            consumed_capacity: gets
                .consumed
                .filter(|how| *how != ReturnConsumedCapacity::None)
                .map(|_| answered.consumed),
        }),
    }
}

/// What a BatchGetItem has read.
#[derive(Default)]
struct Answered {
    responses: BTreeMap<String, Vec<Shape>>,
    unprocessed: BTreeMap<String, KeysAndAttributes>,
    consumed: Vec<ConsumedCapacity>,
    units: Option<Units>,
    /// Keys that were looked up, and bytes that were found.
    items: usize,
    bytes: usize,
    /// Why a key was not looked up.
    refused: Option<DynamoError>,
}

impl Answered {
    async fn read(&mut self, core: &Core, table: &Table, reads: &Reads, places: &[Place]) -> Result<(), DynamoError> {
        let found = self.responses.entry(reads.table.clone()).or_default();
        let mut units = Units::none(Way::Read);
        for (number, (key, place)) in reads.keys.iter().zip(places).enumerate() {
            let refused = core.admit(table, WHOLE, Way::Read).err();
            if self.bytes >= limits::MAX_BATCH_ANSWER - MAX_ITEM_BYTES || refused.is_some() {
                self.refused = self.refused.take().or(refused);
                let keys = reads.shape.keys.iter().skip(number).cloned().collect();
                self.unprocessed.insert(reads.table.clone(), KeysAndAttributes { keys, ..reads.shape.clone() });
                break;
            }
            let stored = core.item(table, place).await?;
            check_key(table, key, stored.as_ref())?;
            let size = stored.as_ref().map_or(0, |stored| stored.item.size());
            let read = Units::read(WHOLE, read_units(size, reads.reading));
            core.charge(table, &read);
            units.join(&read);
            self.items += 1;
            self.bytes += size;
            found.extend(stored.map(|stored| values::shapes(fetch::part(&reads.wanted, stored.item))));
        }
        self.units = Some(units);
        Ok(())
    }

    fn units(&mut self, table: &Table, how: Option<ReturnConsumedCapacity>) {
        let units = self.units.take().filter(|units| units.total() > 0.0);
        self.consumed.extend(units.and_then(|units| units.shown(table, how, false)));
    }
}

/// A write of a batch, and as it was given.
#[derive(Debug)]
struct One {
    write: Write,
    shape: WriteRequest,
    /// What it has consumed, once it is committed: where the call is decided anew it is not written again, over what others wrote since.
    written: OnceLock<(Units, Place)>,
}

impl One {
    async fn write(
        &self,
        core: &Core,
        caller: &Caller,
        pin: Pin,
        table: &Arc<Table>,
    ) -> Result<&(Units, Place), Failure> {
        if let Some(written) = self.written.get() {
            return Ok(written);
        }
        let done = core.write(caller, pin, table, &self.write).await?;
        Ok(self.written.get_or_init(|| (done.units, done.place)))
    }
}

/// A BatchWriteItem.
#[derive(Debug)]
pub(crate) struct Writes {
    /// By tables, as they are named.
    tables: Vec<(String, Vec<One>)>,
    consumed: Option<ReturnConsumedCapacity>,
    metrics: bool,
}

pub(crate) fn writes(input: BatchWriteItemInput) -> Result<Writes, DynamoError> {
    let count: usize = input.request_items.values().map(Vec::len).sum();
    if count > limits::MAX_BATCH_WRITES {
        return Err(invalid("Too many items requested for the BatchWriteItem call"));
    }
    let read = |table: &String, shape: WriteRequest| -> Result<One, DynamoError> {
        let action = match (shape.put_request.clone(), shape.delete_request.clone()) {
            (Some(put), None) => Action::Put(values::item(put.item)?),
            (None, Some(delete)) => Action::Delete(values::item(delete.key)?),
            _ => {
                let text = "Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest";
                return Err(invalid(text));
            }
        };
        let write = Write { table: table.clone(), action, condition: None, shows_failure: false };
        Ok(One { write, shape, written: OnceLock::new() })
    };
    let mut tables = Vec::new();
    for (table, shapes) in input.request_items {
        let writes = shapes.into_iter().map(|shape| read(&table, shape)).collect::<Result<_, _>>()?;
        tables.push((table, writes));
    }
    let metrics = input.return_item_collection_metrics == Some(ReturnItemCollectionMetrics::Size);
    Ok(Writes { tables, consumed: input.return_consumed_capacity, metrics })
}

/// What conditions of policies can ask about writes of one table.
fn about(writes: &[One], table: Option<&Table>, consumed: Option<ReturnConsumedCapacity>) -> About {
    let abouts = writes.iter().map(|one| one.write.about(table));
    let mut about = abouts.reduce(About::joined).unwrap_or_default();
    about.return_consumed = Some(consumed.unwrap_or(ReturnConsumedCapacity::None).as_str());
    about
}

pub(crate) async fn write(core: &Core, caller: &Caller, batch: &Writes) -> Result<BatchWriteItemOutput, Failure> {
    let names = batch.tables.iter().map(|(name, writes)| {
        let about = |table: Option<&Table>| about(writes, table, batch.consumed);
        (name.as_str(), about)
    });
    let (pin, tables) = tables_of::<BatchWriteItemInput>(core, caller, names).await?;
    for ((_, writes), table) in batch.tables.iter().zip(&tables) {
        let mut seen = BTreeSet::new();
        for one in writes {
            if !seen.insert(one.write.place(table)?) {
                return Err(invalid(DUPLICATES).into());
            }
        }
    }
    let mut output = BatchWriteItemOutput::default();
    let mut unprocessed: BTreeMap<String, Vec<WriteRequest>> = BTreeMap::new();
    let mut metrics: BTreeMap<String, Vec<ItemCollectionMetrics>> = BTreeMap::new();
    let mut consumed = Vec::new();
    let (mut refused, mut written) = (None, 0);
    for ((name, writes), table) in batch.tables.iter().zip(&tables) {
        // Each write is a commit of its own; together they wait for the disk once.
        let all = join_all(writes.iter().map(|one| one.write(core, caller, pin, table))).await;
        let mut units = Units::none(Way::Write);
        for (one, done) in writes.iter().zip(all) {
            match done {
                Ok((consumed, place)) => {
                    written += 1;
                    units.join(consumed);
                    if batch.metrics {
                        let shown = core.collection_metrics(table, place, one.write.named()).await?;
                        metrics.entry(name.clone()).or_default().extend(shown);
                    }
                }
                Err(Failure::Error(error @ (DynamoError::Throughput(_) | DynamoError::OnDemand(_)))) => {
                    refused = Some(error);
                    unprocessed.entry(name.clone()).or_default().push(one.shape.clone());
                }
                Err(other) => return Err(other),
            }
        }
        consumed.extend(units.shown(table, batch.consumed, false));
    }
    if let (Some(error), 0) = (refused, written) {
        return Err(error.into());
    }
    metrics.retain(|_, list| !list.is_empty());
    output.unprocessed_items = Some(unprocessed);
    output.item_collection_metrics = batch.metrics.then_some(metrics);
    output.consumed_capacity = Some(consumed).filter(|list| !list.is_empty());
    Ok(output)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use millpond_io::{ManualClock, SystemRandom};
    use millpond_kernel::{Principal, testing};
    use millpond_meta::MemoryKv;
    use millpond_seal::Vault;
    use millpond_types::Timestamp;
    use millpond_wire::{QueryPairs, RequestView};
    use serde_json::json;

    use super::*;
    use crate::ops::tables;

    fn read<I: Input>(body: &serde_json::Value) -> I {
        let (body, query) = (Bytes::from(body.to_string()), QueryPairs::parse("").unwrap());
        let (method, headers, labels) = (&Method::POST, &HeaderMap::new(), &[]);
        I::read(&RequestView { method, bucket: None, key: None, labels, query: &query, headers, body: &body }).unwrap()
    }

    /// What a batch has committed is not written again when the batch is decided anew.
    #[tokio::test]
    async fn a_batch_that_is_decided_anew_writes_each_item_once() {
        let account = "111122223333".parse().unwrap();
        let kernel = Arc::new(testing::kernel(account).unwrap());
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        let (kv, vault) = (Arc::new(MemoryKv::new()), Arc::new(Vault::for_tests()));
        let core = Arc::new(Core::open(kv, kernel, vault, clock, Arc::new(SystemRandom)).await.unwrap());
        let caller = testing::caller(Principal::Root(account));
        let table = json!({
            "TableName": "tab",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        });
        assert!(tables::create(&core, &caller, &read(&table)).await.is_ok());
        let batch = |value: &str| {
            let put = json!({"PutRequest": {"Item": {"id": {"S": "a"}, "v": {"S": value}}}});
            writes(read(&json!({"RequestItems": {"tab": [put]}}))).unwrap()
        };
        let (first, second) = (batch("first"), batch("second"));
        for asked in [&first, &second, &first] {
            assert!(write(&core, &caller, asked).await.is_ok());
        }
        let table = core.tables().named(account, "tab").cloned().unwrap();
        let place = keys::place(&table.schema, &Item::from_json(br#"{"id": {"S": "a"}}"#).unwrap()).unwrap();
        let stored = core.item(&table, &place).await.unwrap().unwrap();
        assert_eq!(stored.item.get("v"), Some(&"second".to_owned().into()));
    }
}
