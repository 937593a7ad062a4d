//! Prepared statements: by the API, and as statements themselves (`PREPARE`, `EXECUTE`, `DEALLOCATE PREPARE`).

use std::sync::Arc;

use bytes::Bytes;
use millpond_api_athena as api;
use millpond_kernel::{Caller, Pin, paging};
use millpond_meta::{Cond, Key, Op};
use millpond_types::{AccountId, Timestamp};

use super::named::check;
use crate::errors::{AthenaError, Failure, invalid};
use crate::inputs::Touch;
use crate::limits::{MAX_LISTED, MAX_PREPARED};
use crate::sealed;
use crate::state::{Core, Group, decode, no_group};
use crate::tables::{self, PreparedRow};

/// Characters of a name (API reference, `StatementName`).
const MAX_NAME: usize = 256;

/// A prepared statement as it was read.
struct Prepared {
    key: Key,
    row: PreparedRow,
    raw: Bytes,
}

impl Prepared {
    fn id(&self) -> u128 {
        <[u8; 16]>::try_from(self.row.id.as_slice()).map(u128::from_be_bytes).unwrap_or_default()
    }

    fn unchanged(&self) -> Cond {
        Cond::Equals(self.key.clone(), self.raw.clone())
    }
}

fn missing(name: &str, group: &str) -> AthenaError {
    AthenaError::NotFound(format!("PreparedStatement {name} was not found in workGroup {group}"))
}

async fn found(core: &Core, account: AccountId, group: &str, name: &str) -> Result<Option<Prepared>, AthenaError> {
    let key = tables::prepared(account, group, name);
    Ok(match core.kv.get(&key).await? {
        Some(raw) => Some(Prepared { row: decode(&raw)?, key, raw }),
        None => None,
    })
}

/// Changes of a new prepared statement, or one that takes another's place.
fn put(
    core: &Core,
    key: Key,
    statement: &str,
    description: Option<String>,
    before: Option<&Prepared>,
) -> Result<Vec<Op>, AthenaError> {
    check(statement)?;
    let id = core.random.u128();
    let (statement, mut ops) = core.seal(id, "prepared", statement.as_bytes())?;
    ops.extend(before.map(|before| sealed::removed(&before.row.statement)).unwrap_or_default());
    let (modified, id) = (core.clock.now().0, id.to_be_bytes().to_vec());
    ops.push(Op::Put(key, tables::encode(&PreparedRow { description, modified, statement, id })));
    Ok(ops)
}

async fn check_room(core: &Core, account: AccountId, group: &str) -> Result<(), AthenaError> {
    let prefix = tables::of_group(tables::PREPARED, account, group);
    let (rows, _) = core.listed(prefix, None, MAX_PREPARED).await?;
    if rows.len() >= MAX_PREPARED {
        return invalid(format!("A work group has at most {MAX_PREPARED} prepared statements."));
    }
    Ok(())
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::CreatePreparedStatementInput,
) -> Result<api::CreatePreparedStatementOutput, Failure> {
    let (group, pin) = core.authorize_group(caller, account, input, &input.work_group).await?;
    let group = group.ok_or_else(no_group)?;
    let name = &input.statement_name;
    if found(core, account, &group.name, name).await?.is_some() {
        return Ok(invalid(format!("PreparedStatement {name} already exists in workGroup {}", group.name))?);
    }
    check_room(core, account, &group.name).await?;
    let key = tables::prepared(account, &group.name, name);
    let ops = put(core, key.clone(), &input.query_statement, input.description.clone(), None)?;
    core.commit(pin, vec![group.unchanged(), Cond::Absent(key)], ops, false).await?;
    Ok(api::CreatePreparedStatementOutput {})
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::UpdatePreparedStatementInput,
) -> Result<api::UpdatePreparedStatementOutput, Failure> {
    let (group, pin) = core.authorize_group(caller, account, input, &input.work_group).await?;
    let group = group.ok_or_else(no_group)?;
    let (name, statement) = (&input.statement_name, &input.query_statement);
    let before = found(core, account, &group.name, name).await?.ok_or_else(|| missing(name, &group.name))?;
    let description = input.description.clone().or(before.row.description.clone());
    let ops = put(core, before.key.clone(), statement, description, Some(&before))?;
    core.commit(pin, vec![before.unchanged()], ops, false).await?;
    Ok(api::UpdatePreparedStatementOutput {})
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::DeletePreparedStatementInput,
) -> Result<api::DeletePreparedStatementOutput, Failure> {
    let (group, pin) = core.authorize_group(caller, account, input, &input.work_group).await?;
    let group = group.ok_or_else(no_group)?;
    remove(core, account, pin, &group, &input.statement_name).await?;
    Ok(api::DeletePreparedStatementOutput {})
}

async fn remove(core: &Core, account: AccountId, pin: Pin, group: &Group, name: &str) -> Result<(), Failure> {
    let before = found(core, account, &group.name, name).await?.ok_or_else(|| missing(name, &group.name))?;
    let mut ops = sealed::removed(&before.row.statement);
    ops.push(Op::Delete(before.key.clone()));
    core.commit(pin, vec![before.unchanged()], ops, true).await
}

