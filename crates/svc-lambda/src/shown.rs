//! How functions are shown.

use millpond_api_lambda as api;
use millpond_types::{Arn, Timestamp};
use millpond_wire::push_iso8601;

use crate::errors::LambdaError;
use crate::model::{Function, Version};
use crate::names::{self, Qualifier, uuid};
use crate::state::Core;
use crate::tables::CodeRow;

/// A time as Lambda writes it: `2027-01-15T08:00:00.000+0000`.
pub(crate) fn time(nanos: u64) -> String {
    let mut text = String::new();
    push_iso8601(&mut text, Timestamp(nanos), true);
    text.replace('Z', "+0000")
}

/// A digest as Lambda writes it: base64.
pub(crate) fn digest(code: &CodeRow) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(&code.sha256)
}

pub(crate) fn size(code: &CodeRow) -> Option<i64> {
    i64::try_from(code.size).ok()
}

fn number(number: u32) -> Option<i32> {
    i32::try_from(number).ok()
}

impl Core {
    /// A version's configuration. `arn` is the one by which it was asked for.
    pub fn configuration(
        &self,
        function: &Function,
        version: &Version,
        arn: &Arn,
    ) -> Result<api::FunctionConfiguration, LambdaError> {
        let row = &version.row;
        let variables = self.environment(function.id, row)?;
        let environment = Some(api::EnvironmentResponse { variables: Some(variables), error: None });
        let layer = |layer: &crate::tables::LayerUse| api::Layer {
            arn: Some(layer.arn.clone()),
            code_size: size(&layer.code),
            ..api::Layer::default()
        };
        let log_group = crate::program::log_group(&function.name, row);
        Ok(api::FunctionConfiguration {
            function_name: Some(function.name.clone()),
            function_arn: Some(arn.to_string()),
            runtime: api::Runtime::parse(&row.runtime),
            role: Some(row.role.clone()),
            handler: Some(row.handler.clone()),
            code_size: size(&row.code),
            description: Some(row.description.clone()),
            timeout: number(row.timeout),
            memory_size: number(row.memory),
            last_modified: Some(time(row.modified)),
            code_sha256: Some(digest(&row.code)),
            version: Some(version.label()),
            dead_letter_config: row
                .dead_letters
                .clone()
                .map(|target_arn| api::DeadLetterConfig { target_arn: Some(target_arn) }),
            environment: environment.filter(|_| !row.env.is_empty()),
            tracing_config: Some(api::TracingConfigResponse { mode: Some(api::TracingMode::PassThrough) }),
            revision_id: Some(uuid(version.revision()?)),
            layers: (!row.layers.is_empty()).then(|| row.layers.iter().map(layer).collect()),
            // A change is done when it is answered: code is unpacked and checked before it is committed.
            state: Some(api::State::Active),
            last_update_status: Some(api::LastUpdateStatus::Successful),
            package_type: Some(api::PackageType::Zip),
            architectures: api::Architecture::parse(&row.architecture).map(|one| vec![one]),
            ephemeral_storage: Some(api::EphemeralStorage { size: number(row.tmp).unwrap_or_default() }),
            snap_start: Some(api::SnapStartResponse {
                apply_on: Some(api::SnapStartApplyOn::None),
                optimization_status: Some(api::SnapStartOptimizationStatus::Off),
            }),
            logging_config: Some(api::LoggingConfig {
                log_format: Some(api::LogFormat::Text),
                log_group: Some(log_group),
                ..api::LoggingConfig::default()
            }),
            ..api::FunctionConfiguration::default()
        })
    }

    /// The ARN of a version.
    pub fn version_arn(&self, function: &Function, version: &Version) -> Arn {
        match version.number {
            0 => function.arn.clone(),
            number => {
                names::function_arn(self.kernel.region(), function.account, &function.name, Some(&number.to_string()))
            }
        }
    }

    /// The ARN by which a request names a function: the qualifier stays, if there is one.
    pub fn asked_arn(&self, function: &Function, qualifier: &Qualifier) -> Arn {
        function.resource(self.kernel.region(), qualifier).arn
    }
}

/// A configuration as the output of an operation that answers with it: the model repeats its members there.
macro_rules! configuration {
    ($output:ident, $shown:expr) => {{
        let shown: millpond_api_lambda::FunctionConfiguration = $shown;
        millpond_api_lambda::$output {
            function_name: shown.function_name,
            function_arn: shown.function_arn,
            runtime: shown.runtime,
            role: shown.role,
            handler: shown.handler,
            code_size: shown.code_size,
            description: shown.description,
            timeout: shown.timeout,
            memory_size: shown.memory_size,
            last_modified: shown.last_modified,
            code_sha256: shown.code_sha256,
            version: shown.version,
            dead_letter_config: shown.dead_letter_config,
            environment: shown.environment,
            tracing_config: shown.tracing_config,
            revision_id: shown.revision_id,
            layers: shown.layers,
            state: shown.state,
            last_update_status: shown.last_update_status,
            package_type: shown.package_type,
            architectures: shown.architectures,
            ephemeral_storage: shown.ephemeral_storage,
            snap_start: shown.snap_start,
            logging_config: shown.logging_config,
            ..millpond_api_lambda::$output::default()
        }
    }};
}
pub(crate) use configuration;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_lambda_writes_them() {
        assert_eq!(time(1_800_000_000_123_000_000), "2027-01-15T08:00:00.123+0000");
    }
}
