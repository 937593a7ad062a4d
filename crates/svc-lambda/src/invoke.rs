//! Invocations that are waited for, and what every invocation has in common.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use millpond_api_lambda::{self as api, errors as codes};
use millpond_kernel::{Caller, RequestHead};
use millpond_meta::Batch;
use millpond_runtime::{Ended, Job, NoWorker, Report};
use millpond_types::{CauseChain, MAX_CAUSES};
use millpond_wire::ResponseParts;

use crate::async_invoke::{self, Event};
use crate::errors::{Failure, LambdaError, not_found, unserved};
use crate::inputs::Input;
use crate::limits::{MAX_ASYNC_PAYLOAD, MAX_PAYLOAD};
use crate::model::{Function, Version};
use crate::names::{Qualifier, uuid};
use crate::recent::Recent;
use crate::state::{Core, On};

/// The event of an invocation that brings none.
const NOTHING: &[u8] = b"{}";

impl Core {
    /// The version that an invocation by a qualifier runs: an alias may share its invocations between two.
    pub fn chosen<'a>(&self, function: &'a Function, qualifier: &Qualifier) -> Option<&'a Arc<Version>> {
        if let Qualifier::Alias(name) = qualifier
            && let Some(alias) = function.aliases.get(name)
            && alias.other > 0
        {
            // 53 bits make every number that there is between 0 and 1.
            let chance = (self.random.u128() as u64 >> 11) as f64 / (1u64 << 53) as f64;
            return function.version(if chance < alias.weight { alias.other } else { alias.version });
        }
        function.meant(qualifier)
    }

    /// Refuses to carry a chain on that is as long as chains may be, unless the function may be part of a loop.
    pub fn check_loop(&self, function: &Function, causes: &CauseChain) -> Result<(), LambdaError> {
        if causes.len() < MAX_CAUSES || function.facts.may_loop {
            return Ok(());
        }
        async_invoke::count(&self.counters.loops);
        let text = "Lambda detected this function being invoked in a recursive loop with other AWS resources and stopped the function's invocation.";
        Err(LambdaError::Of(codes::RECURSIVE_INVOCATION_EXCEPTION, text.to_owned()))
    }

    /// The chain of an invocation: what led to it, and it. A function that may loop begins a new one where it is as long as chains may be, or what it
    /// does would be refused in its place; what follows from a refused loop keeps the newest.
    pub fn chain(&self, function: &Function, request_id: &str, mut causes: CauseChain) -> CauseChain {
        if function.facts.may_loop && causes.len() >= MAX_CAUSES {
            causes.clear();
        }
        causes.push(format!("lambda:{request_id}:{}", function.arn));
        let over = causes.len().saturating_sub(MAX_CAUSES);
        causes.drain(..over);
        causes
    }

    /// Runs a version once, as soon as one more may run. To its end, whether somebody waits or not.
    ///
    /// # Errors
    /// Why it did not begin.
    pub async fn run(
        self: &Arc<Self>,
        function: Arc<Function>,
        version: Arc<Version>,
        job: Job,
    ) -> Result<(Ended, Report), LambdaError> {
        let core = Arc::clone(self);
        let work = tokio::spawn(async move {
            let reserved = core.maps().reserved(function.account, None);
            let _permit = core.unreserved.admit(&function, reserved)?;
            let ready = core.ready(&function, &version).await?;
            let workers = core.workers.get().ok_or_else(|| unserved("Running functions"))?;
            let (request_id, began) = (job.request_id.clone(), core.clock.now());
            let (ended, report) = workers.invoke(&ready.program, job).await.map_err(no_worker)?;
            let (ended, times) = (within_limit(ended), (began, core.clock.now()));
            core.recents.add(Recent::new(request_id, &function.arn, times, (&ended, &report)));
            Ok((ended, report))
        });
        work.await.map_err(|error| LambdaError::Internal(error.to_string()))?
    }
}

