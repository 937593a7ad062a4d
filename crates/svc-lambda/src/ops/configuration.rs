//! The configuration of the version that can be changed.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::{Caller, ContextValue, PassRole, Rejection, Resource};
use millpond_types::Arn;

use crate::errors::{Failure, LambdaError, not_found, other_revision, parameter};
use crate::inputs::Input;
use crate::limits::MAX_LAYERS;
use crate::model::Function;
use crate::names::{LayerName, uuid};
use crate::resolved::Resolved;
use crate::settings::settings;
use crate::shown::configuration;
use crate::state::{Core, Draft, On, PRINCIPAL};
use crate::tables::{LayerUse, VersionRow};
use crate::zip::MAX_UNZIPPED;

/// Whether the caller may pass a role to this service, and the service may assume it.
pub(crate) async fn check_role(core: &Core, caller: &Caller, function: &Arn, role: &str) -> Result<(), Failure> {
    let wrong = || parameter(format!("{role} is not the ARN of a role."));
    let pass = PassRole::new(role, PRINCIPAL, Some(function.clone())).ok_or_else(wrong)?;
    if function.account() != Some(pass.owner.as_str()) {
        return Err(LambdaError::Denied("Cross-account pass role is not allowed.".to_owned()).into());
    }
    let owner = pass.owner;
    core.kernel.authorize(caller, pass).await?;
    match core.assume(function, owner, role, "check", Vec::new()).await {
        Ok(_) => Ok(()),
        Err(Rejection::Failed(reason)) => Err(LambdaError::Internal(reason).into()),
        Err(_) => Err(parameter("The role defined for the function cannot be assumed by Lambda.").into()),
    }
}

/// Layers as a request names them.
pub(crate) fn named_layers(core: &Core, arns: &[String]) -> Result<Vec<(LayerName, u64)>, LambdaError> {
    arns.iter().map(|arn| LayerName::version(arn, core.kernel.region())).collect()
}

impl<I: Input> Resolved<I> {
    /// With the layers that a function is to have: they are read as the caller.
    pub fn with_layers(mut self, core: &Core, layers: &[(LayerName, u64)]) -> Self {
        let mut arns = Vec::new();
        for (name, number) in layers {
            let policy = core.maps().layer_version(name, *number).and_then(|layer| layer.policy.clone());
            let arn = name.version_arn(core.kernel.region(), *number);
            arns.push(arn.to_string());
            self = self.also("lambda:GetLayerVersion", Resource { policy, ..Resource::new(arn, name.account) });
        }
        if arns.is_empty() { self } else { self.key("lambda:Layer", ContextValue::Many(arns)) }
    }
}

/// The layers of a function, by their ARNs.
pub(crate) fn layers_of(core: &Core, row: &VersionRow, arns: &[String]) -> Result<Vec<LayerUse>, LambdaError> {
    if arns.len() > MAX_LAYERS {
        return Err(parameter(format!("Cannot reference more than {MAX_LAYERS} layers.")));
    }
    let mut uses: Vec<LayerUse> = Vec::new();
    let mut names = Vec::new();
    let mut total = row.code.unzipped;
    for arn in arns {
        let (name, number) = LayerName::version(arn, core.kernel.region())?;
        let found = core.maps().layer_version(&name, number).cloned();
        let found = found.ok_or_else(|| parameter(format!("Layer version {arn} does not exist.")))?;
        if names.contains(&name) {
            return Err(parameter(format!(
                "Two different versions of the same layer are not allowed to be referenced in the same function. {arn}"
            )));
        }
        names.push(name);
        total += found.row.code.unzipped;
        uses.push(LayerUse { arn: arn.clone(), code: found.row.code.clone() });
    }
    if total > MAX_UNZIPPED {
        return Err(parameter(format!(
            "Function code combined with layers exceeds the maximum allowed size of {MAX_UNZIPPED} bytes. The actual size is {total} bytes."
        )));
    }
    Ok(uses)
}

