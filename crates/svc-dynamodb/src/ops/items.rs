//! Writes of one item.

use millpond_api_dynamodb::{
    DeleteItemInput, DeleteItemOutput, PutItemInput, PutItemOutput, UpdateItemInput, UpdateItemOutput,
};
use millpond_kernel::Caller;

use crate::errors::Failure;
use crate::inputs::Input;
use crate::state::Core;
use crate::values::Shape;
use crate::write::Single;

/// Attributes, capacity and metrics of an answer.
type Answer = (
    Option<Shape>,
    Option<millpond_api_dynamodb::ConsumedCapacity>,
    Option<millpond_api_dynamodb::ItemCollectionMetrics>,
);

async fn written<I: Input>(core: &Core, caller: &Caller, single: &Single) -> Result<Answer, Failure> {
    let done = core.write_one::<I>(caller, single).await?;
    let consumed = done.consumed(single.shows.consumed);
    let metrics = if single.shows.metrics {
        core.collection_metrics(&done.table, &done.place, single.write.named()).await?
    } else {
        None
    };
    Ok((done.attributes(single.shows.values), consumed, metrics))
}

pub(crate) async fn put(core: &Core, caller: &Caller, single: &Single) -> Result<PutItemOutput, Failure> {
    let (attributes, consumed_capacity, item_collection_metrics) =
        written::<PutItemInput>(core, caller, single).await?;
    Ok(PutItemOutput { attributes, consumed_capacity, item_collection_metrics })
}

pub(crate) async fn update(core: &Core, caller: &Caller, single: &Single) -> Result<UpdateItemOutput, Failure> {
    let (attributes, consumed_capacity, item_collection_metrics) =
        written::<UpdateItemInput>(core, caller, single).await?;
    Ok(UpdateItemOutput { attributes, consumed_capacity, item_collection_metrics })
}

pub(crate) async fn delete(core: &Core, caller: &Caller, single: &Single) -> Result<DeleteItemOutput, Failure> {
    let (attributes, consumed_capacity, item_collection_metrics) =
        written::<DeleteItemInput>(core, caller, single).await?;
    Ok(DeleteItemOutput { attributes, consumed_capacity, item_collection_metrics })
}
