//! How asynchronous invocations of a function, a version or an alias are tried, and where they end.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::{Caller, Rejection};
use millpond_meta::Op;
use millpond_types::{Arn, Timestamp};

use super::functions::version_of;
use crate::errors::{Failure, LambdaError, not_found, parameter, unserved};
use crate::inputs::Input;
use crate::model::Function;
use crate::names::{LATEST, Qualifier};
use crate::paging;
use crate::state::{Core, Draft, On};
use crate::tables::{self, InvokeConfigRow};

/// The key of a qualifier's configuration. That of the function is that of its unpublished version.
pub(crate) fn key(qualifier: &Qualifier) -> String {
    qualifier.text().unwrap_or_else(|| LATEST.to_owned())
}

/// A function with a version or alias that is there, and its configuration's ARN.
async fn on<I: Input>(
    core: &Core,
    caller: &Caller,
    function: &str,
    qualifier: Option<&str>,
) -> Result<(On<I>, String), LambdaError> {
    let name = core.name(caller, function, qualifier)?;
    let on = core.on_function::<I>(caller, name, |r| r).await?;
    version_of(core, &on.function, &on.name)?;
    let arn = crate::names::function_arn(
        core.kernel.region(),
        on.function.account,
        &on.function.name,
        Some(&key(&on.name.qualifier)),
    );
    Ok((on, arn.to_string()))
}

/// Where results go, if the function's role may send there.
async fn destination(
    core: &Core,
    function: &Function,
    role: &str,
    given: Option<&str>,
) -> Result<Option<String>, LambdaError> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let arn = Arn::parse(text).ok_or_else(|| parameter(format!("The provided destination {text} is not an ARN.")))?;
    if !["sqs", "sns", "lambda", "events"].contains(&arn.service()) || !core.kernel.targets().has(arn.service()) {
        return Err(unserved(format!("a destination of the service {}", arn.service())));
    }
    if arn.as_str().ends_with(".fifo") {
        return Err(parameter(format!("The destination {text} must not be a FIFO queue or topic.")));
    }
    let from = match core.assume(&function.arn, function.account, role, "check", Vec::new()).await {
        Ok(from) => from,
        Err(Rejection::Failed(reason)) => return Err(LambdaError::Internal(reason)),
        Err(_) => return Err(parameter("The role defined for the function cannot be assumed by Lambda.")),
    };
    match core.kernel.targets().check(&arn, &from).await {
        Ok(()) => Ok(Some(text.to_owned())),
        Err(Rejection::Failed(reason)) => Err(LambdaError::Internal(reason)),
        Err(Rejection::Denied(_)) => Err(parameter(format!(
            "The function's execution role {role} does not have permissions to send to the destination {text}"
        ))),
        Err(Rejection::NotFound(why) | Rejection::Invalid(why)) => {
            Err(parameter(format!("The destination {text} cannot be used: {why}")))
        }
    }
}

/// What a request says.
struct Given<'a> {
    retries: Option<i32>,
    max_age: Option<i32>,
    destinations: Option<&'a api::DestinationConfig>,
}

macro_rules! given {
    ($input:ident) => {
        Given {
            retries: $input.maximum_retry_attempts,
            max_age: $input.maximum_event_age_in_seconds,
            destinations: $input.destination_config.as_ref(),
        }
    };
}

impl Given<'_> {
    /// Changes a row: what is not given stays.
    async fn apply<I>(&self, core: &Core, on: &On<I>, row: &mut InvokeConfigRow) -> Result<(), LambdaError> {
        let number = |given: Option<i32>| given.and_then(|given| u32::try_from(given).ok());
        row.retries = number(self.retries).or(row.retries);
        row.max_age = number(self.max_age).or(row.max_age);
        if let Some(config) = self.destinations {
            let role = version_of(core, &on.function, &on.name)?.row.role.clone();
            let success = config.on_success.as_ref().and_then(|to| to.destination.as_deref());
            let failure = config.on_failure.as_ref().and_then(|to| to.destination.as_deref());
            row.on_success = destination(core, &on.function, &role, success).await?;
            row.on_failure = destination(core, &on.function, &role, failure).await?;
        }
        row.modified = core.now().0;
        Ok(())
    }
}

fn put(function: &Function, key: String, row: Option<InvokeConfigRow>) -> Draft {
    let mut draft = Draft::on(function);
    let at = tables::part(tables::INVOKE_CONFIGS, function.id, &key);
    let mut next = Function::clone(function);
    match row {
        Some(row) => {
            draft.ops.push(Op::Put(at, tables::encode(&row)));
            next.configs.insert(key, Arc::new(row));
        }
        None => {
            draft.ops.push(Op::Delete(at));
            next.configs.remove(&key);
        }
    }
    next.set(function.facts.clone());
    draft.function(next);
    draft
}