fn no_worker(why: NoWorker) -> LambdaError {
    match why {
        NoWorker::NoSandbox(_) | NoWorker::Interpreter(_) => {
            LambdaError::Of(codes::INVALID_RUNTIME_EXCEPTION, why.to_string())
        }
        NoWorker::Credentials(reason) => {
            LambdaError::Denied(format!("The role defined for the function cannot be assumed by Lambda. ({reason})"))
        }
        NoWorker::Busy => LambdaError::TooMany("ConcurrentInvocationLimitExceeded"),
        NoWorker::Stopping => LambdaError::Stopping,
        NoWorker::Start(_) | NoWorker::NoBootstrap(_) => LambdaError::Internal(why.to_string()),
    }
}

/// An answer that is too large is an error of the function.
fn within_limit(ended: Ended) -> Ended {
    match ended {
        Ended::Answer(answer) if answer.len() > MAX_PAYLOAD => {
            let payload = serde_json::json!({
                "errorMessage": format!("Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."),
                "errorType": "Function.ResponseSizeTooLarge",
            });
            Ended::Failed { payload: payload.to_string().into(), kind: millpond_runtime::Failure::Handler }
        }
        other => other,
    }
}

/// The event that a request brings, which is JSON.
fn event(given: Option<&Bytes>, most: usize) -> Result<Bytes, LambdaError> {
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(Bytes::from_static(NOTHING)) };
    if given.len() > most {
        let text = format!("Request must be smaller than {most} bytes for the InvokeFunction operation");
        return Err(LambdaError::Of(codes::REQUEST_TOO_LARGE_EXCEPTION, text));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(given) {
        Ok(_) => Ok(given.clone()),
        Err(error) => {
            let text = format!("Could not parse request body into json: Could not parse payload into json: {error}");
            Err(LambdaError::Of(codes::INVALID_REQUEST_CONTENT_EXCEPTION, text))
        }
    }
}

/// The context that a client gives its function: JSON, in base64.
fn client_context(given: Option<&str>) -> Result<Option<String>, LambdaError> {
    let Some(given) = given else { return Ok(None) };
    let wrong = || {
        let text = "Client context must be a valid Base64-encoded JSON object.".to_owned();
        LambdaError::Of(codes::INVALID_REQUEST_CONTENT_EXCEPTION, text)
    };
    let text = STANDARD.decode(given).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)?;
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).map_err(|_| wrong())?;
    Ok(Some(text))
}

fn with_id(mut parts: ResponseParts, request_id: &str) -> ResponseParts {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        parts.headers.insert("x-amzn-requestid", id);
    }
    parts
}

/// Invoke.
pub(crate) async fn invoke(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    head: &RequestHead,
    input: &api::InvokeInput,
) -> Result<ResponseParts, Failure> {
    let name = core.name(caller, &input.function_name, input.qualifier.as_deref())?;
    let On { authorized, function, name } = core.on_function::<api::InvokeInput>(caller, name, |r| r).await?;
    for (what, given) in [
        ("X-Amz-Durable-Execution-Name", input.durable_execution_name.is_some()),
        ("X-Amz-Tenant-Id", input.tenant_id.is_some()),
    ] {
        if given {
            return Err(unserved(what).into());
        }
    }
    let missing = || not_found(format!("Function not found: {}", name.arn(core.kernel.region())));
    let version = Arc::clone(core.chosen(&function, &name.qualifier).ok_or_else(missing)?);
    let (mut status, kind) = (200, input.invocation_type.unwrap_or(api::InvocationType::RequestResponse));
    let most = if kind == api::InvocationType::Event { MAX_ASYNC_PAYLOAD } else { MAX_PAYLOAD };
    let payload = event(input.payload.as_ref(), most)?;
    let context = client_context(input.client_context.as_deref())?;
    core.check_loop(&function, caller.causes())?;
    let request_id = uuid(core.new_id());
    match kind {
        api::InvocationType::DryRun => {
            status = 204;
            let output = api::InvokeOutput { status_code: Some(status), ..api::InvokeOutput::default() };
            return Ok(with_id(output.write(), &request_id));
        }
        api::InvocationType::Event => {
            let trace = head.headers.get("x-amzn-trace-id").and_then(|trace| trace.to_str().ok()).map(str::to_owned);
            let asked = Asked { payload, client_context: context, trace };
            let request_id = accept(core, caller, &On { authorized, function, name }, asked).await?;
            let output = api::InvokeOutput { status_code: Some(202), ..api::InvokeOutput::default() };
            return Ok(with_id(output.write(), &request_id));
        }
        api::InvocationType::RequestResponse => {}
    }
    let tail = input.log_type == Some(api::LogType::Tail);
    let executed_version = Some(version.label());
    let job = Job {
        payload,
        invoked_arn: core.asked_arn(&function, &name.qualifier).to_string(),
        trace: head.headers.get("x-amzn-trace-id").and_then(|trace| trace.to_str().ok()).map(str::to_owned),
        client_context: context,
        causes: core.chain(&function, &request_id, caller.causes().clone()),
        tail,
        request_id: request_id.clone(),
    };
    let (ended, report) = core.run(function, version, job).await?;
    let (payload, function_error) = match ended {
        Ended::Answer(payload) => (payload, None),
        Ended::Failed { payload, .. } => (payload, Some("Unhandled".to_owned())),
    };
    let output = api::InvokeOutput {
        status_code: Some(status),
        function_error,
        log_result: tail.then(|| STANDARD.encode(&report.tail)),
        payload: Some(payload),
        executed_version,
        durable_execution_arn: None,
    };
    Ok(with_id(output.write(), &request_id))
}

