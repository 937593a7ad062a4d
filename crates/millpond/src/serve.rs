//! Serving, from the start to the end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::assemble::{self, AssembleError, Assembled};
use crate::control::{self, Commanded, Reached};
use crate::data_dir::DataDir;
use crate::settings::Resolved;
use crate::vault::RootKeyPlace;
use crate::{logging, welcome};

/// How a server begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// For service managers: logs alone.
    Quiet,
    /// For people: says how to reach it once it is ready.
    Welcome,
}

/// Why a server ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The runtime could not be started.
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    /// Logs could not be started.
    #[error("{0}")]
    Logging(String),
    /// It could not be put together.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// The control socket could not be made.
    #[error("the control socket in the data dir cannot be made: {0}")]
    Control(std::io::Error),
}

/// Serves until SIGINT or SIGTERM.
pub fn serve(settings: Resolved, manner: Manner) -> Result<(), ServeError> {
    let level = settings.log_level.as_deref().unwrap_or(match manner {
        // The engine below tells of every table it makes; that is for those who ask.
        Manner::Quiet => "info,fjall=warn,lsm_tree=warn",
        Manner::Welcome => "warn",
    });
    logging::start(settings.log_format, level).map_err(ServeError::Logging)?;
    let data_dir = DataDir::open(&settings.data_dir, settings.account).map_err(AssembleError::from)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let ended = runtime.block_on(run(&settings, &data_dir, manner));
    // What still runs on the runtime holds the engines; they close when it is gone, and the data dir after them.
    drop(runtime);
    ended
}

async fn run(settings: &Resolved, data_dir: &DataDir, manner: Manner) -> Result<(), ServeError> {
    // Before anything takes long: a stop during a long start is a stop.
    let mut stop = stopped_by_signal().map_err(ServeError::Runtime)?;
    let Assembled { engines, gateway, audit, accounts, work, workers, traced, kernel, root, ready, movable, functions } = tokio::select! {
        assembled = assemble::server(settings, data_dir) => assembled?,
        () = ended(&mut stop) => return Ok(()),
    };
    let address = gateway.local_addr();
    tracing::info!(%address, region = %settings.region, account = %data_dir.account(), data_dir = %data_dir.path().display(), tls = settings.tls.is_some(), "listening");
    tracing::info!(address = %settings.pg_listen, "nothing listens for the PostgreSQL protocol yet");

    let working = {
        let (work, mut stop) = (work.clone(), stop.clone());
        tokio::spawn(async move { work.run(async move { ended(&mut stop).await }).await })
    };
    let control = {
        let mut stop = stop.clone();
        let socket = control::listen(data_dir.path()).map_err(ServeError::Control)?;
        let commanded = Commanded {
            engines: engines.clone(),
            audit: audit.clone(),
            root_key: Arc::new(RootKeyPlace::new(settings.root_key.clone(), data_dir.path())),
            accounts,
            traced,
            movable,
            functions,
            reached: reached(settings, address),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = control::serve(socket, commanded) => {}
                () = ended(&mut stop) => {}
            }
        })
    };
    ready.store(true, Ordering::Release);
    if manner == Manner::Welcome {
        welcome::print(address, settings.tls.is_some(), settings.region.as_str(), &root);
    }
    let end = gateway
        .serve_doors_until(
            async {
                ended(&mut stop).await;
                tracing::info!("stopping: requests under way are finished");
                ready.store(false, Ordering::Release);
            },
            // What functions do while they finish counts on this server.
            workers.ended(),
        )
        .await;
    // A task that panicked has said so in the log.
    let _ = tokio::join!(working, control);
    audit.flush().await;
    work.close();
    kernel.close();
    control::remove(data_dir.path());
    tracing::info!(connections_cut = end.cut, "stopped");
    Ok(())
}

/// Where commands on this machine reach the server. A certificate is made out to a name, which links to the server have.
fn reached(settings: &Resolved, mut address: SocketAddr) -> Reached {
    if address.ip().is_unspecified() {
        let loopback: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    let endpoint = match (&settings.tls, &settings.public_url) {
        (Some(_), Some(url)) => format!("{}://{}", url.scheme().as_str(), url.authority()),
        (Some(_), None) => format!("https://{address}"),
        (None, _) => format!("http://{address}"),
    };
    Reached { endpoint, region: settings.region.to_string() }
}

fn stopped_by_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // Nobody listens only when the server is gone.
        let _ = tell.send(true);
        // A second signal means at once. What was acknowledged is on disk.
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(told)
}

async fn ended(stop: &mut watch::Receiver<bool>) {
    // An error means that the signal task is gone, and with it the runtime.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
