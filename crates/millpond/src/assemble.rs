//! Where everything is put together.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use millpond_blob::{BlobConfig, BlobError, Blobs};
use millpond_gateway::{Gateway, GatewayConfig, GatewayError, GatewayParts, Limits, TlsError, server_tls};
use millpond_io::{Clock, Disk, IoError, MovableClock, OpenMode, Random, RealDisk, SystemClock, SystemRandom};
use millpond_kernel::audit::{Audit, AuditParts};
use millpond_kernel::trace::AllTraced;
use millpond_kernel::{Epoch, Kernel, Service};
use millpond_lake::{Lake, LakeConfig, LakeError};
use millpond_meta::{Class, FjallConfig, FjallKv, Kv, OpenError};
use millpond_outbound::{Outbound, OutboundConfig};
use millpond_query::Pool;
use millpond_runtime::Workers;
use millpond_seal::Vault;
use millpond_svc_cloudtrail::{CloudTrail, CloudTrailParts};
use millpond_svc_dynamodb::DynamoDb;
use millpond_svc_events::{Events, EventsParts};
use millpond_svc_glue::{Glue, GlueParts};
use millpond_svc_iam::{
    AccessKeys, Iam, Identities, IdentityDirectory, LocalAccounts, ServiceSessions, SessionTokens, Sts, StsParts,
};
use millpond_svc_kms::Kms;
use millpond_svc_lambda::Lambda;
use millpond_svc_logs::Logs;
use millpond_svc_s3::{Announcer, AnnouncerParts, S3, Sealers, Tracing};
use millpond_svc_scheduler::Scheduler;
use millpond_svc_sns::{Sns, SnsParts};
use millpond_svc_sqs::Sqs;
use millpond_types::AccountId;
use prometheus_client::registry::Registry;

