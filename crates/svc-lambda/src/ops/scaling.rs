//! How many invocations run at once, whether a function may be part of a loop, and what the account may have.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::Caller;

use crate::errors::{Failure, parameter};
use crate::limits::{MAX_CODE_STORAGE, MAX_CONCURRENT, MAX_ZIP, MIN_UNRESERVED};
use crate::model::Function;
use crate::resolved::Resolved;
use crate::state::{Core, Draft, On};
use crate::tables::FunctionRow;
use crate::zip::MAX_UNZIPPED;

fn put(function: &Function, facts: FunctionRow) -> Draft {
    let mut draft = Draft::on(function);
    let mut next = Function::clone(function);
    next.set(facts);
    draft.function(next);
    draft
}

pub(crate) async fn reserve(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::PutFunctionConcurrencyInput,
) -> Result<api::PutFunctionConcurrencyOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { authorized, function, .. } =
        core.on_function::<api::PutFunctionConcurrencyInput>(caller, name, |r| r).await?;
    let wanted = u32::try_from(input.reserved_concurrent_executions).unwrap_or_default();
    let others = core.maps().reserved(function.account, Some(&function.name));
    if others.saturating_add(wanted) > MAX_CONCURRENT - MIN_UNRESERVED {
        return Err(parameter(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{MIN_UNRESERVED}]."
        ))
        .into());
    }
    let facts = FunctionRow { reserved: Some(wanted), ..function.facts.clone() };
    core.commit(Some(authorized.pin()), put(&function, facts)).await?;
    Ok(api::PutFunctionConcurrencyOutput { reserved_concurrent_executions: Some(input.reserved_concurrent_executions) })
}

pub(crate) async fn get_reserved(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetFunctionConcurrencyInput,
) -> Result<api::GetFunctionConcurrencyOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { function, .. } = core.on_function::<api::GetFunctionConcurrencyInput>(caller, name, |r| r).await?;
    let reserved = function.facts.reserved.and_then(|reserved| i32::try_from(reserved).ok());
    Ok(api::GetFunctionConcurrencyOutput { reserved_concurrent_executions: reserved })
}

pub(crate) async fn unreserve(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::DeleteFunctionConcurrencyInput,
) -> Result<api::DeleteFunctionConcurrencyOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { authorized, function, .. } =
        core.on_function::<api::DeleteFunctionConcurrencyInput>(caller, name, |r| r).await?;
    let facts = FunctionRow { reserved: None, ..function.facts.clone() };
    core.commit(Some(authorized.pin()), put(&function, facts)).await?;
    Ok(api::DeleteFunctionConcurrencyOutput {})
}

fn recursion(may_loop: bool) -> api::RecursiveLoop {
    if may_loop { api::RecursiveLoop::Allow } else { api::RecursiveLoop::Terminate }
}

pub(crate) async fn put_recursion(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::PutFunctionRecursionConfigInput,
) -> Result<api::PutFunctionRecursionConfigOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { authorized, function, .. } =
        core.on_function::<api::PutFunctionRecursionConfigInput>(caller, name, |r| r).await?;
    let may_loop = input.recursive_loop == api::RecursiveLoop::Allow;
    let facts = FunctionRow { may_loop, ..function.facts.clone() };
    core.commit(Some(authorized.pin()), put(&function, facts)).await?;
    Ok(api::PutFunctionRecursionConfigOutput { recursive_loop: Some(recursion(may_loop)) })
}

pub(crate) async fn get_recursion(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetFunctionRecursionConfigInput,
) -> Result<api::GetFunctionRecursionConfigOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { function, .. } = core.on_function::<api::GetFunctionRecursionConfigInput>(caller, name, |r| r).await?;
    Ok(api::GetFunctionRecursionConfigOutput { recursive_loop: Some(recursion(function.facts.may_loop)) })
}

/// What the account may have, and has.
pub(crate) async fn account(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    _: &api::GetAccountSettingsInput,
) -> Result<api::GetAccountSettingsOutput, Failure> {
    let account = core.account_of(caller);
    let pin = core.kernel.epoch().now();
    core.decide(pin, caller, Resolved::<api::GetAccountSettingsInput>::on_service(account)).await?;
    let maps = core.maps();
    let unreserved = MAX_CONCURRENT.saturating_sub(maps.reserved(account, None));
    Ok(api::GetAccountSettingsOutput {
        account_limit: Some(api::AccountLimit {
            total_code_size: i64::try_from(MAX_CODE_STORAGE).ok(),
            code_size_unzipped: i64::try_from(MAX_UNZIPPED).ok(),
            code_size_zipped: i64::try_from(MAX_ZIP).ok(),
            concurrent_executions: i32::try_from(MAX_CONCURRENT).ok(),
            unreserved_concurrent_executions: i32::try_from(unreserved).ok(),
        }),
        account_usage: Some(api::AccountUsage {
            total_code_size: i64::try_from(maps.code_bytes(account)).ok(),
            function_count: i64::try_from(maps.of(account).count()).ok(),
        }),
    })
}
