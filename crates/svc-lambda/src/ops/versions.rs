//! Published versions, which never change.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::Caller;
use millpond_meta::Op;

use super::configuration::same_revision;
use crate::errors::{Failure, LambdaError, parameter, unserved};
use crate::limits::MAX_VERSIONS;
use crate::model::{Function, Version};
use crate::names::Qualifier;
use crate::paging;
use crate::shown::{configuration, digest};
use crate::state::{Core, Draft, On};
use crate::tables::{self, FunctionRow, VersionRow};

/// Whether two versions run the same.
fn same(core: &Core, function: &Function, a: &VersionRow, b: &VersionRow) -> Result<bool, LambdaError> {
    let bare = |row: &VersionRow| VersionRow {
        revision: Vec::new(),
        modified: 0,
        description: String::new(),
        env: Vec::new(),
        ..row.clone()
    };
    Ok(bare(a) == bare(b) && core.environment(function.id, a)? == core.environment(function.id, b)?)
}

/// Publishes the version that can be changed, unless the last one that was published is the same. The caller writes the function's row.
pub(crate) fn publish(
    core: &Core,
    function: &mut Function,
    draft: &mut Draft,
    description: Option<&str>,
) -> Result<Arc<Version>, LambdaError> {
    let latest = function.facts.latest.clone();
    if let Some((_, last)) = function.versions.last_key_value()
        && same(core, function, &last.row, &latest)?
    {
        return Ok(Arc::clone(last));
    }
    if function.versions.len() >= MAX_VERSIONS {
        let text = format!("A function has at most {MAX_VERSIONS} versions.");
        return Err(LambdaError::Of(api::errors::CODE_STORAGE_EXCEEDED_EXCEPTION, text));
    }
    let number = function.facts.published + 1;
    let mut row = VersionRow { revision: core.new_revision(), ..latest };
    if let Some(description) = description {
        row.description = description.to_owned();
    }
    draft.ops.push(Op::Put(tables::version(function.id, number), tables::encode(&row)));
    let version = Arc::new(Version::new(number, row));
    function.versions.insert(number, Arc::clone(&version));
    function.set(FunctionRow { published: number, ..function.facts.clone() });
    Ok(version)
}

pub(crate) async fn publish_version(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::PublishVersionInput,
) -> Result<api::PublishVersionOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { authorized, function, .. } = core.on_function::<api::PublishVersionInput>(caller, name, |r| r).await?;
    same_revision(&function, input.revision_id.as_deref())?;
    if input.publish_to.is_some() {
        return Err(unserved("PublishTo").into());
    }
    let there = digest(&function.latest.row.code);
    if let Some(given) = input.code_sha256.as_deref().filter(|given| !given.is_empty() && *given != there) {
        return Err(parameter(format!(
            "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({there}). Please try again with the CodeSHA256 in $LATEST."
        ))
        .into());
    }
    let mut draft = Draft::on(&function);
    let mut next = Function::clone(&function);
    let version = publish(core, &mut next, &mut draft, input.description.as_deref())?;
    let shown = core.configuration(&next, &version, &core.version_arn(&next, &version))?;
    if next.facts != function.facts {
        draft.function(next);
        core.commit(Some(authorized.pin()), draft).await?;
    }
    Ok(configuration!(PublishVersionOutput, shown))
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListVersionsByFunctionInput,
) -> Result<api::ListVersionsByFunctionOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { function, .. } = core.on_function::<api::ListVersionsByFunctionInput>(caller, name, |r| r).await?;
    let all = function.all_versions().map(|version| (version.number, version));
    let parse = |text: &str| text.parse().ok();
    let (page, next_marker) = paging::page(all, input.marker.as_deref(), input.max_items, parse, u64::to_string)?;
    let shown = page.into_iter().map(|version| {
        let arn = match version.number {
            0 => core.asked_arn(&function, &Qualifier::Latest),
            _ => core.version_arn(&function, version),
        };
        core.configuration(&function, version, &arn)
    });
    let versions = shown.collect::<Result<Vec<_>, LambdaError>>()?;
    Ok(api::ListVersionsByFunctionOutput { next_marker, versions: Some(versions) })
}
