//! Settings: from flags, the environment and a file, in this order of precedence.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use millpond_types::{AccountId, Region};
use serde::Deserialize;

use crate::cli::default_data_dir;
use crate::function_settings::FunctionSettings;
use crate::query_settings::QuerySettings;
use crate::vault::{RootKeySource, SeveralRootKeys};

/// The settings as given; what is `None` was not said.
#[derive(Args, Deserialize, Debug, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where everything is kept. Created if it does not exist. [default: ./millpond-data]
    #[arg(long, env = "MILLPOND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port of all AWS APIs; port 0 takes a free one. [default: 127.0.0.1:9000]
    #[arg(long, env = "MILLPOND_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Address and port of the PostgreSQL protocol. No service answers there yet. [default: 127.0.0.1:5439]
    #[arg(long, env = "MILLPOND_PG_LISTEN", value_name = "ADDR:PORT")]
    pg_listen: Option<String>,
    /// The account that owns what is created here: 12 digits. Fixed by the first start. [default: 000000000000]
    #[arg(long, env = "MILLPOND_ACCOUNT_ID", value_name = "DIGITS")]
    account_id: Option<String>,
    /// The region that this server is. [default: us-east-1]
    #[arg(long, env = "MILLPOND_REGION", value_name = "NAME")]
    region: Option<String>,
    /// A domain under which buckets are host names (virtual-hosted style); may be given several times.
    /// [default: localhost and s3.localhost]
    #[arg(long = "domain", env = "MILLPOND_DOMAIN", value_name = "NAME", value_delimiter = ',')]
    domain: Option<Vec<String>>,
    /// Serve HTTPS with this certificate chain (PEM). Needs --tls-key.
    #[arg(long, env = "MILLPOND_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM).
    #[arg(long, env = "MILLPOND_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A proxy whose X-Forwarded-For is believed; may be given several times. [default: none]
    #[arg(long = "trusted-proxy", env = "MILLPOND_TRUSTED_PROXY", value_name = "ADDR", value_delimiter = ',')]
    trusted_proxy: Option<Vec<String>>,
    /// What others reach this server by, such as https://lake.example.com: links in messages to webhooks begin with it. [default: the address
    /// of --listen]
    #[arg(long, env = "MILLPOND_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// A network inside that outgoing calls may go to (webhooks of topics, API destinations), such as 10.1.0.0/16 or 127.0.0.1; may be given
    /// several times. Without it they go to public addresses alone: who may subscribe a webhook must not reach what only this machine can.
    /// [default: none]
    #[arg(long = "outbound-allow", env = "MILLPOND_OUTBOUND_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    outbound_allow: Option<Vec<String>>,
    /// Certificate authorities (PEM) that outgoing calls to https URLs trust besides the system's.
    #[arg(long, env = "MILLPOND_OUTBOUND_CA", value_name = "FILE")]
    outbound_ca: Option<PathBuf>,
    /// How logs are written. [default: text]
    #[arg(long, env = "MILLPOND_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug (a line for every request) or a filter such as
    /// `info,millpond_lake=debug`. [default: info for `serve`, warn for `run`]
    #[arg(long, env = "MILLPOND_LOG_LEVEL", value_name = "FILTER")]
    log_level: Option<String>,
    /// Connections at a time; more are answered with 503 SlowDown. [default: 10000]
    #[arg(long, env = "MILLPOND_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,
    /// Requests at work at a time; more are answered with 503 SlowDown. [default: 1024]
    #[arg(long, env = "MILLPOND_MAX_REQUESTS", value_name = "N")]
    max_requests: Option<usize>,
    /// Bytes of request line and headers together. [default: 65536]
    #[arg(long, env = "MILLPOND_MAX_HEADER_BYTES", value_name = "BYTES")]
    max_header_bytes: Option<usize>,
    /// Seconds within which the headers of a request must have come. [default: 30]
    #[arg(long, env = "MILLPOND_HEADER_TIMEOUT", value_name = "SECONDS")]
    header_timeout: Option<u64>,
    /// Seconds without a byte after which a request's body is given up. [default: 60]
    #[arg(long, env = "MILLPOND_BODY_TIMEOUT", value_name = "SECONDS")]
    body_timeout: Option<u64>,
    /// Bytes a second that a client must take of an answer, on average over each minute spent waiting for it; 0 asks for no rate.
    /// [default: 1024]
    #[arg(long, env = "MILLPOND_MIN_DOWNLOAD_RATE", value_name = "BYTES")]
    min_download_rate: Option<u64>,
    /// Seconds that a connection may be idle between requests. [default: 90]
    #[arg(long, env = "MILLPOND_IDLE_TIMEOUT", value_name = "SECONDS")]
    idle_timeout: Option<u64>,
    /// Seconds that requests under way may take to finish when the server stops. [default: 30]
    #[arg(long, env = "MILLPOND_STOP_TIMEOUT", value_name = "SECONDS")]
    stop_timeout: Option<u64>,
    /// Bytes of disk that only deletes may use. [default: 1 % of the disk, 64 MiB to 1 GiB]
    #[arg(long, env = "MILLPOND_RESERVE", value_name = "BYTES")]
    reserve: Option<u64>,
    /// Seconds between the log files that a trail puts into its bucket. [default: 300]
    #[arg(long, env = "MILLPOND_TRAIL_INTERVAL", value_name = "SECONDS")]
    trail_interval: Option<u64>,
    /// The file of the root key, under which everything secret in the data dir is sealed: 32 bytes as 64 hexadecimal digits or base64.
    /// The key itself may be given in the environment instead, as MILLPOND_KMS_ROOT_KEY.
    /// [default: kms-root-key in the data dir, made at the first start]
    #[arg(long, env = "MILLPOND_KMS_ROOT_KEY_FILE", value_name = "FILE")]
    kms_root_key_file: Option<PathBuf>,
    /// A command (for sh) that prints the root key, such as one that asks a key management service for it.
    #[arg(long, env = "MILLPOND_KMS_ROOT_KEY_COMMAND", value_name = "COMMAND")]
    kms_root_key_command: Option<String>,
    /// The Python that functions run on, for every `python3.*`: a path, or a name on PATH. With a runtime before it (`python3.12=/usr/bin/python3.12`)
    /// it is for that runtime alone; may be given several times. [default: python3]
    #[arg(long = "python", env = "MILLPOND_PYTHON", value_name = "[RUNTIME=]PATH", value_delimiter = ',')]
    python: Option<Vec<String>>,
    /// The Node that functions run on, for every `nodejs*`. [default: node]
    #[arg(long, env = "MILLPOND_NODE", value_name = "PATH")]
    node: Option<PathBuf>,
    /// A folder with boto3 and what it needs, for Python functions that bring none (`pip install --target`). [default: the one that `make run` sets
    /// up beside the data dir, if it is there]
    #[arg(long, env = "MILLPOND_BOTO3", value_name = "DIR")]
    boto3: Option<PathBuf>,
    /// Workers that run functions at a time, idle ones included; one function has three quarters of them at most, an invocation beyond waits. [default: 8 for each processor, at least 32]
    #[arg(long, env = "MILLPOND_MAX_WORKERS", value_name = "N")]
    max_workers: Option<usize>,
    /// Seconds after which an idle worker ends. [default: 600]
    #[arg(long, env = "MILLPOND_WORKER_IDLE", value_name = "SECONDS")]
    worker_idle: Option<u64>,
    /// Run functions also where no sandbox can be made (no namespaces for users): then they may do what the server may.
    #[arg(long, env = "MILLPOND_ALLOW_UNSANDBOXED_FUNCTIONS", num_args = 0, default_missing_value = "true")]
    allow_unsandboxed_functions: Option<bool>,
    /// Give functions the machine's network. Without it they reach this server alone.
    #[arg(long, env = "MILLPOND_OPEN_FUNCTION_NETWORK", num_args = 0, default_missing_value = "true")]
    open_function_network: Option<bool>,
    /// Queries at a time; others wait. Each has a process of its own. [default: 2]
    #[arg(long, env = "MILLPOND_QUERY_WORKERS", value_name = "N")]
    query_workers: Option<NonZeroUsize>,
    /// MiB of memory that all queries have together, each the same part of it. What does not fit is spilled to the data dir's `tmp`, or refused.
    /// [default: a quarter of the machine's]
    #[arg(long, env = "MILLPOND_QUERY_MEMORY", value_name = "MIB")]
    query_memory: Option<u64>,
    /// Open a data dir even though it recovered fewer commits than it once had. Acknowledged writes are then lost.
    #[arg(long, env = "MILLPOND_ACCEPT_LOSS", num_args = 0, default_missing_value = "true")]
    accept_loss: Option<bool>,
    /// Let `millpond clock` move the server's time forward. For tests.
    #[arg(long, env = "MILLPOND_MOVABLE_CLOCK", num_args = 0, default_missing_value = "true", hide = true)]
    movable_clock: Option<bool>,
    /// A file with any of these settings (TOML).
    #[arg(long, env = "MILLPOND_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

