//! Partitions, one at a time and as lists.

use std::sync::Arc;

use bytes::Bytes;
use millpond_api_glue as api;
use millpond_hive::predicate::Span;
use millpond_kernel::{Caller, paging};
use millpond_meta::key::{KeyBuilder, prefix_range, successor};
use millpond_meta::{Key, MAX_KEY_BYTES, Op};
use millpond_types::{AccountId, Timestamp};

use super::databases::bad_token;
use super::tables::check_storage;
use crate::bodies::{PartitionBody, Parts, TableBody, show_storage};
use crate::draft::Draft;
use crate::errors::{Failure, GlueError, invalid, no_partition, unserved};
use crate::expression::Predicate;
use crate::kept::{Pieces, removed};
use crate::limits::{MAX_LOOKED_AT, MAX_PAGE_BYTES, MAX_PARTITIONS, MAX_PARTITIONS_LISTED, MAX_SEGMENTS, PAGE};
use crate::state::{Core, On, Place, Table, decode};
use crate::tables::{self, PartitionRow};

/// The row of a partition with these values.
pub(crate) fn key_of(table: &Table, values: &[String]) -> Result<Key, GlueError> {
    if values.len() != table.row.keys as usize || values.is_empty() {
        return invalid("The number of partition keys do not match the number of partition values");
    }
    let key = tables::partition(table.id, values);
    // Statistics of a partition's columns stand behind its values.
    if key.len() > MAX_KEY_BYTES / 2 {
        return invalid(format!("The values of a partition are longer than {} bytes.", MAX_KEY_BYTES / 2));
    }
    Ok(key)
}

fn values_of(input: &api::PartitionInput) -> &[String] {
    input.values.as_deref().unwrap_or_default()
}

async fn row(
    core: &Core,
    table: &Table,
    input: &api::PartitionInput,
    created: u64,
    draft: &mut Draft,
) -> Result<Bytes, GlueError> {
    check_storage(input.storage_descriptor.as_ref())?;
    let mut body = PartitionBody::of(input);
    if let Some(storage) = &input.storage_descriptor {
        let kept = core.keep_storage(table.id, Parts::of(storage), &mut draft.written, &mut draft.ops).await?;
        body.storage = Some(kept);
    }
    let body = core.keep(table.id, &body, &mut draft.ops)?;
    // 0 would not be written.
    let stamp = core.random_id() as u64 | 1;
    Ok(tables::encode(&PartitionRow { stamp, created, body }))
}

/// Adds a partition.
pub(crate) async fn add(
    core: &Core,
    table: &Table,
    input: &api::PartitionInput,
    draft: &mut Draft,
) -> Result<(), GlueError> {
    let key = key_of(table, values_of(input))?;
    if draft.get(core, &key).await?.is_some() {
        return Err(GlueError::Exists("Partition already exists.".to_owned()));
    }
    let row = row(core, table, input, core.now(), draft).await?;
    draft.set(&key, Some(row));
    Ok(())
}

/// Puts another definition in the place of a partition, perhaps with other values.
pub(crate) async fn replace(
    core: &Core,
    table: &Table,
    values: &[String],
    input: &api::PartitionInput,
    draft: &mut Draft,
) -> Result<(), GlueError> {
    let key = key_of(table, values)?;
    let new = if values_of(input).is_empty() { key.clone() } else { key_of(table, values_of(input))? };
    let known: PartitionRow = decode(&draft.get(core, &key).await?.ok_or_else(no_partition)?)?;
    if new != key && draft.get(core, &new).await?.is_some() {
        return Err(GlueError::Exists("Partition already exists.".to_owned()));
    }
    let row = row(core, table, input, known.created, draft).await?;
    draft.ops.extend(removed(&known.body));
    if new != key {
        forget(table, values, draft);
        draft.set(&key, None);
    }
    draft.set(&new, Some(row));
    Ok(())
}