use crate::data_dir::{DataDir, DataDirError};
use crate::root_key::{RootKey, RootKeyError};
use crate::settings::Resolved;
use crate::vault::{self, RootKeyPlace, VaultError};
use crate::work::Work;
use crate::{athena, functions, gauges, host_id, queue_gauges, work_figures, worker_figures};

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
    /// The certificate authorities of outgoing calls do not fit.
    #[error("--outbound-ca: {0}")]
    Outbound(#[from] millpond_outbound::InvalidRoots),
    /// The topics cannot be read.
    #[error(transparent)]
    Sns(#[from] millpond_svc_sns::OpenError),
    /// The event buses cannot be read.
    #[error(transparent)]
    Events(#[from] millpond_svc_events::OpenError),
    /// The functions cannot be read.
    #[error(transparent)]
    Lambda(#[from] millpond_svc_lambda::OpenError),
    /// No process can be started that runs queries, or it can spill nowhere.
    #[error("queries cannot be run: {0}")]
    Queries(std::io::Error),
    /// The queues cannot be read.
    #[error(transparent)]
    Sqs(#[from] millpond_svc_sqs::OpenError),
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
        millpond_lake::tables::INLINE | millpond_kernel::tables::CHUNKS => Class::Large,
        millpond_lake::tables::JOURNAL
        | millpond_kernel::tables::AUDIT
        | millpond_kernel::tables::AUDIT_DATA
        | millpond_svc_cloudtrail::QUEUED
        | millpond_svc_sns::tables::MESSAGES
        | millpond_svc_sqs::tables::MESSAGES
        | millpond_svc_sqs::tables::DEDUP_LOG
        | millpond_svc_dynamodb::tables::STREAM
        | millpond_svc_events::tables::EVENTS => Class::Log,
        millpond_svc_events::tables::ARCHIVED => Class::Large,
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
    engines_by(data_dir, reserve, accept_loss, clock, random).await
}

/// Opens the engines of a data dir, with a clock and randomness.
async fn engines_by(
    data_dir: &DataDir,
    reserve: Option<u64>,
    accept_loss: bool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Engines, AssembleError> {
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
    /// Accounts.
    pub accounts: Arc<LocalAccounts>,
    /// What it does by itself.
    pub work: Work,
    /// Who can tell what became of something.
    pub traced: AllTraced,
    /// What decides.
    pub kernel: Arc<Kernel>,
    /// The root credentials.
    pub root: Arc<RootKey>,
    /// Set when requests are served.
    pub ready: Arc<AtomicBool>,
    /// What runs functions.
    pub workers: Workers,
    /// Functions, what they print, and the account that they are looked for in.
    pub functions: (Lambda, Logs, AccountId),
    /// The clock, if it can be moved.
    pub movable: Option<Arc<MovableClock>>,
}

/// Puts a server together, up to the port that it listens on.
pub async fn server(settings: &Resolved, data_dir: &DataDir) -> Result<Assembled, AssembleError> {
    let movable = settings.movable_clock.then(|| Arc::new(MovableClock::default()));
    let engines = engines_of(settings, data_dir, movable.as_ref()).await?;
    let root = Arc::new(RootKey::load(&RealDisk, &*engines.random, data_dir.path(), data_dir.account())?);
    let kv: Arc<dyn Kv> = Arc::new(engines.kv.clone());
    let place = RootKeyPlace::new(settings.root_key.clone(), data_dir.path());
    let vault = vault::open(&place, &*kv, &*engines.random).await?;
    let work = Work::open(&kv, &engines.clock).await?;
    let epoch = Epoch::load(kv.clone()).await?;
    let (clock, random) = (engines.clock.clone(), engines.random.clone());
    let audit = audit(&engines, &vault, settings);
    let identities = Identities::load(kv.clone(), clock.clone(), random.clone(), vault.clone(), epoch.clone()).await?;
    let kernel = Arc::new(Kernel::new(data_dir.account(), settings.region.clone(), epoch));
    kernel.use_audit(audit.clone());
    let accounts = Arc::new(LocalAccounts::load(data_dir.account(), identities.clone()).await?);
    kernel.use_directory(Arc::new(IdentityDirectory::new(identities.clone(), accounts.clone())));
    let sessions = Arc::new(SessionTokens::new(&identities));
    kernel.use_roles(Arc::new(ServiceSessions::new(Arc::downgrade(&kernel), identities.clone(), sessions.clone())));
    let sqs = queues(&engines, &kernel, &vault).await?;
    let kms = Kms::open(kv.clone(), kernel.clone(), vault.clone(), clock.clone(), random.clone()).await?;
    let queries = athena::pool(settings.queries.pool(data_dir.path())).map_err(AssembleError::Queries)?;
    let (dynamodb, glue) = tables(&engines, &kernel, &vault, &work, &queries).await?;
    let outbound = outbound(settings)?;
    let sns = topics(&engines, &kernel, &vault, &work, outbound.clone()).await?;
    let events = events(&engines, &kernel, &vault, &work, outbound).await?;
    let scheduler = scheduler(&engines, &kernel, &vault, &work);
    let logs = logs(&engines, &kernel, &vault).await?;
    let sealers = Sealers { vault: vault.clone(), random: random.clone(), service: Arc::new(kms.clone()) };
    let credentials = AccessKeys::new(root.clone(), identities.clone(), sessions.clone());
    let credentials = Arc::new(credentials.with_workers(kernel.working().clone()));
    let (s3, host_id, announcer) = storage(&engines, &work, &kernel, settings, sealers).await?;
    let lambda = functions::open(&engines, &kernel, &vault, s3.clone(), (settings, data_dir)).await?;
    let athena = athena::open(&engines, &kernel, &vault, &work, (s3.clone(), queries));
    let trails = trails(&engines, &work, &kernel, &audit, vault, s3.clone(), settings).await?;
    let services: Vec<Arc<dyn Service>> = vec![
        s3,
        // Before IAM, so that unsigned forms are its: all operations that AWS takes unsigned are.
        Arc::new(tokens(&kernel, &identities, &sessions, &credentials, &audit)),
        Arc::new(Iam::new(kernel.clone(), identities.clone(), accounts.clone(), &root.access_key)),
        Arc::new(trails.clone()),
        Arc::new(kms.clone()),
        Arc::new(events.clone()),
        Arc::new(logs.clone()),
        Arc::new(scheduler.clone()),
        Arc::new(sqs.clone()),
        Arc::new(sns.clone()),
        Arc::new(dynamodb.clone()),
        Arc::new(lambda.clone()),
        Arc::new(glue),
        Arc::new(athena),
    ];
    let changes = Tracing { lake: engines.lake.clone(), announcer: announcer.clone() };
    let traced = traced(changes, (&trails, &scheduler, &events, &sns), (&lambda, &dynamodb, &sqs));
    let functions = (lambda.clone(), logs.clone(), data_dir.account());
    background(&work, &engines.lake, (identities, kms, sqs.clone(), logs));
    let mut registry = figures((&engines, &audit, data_dir), (&sqs, &lambda));
    work_figures::register(&mut registry, &work, events, sns.clone(), announcer);
    let shown = worker_figures::register(&mut registry);
    let ready = Arc::new(AtomicBool::new(false));
    let parts = GatewayParts {
        services,
        credentials,
        audit: audit.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        host_id,
        registry,
        ready: ready.clone(),
    };
    let gateway = Gateway::bind(gateway_config(settings)?, parts).await?;
    let url = public_url(settings, gateway.local_addr());
    sns.at(&url);
    let workers = functions::begin(&lambda, &gateway, &engines, &work, (settings, data_dir, &url), &shown);
    Ok(Assembled { engines, gateway, audit, accounts, work, workers, traced, kernel, root, ready, movable, functions })
}

/// The engines of a data dir, by a clock that can be moved where there is one.
async fn engines_of(
    settings: &Resolved,
    data_dir: &DataDir,
    movable: Option<&Arc<MovableClock>>,
) -> Result<Engines, AssembleError> {
    let (clock, random) = time_and_randomness();
    let clock = movable.map_or(clock, |movable| movable.clone());
    engines_by(data_dir, settings.reserve, settings.accept_loss, clock, random).await
}

/// Who tells what became of changes, in the order in which one causes the other.
fn traced(
    changes: Tracing,
    (trails, scheduler, events, sns): (&CloudTrail, &Scheduler, &Events, &Sns),
    (lambda, dynamodb, sqs): (&Lambda, &DynamoDb, &Sqs),
) -> AllTraced {
    let (trails, schedules, events, topics) = (trails.traced(), scheduler.traced(), events.traced(), sns.traced());
    let queues = Arc::new(sqs.clone());
    vec![Arc::new(changes), trails, schedules, events, topics, lambda.traced(), dynamodb.traced(), queues]
}

/// The metrics of engines, queues and functions.
fn figures((engines, audit, data_dir): (&Engines, &Audit, &DataDir), (sqs, lambda): (&Sqs, &Lambda)) -> Registry {
    let mut registry = Registry::default();
    gauges::register(&mut registry, engines, audit, data_dir.account());
    queue_gauges::register(&mut registry, sqs);
    functions::register(&mut registry, lambda);
    registry
}

/// The service of temporary credentials.
fn tokens(
    kernel: &Arc<Kernel>,
    identities: &Identities,
    sessions: &Arc<SessionTokens>,
    credentials: &Arc<AccessKeys>,
    audit: &Audit,
) -> Sts {
    Sts::new(StsParts {
        kernel: kernel.clone(),
        identities: identities.clone(),
        sessions: sessions.clone(),
        credentials: credentials.clone(),
        denials: Arc::new(audit.clone()),
    })
}

/// Queues, which others deliver to and take from.
async fn queues(engines: &Engines, kernel: &Arc<Kernel>, vault: &Arc<Vault>) -> Result<Sqs, AssembleError> {
    let (clock, random) = (engines.clock.clone(), engines.random.clone());
    let sqs = Sqs::open(Arc::new(engines.kv.clone()), kernel.clone(), vault.clone(), clock, random).await?;
    kernel.targets().register("sqs", Arc::new(sqs.clone()));
    kernel.use_queues(Arc::new(sqs.clone()));
    Ok(sqs)
}

/// Tables, with their work and their streams; and the catalog of those that lie in objects.
async fn tables(
    engines: &Engines,
    kernel: &Arc<Kernel>,
    vault: &Arc<Vault>,
    work: &Work,
    queries: &Pool,
) -> Result<(DynamoDb, Glue), AssembleError> {
    let glue = Glue::open(GlueParts {
        kv: Arc::new(engines.kv.clone()),
        kernel: kernel.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        vault: vault.clone(),
        timers: work.timers.clone(),
        schemas: Arc::new(queries.clone()),
    })
    .await?;
    kernel.use_catalog(Arc::new(glue.clone()));
    let running = glue.clone();
    work.background(|stop| async move { running.run(stop).await });
    let running = glue.clone();
    work.background(|stop| async move { running.run_crawls(stop).await });
    let (clock, random) = (engines.clock.clone(), engines.random.clone());
    let dynamodb = DynamoDb::open(Arc::new(engines.kv.clone()), kernel.clone(), vault.clone(), clock, random).await?;
    kernel.use_table_streams(dynamodb.streams());
    let running = dynamodb.clone();
    work.background(|stop| async move { running.run(stop).await });
    Ok((dynamodb, glue))
}

/// Logs, which other services write too.
async fn logs(engines: &Engines, kernel: &Arc<Kernel>, vault: &Arc<Vault>) -> Result<Logs, AssembleError> {
    let (clock, random) = (engines.clock.clone(), engines.random.clone());
    let logs = Logs::open(Arc::new(engines.kv.clone()), kernel.clone(), clock, random, vault.clone()).await?;
    kernel.targets().register("logs", logs.target());
    kernel.use_log_writer(logs.writer());
    kernel.use_log_reader(logs.reader());
    Ok(logs)
}

/// The audit trail.
fn audit(engines: &Engines, vault: &Arc<Vault>, settings: &Resolved) -> Audit {
    Audit::start(AuditParts {
        kv: Arc::new(engines.kv.clone()),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        vault: vault.clone(),
        region: settings.region.clone(),
    })
}

/// What lake and services do by themselves.
fn background(work: &Work, lake: &Lake, (identities, kms, sqs, logs): (Identities, Kms, Sqs, Logs)) {
    let lake = lake.clone();
    work.background(|stop| async move { lake.run_upkeep(stop).await });
    work.background(|stop| async move { identities.run_last_used(stop).await });
    work.background(|stop| async move { kms.run(stop).await });
    work.background(|stop| async move { sqs.run(stop).await });
    work.background(|stop| async move { logs.run(stop).await });
}

/// EventBridge, with its work.
async fn events(
    engines: &Engines,
    kernel: &Arc<Kernel>,
    vault: &Arc<Vault>,
    work: &Work,
    outbound: Outbound,
) -> Result<Events, AssembleError> {
    let parts = EventsParts {
        kernel: kernel.clone(),
        kv: Arc::new(engines.kv.clone()),
        vault: vault.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        consumers: work.consumers.clone(),
        timers: work.timers.clone(),
        outbound,
    };
    Ok(Events::open(parts, &work.outbox).await?)
}

/// EventBridge Scheduler, with its timers.
fn scheduler(engines: &Engines, kernel: &Arc<Kernel>, vault: &Arc<Vault>, work: &Work) -> Scheduler {
    let (kv, timers) = (Arc::new(engines.kv.clone()), work.timers.clone());
    Scheduler::new(kv, kernel.clone(), engines.clock.clone(), engines.random.clone(), timers, vault.clone())
}

/// The object storage; how the server names itself; and who reads its journals.
async fn storage(
    engines: &Engines,
    work: &Work,
    kernel: &Arc<Kernel>,
    settings: &Resolved,
    sealers: Sealers,
) -> Result<(Arc<S3>, String, Announcer), AssembleError> {
    let host_id = host_id::read(&engines.kv, &*engines.random).await?;
    let announcer = Announcer::new(AnnouncerParts {
        kernel: kernel.clone(),
        kv: Arc::new(engines.kv.clone()),
        consumers: work.consumers.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        vault: sealers.vault.clone(),
        host_id: host_id.clone(),
    });
    work.consumers.add(Arc::new(announcer.clone())).await?;
    work.timers.add(Arc::new(announcer.clone()));
    engines.lake.read_by(Arc::new(announcer.clone()));
    announcer.settle(&engines.lake).await?;
    let s3 =
        S3::new(engines.lake.clone(), kernel.clone(), settings.region.clone(), sealers).announced_by(announcer.clone());
    Ok((Arc::new(s3), host_id, announcer))
}

/// Trails, which read the records and put log files by themselves.
async fn trails(
    engines: &Engines,
    work: &Work,
    kernel: &Arc<Kernel>,
    audit: &Audit,
    vault: Arc<Vault>,
    objects: Arc<S3>,
    settings: &Resolved,
) -> Result<CloudTrail, AssembleError> {
    let trails = CloudTrail::open(CloudTrailParts {
        kernel: kernel.clone(),
        audit: audit.clone(),
        vault,
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        kv: Arc::new(engines.kv.clone()),
        consumers: work.consumers.clone(),
        objects,
    })
    .await?;
    let (running, every) = (trails.clone(), settings.trail_interval);
    work.background(move |stop| async move { running.run(every, stop).await });
    Ok(trails)
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

/// The topics, which hang on the work that the server does by itself.
async fn topics(
    engines: &Engines,
    kernel: &Arc<Kernel>,
    vault: &Arc<Vault>,
    work: &Work,
    outbound: Outbound,
) -> Result<Sns, AssembleError> {
    let parts = SnsParts {
        kv: Arc::new(engines.kv.clone()),
        kernel: kernel.clone(),
        vault: vault.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        consumers: work.consumers.clone(),
        timers: work.timers.clone(),
        outbox: work.outbox.clone(),
        outbound,
    };
    Ok(Sns::open(parts).await?)
}

/// What links to this server begin with: the address it listens on, where nothing else was said.
fn public_url(settings: &Resolved, address: SocketAddr) -> String {
    if let Some(url) = &settings.public_url {
        return url.to_string();
    }
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    if address.ip().is_unspecified() {
        return format!("{scheme}://localhost:{}", address.port());
    }
    format!("{scheme}://{address}")
}

/// The client of outgoing calls, one for all services.
fn outbound(settings: &Resolved) -> Result<Outbound, AssembleError> {
    let roots = settings.outbound_ca.as_deref().map(read_pem).transpose()?;
    Ok(Outbound::new(OutboundConfig { allow: settings.outbound_allow.clone(), roots, ..OutboundConfig::default() })?)
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
