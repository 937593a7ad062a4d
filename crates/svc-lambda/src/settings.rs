//! What a function's configuration may say, and how it is kept.

use std::collections::BTreeMap;

use millpond_api_lambda as api;
use millpond_kernel::Rejection;
use millpond_seal::Purpose;
use millpond_types::Arn;
use prost::Message;

use crate::errors::{LambdaError, parameter, unserved};
use crate::limits::{MAX_ENV, MAX_MEMORY, MAX_TIMEOUT};
use crate::program::language;
use crate::state::Core;
use crate::tables::{EnvRow, VersionRow};

/// Variables that Lambda sets itself (Developer Guide, "Defined runtime environment variables").
const RESERVED: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

/// The error of a runtime that is not served.
pub(crate) fn no_runtime(given: &str) -> LambdaError {
    let served: Vec<&str> =
        api::Runtime::ALL.iter().map(|runtime| runtime.as_str()).filter(|name| language(name).is_some()).collect();
    let given: String = given.chars().take(64).collect();
    parameter(format!(
        "Value {given} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be a valid ARN",
        served.join(", ")
    ))
}

/// The architecture of this machine, as Lambda calls it.
pub(crate) fn machine() -> api::Architecture {
    if cfg!(target_arch = "aarch64") { api::Architecture::Arm64 } else { api::Architecture::X8664 }
}

pub(crate) fn architecture(given: Option<&[api::Architecture]>) -> Result<String, LambdaError> {
    match given {
        None | Some([]) => Ok(machine().as_str().to_owned()),
        Some([one]) if *one == machine() => Ok(one.as_str().to_owned()),
        Some([one]) => Err(unserved(format!("The architecture {one} (this machine is {})", machine()))),
        Some(_) => Err(parameter("Architectures must have exactly one value.")),
    }
}

/// What creating and updating have in common.
pub(crate) struct Settings<'a> {
    pub runtime: Option<api::Runtime>,
    pub role: Option<&'a str>,
    pub handler: Option<&'a str>,
    pub description: Option<&'a str>,
    pub timeout: Option<i32>,
    pub memory: Option<i32>,
    pub environment: Option<&'a api::Environment>,
    pub dead_letters: Option<&'a api::DeadLetterConfig>,
    pub tmp: Option<&'a api::EphemeralStorage>,
    pub logging: Option<&'a api::LoggingConfig>,
    pub unserved: Unserved<'a>,
}

/// Settings that are refused unless they say what is the case anyway.
pub(crate) struct Unserved<'a> {
    pub vpc: Option<&'a api::VpcConfig>,
    pub kms_key: Option<&'a str>,
    pub tracing: Option<&'a api::TracingConfig>,
    pub file_systems: Option<&'a [api::FileSystemConfig]>,
    pub image: bool,
    pub snap_start: Option<&'a api::SnapStart>,
    /// Others, by name, with whether they are given.
    pub others: &'a [(&'static str, bool)],
}

/// The settings of an input.
macro_rules! settings {
    ($input:ident, $runtime:expr, $role:expr, $others:expr) => {
        $crate::settings::Settings {
            runtime: $runtime,
            role: $role,
            handler: $input.handler.as_deref(),
            description: $input.description.as_deref(),
            timeout: $input.timeout,
            memory: $input.memory_size,
            environment: $input.environment.as_ref(),
            dead_letters: $input.dead_letter_config.as_ref(),
            tmp: $input.ephemeral_storage.as_ref(),
            logging: $input.logging_config.as_ref(),
            unserved: $crate::settings::Unserved {
                vpc: $input.vpc_config.as_ref(),
                kms_key: $input.kms_key_arn.as_deref(),
                tracing: $input.tracing_config.as_ref(),
                file_systems: $input.file_system_configs.as_deref(),
                image: $input.image_config.is_some(),
                snap_start: $input.snap_start.as_ref(),
                others: $others,
            },
        }
    };
}
pub(crate) use settings;

impl Unserved<'_> {
    fn check(&self) -> Result<(), LambdaError> {
        let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let vpc = self.vpc.is_some_and(|vpc| {
            some(&vpc.subnet_ids) || some(&vpc.security_group_ids) || vpc.ipv6_allowed_for_dual_stack == Some(true)
        });
        let key = self.kms_key.is_some_and(|key| !key.is_empty());
        let tracing = self.tracing.is_some_and(|tracing| tracing.mode == Some(api::TracingMode::Active));
        let snap = self.snap_start.is_some_and(|snap| snap.apply_on == Some(api::SnapStartApplyOn::PublishedVersions));
        let file_systems = self.file_systems.is_some_and(|list| !list.is_empty());
        for (what, given) in [
            ("VpcConfig", vpc),
            ("KMSKeyArn", key),
            ("TracingConfig with the mode Active", tracing),
            ("FileSystemConfigs", file_systems),
            ("ImageConfig", self.image),
            ("SnapStart", snap),
        ]
        .iter()
        .chain(self.others)
        {
            if *given {
                return Err(unserved(*what));
            }
        }
        Ok(())
    }
}

fn at_most(given: i32, most: u32, what: &str) -> Result<u32, LambdaError> {
    u32::try_from(given).ok().filter(|given| *given <= most).ok_or_else(|| {
        LambdaError::Validation(format!(
            "Value '{given}' at '{what}' failed to satisfy constraint: Member must have value less than or equal to {most}"
        ))
    })
}

