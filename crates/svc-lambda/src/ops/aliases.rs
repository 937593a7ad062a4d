//! Aliases: names for versions, which may share their invocations between two of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::Caller;
use millpond_meta::Op;

use crate::errors::{Failure, LambdaError, conflict, not_found, other_revision, parameter};
use crate::inputs::Input;
use crate::limits::MAX_ALIASES;
use crate::model::{Function, version_label};
use crate::names::{self, LATEST, Qualifier, id_of, uuid};
use crate::paging;
use crate::state::{Core, Draft, On};
use crate::tables::{self, AliasRow};

/// A function, and the name of one of its aliases, whether it is there or not. Permissions are about the function.
async fn on<I: Input>(
    core: &Core,
    caller: &Caller,
    function: &str,
    alias: &str,
) -> Result<(On<I>, String), LambdaError> {
    if alias.bytes().all(|b| b.is_ascii_digit()) {
        let text = format!(
            "Value '{alias}' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"
        );
        return Err(LambdaError::Validation(text));
    }
    let name = core.whole_name(caller, function)?;
    let on = core.on_function::<I>(caller, name, |r| r).await?;
    let arn = names::function_arn(core.kernel.region(), on.function.account, &on.function.name, Some(alias));
    Ok((on, arn.to_string()))
}

/// A version by its label.
fn number(core: &Core, function: &Function, label: &str) -> Result<u64, LambdaError> {
    let number = if label == LATEST { Some(0) } else { label.parse().ok().filter(|number| *number > 0) };
    let found = number.filter(|number| function.version(*number).is_some());
    found.ok_or_else(|| {
        let arn = names::function_arn(core.kernel.region(), function.account, &function.name, Some(label));
        not_found(format!("Function not found: {arn}"))
    })
}

/// Sets which other version takes some of the invocations.
fn route(
    core: &Core,
    function: &Function,
    row: &mut AliasRow,
    config: Option<&api::AliasRoutingConfiguration>,
) -> Result<(), LambdaError> {
    if let Some(config) = config {
        let weights = config.additional_version_weights.clone().unwrap_or_default();
        (row.other, row.weight) = (0, 0.0);
        if weights.len() > 1 {
            return Err(parameter("Number of items in AdditionalVersionWeights cannot be greater than 1"));
        }
        if let Some((label, weight)) = weights.first_key_value() {
            if !(0.0..=1.0).contains(weight) {
                let text = "Value for additionalVersionWeights must be between 0.0 and 1.0".to_owned();
                return Err(LambdaError::Validation(text));
            }
            (row.other, row.weight) = (number(core, function, label)?, *weight);
        }
    }
    if row.other == 0 {
        return Ok(());
    }
    if row.version == 0 {
        return Err(parameter("$LATEST is not supported for an alias pointing to more than 1 version"));
    }
    if row.version == row.other {
        let text = format!(
            "Invalid function version {}. Function version {0} is already included in routing configuration.",
            row.other
        );
        return Err(parameter(text));
    }
    Ok(())
}

fn shown(arn: String, name: &str, row: &AliasRow) -> Result<api::AliasConfiguration, LambdaError> {
    let weights = || BTreeMap::from([(version_label(row.other), row.weight)]);
    let routing =
        (row.other > 0).then(|| api::AliasRoutingConfiguration { additional_version_weights: Some(weights()) });
    Ok(api::AliasConfiguration {
        alias_arn: Some(arn),
        name: Some(name.to_owned()),
        function_version: Some(version_label(row.version)),
        description: Some(row.description.clone()),
        routing_config: routing,
        revision_id: Some(uuid(id_of(&row.revision)?)),
    })
}

macro_rules! alias {
    ($output:ident, $shown:expr) => {{
        let shown: api::AliasConfiguration = $shown;
        api::$output {
            alias_arn: shown.alias_arn,
            name: shown.name,
            function_version: shown.function_version,
            description: shown.description,
            routing_config: shown.routing_config,
            revision_id: shown.revision_id,
        }
    }};
}

