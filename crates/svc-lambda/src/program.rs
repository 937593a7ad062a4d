//! What workers run: a version with its code unpacked and its environment opened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millpond_runtime::{Language, Program};
use millpond_seal::Purpose;
use prost::Message;

use crate::code::Held;
use crate::errors::LambdaError;
use crate::model::{Function, Version};
use crate::state::Core;
use crate::tables::{EnvRow, VersionRow};

/// A program, whose code stays where it is as long as somebody has this.
#[derive(Debug)]
pub(crate) struct Ready {
    pub program: Arc<Program>,
    _code: Vec<Held>,
}

/// The language of a runtime.
pub(crate) fn language(runtime: &str) -> Option<Language> {
    let wanted = runtime.to_owned();
    match runtime {
        _ if runtime.starts_with("python3.") => Some(Language::Python { wanted }),
        _ if runtime.starts_with("nodejs") && !runtime.ends_with("-edge") => Some(Language::Node { wanted }),
        _ if runtime.starts_with("provided") => Some(Language::Provided),
        _ => None,
    }
}

/// The log group of a version.
pub(crate) fn log_group(function: &str, row: &VersionRow) -> String {
    row.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{function}"))
}

impl Core {
    /// A version's environment.
    pub fn environment(&self, function: u128, row: &VersionRow) -> Result<BTreeMap<String, String>, LambdaError> {
        if row.env.is_empty() {
            return Ok(BTreeMap::new());
        }
        let plain = self.vault.open(Purpose::FunctionEnvironment, &function.to_be_bytes(), &row.env)?;
        let row = EnvRow::decode(plain.as_slice()).map_err(|error| LambdaError::Internal(error.to_string()))?;
        Ok(row.variables)
    }

    /// What workers run of a version.
    pub async fn ready(&self, function: &Function, version: &Version) -> Result<Arc<Ready>, LambdaError> {
        version.ready.get_or_try_init(|| self.make_ready(function, version)).await.cloned()
    }

    async fn make_ready(&self, function: &Function, version: &Version) -> Result<Arc<Ready>, LambdaError> {
        let row = &version.row;
        let language = language(&row.runtime)
            .ok_or_else(|| LambdaError::Internal(format!("the runtime {} is not served", row.runtime)))?;
        let (code, held) = self.code.folder(&row.code).await?;
        let (mut layers, mut all) = (Vec::new(), vec![held]);
        for layer in &row.layers {
            let (folder, held) = self.code.folder(&layer.code).await?;
            layers.push(folder);
            all.push(held);
        }
        let program = Program {
            id: version.revision()?,
            name: function.name.clone(),
            version: version.label(),
            arn: function.arn.to_string(),
            role: row.role.clone(),
            handler: row.handler.clone(),
            language,
            code,
            layers,
            env: self.environment(function.id, row)?.into_iter().collect(),
            memory_mb: row.memory,
            tmp_mb: row.tmp,
            timeout: Duration::from_secs(u64::from(row.timeout)),
            open_network: self.open_network,
            log_group: log_group(&function.name, row),
        };
        Ok(Arc::new(Ready { program: Arc::new(program), _code: all }))
    }
}