/// How logs are written.
#[derive(ValueEnum, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where all AWS APIs listen.
    pub listen: SocketAddr,
    /// Where PostgreSQL's protocol will listen.
    pub pg_listen: SocketAddr,
    /// The account, if one was named.
    pub account: Option<AccountId>,
    /// The region.
    pub region: Region,
    /// The domains of virtual hosts.
    pub domains: Vec<String>,
    /// Certificate chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<millpond_types::Network>,
    /// What links to this server begin with, if that was said.
    pub public_url: Option<millpond_outbound::Url>,
    /// Networks inside that outgoing calls may go to.
    pub outbound_allow: Vec<millpond_types::Network>,
    /// A file of certificate authorities that outgoing calls trust too.
    pub outbound_ca: Option<PathBuf>,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged, if that was said.
    pub log_level: Option<String>,
    /// Limits of the gateway that were set.
    pub limits: LimitSettings,
    /// Bytes that only deletes may use.
    pub reserve: Option<u64>,
    /// How often trails put log files.
    pub trail_interval: Duration,
    /// Where the root key comes from.
    pub root_key: RootKeySource,
    /// How functions are run.
    pub functions: FunctionSettings,
    /// How queries are run.
    pub queries: QuerySettings,
    /// Whether a data dir that lost commits is opened all the same.
    pub accept_loss: bool,
    /// Whether time can be moved forward, for tests.
    pub movable_clock: bool,
}