/// Refuses a revision id that is not the version's.
pub(crate) fn same_revision(function: &Function, given: Option<&str>) -> Result<(), LambdaError> {
    match given {
        Some(given) if given != uuid(function.latest.revision()?) => Err(other_revision("GetFunction/GetAlias")),
        _ => Ok(()),
    }
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::UpdateFunctionConfigurationInput,
) -> Result<api::UpdateFunctionConfigurationOutput, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let layers = named_layers(core, input.layers.as_deref().unwrap_or_default())?;
    let On { authorized, function, .. } = core
        .on_function::<api::UpdateFunctionConfigurationInput>(caller, name, |r| r.with_layers(core, &layers))
        .await?;
    same_revision(&function, input.revision_id.as_deref())?;
    let others = [
        ("CapacityProviderConfig", input.capacity_provider_config.is_some()),
        ("DurableConfig", input.durable_config.is_some()),
        ("RuntimeConfig", input.runtime_config.is_some()),
        ("AcceleratorConfig", input.accelerator_config.is_some()),
    ];
    let mut row = function.facts.latest.clone();
    settings!(input, input.runtime, input.role.as_deref(), &others).apply(core, function.id, &mut row)?;
    if let Some(layers) = &input.layers {
        row.layers = layers_of(core, &row, layers)?;
    }
    if input.role.is_some() {
        check_role(core, caller, &function.arn, &row.role).await?;
    }
    if input.dead_letter_config.is_some() {
        core.check_dead_letters(&function.arn, &row).await?;
    }
    (row.revision, row.modified) = (core.new_revision(), core.now().0);
    let next = replace(&function, row)?;
    let shown = core.configuration(&next, &next.latest, &next.arn)?;
    let mut draft = Draft::on(&function);
    draft.retires(function.latest.revision()?);
    draft.function(next);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(configuration!(UpdateFunctionConfigurationOutput, shown))
}

/// The function with another version that can be changed.
pub(crate) fn replace(function: &Function, latest: VersionRow) -> Result<Function, LambdaError> {
    let mut next = Function::clone(function);
    next.set(crate::tables::FunctionRow { latest, ..function.facts.clone() });
    Ok(next)
}

/// Nothing is managed about runtimes: every function runs on the interpreter that there is.
pub(crate) async fn runtime_management(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetRuntimeManagementConfigInput,
) -> Result<api::GetRuntimeManagementConfigOutput, Failure> {
    let name = core.name(caller, &input.function_name, input.qualifier.as_deref())?;
    let On { function, name, .. } =
        core.on_function::<api::GetRuntimeManagementConfigInput>(caller, name, |r| r).await?;
    let version = super::functions::version_of(core, &function, &name)?;
    let arn = if version.number == 0 {
        core.asked_arn(&function, &crate::names::Qualifier::Latest)
    } else {
        core.version_arn(&function, version)
    };
    Ok(api::GetRuntimeManagementConfigOutput {
        update_runtime_on: Some(api::UpdateRuntimeOn::Auto),
        function_arn: Some(arn.to_string()),
        runtime_version_arn: None,
    })
}

/// Code is never signed here: as AWS answers for a function without a configuration of it.
pub(crate) async fn code_signing(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetFunctionCodeSigningConfigInput,
) -> Result<millpond_wire::ResponseParts, Failure> {
    let name = core.whole_name(caller, &input.function_name)?;
    let On { function, .. } = core.on_function::<api::GetFunctionCodeSigningConfigInput>(caller, name, |r| r).await?;
    let mut parts = millpond_wire::ResponseParts::new(200);
    let body = serde_json::json!({"FunctionName": function.name});
    parts.set_body("application/json", body.to_string());
    Ok(parts)
}

/// A function, whose version a qualifier names, or that there is none.
pub(crate) fn missing(what: &str) -> LambdaError {
    not_found(format!("The resource you requested does not exist: {what}"))
}
