//! Tags of databases and crawlers. Tables have none, as at AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::tags::{self, BadTags};
use millpond_kernel::{Caller, Pin};
use millpond_meta::{Cond, Key, Op};
use millpond_types::{AccountId, Arn};

use bytes::Bytes;

use super::crawlers::checked_name;
use crate::crawling::rows::CrawlerRow;
use crate::crawling::state::no_crawler;
use crate::errors::{Failure, GlueError, no_database};
use crate::inputs::{Input, Touch};
use crate::limits::MAX_TAGS;
use crate::names;
use crate::state::Core;
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

/// What has tags.
enum What {
    Database(String),
    Crawler(String),
}

/// A resource with tags as it was read.
struct Tagged {
    key: Key,
    raw: Bytes,
    tags: Tags,
    /// The row with other tags.
    with: Box<dyn Fn(Tags) -> Bytes + Send>,
}

/// The resource that an ARN names.
fn named(core: &Core, text: &str) -> Result<(AccountId, What), GlueError> {
    let not_here = || GlueError::NotFound(format!("Resource {text} not found."));
    let arn = Arn::parse(text)
        .filter(|arn| arn.service() == "glue")
        .ok_or_else(|| GlueError::Invalid(format!("The resource ARN {text} is not valid.")))?;
    let owner = arn.account().and_then(|account| account.parse().ok()).ok_or_else(not_here)?;
    if arn.region() != core.kernel.region().as_str() {
        return Err(not_here());
    }
    match arn.resource().split_once('/') {
        Some(("database", name)) => Ok((owner, What::Database(names::database(name)?))),
        Some(("crawler", name)) => {
            checked_name("Crawler", name)?;
            Ok((owner, What::Crawler(name.to_owned())))
        }
        _ => Err(not_here()),
    }
}

impl What {
    fn arn(&self, core: &Core, owner: AccountId) -> Arn {
        match self {
            Self::Database(name) => core.arn(owner, &format!("database/{name}")),
            Self::Crawler(name) => core.crawler_arn(owner, name),
        }
    }

    fn missing(&self) -> GlueError {
        match self {
            Self::Database(name) => no_database(name),
            Self::Crawler(name) => no_crawler(name),
        }
    }

    async fn find(&self, core: &Core, owner: AccountId) -> Result<Option<Tagged>, GlueError> {
        Ok(match self {
            Self::Database(name) => core.find_database(owner, name).await?.map(|found| {
                let (key, raw, tags) = (found.key.clone(), found.raw.clone(), found.row.tags.clone());
                let with = move |tags| tables::encode(&DatabaseRow { tags, ..found.row.clone() });
                Tagged { key, raw, tags, with: Box::new(with) }
            }),
            Self::Crawler(name) => core.find_crawler(owner, name).await?.map(|found| {
                let (key, raw, tags) = (found.key.clone(), found.raw.clone(), found.row.tags.clone());
                let with = move |tags| tables::encode(&CrawlerRow { tags, ..found.row.clone() });
                Tagged { key, raw, tags, with: Box::new(with) }
            }),
        })
    }
}

async fn touched<I: Input>(
    core: &Core,
    caller: &Caller,
    (owner, what): (AccountId, What),
    with: impl FnOnce(Arn) -> Touch<I>,
) -> Result<(Pin, Tagged), Failure> {
    let found = what.find(core, owner).await?;
    let touch = with(what.arn(core, owner));
    let authorized = core.authorize(caller, touch.tagged(found.as_ref().map(|found| &found.tags))).await?;
    Ok((authorized.pin(), found.ok_or_else(|| what.missing())?))
}

async fn retag(core: &Core, pin: Pin, tagged: Tagged, tags: Tags) -> Result<(), Failure> {
    let Tagged { key, raw, with, .. } = tagged;
    let op = Op::Put(key.clone(), with(tags));
    core.commit(pin, vec![Cond::Equals(key, raw)], vec![op], false).await
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    _: AccountId,
    input: &api::GetTagsInput,
) -> Result<api::GetTagsOutput, Failure> {
    let which = named(core, &input.resource_arn)?;
    let owner = which.0;
    let (_, tagged) = touched(core, caller, which, |arn| Touch::of(input, owner, arn)).await?;
    Ok(api::GetTagsOutput { tags: Some(tagged.tags) })
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
    let (pin, tagged) = touched(core, caller, which, |arn| Touch::of(input, owner, arn).tags(&new)).await?;
    let mut tags = tagged.tags.clone();
    tags::add(&mut tags, new.clone(), MAX_TAGS).map_err(|error| wrong(&error))?;
    retag(core, pin, tagged, tags).await?;
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
    let (pin, tagged) = touched(core, caller, which, |arn| Touch::of(input, owner, arn).keys(keys)).await?;
    let mut tags = tagged.tags.clone();
    tags.retain(|key, _| !keys.contains(key));
    retag(core, pin, tagged, tags).await?;
    Ok(api::UntagResourceOutput {})
}
