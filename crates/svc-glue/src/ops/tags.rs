//! Tags of databases. Tables have none, as at AWS; crawlers are not served yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::tags::{self, BadTags};
use millpond_kernel::{Caller, Pin};
use millpond_meta::Op;
use millpond_types::{AccountId, Arn};

use crate::errors::{Failure, GlueError, no_database};
use crate::inputs::{Input, Touch};
use crate::limits::MAX_TAGS;
use crate::names;
use crate::state::{Core, Database};
use crate::tables::{self, DatabaseRow};

type Tags = BTreeMap<String, String>;

fn wrong(error: &BadTags) -> GlueError {
    match error {
        BadTags::TooMany(_) => GlueError::Limit(error.to_string()),
        _ => GlueError::Invalid(error.to_string()),
    }
}

/// Tags that can be.
pub(crate) fn checked(given: Option<&Tags>) -> Result<Tags, GlueError> {
    tags::checked(given.cloned().unwrap_or_default(), MAX_TAGS).map_err(|error| wrong(&error))
}

/// The database that an ARN names.
fn named(core: &Core, text: &str) -> Result<(AccountId, String), GlueError> {
    let not_here = || GlueError::NotFound(format!("Resource {text} not found."));
    let arn = Arn::parse(text)
        .filter(|arn| arn.service() == "glue")
        .ok_or_else(|| GlueError::Invalid(format!("The resource ARN {text} is not valid.")))?;
    let owner = arn.account().and_then(|account| account.parse().ok()).ok_or_else(not_here)?;
    if arn.region() != core.kernel.region().as_str() {
        return Err(not_here());
    }
    let name = arn.resource().strip_prefix("database/").ok_or_else(not_here)?;
    Ok((owner, names::database(name)?))
}

async fn touched<I: Input>(
    core: &Core,
    caller: &Caller,
    (owner, name): (AccountId, String),
    with: impl FnOnce(Arn) -> Touch<I>,
) -> Result<(Pin, Database), Failure> {
    let found = core.find_database(owner, &name).await?;
    let touch = with(core.arn(owner, &format!("database/{name}")));
    let authorized = core.authorize(caller, touch.tagged(found.as_ref().map(|found| &found.row.tags))).await?;
    Ok((authorized.pin(), found.ok_or_else(|| no_database(&name))?))
}

async fn retag(core: &Core, pin: Pin, database: Database, tags: Tags) -> Result<(), Failure> {
    let row = DatabaseRow { tags, ..database.row.clone() };
    let op = Op::Put(database.key.clone(), tables::encode(&row));
    core.commit(pin, vec![database.unchanged()], vec![op], false).await
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    _: AccountId,
    input: &api::GetTagsInput,
) -> Result<api::GetTagsOutput, Failure> {
    let which = named(core, &input.resource_arn)?;
    let owner = which.0;
    let (_, database) = touched(core, caller, which, |arn| Touch::of(input, owner, arn)).await?;
    Ok(api::GetTagsOutput { tags: Some(database.row.tags) })
}

pub(crate) async fn tag(
    core: &Arc<Core>,
    caller: &Caller,
    _: AccountId,
    input: &api::TagResourceInput,
) -> Result<api::TagResourceOutput, Failure> {
    let which = named(core, &input.resource_arn)?;
    let new = checked(Some(&input.tags_to_add))?;
    let owner = which.0;
    let (pin, database) = touched(core, caller, which, |arn| Touch::of(input, owner, arn).tags(&new)).await?;
    let mut tags = database.row.tags.clone();
    tags::add(&mut tags, new.clone(), MAX_TAGS).map_err(|error| wrong(&error))?;
    retag(core, pin, database, tags).await?;
    Ok(api::TagResourceOutput {})
}

pub(crate) async fn untag(
    core: &Arc<Core>,
    caller: &Caller,
    _: AccountId,
    input: &api::UntagResourceInput,
) -> Result<api::UntagResourceOutput, Failure> {
    let which = named(core, &input.resource_arn)?;
    let (owner, keys) = (which.0, &input.tags_to_remove);
    let (pin, database) = touched(core, caller, which, |arn| Touch::of(input, owner, arn).keys(keys)).await?;
    let mut tags = database.row.tags.clone();
    tags.retain(|key, _| !keys.contains(key));
    retag(core, pin, database, tags).await?;
    Ok(api::UntagResourceOutput {})
}