async fn shown(core: &Core, group: &str, name: &str, found: &Prepared) -> Result<api::PreparedStatement, AthenaError> {
    Ok(api::PreparedStatement {
        statement_name: Some(name.to_owned()),
        query_statement: Some(core.unseal_text(found.id(), "prepared", &found.row.statement).await?),
        work_group_name: Some(group.to_owned()),
        description: found.row.description.clone(),
        last_modified_time: Some(Timestamp(found.row.modified)),
    })
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetPreparedStatementInput,
) -> Result<api::GetPreparedStatementOutput, Failure> {
    let (group, _) = core.authorize_group(caller, account, input, &input.work_group).await?;
    let (group, name) = (group.ok_or_else(no_group)?, &input.statement_name);
    let found = found(core, account, &group.name, name).await?.ok_or_else(|| missing(name, &group.name))?;
    Ok(api::GetPreparedStatementOutput { prepared_statement: Some(shown(core, &group.name, name, &found).await?) })
}

pub(crate) async fn batch_get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::BatchGetPreparedStatementInput,
) -> Result<api::BatchGetPreparedStatementOutput, Failure> {
    let (group, _) = core.authorize_group(caller, account, input, &input.work_group).await?;
    let group = group.ok_or_else(no_group)?.name;
    let (mut statements, mut unprocessed) = (Vec::new(), Vec::new());
    for name in &input.prepared_statement_names {
        match found(core, account, &group, name).await? {
            Some(found) => statements.push(shown(core, &group, name, &found).await?),
            None => unprocessed.push(api::UnprocessedPreparedStatementName {
                statement_name: Some(name.clone()),
                error_code: Some("STATEMENT_NOT_FOUND".to_owned()),
                error_message: Some(missing(name, &group).to_string()),
            }),
        }
    }
    Ok(api::BatchGetPreparedStatementOutput {
        prepared_statements: Some(statements),
        unprocessed_prepared_statement_names: Some(unprocessed),
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListPreparedStatementsInput,
) -> Result<api::ListPreparedStatementsOutput, Failure> {
    let (group, _) = core.authorize_group(caller, account, input, &input.work_group).await?;
    let group = group.ok_or_else(no_group)?;
    let prefix = tables::of_group(tables::PREPARED, account, &group.name);
    let limit = paging::limit(input.max_results, MAX_LISTED);
    let (rows, next_token) = core.listed(prefix, input.next_token.as_deref(), limit).await?;
    let mut statements = Vec::with_capacity(rows.len());
    for (key, raw) in rows {
        let row: PreparedRow = decode(&raw)?;
        statements.push(api::PreparedStatementSummary {
            statement_name: Some(tables::prepared_name(&key)?),
            last_modified_time: Some(Timestamp(row.modified)),
        });
    }
    Ok(api::ListPreparedStatementsOutput { prepared_statements: Some(statements), next_token })
}

impl Core {
    /// Decides about a statement that is about prepared ones.
    async fn may(
        &self,
        caller: &Caller,
        account: AccountId,
        group: &str,
        action: &'static str,
    ) -> Result<(Group, Pin), AthenaError> {
        let group = self.group(account, group).await?.ok_or_else(no_group)?;
        let on = self.on_group(account, &group.name, Some(&group.row.tags));
        let pin = self.authorize(caller, Touch::by(action, account, vec![on])).await?;
        Ok((group, pin))
    }

    /// `PREPARE`, which takes the place of one of that name.
    pub async fn prepare(
        &self,
        caller: &Caller,
        account: AccountId,
        group: &str,
        name: &str,
        statement: &str,
    ) -> Result<(), AthenaError> {
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
        let goes_on = |c: char| c.is_ascii_alphanumeric() || "_@:".contains(c);
        if name.len() > MAX_NAME || !name.starts_with(begins) || !name.chars().all(goes_on) {
            return invalid(format!("{name} is no name of a prepared statement: letters, digits, _, @ and :."));
        }
        self.kernel.again(|| self.prepare_once(caller, account, group, name, statement)).await
    }

    async fn prepare_once(
        &self,
        caller: &Caller,
        account: AccountId,
        group: &str,
        name: &str,
        statement: &str,
    ) -> Result<(), Failure> {
        let (group, pin) = self.may(caller, account, group, "athena:CreatePreparedStatement").await?;
        let key = tables::prepared(account, &group.name, name);
        let before = found(self, account, &group.name, name).await?;
        let stands = match &before {
            Some(before) => before.unchanged(),
            None => {
                check_room(self, account, &group.name).await?;
                Cond::Absent(key.clone())
            }
        };
        let ops = put(self, key, statement, None, before.as_ref())?;
        self.commit(pin, vec![group.unchanged(), stands], ops, false).await
    }

    /// `DEALLOCATE PREPARE`.
    pub async fn deallocate(
        &self,
        caller: &Caller,
        account: AccountId,
        group: &str,
        name: &str,
    ) -> Result<(), AthenaError> {
        self.kernel.again(|| self.deallocate_once(caller, account, group, name)).await
    }

    async fn deallocate_once(
        &self,
        caller: &Caller,
        account: AccountId,
        group: &str,
        name: &str,
    ) -> Result<(), Failure> {
        let (group, pin) = self.may(caller, account, group, "athena:DeletePreparedStatement").await?;
        remove(self, account, pin, &group, name).await
    }

    /// The text of a prepared statement, for `EXECUTE`.
    pub async fn prepared_text(
        &self,
        caller: &Caller,
        account: AccountId,
        group: &str,
        name: &str,
    ) -> Result<Option<String>, AthenaError> {
        let (group, _) = self.may(caller, account, group, "athena:GetPreparedStatement").await?;
        match found(self, account, &group.name, name).await? {
            Some(found) => Ok(Some(self.unseal_text(found.id(), "prepared", &found.row.statement).await?)),
            None => Ok(None),
        }
    }
}
