//! Functions as a whole: made, shown, listed, deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::{Caller, Pin, Resource};
use millpond_meta::{Cond, Op};
use millpond_types::Arn;

use super::configuration::{check_role, layers_of, named_layers};
use crate::errors::{Failure, LambdaError, conflict, not_found, parameter, unserved};
use crate::limits::{MAX_FUNCTIONS, MAX_TAGS, USUAL_MEMORY, USUAL_TIMEOUT, USUAL_TMP};
use crate::model::{Function, Version, version_label};
use crate::names::{FunctionName, LATEST, Qualifier};
use crate::paging;
use crate::resolved::Resolved;
use crate::settings::{architecture, settings};
use crate::shown::configuration;
use crate::state::{Core, Draft, On};
use crate::tables::{self, FunctionRow, VersionRow};
use crate::upload::{Source, Stored};

/// The name that a function is made under.
fn new_name(core: &Core, caller: &Caller, input: &api::CreateFunctionInput) -> Result<FunctionName, LambdaError> {
    let name = core.name(caller, &input.function_name, None)?;
    if name.account != core.account_of(caller) || name.qualifier != Qualifier::None {
        return Err(parameter("The function's name must be one of the caller's account, without a qualifier."));
    }
    Ok(name)
}

/// Decides about making a function, whose layers are read as well.
async fn may_create(core: &Core, caller: &Caller, input: &api::CreateFunctionInput) -> Result<Pin, LambdaError> {
    let pin = core.kernel.epoch().now();
    let name = new_name(core, caller, input)?;
    let resource = Resource::new(name.arn(core.kernel.region()), name.account);
    let tags = input.tags.clone().unwrap_or_default();
    let resolved = Resolved::<api::CreateFunctionInput>::on(resource).request_tags(&tags);
    let layers = named_layers(core, input.layers.as_deref().unwrap_or_default())?;
    core.decide(pin, caller, resolved.with_layers(core, &layers)).await?;
    Ok(pin)
}

