//! Where everything is put together.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use millpond_blob::{BlobConfig, BlobError, Blobs};
use millpond_gateway::{Gateway, GatewayConfig, GatewayError, GatewayParts, Limits, TlsError, server_tls};
use millpond_io::{Clock, Disk, IoError, OpenMode, Random, RealDisk, SystemClock, SystemRandom};
use millpond_kernel::audit::{Audit, AuditParts};
use millpond_kernel::{Epoch, Kernel, Service};
use millpond_lake::{Lake, LakeConfig, LakeError};
use millpond_meta::{Class, FjallConfig, FjallKv, Kv, OpenError};
use millpond_svc_cloudtrail::{CloudTrail, CloudTrailParts};
use millpond_svc_iam::{AccessKeys, Iam, Identities, IdentityDirectory, LocalAccounts, SessionTokens, Sts, StsParts};
use millpond_svc_kms::Kms;
use millpond_svc_s3::{S3, Sealers};
use prometheus_client::registry::Registry;

use crate::data_dir::{DataDir, DataDirError};
use crate::gauges;
use crate::root_key::{RootKey, RootKeyError};
use crate::settings::Resolved;
use crate::vault::{self, RootKeyPlace, VaultError};

/// Why the lake could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The data dir cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The metadata store cannot be opened.
    #[error("the metadata cannot be opened: {source}{}", hint(source))]
    Meta {
        /// Why.
        #[from]
        source: OpenError,
    },
    /// The object store cannot be opened.
    #[error("the object store cannot be opened: {0}")]
    Blob(#[from] BlobError),
    /// The lake cannot be opened.
    #[error("the lake cannot be opened: {0}")]
    Lake(#[from] LakeError),
    /// A row that is needed at the start cannot be read.
    #[error("the metadata cannot be read: {0}")]
    Read(#[from] millpond_meta::ReadError),
    /// There are no root credentials.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// What is sealed cannot be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The keys of the key management service cannot be read.
    #[error(transparent)]
    Kms(#[from] millpond_svc_kms::OpenError),
    /// Certificate or key do not fit.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The port could not be taken.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Too few files may be open.
    #[error("the limit on open files is {0}; raise it (ulimit -n) to 4096 or more")]
    OpenFiles(u64),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

fn hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::LostCommits { .. } => {
            ". Restore the data dir from a backup, or accept the loss: millpond fsck --accept-loss"
        }
        _ => "",
    }
}

/// The engines and the lake on top of them.
#[derive(Clone)]
pub struct Engines {
    /// The metadata.
    pub kv: FjallKv,
    /// The object bytes.
    pub blobs: Blobs,
    /// The lake.
    pub lake: Lake,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// Which engine class a table belongs to.
fn classify(table: u8) -> Class {
    match table {
        millpond_lake::tables::INLINE => Class::Large,
        millpond_lake::tables::JOURNAL | millpond_kernel::tables::AUDIT => Class::Log,
        _ => Class::Rows,
    }
}

/// How the metadata store of a data dir is opened.
pub fn meta_config(accept_loss: bool) -> FjallConfig {
    FjallConfig { accept_loss, ..FjallConfig::new(classify) }
}

/// The clock and the randomness of the machine.
pub fn time_and_randomness() -> (Arc<dyn Clock>, Arc<dyn Random>) {
    (Arc::new(SystemClock), Arc::new(SystemRandom))
}

/// Opens the engines of a data dir.
pub async fn engines(data_dir: &DataDir, reserve: Option<u64>, accept_loss: bool) -> Result<Engines, AssembleError> {
    let (clock, random) = time_and_randomness();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let kv = FjallKv::open(&data_dir.meta(), meta_config(accept_loss))?;
    let blobs = Blobs::open(disk, random.clone(), &data_dir.blob(), BlobConfig { reserve, ..BlobConfig::default() })?;
    let shared: Arc<dyn Kv> = Arc::new(kv.clone());
    let lake = Lake::open(shared, blobs.clone(), clock.clone(), random.clone(), LakeConfig::default()).await?;
    Ok(Engines { kv, blobs, lake, clock, random })
}

/// A lake that is ready to serve.
pub struct Assembled {
    /// The engines.
    pub engines: Engines,
    /// What listens.
    pub gateway: Gateway,
    /// The audit trail.
    pub audit: Audit,
    /// Users, groups, roles, policies and access keys.
    pub identities: Identities,
    /// Accounts.
    pub accounts: Arc<LocalAccounts>,
    /// The key management service, whose keys rotate and go by themselves.
    pub kms: Kms,
    /// The root credentials.
    pub root: Arc<RootKey>,
    /// Set when requests are served.
    pub ready: Arc<AtomicBool>,
}

/// Puts a server together, up to the port that it listens on.
pub async fn server(settings: &Resolved, data_dir: &DataDir) -> Result<Assembled, AssembleError> {
    let engines = engines(data_dir, settings.reserve, settings.accept_loss).await?;
    let root = Arc::new(RootKey::load(&RealDisk, &*engines.random, data_dir.path(), data_dir.account())?);
    let kv: Arc<dyn Kv> = Arc::new(engines.kv.clone());
    let place = RootKeyPlace::new(settings.root_key.clone(), data_dir.path());
    let vault = vault::open(&place, &*kv, &*engines.random).await?;
    let epoch = Epoch::load(kv.clone()).await?;
    let (clock, random) = (engines.clock.clone(), engines.random.clone());
    let audit = Audit::start(AuditParts {
        kv: kv.clone(),
        clock: clock.clone(),
        random: random.clone(),
        vault: vault.clone(),
        region: settings.region.clone(),
    });
    let identities = Identities::load(kv.clone(), clock.clone(), random.clone(), vault.clone(), epoch.clone()).await?;
    let kernel = Arc::new(Kernel::new(data_dir.account(), settings.region.clone(), epoch));
    kernel.use_audit(audit.clone());
    let accounts = Arc::new(LocalAccounts::load(data_dir.account(), identities.clone()).await?);
    kernel.use_directory(Arc::new(IdentityDirectory::new(identities.clone(), accounts.clone())));
    let kms = Kms::open(kv, kernel.clone(), vault.clone(), clock.clone(), random.clone()).await?;
    let sealers = Sealers { vault: vault.clone(), random: random.clone(), service: Arc::new(kms.clone()) };
    let sessions = Arc::new(SessionTokens::new(&identities));
    let credentials = Arc::new(AccessKeys::new(root.clone(), identities.clone(), sessions.clone()));
    let sts = StsParts {
        kernel: kernel.clone(),
        identities: identities.clone(),
        sessions,
        credentials: credentials.clone(),
        denials: Arc::new(audit.clone()),
    };
    let trail = CloudTrailParts { kernel: kernel.clone(), audit: audit.clone(), vault, clock, random };
    let services: Vec<Arc<dyn Service>> = vec![
        Arc::new(S3::new(engines.lake.clone(), kernel.clone(), settings.region.clone(), sealers)),
        // Before IAM, so that unsigned forms are its: all operations that AWS takes unsigned are.
        Arc::new(Sts::new(sts)),
        Arc::new(Iam::new(kernel, identities.clone(), accounts.clone(), &root.access_key)),
        Arc::new(CloudTrail::new(trail)),
        Arc::new(kms.clone()),
    ];
    let mut registry = Registry::default();
    gauges::register(&mut registry, &engines, &audit, data_dir.account());
    let ready = Arc::new(AtomicBool::new(false));
    let parts = GatewayParts {
        services,
        credentials,
        audit: audit.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        registry,
        ready: ready.clone(),
    };
    let gateway = Gateway::bind(gateway_config(settings)?, parts).await?;
    Ok(Assembled { engines, gateway, audit, identities, accounts, kms, root, ready })
}

/// Files and sockets besides connections: tables of metadata, object files that are kept open or being written, and some to spare.
const OWN_FILES: u64 = 2_048;
/// Fewer connections than this are no server.
const LEAST_CONNECTIONS: u64 = 64;

/// Connections must leave enough open files to the engines: those stop for good when they cannot open one.
fn fit_open_files(limits: &mut Limits) -> Result<(), AssembleError> {
    let Some(files) = millpond_io::raise_open_files() else { return Ok(()) };
    let left = files.saturating_sub(OWN_FILES.min(files / 2));
    if left < LEAST_CONNECTIONS {
        return Err(AssembleError::OpenFiles(files));
    }
    if (limits.connections as u64) > left {
        tracing::warn!(
            files,
            connections = left,
            "the limit on open files (ulimit -n) allows fewer connections than are set"
        );
        limits.connections = usize::try_from(left).unwrap_or(limits.connections);
    }
    Ok(())
}

/// The largest PEM file: a chain of some tens of certificates.
const MAX_PEM: usize = 1024 * 1024;

fn read_pem(path: &Path) -> Result<Vec<u8>, IoError> {
    let file = RealDisk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; MAX_PEM];
    let length = file.read_at(&mut bytes, 0)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn gateway_config(settings: &Resolved) -> Result<GatewayConfig, AssembleError> {
    let mut config = GatewayConfig::new(settings.listen, settings.region.clone());
    config.domains = settings.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
    config.trusted_proxies = settings.trusted_proxies.clone();
    if let Some((cert, key)) = &settings.tls {
        config.tls = Some(server_tls(&read_pem(cert)?, &read_pem(key)?)?);
    }
    let given = &settings.limits;
    let limits = &mut config.limits;
    fn over<T: Copy>(limit: &mut T, given: Option<T>) {
        *limit = given.unwrap_or(*limit);
    }
    over(&mut limits.connections, given.max_connections);
    over(&mut limits.requests, given.max_requests);
    over(&mut limits.head_bytes, given.max_header_bytes);
    over(&mut limits.head_time, given.header_timeout);
    over(&mut limits.body_time, given.body_timeout);
    over(&mut limits.idle_time, given.idle_timeout);
    over(&mut limits.write_rate, given.min_download_rate.map(|rate| Some(rate).filter(|rate| *rate > 0)));
    over(&mut limits.stop_time, given.stop_timeout);
    fit_open_files(limits)?;
    Ok(config)
}
