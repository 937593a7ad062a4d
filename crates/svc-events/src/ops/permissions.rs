//! Policies of event buses.

use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::{Caller, DirectoryError};
use millpond_policy::Policy;
use serde_json::{Map, Value, json};

use crate::errors::{EventsError, Failure};
use crate::inputs::{Input, Touched};
use crate::limits::MAX_POLICY;
use crate::model::{Bus, POLICY_KIND};
use crate::names::BusName;
use crate::rows::{BusRow, PolicyRow};
use crate::state::{Core, Draft};

impl Core {
    /// A bus's policy with the ids of whom it names, in the order of their ARNs. Refuses whom there is not, and resources that are another's.
    async fn bus_policy(&self, bus: &Bus, text: &str) -> Result<PolicyRow, EventsError> {
        if text.len() > MAX_POLICY {
            return Err(EventsError::PolicyLength(MAX_POLICY));
        }
        let wrong = |reason: String| EventsError::parameter("Policy", &reason);
        let policy = Policy::parse(text, POLICY_KIND).map_err(|error| wrong(error.to_string()))?;
        let mut ids = Vec::new();
        for arn in policy.principals() {
            let id = match self.kernel.directory() {
                Some(directory) => directory.unique_id(arn).await,
                None => Ok(None),
            };
            match id {
                Ok(Some(id)) => ids.push(id),
                Ok(None) | Err(DirectoryError::Gone) => return Err(wrong(format!("There is no principal {arn}."))),
                Err(DirectoryError::Failed(reason)) => return Err(EventsError::Internal(reason)),
            }
        }
        if let Some(account) = policy.accounts().into_iter().find(|account| !self.knows(*account)) {
            return Err(wrong(format!("There is no account {account}.")));
        }
        let rules = format!("{}/", self.names.rule(&bus.name, "").as_str().trim_end_matches('/'));
        for pattern in policy.statements().iter().filter_map(|one| one.resources.as_ref()).flat_map(|all| &all.patterns)
        {
            let source = pattern.source();
            let fits = source == "*" || source.starts_with(bus.arn.as_str()) || source.starts_with(&rules);
            if !fits {
                return Err(wrong(format!("{source} is neither the event bus nor one of its rules.")));
            }
        }
        Ok(PolicyRow { text: text.to_owned(), ids })
    }

    async fn put_policy(
        &self,
        pin: millpond_kernel::Pin,
        bus: &Arc<Bus>,
        policy: Option<String>,
    ) -> Result<(), Failure> {
        let policy = match policy {
            Some(text) => Some(self.bus_policy(bus, &text).await?),
            None => None,
        };
        let mut draft = Draft::new();
        draft.bus(self, bus, BusRow { policy, modified: self.now().0, ..bus.row() })?;
        draft.policies();
        self.commit(Some(pin), draft).await?;
        Ok(())
    }

    async fn on_policy<I: Input>(
        &self,
        caller: &Caller,
        name: Option<&String>,
    ) -> Result<(millpond_kernel::Pin, Arc<Bus>), EventsError> {
        let pin = self.kernel.epoch().now();
        let account = self.account_of(caller);
        let name = BusName { account, name: name.map_or(crate::names::DEFAULT, String::as_str).to_owned() };
        let touched = Touched::plain(self.names.bus(&name), account);
        let pin = self.decide::<I>(pin, caller, touched).await?.pin();
        let bus = self.bus(&name).ok_or_else(|| EventsError::no_bus(&name.name))?;
        Ok((pin, bus))
    }
}

/// The statements of a bus's policy, as values.
fn statements(bus: &Bus) -> Vec<Value> {
    let text = bus.row().policy.map(|policy| policy.text).unwrap_or_default();
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    match document.get("Statement") {
        Some(Value::Array(list)) => list.clone(),
        Some(one @ Value::Object(_)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

fn document(statements: Vec<Value>) -> Option<String> {
    (!statements.is_empty()).then(|| json!({"Version": "2012-10-17", "Statement": statements}).to_string())
}

/// The statement that the single parameters of PutPermission mean.
fn statement(bus: &Bus, input: &api::PutPermissionInput) -> Result<Value, EventsError> {
    let missing = |name: &str| EventsError::parameter(name, "It is required where no Policy is given.");
    let action = input.action.as_deref().ok_or_else(|| missing("Action"))?;
    if action != "events:PutEvents" {
        return Err(EventsError::parameter("Action", "Provided value in parameter 'action' is not supported."));
    }
    let principal = match input.principal.as_deref().ok_or_else(|| missing("Principal"))? {
        "*" => json!("*"),
        account => json!({"AWS": format!("arn:aws:iam::{account}:root")}),
    };
    let sid = input.statement_id.as_deref().ok_or_else(|| missing("StatementId"))?;
    let mut statement = Map::new();
    statement.insert("Sid".to_owned(), sid.into());
    statement.insert("Effect".to_owned(), "Allow".into());
    statement.insert("Principal".to_owned(), principal);
    statement.insert("Action".to_owned(), action.into());
    statement.insert("Resource".to_owned(), bus.arn.as_str().into());
    if let Some(condition) = &input.condition {
        // API reference, Condition: these values alone.
        if (condition.type_.as_str(), condition.key.as_str()) != ("StringEquals", "aws:PrincipalOrgID") {
            return Err(EventsError::parameter("Condition", "Only StringEquals of aws:PrincipalOrgID is supported."));
        }
        let keys = Map::from_iter([(condition.key.clone(), condition.value.as_str().into())]);
        let condition = Map::from_iter([(condition.type_.clone(), Value::Object(keys))]);
        statement.insert("Condition".to_owned(), condition.into());
    }
    Ok(Value::Object(statement))
}

pub(crate) async fn put(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::PutPermissionInput,
) -> Result<api::PutPermissionOutput, Failure> {
    let (pin, bus) = core.on_policy::<api::PutPermissionInput>(caller, input.event_bus_name.as_ref()).await?;
    let single =
        [input.action.is_some(), input.principal.is_some(), input.statement_id.is_some(), input.condition.is_some()];
    if let Some(policy) = &input.policy {
        if single.contains(&true) {
            let reason = "A policy is given alone, or the other parameters are.";
            return Err(EventsError::parameter("Policy", reason).into());
        }
        core.put_policy(pin, &bus, Some(policy.clone())).await?;
        return Ok(api::PutPermissionOutput {});
    }
    let new = statement(&bus, input)?;
    let mut all = statements(&bus);
    all.retain(|statement| statement.get("Sid") != new.get("Sid"));
    all.push(new);
    core.put_policy(pin, &bus, document(all)).await?;
    Ok(api::PutPermissionOutput {})
}

pub(crate) async fn remove(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::RemovePermissionInput,
) -> Result<api::RemovePermissionOutput, Failure> {
    let (pin, bus) = core.on_policy::<api::RemovePermissionInput>(caller, input.event_bus_name.as_ref()).await?;
    if input.remove_all_permissions == Some(true) {
        core.put_policy(pin, &bus, None).await?;
        return Ok(api::RemovePermissionOutput {});
    }
    let sid = input.statement_id.as_deref();
    let sid = sid.ok_or_else(|| EventsError::parameter("StatementId", "It or RemoveAllPermissions is required."))?;
    let mut all = statements(&bus);
    let before = all.len();
    all.retain(|statement| statement.get("Sid").and_then(Value::as_str) != Some(sid));
    if all.len() == before {
        return Err(EventsError::NotFound("Statement with the provided id does not exist.".to_owned()).into());
    }
    core.put_policy(pin, &bus, document(all)).await?;
    Ok(api::RemovePermissionOutput {})
}