fn shown(arn: String, row: &InvokeConfigRow) -> api::FunctionEventInvokeConfig {
    let number = |number: Option<u32>| number.and_then(|number| i32::try_from(number).ok());
    api::FunctionEventInvokeConfig {
        last_modified: Some(Timestamp(row.modified)),
        function_arn: Some(arn),
        maximum_retry_attempts: number(row.retries),
        maximum_event_age_in_seconds: number(row.max_age),
        destination_config: Some(api::DestinationConfig {
            on_success: Some(api::OnSuccess { destination: row.on_success.clone() }),
            on_failure: Some(api::OnFailure { destination: row.on_failure.clone() }),
        }),
    }
}

macro_rules! config {
    ($output:ident, $shown:expr) => {{
        let shown: api::FunctionEventInvokeConfig = $shown;
        api::$output {
            last_modified: shown.last_modified,
            function_arn: shown.function_arn,
            maximum_retry_attempts: shown.maximum_retry_attempts,
            maximum_event_age_in_seconds: shown.maximum_event_age_in_seconds,
            destination_config: shown.destination_config,
        }
    }};
}

fn found<'a>(function: &'a Function, key: &str, arn: &str) -> Result<&'a Arc<InvokeConfigRow>, LambdaError> {
    let missing = || not_found(format!("The function {arn} doesn't have an EventInvokeConfig"));
    function.configs.get(key).ok_or_else(missing)
}

pub(crate) async fn replace(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::PutFunctionEventInvokeConfigInput,
) -> Result<api::PutFunctionEventInvokeConfigOutput, Failure> {
    let (on, arn) =
        on::<api::PutFunctionEventInvokeConfigInput>(core, caller, &input.function_name, input.qualifier.as_deref())
            .await?;
    let mut row = InvokeConfigRow::default();
    given!(input).apply(core, &on, &mut row).await?;
    let answer = config!(PutFunctionEventInvokeConfigOutput, shown(arn, &row));
    core.commit(Some(on.authorized.pin()), put(&on.function, key(&on.name.qualifier), Some(row))).await?;
    Ok(answer)
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::UpdateFunctionEventInvokeConfigInput,
) -> Result<api::UpdateFunctionEventInvokeConfigOutput, Failure> {
    let (on, arn) =
        on::<api::UpdateFunctionEventInvokeConfigInput>(core, caller, &input.function_name, input.qualifier.as_deref())
            .await?;
    let key = key(&on.name.qualifier);
    let mut row = InvokeConfigRow::clone(found(&on.function, &key, &arn)?);
    given!(input).apply(core, &on, &mut row).await?;
    let answer = config!(UpdateFunctionEventInvokeConfigOutput, shown(arn, &row));
    core.commit(Some(on.authorized.pin()), put(&on.function, key, Some(row))).await?;
    Ok(answer)
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetFunctionEventInvokeConfigInput,
) -> Result<api::GetFunctionEventInvokeConfigOutput, Failure> {
    let (on, arn) =
        on::<api::GetFunctionEventInvokeConfigInput>(core, caller, &input.function_name, input.qualifier.as_deref())
            .await?;
    let row = found(&on.function, &key(&on.name.qualifier), &arn)?;
    Ok(config!(GetFunctionEventInvokeConfigOutput, shown(arn, row)))
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::DeleteFunctionEventInvokeConfigInput,
) -> Result<api::DeleteFunctionEventInvokeConfigOutput, Failure> {
    let (on, arn) =
        on::<api::DeleteFunctionEventInvokeConfigInput>(core, caller, &input.function_name, input.qualifier.as_deref())
            .await?;
    let key = key(&on.name.qualifier);
    found(&on.function, &key, &arn)?;
    core.commit(Some(on.authorized.pin()), put(&on.function, key, None)).await?;
    Ok(api::DeleteFunctionEventInvokeConfigOutput {})
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListFunctionEventInvokeConfigsInput,
) -> Result<api::ListFunctionEventInvokeConfigsOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { function, .. } = core.on_function::<api::ListFunctionEventInvokeConfigsInput>(caller, name, |r| r).await?;
    let arn = |key: &str| {
        crate::names::function_arn(core.kernel.region(), function.account, &function.name, Some(key)).to_string()
    };
    let all = function.configs.iter().map(|(key, row)| (key.clone(), shown(arn(key), row)));
    let (configs, next_marker) = paging::by_name(all, input.marker.as_deref(), input.max_items)?;
    Ok(api::ListFunctionEventInvokeConfigsOutput { function_event_invoke_configs: Some(configs), next_marker })
}
