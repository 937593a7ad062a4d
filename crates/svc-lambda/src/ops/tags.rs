//! Tags of functions.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::Caller;
use millpond_types::Arn;

use super::functions::check_tags;
use crate::errors::{Failure, LambdaError, parameter, unserved};
use crate::inputs::Input;
use crate::model::Function;
use crate::resolved::Resolved;
use crate::state::{Core, Draft, On};
use crate::tables::FunctionRow;

async fn on<I: Input>(
    core: &Core,
    caller: &Caller,
    arn: &str,
    with: impl FnOnce(Resolved<I>) -> Resolved<I>,
) -> Result<On<I>, LambdaError> {
    let parsed = Arn::parse(arn).filter(|arn| arn.service() == "lambda");
    let kind = parsed.as_ref().and_then(|arn| arn.resource().split(':').next());
    match kind {
        Some("function") => core.on_function::<I>(caller, core.whole_name(caller, arn)?, with).await,
        Some(other) => Err(unserved(format!("Tags of {other}"))),
        None => Err(parameter(format!("The resource {arn} is not the ARN of a function."))),
    }
}

fn put(function: &Function, facts: FunctionRow) -> Draft {
    let mut draft = Draft::on(function);
    let mut next = Function::clone(function);
    next.set(facts);
    // Conditions may ask for tags: what was decided by the old ones is decided anew.
    draft.changes_policies();
    draft.function(next);
    draft
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListTagsInput,
) -> Result<api::ListTagsOutput, Failure> {
    let On { function, .. } = on::<api::ListTagsInput>(core, caller, &input.resource, |r| r).await?;
    Ok(api::ListTagsOutput { tags: Some(function.facts.tags.clone()) })
}

pub(crate) async fn tag(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::TagResourceInput,
) -> Result<api::TagResourceOutput, Failure> {
    let On { authorized, function, .. } =
        on::<api::TagResourceInput>(core, caller, &input.resource, |r| r.request_tags(&input.tags)).await?;
    let mut facts = function.facts.clone();
    facts.tags.extend(input.tags.clone());
    check_tags(&facts.tags)?;
    core.commit(Some(authorized.pin()), put(&function, facts)).await?;
    Ok(api::TagResourceOutput {})
}

pub(crate) async fn untag(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::UntagResourceInput,
) -> Result<api::UntagResourceOutput, Failure> {
    let On { authorized, function, .. } =
        on::<api::UntagResourceInput>(core, caller, &input.resource, |r| r.tag_keys(input.tag_keys.clone())).await?;
    let mut facts = function.facts.clone();
    facts.tags.retain(|key, _| !input.tag_keys.contains(key));
    core.commit(Some(authorized.pin()), put(&function, facts)).await?;
    Ok(api::UntagResourceOutput {})
}
