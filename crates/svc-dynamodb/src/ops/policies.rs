//! Resource policies of tables and streams (Developer Guide, "Using resource-based policies for DynamoDB").

use std::sync::Arc;

use millpond_api_dynamodb::{
    DeleteResourcePolicyInput, DeleteResourcePolicyOutput, GetResourcePolicyInput, GetResourcePolicyOutput,
    PutResourcePolicyInput, PutResourcePolicyOutput,
};
use millpond_kernel::{Authorized, Caller, DirectoryError, Pin, Refusal, Resource};
use millpond_policy::Policy;
use millpond_types::AccountId;

use crate::errors::{DynamoError, Failure, invalid};
use crate::inputs::{Asked, Input, Touch};
use crate::limits;
use crate::model::{self, Table};
use crate::names::{self, Named};
use crate::state::Core;
use crate::stream::known::Stream;
use crate::stream::rows::StreamRow;
use crate::tables::{PolicyRow, TableRow};

/// What stands for no revision, where a policy is put only if there is none.
const NO_POLICY: &str = "NO_POLICY";

impl Core {
    /// Whether an account exists here.
    fn knows(&self, account: AccountId) -> bool {
        let directory = self.kernel.directory();
        account == self.kernel.account() || directory.is_some_and(|directory| directory.account_exists(account))
    }

    /// The unique id of a user or role.
    async fn unique_id(&self, arn: &str) -> Result<Option<String>, DynamoError> {
        let Some(directory) = self.kernel.directory() else { return Ok(None) };
        match directory.unique_id(arn).await {
            Ok(id) => Ok(id),
            Err(DirectoryError::Gone) => Ok(None),
            Err(DirectoryError::Failed(reason)) => Err(DynamoError::Internal(reason)),
        }
    }
}

/// A policy's row, checked, and bound to whom it names. Refuses whom there is not.
pub(crate) async fn row(core: &Core, text: &str) -> Result<PolicyRow, DynamoError> {
    let wrong = |why: &str| invalid(format!("Invalid policy document: {why}"));
    if text.len() > limits::MAX_POLICY {
        return Err(wrong(&format!("it is larger than {} bytes", limits::MAX_POLICY)));
    }
    let policy = Policy::parse(text, model::POLICY).map_err(|error| wrong(&error.to_string()))?;
    let nobody = || wrong("it names a principal that does not exist");
    let mut ids = Vec::new();
    for named in policy.principals() {
        ids.push(core.unique_id(named).await?.ok_or_else(nobody)?);
    }
    if !policy.accounts().into_iter().all(|account| core.knows(account)) {
        return Err(nobody());
    }
    let revision = core.clock.now().millis().to_string();
    Ok(PolicyRow { text: text.to_owned(), ids, revision })
}

/// What has a policy.
enum Holder {
    Table(Arc<Table>),
    Stream(Box<Stream>),
}

impl Holder {
    fn policy(&self) -> Option<&PolicyRow> {
        match self {
            Self::Table(table) => table.row.policy.as_ref(),
            Self::Stream(stream) => stream.row.policy.as_ref(),
        }
    }

    /// As policies see it.
    fn resource(&self) -> Resource {
        match self {
            Self::Table(table) => {
                Resource { policy: table.policy.clone(), ..Resource::new(table.arn.clone(), table.account) }
            }
            Self::Stream(stream) => stream.resource(),
        }
    }

    /// Gives it another policy, or none. `changing` is held.
    async fn set(&self, core: &Core, pin: Pin, policy: Option<PolicyRow>) -> Result<(), Failure> {
        match self {
            Self::Table(table) => {
                let row = TableRow { policy, ..table.row.clone() };
                core.rewrite(Some(pin), table, &row, Vec::new()).await?;
            }
            Self::Stream(stream) => {
                let row = StreamRow { policy, ..stream.row.clone() };
                core.rewrite_stream(pin, stream, &row).await?;
            }
        }
        Ok(())
    }
}