fn put(function: &Function, name: &str, row: AliasRow) -> Draft {
    let mut draft = Draft::on(function);
    draft.ops.push(Op::Put(tables::part(tables::ALIASES, function.id, name), tables::encode(&row)));
    let mut next = Function::clone(function);
    next.aliases.insert(name.to_owned(), Arc::new(row));
    next.set(function.facts.clone());
    draft.function(next);
    draft
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::CreateAliasInput,
) -> Result<api::CreateAliasOutput, Failure> {
    let (On { authorized, function, .. }, arn) =
        on::<api::CreateAliasInput>(core, caller, &input.function_name, &input.name).await?;
    if function.aliases.contains_key(&input.name) {
        return Err(conflict(format!("Alias already exists: {arn}")).into());
    }
    if function.aliases.len() >= MAX_ALIASES {
        let text = format!("A function has at most {MAX_ALIASES} aliases.");
        return Err(LambdaError::Of(api::errors::ALIAS_LIMIT_EXCEEDED_EXCEPTION, text).into());
    }
    let mut row = AliasRow {
        version: number(core, &function, &input.function_version)?,
        description: input.description.clone().unwrap_or_default(),
        revision: core.new_revision(),
        ..AliasRow::default()
    };
    route(core, &function, &mut row, input.routing_config.as_ref())?;
    let answer = alias!(CreateAliasOutput, shown(arn, &input.name, &row)?);
    core.commit(Some(authorized.pin()), put(&function, &input.name, row)).await?;
    Ok(answer)
}

fn found<'a>(function: &'a Function, name: &str, arn: &str) -> Result<&'a Arc<AliasRow>, LambdaError> {
    function.aliases.get(name).ok_or_else(|| not_found(format!("Cannot find alias arn: {arn}")))
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::UpdateAliasInput,
) -> Result<api::UpdateAliasOutput, Failure> {
    let (On { authorized, function, .. }, arn) =
        on::<api::UpdateAliasInput>(core, caller, &input.function_name, &input.name).await?;
    let mut row = AliasRow::clone(found(&function, &input.name, &arn)?);
    if input.revision_id.as_ref().is_some_and(|given| !id_of(&row.revision).is_ok_and(|id| uuid(id) == *given)) {
        return Err(other_revision("GetFunction/GetAlias").into());
    }
    if let Some(label) = &input.function_version {
        row.version = number(core, &function, label)?;
    }
    if let Some(description) = &input.description {
        row.description.clone_from(description);
    }
    route(core, &function, &mut row, input.routing_config.as_ref())?;
    row.revision = core.new_revision();
    let answer = alias!(UpdateAliasOutput, shown(arn, &input.name, &row)?);
    core.commit(Some(authorized.pin()), put(&function, &input.name, row)).await?;
    Ok(answer)
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetAliasInput,
) -> Result<api::GetAliasOutput, Failure> {
    let (On { function, .. }, arn) = on::<api::GetAliasInput>(core, caller, &input.function_name, &input.name).await?;
    let row = found(&function, &input.name, &arn)?;
    Ok(alias!(GetAliasOutput, shown(arn, &input.name, row)?))
}

/// Deletes an alias, with its policy and configuration. One that is not there is fine.
pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::DeleteAliasInput,
) -> Result<api::DeleteAliasOutput, Failure> {
    let (On { authorized, function, .. }, _) =
        on::<api::DeleteAliasInput>(core, caller, &input.function_name, &input.name).await?;
    let mut next = Function::clone(&function);
    if next.aliases.remove(&input.name).is_none() {
        return Ok(api::DeleteAliasOutput {});
    }
    let mut draft = Draft::on(&function);
    for table in [tables::ALIASES, tables::POLICIES, tables::INVOKE_CONFIGS] {
        draft.ops.push(Op::Delete(tables::part(table, function.id, &input.name)));
    }
    next.policies.remove(&input.name);
    next.configs.remove(&input.name);
    next.set(function.facts.clone());
    draft.changes_policies();
    draft.function(next);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::DeleteAliasOutput {})
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListAliasesInput,
) -> Result<api::ListAliasesOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { function, .. } = core.on_function::<api::ListAliasesInput>(caller, name, |r| r).await?;
    let wanted = input.function_version.as_ref();
    let points = |row: &AliasRow| {
        wanted.is_none_or(|wanted| {
            version_label(row.version) == *wanted || (row.other > 0 && version_label(row.other) == *wanted)
        })
    };
    let all = function.aliases.iter().filter(|(_, row)| points(row)).map(|(name, row)| (name.clone(), (name, row)));
    let (page, next_marker) = paging::by_name(all, input.marker.as_deref(), input.max_items)?;
    let arn = |name: &str| core.asked_arn(&function, &Qualifier::Alias(name.to_owned())).to_string();
    let aliases = page.into_iter().map(|(name, row)| shown(arn(name), name, row));
    Ok(api::ListAliasesOutput { next_marker, aliases: Some(aliases.collect::<Result<_, LambdaError>>()?) })
}