/// What is refused before code is looked at.
fn checked(input: &api::CreateFunctionInput) -> Result<(), LambdaError> {
    if input.package_type == Some(api::PackageType::Image) {
        return Err(unserved("PackageType Image"));
    }
    if input.runtime.is_none() || input.handler.is_none() {
        return Err(parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    check_tags(&input.tags.clone().unwrap_or_default())?;
    architecture(input.architectures.as_deref()).map(drop)
}

/// Takes the code of a function that may be made.
pub(crate) async fn prepare(
    core: &Core,
    caller: &Arc<Caller>,
    input: &api::CreateFunctionInput,
) -> Result<Stored, LambdaError> {
    may_create(core, caller, input).await?;
    checked(input)?;
    let name = new_name(core, caller, input)?;
    if core.find(&name).is_some() {
        return Err(conflict(format!("Function already exist: {}", name.name)));
    }
    let code = &input.code;
    let source = Source {
        zip: code.zip_file.as_ref(),
        bucket: code.s3_bucket.as_deref(),
        key: code.s3_key.as_deref(),
        version: code.s3_object_version.as_deref(),
        mode: code.s3_object_storage_mode,
        image: code.image_uri.as_deref(),
        kms_key: code.source_kms_key_arn.as_deref(),
    };
    core.take(caller, source, "CreateFunction").await
}

/// Makes a function of code that was taken in.
pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::CreateFunctionInput,
    code: &Stored,
) -> Result<api::CreateFunctionOutput, Failure> {
    let pin = may_create(core, caller, input).await?;
    checked(input)?;
    let name = new_name(core, caller, input)?;
    if core.find(&name).is_some() {
        return Err(conflict(format!("Function already exist: {}", name.name)).into());
    }
    if core.maps().of(name.account).count() >= MAX_FUNCTIONS {
        let text = format!("An account has at most {MAX_FUNCTIONS} functions.");
        return Err(LambdaError::Of(api::errors::CODE_STORAGE_EXCEEDED_EXCEPTION, text).into());
    }
    let id = core.new_id();
    let others = [
        ("CodeSigningConfigArn", input.code_signing_config_arn.is_some()),
        ("TenancyConfig", input.tenancy_config.is_some()),
        ("CapacityProviderConfig", input.capacity_provider_config.is_some()),
        ("DurableConfig", input.durable_config.is_some()),
        ("RuntimeConfig", input.runtime_config.is_some()),
        ("AcceleratorConfig", input.accelerator_config.is_some()),
        ("PublishTo", input.publish_to.is_some()),
    ];
    let mut row = VersionRow {
        revision: core.new_revision(),
        timeout: USUAL_TIMEOUT,
        memory: USUAL_MEMORY,
        tmp: USUAL_TMP,
        code: code.row.clone(),
        modified: core.now().0,
        architecture: architecture(input.architectures.as_deref())?,
        ..VersionRow::default()
    };
    settings!(input, input.runtime, Some(input.role.as_str()), &others).apply(core, id, &mut row)?;
    row.layers = layers_of(core, &row, input.layers.as_deref().unwrap_or_default())?;
    let arn = name.arn(core.kernel.region());
    check_role(core, caller, &arn, &row.role).await?;
    core.check_dead_letters(&arn, &row).await?;
    let tags = input.tags.clone().unwrap_or_default();
    let facts = FunctionRow { id: id.to_be_bytes().to_vec(), latest: row, tags, ..FunctionRow::default() };
    let mut function = Function::of(core.kernel.region(), name.account, name.name.clone(), tables::encode(&facts))?;
    let mut draft = Draft::default();
    draft.conds.push(Cond::Absent(tables::function(name.account, &name.name)));
    let shown = if input.publish == Some(true) {
        let published = super::versions::publish(core, &mut function, &mut draft, None)?;
        core.configuration(&function, &published, &core.version_arn(&function, &published))?
    } else {
        core.configuration(&function, &function.latest, &function.arn)?
    };
    draft.function(function);
    core.commit(Some(pin), draft).await?;
    Ok(configuration!(CreateFunctionOutput, shown))
}

/// The version that a qualifier means, or that there is none.
pub(crate) fn version_of<'a>(
    core: &Core,
    function: &'a Function,
    name: &FunctionName,
) -> Result<&'a Arc<Version>, LambdaError> {
    let missing = || not_found(format!("Function not found: {}", name.arn(core.kernel.region())));
    function.meant(&name.qualifier).ok_or_else(missing)
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetFunctionInput,
) -> Result<api::GetFunctionOutput, Failure> {
    let name = core.name(caller, &input.function_name, input.qualifier.as_deref())?;
    let On { function, name, .. } = core.on_function::<api::GetFunctionInput>(caller, name, |r| r).await?;
    let version = version_of(core, &function, &name)?;
    let arn = core.asked_arn(&function, &name.qualifier);
    let tags = &function.facts.tags;
    let reserved = function.facts.reserved.and_then(|reserved| i32::try_from(reserved).ok());
    Ok(api::GetFunctionOutput {
        configuration: Some(core.configuration(&function, version, &arn)?),
        code: Some(api::FunctionCodeLocation {
            repository_type: Some("S3".to_owned()),
            location: Some(core.link(&version.row.code)?),
            ..api::FunctionCodeLocation::default()
        }),
        tags: (!tags.is_empty()).then(|| tags.clone()),
        tags_error: None,
        concurrency: reserved.map(|reserved| api::Concurrency { reserved_concurrent_executions: Some(reserved) }),
    })
}