/// Decides about the table or stream of an ARN, and gives it.
async fn on_arn<I: Input>(
    core: &Core,
    caller: &Caller,
    arn: &str,
) -> Result<(Authorized<Asked<I>>, Holder), DynamoError> {
    let pin = core.kernel.epoch().now();
    let (touch, holder) = match names::of_arn(arn, core.kernel.region()) {
        Some(Named::Table(account, name)) => {
            let table = core.tables().named(account, name).cloned();
            let of = names::arn(core.kernel.region(), account, name);
            (Touch::table(I::ACTION, of, account, table.as_ref()), table.map(Holder::Table))
        }
        Some(Named::Stream(account, table, label)) => {
            let stream = core.stream(account, table, label).await?;
            let of = names::stream_arn(core.kernel.region(), account, table, label);
            let resource = stream.as_ref().map_or_else(|| Resource::new(of, account), Stream::resource);
            (Touch::resource(I::ACTION, resource), stream.map(|stream| Holder::Stream(Box::new(stream))))
        }
        _ => return Err(invalid(format!("Invalid ResourceArn: {arn}"))),
    };
    let authorized = core.decide::<I>(pin, caller, vec![touch], Vec::new()).await?;
    let missing = || DynamoError::NotFound(format!("Requested resource not found: ResourceArn: {arn} not found"));
    Ok((authorized, holder.ok_or_else(missing)?))
}

fn none(arn: &str) -> DynamoError {
    DynamoError::NoPolicy(format!("Resource-based policy not found for the provided ResourceArn: {arn}"))
}

/// Checks that the policy that is there is the one that a client has seen.
fn check_revision(holder: &Holder, expected: Option<&String>, arn: &str) -> Result<(), DynamoError> {
    let now = holder.policy().map(|policy| policy.revision.as_str());
    match expected.map(String::as_str) {
        None => Ok(()),
        Some(NO_POLICY) if now.is_none() => Ok(()),
        Some(expected) if now == Some(expected) => Ok(()),
        Some(_) => Err(none(arn)),
    }
}

pub(crate) async fn put(
    core: &Core,
    caller: &Caller,
    input: &PutResourcePolicyInput,
) -> Result<PutResourcePolicyOutput, Failure> {
    let arn = &input.resource_arn;
    let (authorized, holder) = on_arn::<PutResourcePolicyInput>(core, caller, arn).await?;
    let new = row(core, &input.policy).await?;
    check_revision(&holder, input.expected_revision_id.as_ref(), arn)?;
    if let Some(now) = holder.policy().filter(|now| now.text == new.text) {
        // The same again is no change.
        return Ok(PutResourcePolicyOutput { revision_id: Some(now.revision.clone()) });
    }
    if input.confirm_remove_self_resource_access != Some(true) {
        let resource = holder.resource();
        let policy = model::policy(&resource.arn, &new.text, &new.ids).map_err(invalid)?;
        let resource = Resource { policy: Some(policy), ..resource };
        let touch = Touch::resource("dynamodb:PutResourcePolicy", resource);
        let asked = Asked::<PutResourcePolicyInput>::new(vec![touch], Vec::new());
        if let Err(Refusal::Denied(_)) = core.kernel.would_allow(caller, &asked).await {
            let text = "The policy would not allow its maker to change it any more. Set ConfirmRemoveSelfResourceAccess to confirm that.";
            return Err(invalid(text).into());
        }
    }
    let revision_id = Some(new.revision.clone());
    holder.set(core, authorized.pin(), Some(new)).await?;
    Ok(PutResourcePolicyOutput { revision_id })
}

pub(crate) async fn get(
    core: &Core,
    caller: &Caller,
    input: &GetResourcePolicyInput,
) -> Result<GetResourcePolicyOutput, Failure> {
    let (_, holder) = on_arn::<GetResourcePolicyInput>(core, caller, &input.resource_arn).await?;
    let policy = holder.policy().ok_or_else(|| none(&input.resource_arn))?;
    Ok(GetResourcePolicyOutput { policy: Some(policy.text.clone()), revision_id: Some(policy.revision.clone()) })
}

pub(crate) async fn delete(
    core: &Core,
    caller: &Caller,
    input: &DeleteResourcePolicyInput,
) -> Result<DeleteResourcePolicyOutput, Failure> {
    let arn = &input.resource_arn;
    let (authorized, holder) = on_arn::<DeleteResourcePolicyInput>(core, caller, arn).await?;
    check_revision(&holder, input.expected_revision_id.as_ref(), arn)?;
    let Some(policy) = holder.policy() else { return Ok(DeleteResourcePolicyOutput { revision_id: None }) };
    let revision_id = Some(policy.revision.clone());
    holder.set(core, authorized.pin(), None).await?;
    Ok(DeleteResourcePolicyOutput { revision_id })
}
