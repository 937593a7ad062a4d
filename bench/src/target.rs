//! The servers that are measured.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use serde::Deserialize;

use crate::sign::Signer;

/// One S3 server.
pub struct Target {
    /// Name in the report.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, for CPU time and memory.
    pub pid: Option<u32>,
    /// Signs requests to it.
    pub signer: Signer,
    /// A bucket that is there already, to be used instead of one that is made.
    pub bucket: Option<String>,
    /// Its access key and secret, for signers of other services.
    pub keys: (String, String),
    /// Further parameters of every PUT of an object, percent-encoded, such as `x-amz-server-side-encryption=AES256`.
    pub put_query: String,
}

/// Why a target is not usable.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The file of targets could not be read.
    #[error("{path}: {source}")]
    Unreadable { path: String, source: std::io::Error },
    /// The file of targets is not the JSON that is expected.
    #[error("{path}: {source}")]
    Malformed { path: String, source: serde_json::Error },
    /// Not an `http://host:port` that resolves.
    #[error("{0} is not http://host:port")]
    Endpoint(String),
}

#[derive(Deserialize)]
struct Described {
    name: String,
    endpoint: String,
    access_key: String,
    secret_key: String,
    #[serde(default = "default_region")]
    region: String,
    pid: Option<u32>,
    session_token: Option<String>,
    bucket: Option<String>,
    #[serde(default)]
    put_query: String,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

impl Target {
    /// A target from its parts; `endpoint` is `http://host:port`.
    pub fn new(
        name: &str,
        endpoint: &str,
        access_key: &str,
        secret_key: &str,
        region: &str,
        pid: Option<u32>,
    ) -> Result<Self, TargetError> {
        let wrong = || TargetError::Endpoint(endpoint.to_owned());
        let host = endpoint.strip_prefix("http://").ok_or_else(wrong)?.trim_end_matches('/');
        let address = host.to_socket_addrs().map_err(|_| wrong())?.next().ok_or_else(wrong)?;
        let signer = Signer::new(host, access_key, secret_key, region);
        let keys = (access_key.to_owned(), secret_key.to_owned());
        Ok(Self { name: name.to_owned(), address, pid, signer, bucket: None, keys, put_query: String::new() })
    }
}

/// Reads a JSON array of targets.
pub fn load(path: &Path) -> Result<Vec<Target>, TargetError> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| TargetError::Unreadable { path: name(), source })?;
    let described: Vec<Described> =
        serde_json::from_str(&text).map_err(|source| TargetError::Malformed { path: name(), source })?;
    described
        .iter()
        .map(|d| {
            let mut target = Target::new(&d.name, &d.endpoint, &d.access_key, &d.secret_key, &d.region, d.pid)?;
            if let Some(token) = &d.session_token {
                target.signer.use_token(token);
            }
            target.bucket.clone_from(&d.bucket);
            target.put_query.clone_from(&d.put_query);
            Ok(target)
        })
        .collect()
}
