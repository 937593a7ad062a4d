//! Which server is asked, and as whom.

use std::path::PathBuf;

use clap::Args;
use millpond_io::RealDisk;
use serde::Deserialize;
use serde_json::json;

use super::failed::Failed;
use super::profile::{self, Profile};
use crate::cli::default_data_dir;
use crate::control::{self, Reached, WHERE};
use crate::root_key;

/// Where nothing says a region.
const DEFAULT_REGION: &str = "us-east-1";

/// Flags about the server and the caller.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// The server: http://HOST:PORT. [default: the server that has the data dir open]
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    endpoint: Option<String>,
    /// The region of the server. [default: AWS_DEFAULT_REGION, the profile's, or the server's own]
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    region: Option<String>,
    /// Use the credentials of this profile in ~/.aws/credentials and ~/.aws/config.
    #[arg(long, env = "AWS_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// A file of certificate authorities (PEM) that are trusted besides the platform's.
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// The data dir of a server on this machine: it says where it listens, and its root user asks where nobody else was named.
    /// [default: ./millpond-data]
    #[arg(long, env = "MILLPOND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Access key, secret, and the token of temporary credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The access key id.
    pub access_key: String,
    /// Its secret.
    pub secret: String,
    /// The session token.
    pub token: Option<String>,
}

/// A server, and who asks it.
pub struct Target {
    /// `http://HOST:PORT`, without a slash at the end.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// Who asks.
    pub keys: Keys,
    /// Certificate authorities that are trusted besides the platform's (PEM).
    pub roots: Option<Vec<u8>>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The credentials of the environment.
fn in_environment() -> Result<Option<Keys>, Failed> {
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key), Some(secret)) => Ok(Some(Keys { access_key, secret, token: variable("AWS_SESSION_TOKEN") })),
        (None, None) => Ok(None),
        _ => Err(Failed::Usage(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both or neither".to_owned(),
        )),
    }
}

fn of_profile(profile: &Profile) -> Option<Keys> {
    let (access_key, secret) = profile.key.clone()?;
    Some(Keys { access_key, secret, token: profile.token.clone() })
}

impl TargetArgs {
    fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }

    /// Asks the server that has the data dir open.
    fn reached(&self) -> Result<Reached, Failed> {
        let data_dir = self.data_dir();
        if !control::path(&data_dir).exists() {
            return Err(Failed::Unreachable(format!(
                "no server has {} open. Start one (`millpond run`), or name it with --endpoint or --data-dir",
                data_dir.display()
            )));
        }
        let told = control::ask(&data_dir, WHERE, &json!({})).map_err(Failed::Unreachable)?;
        Reached::deserialize(told).map_err(|error| Failed::Unreachable(error.to_string()))
    }

    /// The root user of the data dir.
    fn root(&self) -> Result<Option<Keys>, Failed> {
        let known = root_key::known(&RealDisk, &self.data_dir()).map_err(|error| Failed::Usage(error.to_string()))?;
        Ok(known.map(|(access_key, secret)| Keys { access_key, secret, token: None }))
    }

    fn profile(&self) -> Result<Option<Profile>, Failed> {
        let Some(name) = &self.profile else { return profile::load("default") };
        let missing = || Failed::Usage(format!("there is no profile {name} in ~/.aws/credentials or ~/.aws/config"));
        profile::load(name)?.ok_or_else(missing).map(Some)
    }

    /// Who asks: a named profile before the environment, as the aws CLI has it with `--profile`; then the root user of the data dir that was
    /// asked for the server, or the default profile.
    fn keys(&self, profile: Option<&Profile>, by_data_dir: bool) -> Result<Keys, Failed> {
        let named = if self.profile.is_some() { profile.and_then(of_profile) } else { None };
        if let Some(keys) = named.or(in_environment()?) {
            return Ok(keys);
        }
        let (root, usual) = (if by_data_dir { self.root()? } else { None }, profile.and_then(of_profile));
        root.or(usual).ok_or_else(|| {
            let what = if by_data_dir {
                "the server's root credentials are not in its data dir (it was given them by its environment)"
            } else {
                "no credentials"
            };
            Failed::Usage(format!(
                "{what}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with --profile"
            ))
        })
    }

    /// Finds server and caller.
    pub fn resolve(&self) -> Result<Target, Failed> {
        let profile = self.profile()?;
        let given = self.endpoint.clone().filter(|url| !url.is_empty());
        // The default profile's endpoint counts where it was asked for by name: else a data dir that lies here is meant.
        let of_name = profile.as_ref().filter(|_| self.profile.is_some()).and_then(|profile| profile.endpoint.clone());
        let (endpoint, by_data_dir, region) = match given.or(of_name) {
            Some(endpoint) => (endpoint, false, None),
            None => {
                let reached = self.reached()?;
                (reached.endpoint, true, Some(reached.region))
            }
        };
        let keys = self.keys(profile.as_ref(), by_data_dir)?;
        let of_profile = profile.and_then(|profile| profile.region);
        let said = self.region.clone().or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = said.or(region).or(of_profile).unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let roots = match &self.ca_bundle {
            Some(path) => {
                let unread = |error| Failed::Usage(format!("{} cannot be read: {error}", path.display()));
                Some(std::fs::read_to_string(path).map_err(unread)?.into_bytes())
            }
            None => None,
        };
        Ok(Target { endpoint: endpoint.trim_end_matches('/').to_owned(), region, keys, roots })
    }
}
