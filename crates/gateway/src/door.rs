//! Doors: listeners inside the networks of sandboxes, at which the same APIs are served.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::listener::{ACCEPT_PAUSE, of_connection};

/// Connections from doors that the gateway has not taken yet.
pub(crate) const MAX_ARRIVALS: usize = 64;

/// Connections by one door at a time, so that one function cannot take them all; others wait in the kernel.
const MAX_BY_DOOR: usize = 128;

/// A connection that came by a door, and its place among those.
pub(crate) type Arrival = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// Opens doors of a gateway. Who comes by one is a function on this machine: what it sends counts as sent over a secure connection, since it
/// leaves the machine nowhere, no proxy is believed, and pages for the operator are closed to it.
#[derive(Clone)]
pub struct Doors(pub(crate) mpsc::Sender<Arrival>);

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

/// Keeps a door open until it is dropped. Connections that have come by it end with their clients.
#[derive(Debug)]
pub struct Door(JoinHandle<()>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Doors {
    /// Serves at a listener. Must be called within the gateway's runtime.
    ///
    /// # Errors
    ///
    /// The listener is none.
    pub fn open(&self, listener: std::net::TcpListener) -> io::Result<Door> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (arrivals, places) = (self.0.clone(), Arc::new(Semaphore::new(MAX_BY_DOOR)));
        Ok(Door(tokio::spawn(async move {
            while let Ok(place) = places.clone().acquire_owned().await {
                match listener.accept().await {
                    Ok((stream, address)) => {
                        if arrivals.send((stream, address, place)).await.is_err() {
                            // The gateway has stopped.
                            return;
                        }
                    }
                    Err(error) if of_connection(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot take a function's connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        })))
    }
}