/// Limits of the gateway; `None` for its default.
#[derive(Clone, Debug, Default)]
pub struct LimitSettings {
    /// Connections at a time.
    pub max_connections: Option<usize>,
    /// Requests at a time.
    pub max_requests: Option<usize>,
    /// Bytes of a request's head.
    pub max_header_bytes: Option<usize>,
    /// For a request's head.
    pub header_timeout: Option<Duration>,
    /// Without a byte of a body.
    pub body_timeout: Option<Duration>,
    /// Bytes a second of an answer that must be taken; 0 for no rate.
    pub min_download_rate: Option<u64>,
    /// Between requests.
    pub idle_timeout: Option<Duration>,
    /// For requests under way at the stop.
    pub stop_timeout: Option<Duration>,
}

/// Why settings do not fit.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The root key comes from several places.
    #[error(transparent)]
    RootKey(#[from] SeveralRootKeys),
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {why}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The file is no such TOML.
    #[error("the configuration file {path} does not fit: {why}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What and where.
        why: String,
    },
    /// A value is no such thing.
    #[error("{name} is {value:?}: {why}")]
    Value {
        /// The flag.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it should be.
        why: String,
    },
    /// A Python is named as nobody understands.
    #[error("--python: {0}")]
    Python(String),
    /// One of a pair is missing.
    #[error("--tls-cert and --tls-key go together: give both or neither")]
    HalfTls,
}

impl Settings {
    /// Adds the file's settings and the defaults, and parses all.
    pub fn resolve(self) -> Result<Resolved, SettingsError> {
        let all = match self.config.clone() {
            Some(path) => self.over(read_file(&path)?),
            None => self,
        };
        let tls = match (all.tls_cert, all.tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(SettingsError::HalfTls),
        };
        let functions = FunctionSettings {
            python: all.python.unwrap_or_default(),
            node: all.node,
            boto3: all.boto3,
            max_workers: all.max_workers,
            idle: all.worker_idle.map(Duration::from_secs),
            allow_unsandboxed: all.allow_unsandboxed_functions.unwrap_or(false),
            open_network: all.open_function_network.unwrap_or(false),
        };
        functions.check().map_err(SettingsError::Python)?;
        Ok(Resolved {
            functions,
            queries: QuerySettings { workers: all.query_workers, memory: all.query_memory },
            data_dir: all.data_dir.unwrap_or_else(default_data_dir),
            listen: parse("--listen", all.listen.as_deref().unwrap_or("127.0.0.1:9000"))?,
            pg_listen: parse("--pg-listen", all.pg_listen.as_deref().unwrap_or("127.0.0.1:5439"))?,
            account: all.account_id.as_deref().map(|id| parse("--account-id", id)).transpose()?,
            region: parse("--region", all.region.as_deref().unwrap_or("us-east-1"))?,
            domains: all.domain.unwrap_or_else(|| vec!["localhost".to_owned(), "s3.localhost".to_owned()]),
            tls,
            trusted_proxies: parse_all("--trusted-proxy", all.trusted_proxy)?,
            public_url: all.public_url.as_deref().map(|url| parse("--public-url", url)).transpose()?,
            outbound_allow: parse_all("--outbound-allow", all.outbound_allow)?,
            outbound_ca: all.outbound_ca,
            log_format: all.log_format.unwrap_or(LogFormat::Text),
            log_level: all.log_level,
            limits: LimitSettings {
                max_connections: all.max_connections,
                max_requests: all.max_requests,
                max_header_bytes: all.max_header_bytes,
                header_timeout: all.header_timeout.map(Duration::from_secs),
                body_timeout: all.body_timeout.map(Duration::from_secs),
                min_download_rate: all.min_download_rate,
                idle_timeout: all.idle_timeout.map(Duration::from_secs),
                stop_timeout: all.stop_timeout.map(Duration::from_secs),
            },
            reserve: all.reserve,
            trail_interval: all
                .trail_interval
                .map_or(millpond_svc_cloudtrail::INTERVAL, |s| Duration::from_secs(s.max(1))),
            root_key: RootKeySource::of(all.kms_root_key_file, all.kms_root_key_command)?,
            accept_loss: all.accept_loss.unwrap_or(false),
            movable_clock: all.movable_clock.unwrap_or(false),
        })
    }