impl Settings<'_> {
    /// Changes a version's row as they say. Does not look at anything outside.
    pub fn apply(&self, core: &Core, function: u128, row: &mut VersionRow) -> Result<(), LambdaError> {
        self.unserved.check()?;
        if let Some(runtime) = self.runtime {
            language(runtime.as_str()).ok_or_else(|| no_runtime(runtime.as_str()))?;
            row.runtime = runtime.as_str().to_owned();
        }
        if let Some(role) = self.role {
            row.role = role.to_owned();
        }
        if let Some(handler) = self.handler {
            row.handler = handler.to_owned();
        }
        if let Some(description) = self.description {
            row.description = description.to_owned();
        }
        if let Some(timeout) = self.timeout {
            row.timeout = at_most(timeout, MAX_TIMEOUT, "timeout")?;
        }
        if let Some(memory) = self.memory {
            row.memory = at_most(memory, MAX_MEMORY, "memorySize")?;
        }
        if let Some(tmp) = self.tmp {
            row.tmp = u32::try_from(tmp.size).unwrap_or(row.tmp);
        }
        if let Some(environment) = self.environment {
            let variables = environment.variables.clone().unwrap_or_default();
            row.env = core.sealed_environment(function, variables)?;
        }
        if let Some(config) = self.dead_letters {
            row.dead_letters = config.target_arn.clone().filter(|arn| !arn.is_empty());
        }
        if let Some(logging) = self.logging {
            row.log_group = log_group(logging)?;
        }
        Ok(())
    }
}

/// The log group that is set.
fn log_group(logging: &api::LoggingConfig) -> Result<Option<String>, LambdaError> {
    if logging.log_format == Some(api::LogFormat::Json) {
        return Err(unserved("LoggingConfig with the log format JSON"));
    }
    if logging.application_log_level.is_some() || logging.system_log_level.is_some() {
        return Err(parameter("To configure log levels, the log format must be JSON."));
    }
    Ok(logging.log_group.clone().filter(|group| !group.is_empty()))
}

/// Refuses variables that cannot be set.
fn check_environment(variables: &BTreeMap<String, String>) -> Result<(), LambdaError> {
    let reserved: Vec<&str> = variables.keys().map(String::as_str).filter(|key| RESERVED.contains(key)).collect();
    let begin =
        "Lambda was unable to configure your environment variables because the environment variables you have provided";
    if !reserved.is_empty() {
        return Err(parameter(format!(
            "{begin} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    // A process gets its environment as texts that end in a zero.
    if variables.iter().any(|(key, value)| key.contains(['=', '\0']) || value.contains('\0')) {
        return Err(parameter(format!("{begin} contains characters that cannot be in one.")));
    }
    let measured = serde_json::to_string(variables).map_or(usize::MAX, |text| text.len());
    if measured > MAX_ENV {
        return Err(parameter(format!("{begin} exceeded the 4KB limit. They have {measured} bytes as JSON.")));
    }
    Ok(())
}

impl Core {
    fn sealed_environment(&self, function: u128, variables: BTreeMap<String, String>) -> Result<Vec<u8>, LambdaError> {
        check_environment(&variables)?;
        if variables.is_empty() {
            return Ok(Vec::new());
        }
        let plain = zeroize::Zeroizing::new(EnvRow { variables }.encode_to_vec());
        Ok(self.vault.seal(&*self.random, Purpose::FunctionEnvironment, &function.to_be_bytes(), &plain)?)
    }

    /// Whether a function could send its dead letters where it says, as its role.
    pub async fn check_dead_letters(&self, function: &Arn, row: &VersionRow) -> Result<(), LambdaError> {
        let Some(target) = &row.dead_letters else { return Ok(()) };
        let arn = Arn::parse(target).filter(|arn| ["sqs", "sns"].contains(&arn.service()));
        let arn = arn.ok_or_else(|| parameter(format!("The ARN {target} is neither a queue's nor a topic's.")))?;
        let (action, service) = if arn.service() == "sqs" { ("SendMessage", "SQS") } else { ("Publish", "SNS") };
        let account = function.account().and_then(|account| account.parse().ok()).unwrap_or(self.kernel.account());
        let checked = match self.assume(function, account, &row.role, "check", Vec::new()).await {
            Ok(role) => self.kernel.targets().check(&arn, &role).await,
            Err(rejection) => Err(rejection),
        };
        match checked {
            Ok(()) => Ok(()),
            Err(Rejection::Failed(reason)) => Err(LambdaError::Internal(reason)),
            Err(Rejection::Denied(_)) => Err(parameter(format!(
                "The provided execution role does not have permissions to call {action} on {service}"
            ))),
            Err(Rejection::NotFound(text) | Rejection::Invalid(text)) => Err(parameter(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_are_checked() {
        for (key, value, good) in [
            ("KEY", "value".to_owned(), true),
            ("AWS_ENDPOINT_URL", "http://x".to_owned(), true),
            ("AWS_REGION", "x".to_owned(), false),
            ("KEY", "x".repeat(MAX_ENV), false),
            ("KEY", "x".repeat(MAX_ENV - 10), true),
            ("KEY", "a\0b".to_owned(), false),
        ] {
            let checked = check_environment(&BTreeMap::from([(key.to_owned(), value.clone())]));
            assert_eq!(checked.is_ok(), good, "{key} {}", value.len());
            let told = checked.map_err(|error| error.to_string()).err().unwrap_or_default();
            assert!(!told.contains("xxxx"), "values are nobody's business");
        }
    }

    #[test]
    fn served_runtimes() {
        for (name, served) in [
            ("python3.12", true),
            ("nodejs22.x", true),
            ("provided.al2023", true),
            ("python2.7", false),
            ("java21", false),
            ("nodejs4.3-edge", false),
        ] {
            assert_eq!(language(name).is_some(), served, "{name}");
        }
        let told = no_runtime("java21").to_string();
        assert!(told.contains("java21") && told.contains("python3.13") && !told.contains("ruby"), "{told}");
    }
}
