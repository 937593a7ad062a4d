//! Layers: archives that functions have beside their code, in versions that never change.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::{Authorized, Caller, Pin, Resource};
use millpond_meta::{Cond, Op};

use super::configuration::missing;
use crate::errors::{Failure, LambdaError, not_found, parameter};
use crate::inputs::Input;
use crate::limits::MAX_LAYER_NAMES;
use crate::model::{Layer, LayerVersion};
use crate::names::LayerName;
use crate::paging;
use crate::program::language;
use crate::resolved::Resolved;
use crate::settings::no_runtime;
use crate::shown::{digest, size, time};
use crate::state::{Core, Draft};
use crate::tables::{self, LayerRow, LayerVersionRow};
use crate::upload::{Source, Stored};

impl Core {
    fn layer_name(&self, caller: &Caller, text: &str) -> Result<LayerName, LambdaError> {
        LayerName::parse(text, self.account_of(caller), self.kernel.region())
    }

    /// A version of a layer, for an operation on it; it may be missing.
    pub async fn on_layer_version<I: Input>(
        &self,
        caller: &Caller,
        name: &LayerName,
        number: u64,
    ) -> Result<(Authorized<Resolved<I>>, Option<Arc<LayerVersion>>), LambdaError> {
        let pin = self.kernel.epoch().now();
        let found = self.maps().layer_version(name, number).cloned();
        let arn = name.version_arn(self.kernel.region(), number);
        let policy = found.as_ref().and_then(|found| found.policy.clone());
        let resource = Resource { policy, ..Resource::new(arn, name.account) };
        Ok((self.decide(pin, caller, Resolved::<I>::on(resource)).await?, found))
    }

    async fn on_layer<I: Input>(&self, caller: &Caller, name: &LayerName) -> Result<Pin, LambdaError> {
        let pin = self.kernel.epoch().now();
        let resource = Resource::new(name.arn(self.kernel.region()), name.account);
        self.decide(pin, caller, Resolved::<I>::on(resource)).await?;
        Ok(pin)
    }
}

/// The number of a version in a path.
pub(crate) fn number(given: i64) -> Result<u64, LambdaError> {
    let number = u64::try_from(given).ok().filter(|number| *number > 0);
    number.ok_or_else(|| parameter("Layer Version Cannot be less than 1."))
}

/// A version of a layer as the output of an operation.
macro_rules! shown {
    ($core:ident, $output:ident, $name:ident, $number:ident, $version:ident) => {{
        let row = &$version.row;
        let region = $core.kernel.region();
        api::$output {
            content: Some(api::LayerVersionContentOutput {
                location: Some($core.link(&row.code)?),
                code_sha256: Some(digest(&row.code)),
                code_size: size(&row.code),
                ..api::LayerVersionContentOutput::default()
            }),
            layer_arn: Some($name.arn(region).to_string()),
            layer_version_arn: Some($name.version_arn(region, $number).to_string()),
            description: Some(row.description.clone()),
            created_date: Some(time(row.created)),
            version: i64::try_from($number).ok(),
            compatible_architectures: architectures(row),
            compatible_runtimes: runtimes(row),
            license_info: license(row),
        }
    }};
}

async fn may_publish(
    core: &Core,
    caller: &Caller,
    input: &api::PublishLayerVersionInput,
) -> Result<(LayerName, Pin), LambdaError> {
    let name = core.layer_name(caller, &input.layer_name)?;
    let pin = core.on_layer::<api::PublishLayerVersionInput>(caller, &name).await?;
    if name.account != core.account_of(caller) {
        return Err(parameter("A layer of another account cannot be published."));
    }
    for runtime in input.compatible_runtimes.iter().flatten() {
        language(runtime.as_str()).ok_or_else(|| no_runtime(runtime.as_str()))?;
    }
    let layers = core.maps().layers.get(&name.account).map_or(0, |layers| layers.len());
    if core.maps().layer(&name).is_none() && layers >= MAX_LAYER_NAMES {
        let text = format!("An account has at most {MAX_LAYER_NAMES} layers.");
        return Err(LambdaError::Of(api::errors::CODE_STORAGE_EXCEEDED_EXCEPTION, text));
    }
    Ok((name, pin))
}

/// Takes the code of a version that may be published.
pub(crate) async fn prepare(
    core: &Core,
    caller: &Arc<Caller>,
    input: &api::PublishLayerVersionInput,
) -> Result<Stored, LambdaError> {
    may_publish(core, caller, input).await?;
    let content = &input.content;
    let source = Source {
        zip: content.zip_file.as_ref(),
        bucket: content.s3_bucket.as_deref(),
        key: content.s3_key.as_deref(),
        version: content.s3_object_version.as_deref(),
        mode: content.s3_object_storage_mode,
        ..Source::default()
    };
    core.take(caller, source, "PublishLayerVersion").await
}