    fn over(self, file: Settings) -> Settings {
        Settings {
            data_dir: self.data_dir.or(file.data_dir),
            listen: self.listen.or(file.listen),
            pg_listen: self.pg_listen.or(file.pg_listen),
            account_id: self.account_id.or(file.account_id),
            region: self.region.or(file.region),
            domain: self.domain.or(file.domain),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            trusted_proxy: self.trusted_proxy.or(file.trusted_proxy),
            public_url: self.public_url.or(file.public_url),
            outbound_allow: self.outbound_allow.or(file.outbound_allow),
            outbound_ca: self.outbound_ca.or(file.outbound_ca),
            log_format: self.log_format.or(file.log_format),
            log_level: self.log_level.or(file.log_level),
            max_connections: self.max_connections.or(file.max_connections),
            max_requests: self.max_requests.or(file.max_requests),
            max_header_bytes: self.max_header_bytes.or(file.max_header_bytes),
            header_timeout: self.header_timeout.or(file.header_timeout),
            body_timeout: self.body_timeout.or(file.body_timeout),
            min_download_rate: self.min_download_rate.or(file.min_download_rate),
            idle_timeout: self.idle_timeout.or(file.idle_timeout),
            stop_timeout: self.stop_timeout.or(file.stop_timeout),
            reserve: self.reserve.or(file.reserve),
            trail_interval: self.trail_interval.or(file.trail_interval),
            kms_root_key_file: self.kms_root_key_file.or(file.kms_root_key_file),
            kms_root_key_command: self.kms_root_key_command.or(file.kms_root_key_command),
            python: self.python.or(file.python),
            node: self.node.or(file.node),
            boto3: self.boto3.or(file.boto3),
            max_workers: self.max_workers.or(file.max_workers),
            worker_idle: self.worker_idle.or(file.worker_idle),
            allow_unsandboxed_functions: self.allow_unsandboxed_functions.or(file.allow_unsandboxed_functions),
            open_function_network: self.open_function_network.or(file.open_function_network),
            query_workers: self.query_workers.or(file.query_workers),
            query_memory: self.query_memory.or(file.query_memory),
            accept_loss: self.accept_loss.or(file.accept_loss),
            movable_clock: self.movable_clock.or(file.movable_clock),
            config: self.config,
        }
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(name: &'static str, value: &str) -> Result<T, SettingsError> {
    value.parse().map_err(|why: T::Err| SettingsError::Value { name, value: value.to_owned(), why: why.to_string() })
}

fn parse_all<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    values: Option<Vec<String>>,
) -> Result<Vec<T>, SettingsError> {
    values.unwrap_or_default().iter().map(|value| parse(name, value)).collect()
}

fn read_file(path: &Path) -> Result<Settings, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| SettingsError::Unreadable { path: path.to_owned(), why: why.to_string() })?;
    toml::from_str(&text).map_err(|why| SettingsError::Malformed { path: path.to_owned(), why: why.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_toml(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn flags_win_over_the_file_and_that_over_defaults() {
        let flags = Settings { region: Some("eu-west-1".to_owned()), ..Settings::default() };
        let resolved = flags.over(from_toml("region = \"us-west-2\"\nlisten = \"127.0.0.1:1\"")).resolve().unwrap();
        assert_eq!(resolved.region.as_str(), "eu-west-1");
        assert_eq!(resolved.listen.port(), 1);
        assert_eq!(resolved.pg_listen.port(), 5439);
        assert_eq!(resolved.domains, ["localhost", "s3.localhost"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        for (text, named) in [
            ("listen = \"nowhere\"", "--listen"),
            ("account_id = \"12\"", "--account-id"),
            ("region = \"US\"", "--region"),
            ("tls_cert = \"a.pem\"", "--tls-key"),
            ("public_url = \"lake.example.com\"", "--public-url"),
            ("outbound_allow = [\"10.0.0.0/8\", \"inside\"]", "--outbound-allow"),
            ("python = [\"python2.7=/usr/bin/python2.7\"]", "--python"),
        ] {
            let error = from_toml(text).resolve().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        assert!(toml::from_str::<Settings>("no_such_setting = 1").is_err());
    }
}
