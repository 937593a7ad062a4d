//! Named queries: statements that are kept in a work group.

use std::sync::Arc;

use bytes::Bytes;
use millpond_api_athena as api;
use millpond_kernel::{Caller, Pin, paging};
use millpond_meta::{Cond, Key, Op};
use millpond_types::AccountId;

use super::executions::authorize_groups;
use crate::errors::{AthenaError, Failure, invalid};
use crate::inputs::{Input, Touch};
use crate::limits::{MAX_LISTED, MAX_STATEMENT_BYTES};
use crate::sealed;
use crate::state::{Core, PRIMARY, decode, id_of, no_group, uuid};
use crate::tables::{self, NamedRow};
use crate::tokens::Token;

/// A named query as it was read.
struct Named {
    id: u128,
    key: Key,
    row: NamedRow,
    raw: Bytes,
}

fn missing(id: &str) -> AthenaError {
    AthenaError::Invalid(format!("NamedQuery {id} was not found"))
}

/// A statement that is kept.
pub(crate) fn check(statement: &str) -> Result<(), AthenaError> {
    if statement.len() > MAX_STATEMENT_BYTES {
        return invalid(format!("The query string has more than {MAX_STATEMENT_BYTES} bytes in UTF-8."));
    }
    Ok(())
}

async fn found(core: &Core, account: AccountId, id: &str) -> Result<Option<Named>, AthenaError> {
    let Some(id) = id_of(id) else { return Ok(None) };
    let key = tables::named(account, id);
    Ok(match core.kv.get(&key).await? {
        Some(raw) => Some(Named { id, key, row: decode(&raw)?, raw }),
        None => None,
    })
}

async fn touched<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    id: &str,
) -> Result<(Named, Pin), AthenaError> {
    let named = found(core, account, id).await?;
    let name = named.as_ref().map_or("*", |named| named.row.group.as_str());
    let group = if named.is_some() { core.any_group(account, name).await? } else { None };
    let on = core.on_group(account, name, group.as_ref().map(|group| &group.row.tags));
    let pin = core.authorize(caller, Touch::new(input, account, vec![on])).await?;
    Ok((named.ok_or_else(|| missing(id))?, pin))
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::CreateNamedQueryInput,
) -> Result<api::CreateNamedQueryOutput, Failure> {
    let name = input.work_group.as_deref().unwrap_or(PRIMARY);
    let (group, pin) = core.authorize_group(caller, account, input, name).await?;
    let token = match core.token(account, input, input.client_request_token.as_deref()).await? {
        Token::Known(id) => return Ok(api::CreateNamedQueryOutput { named_query_id: Some(id) }),
        Token::New(token) => token,
    };
    let group = group.ok_or_else(no_group)?;
    check(&input.query_string)?;
    let id = core.new_id();
    let (statement, mut ops) = core.seal(id, "named", input.query_string.as_bytes())?;
    let row = NamedRow {
        name: input.name.clone(),
        description: input.description.clone(),
        database: input.database.clone(),
        group: group.name.clone(),
        statement,
    };
    ops.push(Op::Put(tables::named(account, id), tables::encode(&row)));
    ops.push(Op::Put(tables::named_of(account, name, id), Bytes::new()));
    let mut conds = vec![group.unchanged()];
    core.keep_token(token, &uuid(id), &mut conds, &mut ops);
    core.commit(pin, conds, ops, false).await?;
    Ok(api::CreateNamedQueryOutput { named_query_id: Some(uuid(id)) })
}

async fn shown(core: &Core, named: &Named) -> Result<api::NamedQuery, AthenaError> {
    Ok(api::NamedQuery {
        name: named.row.name.clone(),
        description: named.row.description.clone(),
        database: named.row.database.clone(),
        query_string: core.unseal_text(named.id, "named", &named.row.statement).await?,
        named_query_id: Some(uuid(named.id)),
        work_group: Some(named.row.group.clone()),
    })
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetNamedQueryInput,
) -> Result<api::GetNamedQueryOutput, Failure> {
    let (named, _) = touched(core, caller, account, input, &input.named_query_id).await?;
    Ok(api::GetNamedQueryOutput { named_query: Some(shown(core, &named).await?) })
}

pub(crate) async fn batch_get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::BatchGetNamedQueryInput,
) -> Result<api::BatchGetNamedQueryOutput, Failure> {
    let (mut all, mut unprocessed) = (Vec::new(), Vec::new());
    for id in &input.named_query_ids {
        match found(core, account, id).await? {
            Some(named) => all.push(named),
            None => unprocessed.push(api::UnprocessedNamedQueryId {
                named_query_id: Some(id.clone()),
                error_code: Some("INVALID_INPUT".to_owned()),
                error_message: Some(missing(id).to_string()),
            }),
        }
    }
    authorize_groups(core, caller, account, input, all.iter().map(|named| named.row.group.as_str())).await?;
    let mut queries = Vec::with_capacity(all.len());
    for named in &all {
        queries.push(shown(core, named).await?);
    }
    Ok(api::BatchGetNamedQueryOutput { named_queries: Some(queries), unprocessed_named_query_ids: Some(unprocessed) })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::UpdateNamedQueryInput,
) -> Result<api::UpdateNamedQueryOutput, Failure> {
    let (named, pin) = touched(core, caller, account, input, &input.named_query_id).await?;
    check(&input.query_string)?;
    let (statement, sealed) = core.seal(named.id, "named", input.query_string.as_bytes())?;
    let mut ops = sealed::removed(&named.row.statement);
    ops.extend(sealed);
    let row = NamedRow {
        name: input.name.clone(),
        description: input.description.clone().or(named.row.description),
        statement,
        ..named.row
    };
    ops.push(Op::Put(named.key.clone(), tables::encode(&row)));
    core.commit(pin, vec![Cond::Equals(named.key, named.raw)], ops, false).await?;
    Ok(api::UpdateNamedQueryOutput {})
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::DeleteNamedQueryInput,
) -> Result<api::DeleteNamedQueryOutput, Failure> {
    let (named, pin) = touched(core, caller, account, input, &input.named_query_id).await?;
    let mut ops = sealed::removed(&named.row.statement);
    ops.push(Op::Delete(tables::named_of(account, &named.row.group, named.id)));
    ops.push(Op::Delete(named.key.clone()));
    core.commit(pin, vec![Cond::Equals(named.key, named.raw)], ops, true).await?;
    Ok(api::DeleteNamedQueryOutput {})
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListNamedQueriesInput,
) -> Result<api::ListNamedQueriesOutput, Failure> {
    let name = input.work_group.as_deref().unwrap_or(PRIMARY);
    let (group, _) = core.authorize_group(caller, account, input, name).await?;
    group.ok_or_else(no_group)?;
    let (prefix, limit) =
        (tables::of_group(tables::NAMED_OF, account, name), paging::limit(input.max_results, MAX_LISTED));
    let (rows, next_token) = core.listed(prefix, input.next_token.as_deref(), limit).await?;
    let ids: Result<Vec<_>, _> = rows.iter().map(|(key, _)| tables::last_id(key).map(uuid)).collect();
    Ok(api::ListNamedQueriesOutput { named_query_ids: Some(ids?), next_token })
}