/// Removes what is known of a partition's columns.
fn forget(table: &Table, values: &[String], draft: &mut Draft) {
    let (from, to) = prefix_range(tables::statistics(table.id, Some(values)).build());
    draft.ops.push(Op::DeleteRange(from, to));
}

/// Removes a partition.
pub(crate) async fn remove(core: &Core, table: &Table, values: &[String], draft: &mut Draft) -> Result<(), GlueError> {
    let key = key_of(table, values)?;
    let known: PartitionRow = decode(&draft.get(core, &key).await?.ok_or_else(no_partition)?)?;
    draft.ops.extend(removed(&known.body));
    forget(table, values, draft);
    draft.set(&key, None);
    Ok(())
}

/// Commits a change of partitions.
pub(crate) async fn commit(core: &Core, on: &On, draft: Draft) -> Result<(), Failure> {
    if draft.more() > 0 {
        let count = core.kv.get(&tables::all_of(tables::COUNTS, on.table.id)).await?;
        let count = count.and_then(|raw| Some(i64::from_le_bytes(raw.as_ref().try_into().ok()?))).unwrap_or_default();
        if count + draft.more() > MAX_PARTITIONS {
            return Err(GlueError::Limit(format!("A table has at most {MAX_PARTITIONS} partitions.")).into());
        }
    }
    draft.commit(core, on.pin, &on.table).await
}

/// A partition as it is shown.
pub(crate) async fn show(
    core: &Core,
    on: &On,
    (values, row): (Vec<String>, PartitionRow),
    with_columns: bool,
    pieces: &mut Pieces,
) -> Result<api::Partition, GlueError> {
    let id = on.table.id;
    let mut body: PartitionBody = core.kept(id, &row.body).await?;
    let storage = match body.storage.take() {
        Some(storage) => {
            let columns = if with_columns { Some(core.columns(id, &storage, pieces).await?) } else { None };
            let format = core.format(id, &storage, pieces).await?;
            Some(show_storage(storage, columns.as_deref(), &format))
        }
        None => None,
    };
    Ok(api::Partition {
        values: Some(values),
        database_name: Some(on.database.clone()),
        table_name: Some(on.table.name.clone()),
        creation_time: Some(Timestamp(row.created)),
        catalog_id: Some(on.owner.to_string()),
        ..body.show(storage)
    })
}

/// Which partitions are wanted.
#[derive(Default)]
pub(crate) struct Query {
    pub predicate: Option<Predicate>,
    /// Its number, and how many there are.
    pub segment: Option<(u64, u64)>,
    /// What stands behind the table's id in the key of the last one of the page before.
    pub after: Option<Vec<u8>>,
    pub limit: usize,
    pub bytes: usize,
}

/// In which segment a partition is: FNV-1a of its values.
fn segment_of(key: &[u8], total: u64) -> u64 {
    let hash = tables::behind_id(key)
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash.checked_rem(total).unwrap_or_default()
}

/// Partitions in the order of their values, and the token of the next page.
pub(crate) async fn find(
    core: &Core,
    table: &Table,
    query: &Query,
) -> Result<(Vec<(Vec<String>, PartitionRow)>, Option<String>), GlueError> {
    let after = query
        .after
        .as_deref()
        .map(|after| successor(&KeyBuilder::extend(&tables::all_of(tables::PARTITIONS, table.id)).raw(after).build()));
    let all = || vec![Span::default()];
    let spans = query.predicate.as_ref().map_or_else(all, Predicate::spans);
    let mut ranges = spans.iter().filter_map(|span| {
        let (from, to) = tables::partitions(table.id, span);
        let from = after.clone().map_or(from.clone(), |after| from.max(after));
        (from < to).then_some((from, to))
    });
    let (mut found, mut bytes, mut looked_at, mut last) = (Vec::new(), 0, 0, None::<Key>);
    let Some((mut from, mut to)) = ranges.next() else { return Ok((found, None)) };
    loop {
        let rows = core.page(from, to.clone(), PAGE).await?;
        let next = rows.last().map(|(key, _)| successor(key)).filter(|_| rows.len() == PAGE);
        for (key, raw) in rows {
            if found.len() >= query.limit || looked_at >= MAX_LOOKED_AT || bytes >= query.bytes {
                return Ok((found, last.map(|key| paging::token(tables::behind_id(&key)))));
            }
            looked_at += 1;
            let values = tables::partition_values(&key, table.row.keys as usize)?;
            let here = query.segment.is_none_or(|(number, total)| segment_of(&key, total) == number);
            last = Some(key);
            let holds = match &query.predicate {
                Some(predicate) if here => predicate.holds(&values)?,
                _ => here,
            };
            if holds {
                bytes += raw.len();
                found.push((values, decode(&raw)?));
            }
        }
        (from, to) = match next.map(|next| (next, to)).or_else(|| ranges.next()) {
            Some(range) => range,
            None => return Ok((found, None)),
        };
    }
}

