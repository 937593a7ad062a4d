//! The code of the version that can be changed.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::Caller;

use super::configuration::{replace, same_revision};
use crate::errors::{Failure, LambdaError, parameter, unserved};
use crate::model::Function;
use crate::settings::architecture;
use crate::shown::configuration;
use crate::state::{Core, Draft, On};
use crate::tables::VersionRow;
use crate::upload::{Source, Stored};
use crate::zip::MAX_UNZIPPED;

async fn on(
    core: &Core,
    caller: &Caller,
    input: &api::UpdateFunctionCodeInput,
) -> Result<On<api::UpdateFunctionCodeInput>, LambdaError> {
    let name = core.whole_name(caller, &input.function_name)?;
    let on = core.on_function::<api::UpdateFunctionCodeInput>(caller, name, |r| r).await?;
    same_revision(&on.function, input.revision_id.as_deref())?;
    if input.publish_to.is_some() {
        return Err(unserved("PublishTo"));
    }
    Ok(on)
}

/// Takes the code of a function that may be changed.
pub(crate) async fn prepare(
    core: &Core,
    caller: &Arc<Caller>,
    input: &api::UpdateFunctionCodeInput,
) -> Result<Stored, LambdaError> {
    on(core, caller, input).await?;
    let source = Source {
        zip: input.zip_file.as_ref(),
        bucket: input.s3_bucket.as_deref(),
        key: input.s3_key.as_deref(),
        version: input.s3_object_version.as_deref(),
        mode: input.s3_object_storage_mode,
        image: input.image_uri.as_deref(),
        kms_key: input.source_kms_key_arn.as_deref(),
    };
    core.take(caller, source, "UpdateFunctionCode").await
}

fn changed(
    core: &Core,
    function: &Function,
    input: &api::UpdateFunctionCodeInput,
    code: &Stored,
) -> Result<Function, LambdaError> {
    let old = &function.facts.latest;
    let mut row = VersionRow { code: code.row.clone(), ..old.clone() };
    if input.architectures.is_some() {
        row.architecture = architecture(input.architectures.as_deref())?;
    }
    let total = row.code.unzipped + row.layers.iter().map(|layer| layer.code.unzipped).sum::<u64>();
    if total > MAX_UNZIPPED {
        return Err(parameter(format!(
            "Function code combined with layers exceeds the maximum allowed size of {MAX_UNZIPPED} bytes. The actual size is {total} bytes."
        )));
    }
    (row.revision, row.modified) = (core.new_revision(), core.now().0);
    replace(function, row)
}

/// Puts code that was taken in.
pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::UpdateFunctionCodeInput,
    code: &Stored,
) -> Result<api::UpdateFunctionCodeOutput, Failure> {
    let On { authorized, function, .. } = on(core, caller, input).await?;
    let mut next = changed(core, &function, input, code)?;
    if input.dry_run == Some(true) {
        let shown = core.configuration(&next, &next.latest, &next.arn)?;
        return Ok(configuration!(UpdateFunctionCodeOutput, shown));
    }
    let mut draft = Draft::on(&function);
    draft.retires(function.latest.revision()?);
    let shown = if input.publish == Some(true) {
        let published = super::versions::publish(core, &mut next, &mut draft, None)?;
        core.configuration(&next, &published, &core.version_arn(&next, &published))?
    } else {
        core.configuration(&next, &next.latest, &next.arn)?
    };
    draft.function(next);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(configuration!(UpdateFunctionCodeOutput, shown))
}
