//! Switching the stream of a table on and off.

use bytes::Bytes;
use millpond_api_dynamodb::{StreamSpecification, StreamViewType};
use millpond_meta::Op;
use millpond_types::AccountId;

use super::known::label;
use super::record::ViewType;
use super::rows::StreamRow;
use crate::errors::{DynamoError, invalid, parameters};
use crate::model::Table;
use crate::state::{Core, encode};
use crate::tables::{self, StreamSpecRow, TableRow};

/// How a table's stream is set, as answers show it.
pub(crate) fn specification(table: &Table) -> Option<StreamSpecification> {
    let stream = table.row.stream.as_ref()?;
    let view = StreamViewType::parse(ViewType(stream.view).name());
    Some(StreamSpecification { stream_enabled: true, stream_view_type: view })
}

/// Switches a table's stream as a request says, in its row: what else the commit has to do. `row.shape` is raised where writes depend on it.
pub(crate) fn switch(
    core: &Core,
    (account, name): (AccountId, &str),
    row: &mut TableRow,
    specification: &StreamSpecification,
) -> Result<Vec<Op>, DynamoError> {
    match (specification.stream_enabled, &specification.stream_view_type) {
        (true, None) => Err(parameters("StreamViewType is required when StreamEnabled is true")),
        (false, Some(_)) => Err(parameters("StreamViewType can be specified only when StreamEnabled is true")),
        (true, Some(_)) if row.stream.is_some() => {
            Err(invalid(format!("Table already has an enabled stream: TableName: {name}")))
        }
        (true, Some(view)) => Ok(begun(core, (account, name), row, ViewType::of(view))),
        (false, None) => match row.stream.take() {
            None => Ok(Vec::new()),
            Some(stream) => {
                row.shape += 1;
                Ok(vec![end(core, account, name, &stream.label)])
            }
        },
    }
}

fn begun(core: &Core, (account, name): (AccountId, &str), row: &mut TableRow, view: ViewType) -> Vec<Op> {
    let mut created = core.millis();
    // A label is not given twice, also when a stream ends in the millisecond that it began in.
    while label(created) <= row.label {
        created += 1;
    }
    let stream = StreamRow {
        table: row.id.clone(),
        view: view.0,
        created,
        keys: std::iter::once(&row.hash).chain(&row.range).cloned().collect(),
        start: *core.kv.watch().borrow(),
        policy: None,
    };
    row.label = label(created);
    row.stream = Some(StreamSpecRow { label: row.label.clone(), view: view.0 });
    row.shape += 1;
    vec![Op::Put(tables::stream(account, name, &row.label), encode(&stream))]
}

fn end(core: &Core, account: AccountId, name: &str, label: &str) -> Op {
    let now = Bytes::copy_from_slice(&core.millis().to_be_bytes());
    Op::Put(tables::stream_end(account, name, label), now)
}

/// What the deletion of a table does to its stream.
pub(crate) fn ended(core: &Core, table: &Table) -> Vec<Op> {
    let stream = table.row.stream.as_ref();
    stream.map(|stream| end(core, table.account, &table.name, &stream.label)).into_iter().collect()
}