/// What an invocation that is not waited for brings.
struct Asked {
    payload: Bytes,
    client_context: Option<String>,
    trace: Option<String>,
}

/// Accepts an event; durable when it returns. Its request id.
async fn accept<I: Input>(core: &Core, caller: &Caller, on: &On<I>, asked: Asked) -> Result<String, Failure> {
    let id = core.new_id();
    let event = Event {
        function: &on.function,
        qualifier: &on.name.qualifier,
        payload: asked.payload,
        causes: caller.causes().clone(),
        id,
        time: core.clock.now(),
        client_context: asked.client_context,
        trace: asked.trace,
    };
    let ops = async_invoke::put(core, &event)?;
    core.kv.commit(Batch { conds: vec![on.authorized.pin().cond()], ops, ..Batch::default() }).await?;
    Ok(uuid(id))
}

/// InvokeAsync, as it was before Invoke could do that.
pub(crate) async fn invoke_async(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::InvokeAsyncInput,
    args: &Bytes,
) -> Result<ResponseParts, Failure> {
    let name = core.name(caller, &input.function_name, None)?;
    let on = core.on_function::<api::InvokeAsyncInput>(caller, name, |r| r).await?;
    let payload = event(Some(args), MAX_ASYNC_PAYLOAD)?;
    core.check_loop(&on.function, caller.causes())?;
    let request_id = accept(core, caller, &on, Asked { payload, client_context: None, trace: None }).await?;
    Ok(with_id(api::InvokeAsyncOutput { status: Some(202) }.write(), &request_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json() {
        for (given, expected) in [
            (None, Ok("{}")),
            (Some(""), Ok("{}")),
            (Some("\"x\""), Ok("\"x\"")),
            (Some("{x"), Err("InvalidRequestContentException")),
            (Some("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"), Err("RequestTooLargeException")),
        ] {
            let given = given.map(|text: &str| Bytes::copy_from_slice(text.as_bytes()));
            let event = event(given.as_ref(), 20).map_err(|error| match error {
                LambdaError::Of(def, _) => def.code,
                _ => "other",
            });
            assert_eq!(event, expected.map(|text| Bytes::from_static(text.as_bytes())), "{given:?}");
        }
    }

    #[test]
    fn contexts_are_json_in_base64() {
        assert_eq!(client_context(Some("eyJhIjoxfQ==")).unwrap().as_deref(), Some("{\"a\":1}"));
        for wrong in ["{}", "W10=", "!"] {
            assert!(client_context(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_that_are_too_large_are_errors() {
        let large = within_limit(Ended::Answer(vec![b'1'; MAX_PAYLOAD + 1].into()));
        assert!(matches!(large, Ended::Failed { .. }));
        let fits = Ended::Answer(vec![b'1'; MAX_PAYLOAD].into());
        assert_eq!(within_limit(fits.clone()), fits);
    }
}