/// Publishes code that was taken in.
pub(crate) async fn publish(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::PublishLayerVersionInput,
    code: &Stored,
) -> Result<api::PublishLayerVersionOutput, Failure> {
    let (name, pin) = may_publish(core, caller, input).await?;
    let before = core.maps().layer(&name).cloned();
    let mut layer = before.as_deref().cloned().unwrap_or_default();
    let key = tables::layer(name.account, &name.name);
    let mut draft = Draft::default();
    draft.conds.push(match &before {
        Some(before) => Cond::Equals(key.clone(), tables::encode(&LayerRow { published: before.published })),
        None => Cond::Absent(key.clone()),
    });
    layer.published += 1;
    let number = layer.published;
    let texts = |list: &Option<Vec<api::Runtime>>| list.iter().flatten().map(|one| one.as_str().to_owned()).collect();
    let row = LayerVersionRow {
        description: input.description.clone().unwrap_or_default(),
        code: code.row.clone(),
        runtimes: texts(&input.compatible_runtimes),
        architectures: input.compatible_architectures.iter().flatten().map(|one| one.as_str().to_owned()).collect(),
        license: input.license_info.clone().unwrap_or_default(),
        created: core.now().0,
        policy: None,
    };
    draft.ops.push(Op::Put(key, tables::encode(&LayerRow { published: number })));
    draft.ops.push(Op::Put(tables::layer_version(name.account, &name.name, number), tables::encode(&row)));
    let version = LayerVersion::of(core.kernel.region(), &name, number, row)?;
    let output = shown!(core, PublishLayerVersionOutput, name, number, version);
    layer.versions.insert(number, Arc::new(version));
    draft.layer(name, layer);
    core.commit(Some(pin), draft).await?;
    Ok(output)
}

fn runtimes(row: &LayerVersionRow) -> Option<Vec<api::Runtime>> {
    let all: Vec<_> = row.runtimes.iter().filter_map(|name| api::Runtime::parse(name)).collect();
    (!all.is_empty()).then_some(all)
}

fn architectures(row: &LayerVersionRow) -> Option<Vec<api::Architecture>> {
    let all: Vec<_> = row.architectures.iter().filter_map(|name| api::Architecture::parse(name)).collect();
    (!all.is_empty()).then_some(all)
}

fn license(row: &LayerVersionRow) -> Option<String> {
    Some(row.license.clone()).filter(|license| !license.is_empty())
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetLayerVersionInput,
) -> Result<api::GetLayerVersionOutput, Failure> {
    let (name, number) = (core.layer_name(caller, &input.layer_name)?, number(input.version_number)?);
    let (_, found) = core.on_layer_version::<api::GetLayerVersionInput>(caller, &name, number).await?;
    let version = found.ok_or_else(|| missing("the version of the layer"))?;
    Ok(shown!(core, GetLayerVersionOutput, name, number, version))
}

pub(crate) async fn get_by_arn(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetLayerVersionByArnInput,
) -> Result<api::GetLayerVersionByArnOutput, Failure> {
    let (name, number) = LayerName::version(&input.arn, core.kernel.region())?;
    let (_, found) = core.on_layer_version::<api::GetLayerVersionByArnInput>(caller, &name, number).await?;
    let version = found.ok_or_else(|| missing("the version of the layer"))?;
    Ok(shown!(core, GetLayerVersionByArnOutput, name, number, version))
}

/// Deletes a version. Functions that use it keep its code. One that is not there is fine.
pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::DeleteLayerVersionInput,
) -> Result<api::DeleteLayerVersionOutput, Failure> {
    let (name, number) = (core.layer_name(caller, &input.layer_name)?, number(input.version_number)?);
    let (authorized, found) = core.on_layer_version::<api::DeleteLayerVersionInput>(caller, &name, number).await?;
    let layer = core.maps().layer(&name).cloned();
    let (Some(found), Some(layer)) = (found, layer) else { return Ok(api::DeleteLayerVersionOutput {}) };
    let mut draft = Draft::default();
    let key = tables::layer_version(name.account, &name.name, number);
    draft.conds.push(Cond::Equals(key.clone(), tables::encode(&found.row)));
    draft.ops.push(Op::Delete(key));
    let mut layer = Layer::clone(&layer);
    layer.versions.remove(&number);
    draft.changes_policies();
    draft.layer(name, layer);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::DeleteLayerVersionOutput {})
}

/// What a list is to have.
struct Wanted(Option<api::Runtime>, Option<api::Architecture>);