pub(crate) async fn get_configuration(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetFunctionConfigurationInput,
) -> Result<api::GetFunctionConfigurationOutput, Failure> {
    let name = core.name(caller, &input.function_name, input.qualifier.as_deref())?;
    let On { function, name, .. } = core.on_function::<api::GetFunctionConfigurationInput>(caller, name, |r| r).await?;
    let version = version_of(core, &function, &name)?;
    let shown = core.configuration(&function, version, &core.asked_arn(&function, &name.qualifier))?;
    Ok(configuration!(GetFunctionConfigurationOutput, shown))
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListFunctionsInput,
) -> Result<api::ListFunctionsOutput, Failure> {
    let account = core.account_of(caller);
    let pin = core.kernel.epoch().now();
    core.decide(pin, caller, Resolved::<api::ListFunctionsInput>::on_service(account)).await?;
    if input.master_region.as_deref().is_some_and(|region| region != "ALL" && region != core.kernel.region().as_str()) {
        return Ok(api::ListFunctionsOutput { next_marker: None, functions: Some(Vec::new()) });
    }
    // Names have no colon, so that each function's versions stand together.
    let mut found: BTreeMap<(String, u64), (Arc<Function>, Arc<Version>)> = BTreeMap::new();
    for function in core.maps().of(account) {
        let mut add = |version: &Arc<Version>| {
            let key = (function.name.clone(), version.number);
            found.insert(key, (Arc::clone(function), Arc::clone(version)));
        };
        match input.function_version {
            Some(api::FunctionVersion::All) => function.all_versions().for_each(add),
            None => add(&function.latest),
        }
    }
    let parse = |text: &str| {
        let (name, number) = text.rsplit_once(':')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    let show = |(name, number): &(String, u64)| format!("{name}:{number}");
    let all = found.into_iter();
    let (page, next_marker) = paging::page(all, input.marker.as_deref(), input.max_items, parse, show)?;
    let all = input.function_version.is_some();
    let mut functions = Vec::new();
    for (function, version) in page {
        let arn: Arn = if all && version.number == 0 {
            core.asked_arn(&function, &Qualifier::Latest)
        } else {
            core.version_arn(&function, &version)
        };
        functions.push(core.configuration(&function, &version, &arn)?);
    }
    Ok(api::ListFunctionsOutput { next_marker, functions: Some(functions) })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::DeleteFunctionInput,
) -> Result<api::DeleteFunctionOutput, Failure> {
    let name = core.name(caller, &input.function_name, input.qualifier.as_deref())?;
    let On { authorized, function, name } = core.on_function::<api::DeleteFunctionInput>(caller, name, |r| r).await?;
    let mut draft = Draft::on(&function);
    match &name.qualifier {
        Qualifier::None => {
            draft.no_function(&function);
            draft.changes_policies();
            remove_parts(&function, &mut draft);
        }
        Qualifier::Version(number) => {
            let Some(version) = function.versions.get(number) else {
                return Err(not_found(format!("Function not found: {}", name.arn(core.kernel.region()))).into());
            };
            let used = function.aliases.iter().find(|(_, alias)| [alias.version, alias.other].contains(number));
            if let Some((alias, _)) = used {
                let text = format!("Version {number} cannot be deleted: the alias {alias} points at it.");
                return Err(conflict(text).into());
            }
            draft.ops.push(Op::Delete(tables::version(function.id, *number)));
            draft.retires(version.revision()?);
            let mut next = Function::clone(&function);
            next.versions.remove(number);
            let label = version_label(*number);
            for (table, had) in [
                (tables::POLICIES, next.policies.remove(&label).is_some()),
                (tables::INVOKE_CONFIGS, next.configs.remove(&label).is_some()),
            ] {
                if had {
                    draft.ops.push(Op::Delete(tables::part(table, function.id, &label)));
                }
            }
            draft.changes_policies();
            next.set(function.facts.clone());
            draft.function(next);
        }
        Qualifier::Latest => {
            return Err(parameter(format!("{LATEST} version cannot be deleted without deleting the function.")).into());
        }
        Qualifier::Alias(alias) => {
            let text = format!(
                "Deleting the alias {alias} with the operation DeleteFunction is not permitted. Use DeleteAlias."
            );
            return Err(parameter(text).into());
        }
    }
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::DeleteFunctionOutput { status_code: Some(204) })
}

/// Removes what belongs to a function. Of one with very many versions, what does not fit into the commit goes at the next start.
fn remove_parts(function: &Function, draft: &mut Draft) {
    /// Rows that one commit removes.
    const TOGETHER: usize = 5_000;
    let mut keys = Vec::new();
    for version in function.all_versions() {
        if let Ok(program) = version.revision() {
            draft.retires(program);
        }
        if version.number > 0 {
            keys.push(tables::version(function.id, version.number));
        }
    }
    keys.extend(function.aliases.keys().map(|name| tables::part(tables::ALIASES, function.id, name)));
    keys.extend(function.policies.keys().map(|name| tables::part(tables::POLICIES, function.id, name)));
    keys.extend(function.configs.keys().map(|name| tables::part(tables::INVOKE_CONFIGS, function.id, name)));
    draft.ops.extend(keys.into_iter().take(TOGETHER).map(Op::Delete));
}

/// Tags that can be.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), LambdaError> {
    if tags.keys().any(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(parameter("Tag keys that begin with aws: are reserved."));
    }
    if let Some((key, _)) =
        tags.iter().find(|(key, value)| key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256)
    {
        return Err(parameter(format!("The tag {key} is too long: keys have 1 to 128 characters, values up to 256.")));
    }
    if tags.len() > MAX_TAGS {
        return Err(parameter(format!("A function has at most {MAX_TAGS} tags.")));
    }
    Ok(())
}