/// An expression over the partition keys of a table; none for one that is empty.
pub(crate) async fn predicate(
    core: &Core,
    table: &Table,
    expression: Option<&str>,
) -> Result<Option<Predicate>, GlueError> {
    let Some(expression) = expression.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let body: TableBody = core.kept(table.id, &table.row.body).await?;
    Predicate::parse(expression, &body.keys).map(Some)
}

fn segment(given: Option<&api::Segment>) -> Result<Option<(u64, u64)>, GlueError> {
    let Some(given) = given else { return Ok(None) };
    let (number, total) = (given.segment_number, given.total_segments);
    if !(1..=MAX_SEGMENTS).contains(&total) || !(0..total).contains(&number) {
        return invalid("SegmentNumber is at least 0 and less than TotalSegments, which is at most 10.");
    }
    Ok(u64::try_from(number).ok().zip(u64::try_from(total).ok()))
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetPartitionsInput,
) -> Result<api::GetPartitionsOutput, Failure> {
    unserved("TransactionId", input.transaction_id.as_ref())?;
    unserved("QueryAsOfTime", input.query_as_of_time)?;
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let query = Query {
        predicate: predicate(core, &on.table, input.expression.as_deref()).await?,
        segment: segment(input.segment.as_ref())?,
        after: paging::key_after(input.next_token.as_deref()).map_err(|_| bad_token())?,
        limit: paging::limit(input.max_results, MAX_PARTITIONS_LISTED).min(MAX_PARTITIONS_LISTED),
        bytes: MAX_PAGE_BYTES,
    };
    let (found, next_token) = find(core, &on.table, &query).await?;
    let with_columns = !input.exclude_column_schema.unwrap_or_default();
    let (mut partitions, mut pieces) = (Vec::with_capacity(found.len()), Pieces::default());
    for each in found {
        partitions.push(show(core, &on, each, with_columns, &mut pieces).await?);
    }
    Ok(api::GetPartitionsOutput { partitions: Some(partitions), next_token })
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreatePartitionInput,
) -> Result<api::CreatePartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let mut draft = Draft::default();
    add(core, &on.table, &input.partition_input, &mut draft).await?;
    commit(core, &on, draft).await?;
    Ok(api::CreatePartitionOutput {})
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetPartitionInput,
) -> Result<api::GetPartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let raw = core.kv.get(&key_of(&on.table, &input.partition_values)?).await?.ok_or_else(no_partition)?;
    let found = (input.partition_values.clone(), decode(&raw)?);
    Ok(api::GetPartitionOutput { partition: Some(show(core, &on, found, true, &mut Pieces::default()).await?) })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdatePartitionInput,
) -> Result<api::UpdatePartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let mut draft = Draft::default();
    replace(core, &on.table, &input.partition_value_list, &input.partition_input, &mut draft).await?;
    commit(core, &on, draft).await?;
    Ok(api::UpdatePartitionOutput {})
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeletePartitionInput,
) -> Result<api::DeletePartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let mut draft = Draft::default();
    remove(core, &on.table, &input.partition_values, &mut draft).await?;
    commit(core, &on, draft).await?;
    Ok(api::DeletePartitionOutput {})
}