impl Wanted {
    fn fits(&self, version: &LayerVersion) -> bool {
        let row = &version.row;
        // A version that names none fits every one.
        let has = |list: &[String], wanted: Option<&str>| {
            wanted.is_none_or(|wanted| list.is_empty() || list.iter().any(|one| one == wanted))
        };
        has(&row.runtimes, self.0.map(|runtime| runtime.as_str()))
            && has(&row.architectures, self.1.map(|architecture| architecture.as_str()))
    }
}

fn item(core: &Core, name: &LayerName, number: u64, version: &LayerVersion) -> api::LayerVersionsListItem {
    let row = &version.row;
    api::LayerVersionsListItem {
        layer_version_arn: Some(name.version_arn(core.kernel.region(), number).to_string()),
        version: i64::try_from(number).ok(),
        description: Some(row.description.clone()),
        created_date: Some(time(row.created)),
        compatible_architectures: architectures(row),
        compatible_runtimes: runtimes(row),
        license_info: license(row),
    }
}

/// The layers of the caller's account, each with the newest version that fits.
pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListLayersInput,
) -> Result<api::ListLayersOutput, Failure> {
    let account = core.account_of(caller);
    let pin = core.kernel.epoch().now();
    core.decide(pin, caller, Resolved::<api::ListLayersInput>::on_service(account)).await?;
    let wanted = Wanted(input.compatible_runtime, input.compatible_architecture);
    let mut found = Vec::new();
    for (name, layer) in core.maps().layers.get(&account).into_iter().flatten() {
        let newest = layer.versions.iter().rev().find(|(_, version)| wanted.fits(version));
        if let Some((number, version)) = newest {
            let layer = LayerName { account, name: name.clone() };
            let shown = api::LayersListItem {
                layer_name: Some(name.clone()),
                layer_arn: Some(layer.arn(core.kernel.region()).to_string()),
                latest_matching_version: Some(item(core, &layer, *number, version)),
            };
            found.push((name.clone(), shown));
        }
    }
    let (layers, next_marker) = paging::by_name(found.into_iter(), input.marker.as_deref(), input.max_items)?;
    Ok(api::ListLayersOutput { next_marker, layers: Some(layers) })
}

/// The versions of a layer, the newest first.
pub(crate) async fn list_versions(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListLayerVersionsInput,
) -> Result<api::ListLayerVersionsOutput, Failure> {
    let name = core.layer_name(caller, &input.layer_name)?;
    core.on_layer::<api::ListLayerVersionsInput>(caller, &name).await?;
    let layer = core.maps().layer(&name).cloned();
    let wanted = Wanted(input.compatible_runtime, input.compatible_architecture);
    let versions = layer.iter().flat_map(|layer| layer.versions.iter().rev());
    let fitting = versions.filter(|(_, version)| wanted.fits(version));
    let all = fitting.map(|(number, version)| (std::cmp::Reverse(*number), item(core, &name, *number, version)));
    let parse = |text: &str| text.parse().ok().map(std::cmp::Reverse);
    let show = |number: &std::cmp::Reverse<u64>| number.0.to_string();
    let (versions, next_marker) = paging::page(all, input.marker.as_deref(), input.max_items, parse, show)?;
    Ok(api::ListLayerVersionsOutput { next_marker, layer_versions: Some(versions) })
}

/// A version of a layer that an operation changes.
pub(crate) struct OnVersion<I> {
    pub authorized: Authorized<Resolved<I>>,
    pub name: LayerName,
    pub number: u64,
    pub version: Arc<LayerVersion>,
}

/// A version of a layer that must be there.
pub(crate) async fn on<I: Input>(
    core: &Core,
    caller: &Caller,
    layer: &str,
    given: i64,
) -> Result<OnVersion<I>, LambdaError> {
    let (name, number) = (core.layer_name(caller, layer)?, number(given)?);
    let (authorized, found) = core.on_layer_version::<I>(caller, &name, number).await?;
    let arn = name.version_arn(core.kernel.region(), number);
    let version = found.ok_or_else(|| not_found(format!("Layer version {arn} does not exist.")))?;
    Ok(OnVersion { authorized, name, number, version })
}

/// Puts another row of a version.
pub(crate) fn put<I>(core: &Core, on: &OnVersion<I>, row: LayerVersionRow) -> Result<Draft, LambdaError> {
    let key = tables::layer_version(on.name.account, &on.name.name, on.number);
    let mut draft = Draft::default();
    draft.conds.push(Cond::Equals(key.clone(), tables::encode(&on.version.row)));
    draft.ops.push(Op::Put(key, tables::encode(&row)));
    let layer = core.maps().layer(&on.name).cloned();
    let mut layer = layer.as_deref().cloned().unwrap_or_default();
    layer.versions.insert(on.number, Arc::new(LayerVersion::of(core.kernel.region(), &on.name, on.number, row)?));
    draft.changes_policies();
    draft.layer(on.name.clone(), layer);
    Ok(draft)
}
