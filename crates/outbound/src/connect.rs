//! Connections to addresses that were asked about.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::OutboundError;
use crate::guard::Guard;
use crate::limits::{CONNECT_TIME, MAX_ADDRESSES, MAX_ANSWER_HEAD_BYTES, MAX_ANSWER_HEADERS};
use crate::resolve::Resolve;
use crate::url::{Host, Place, Scheme};

/// A connection that takes one request after the other.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// How connections are made.
pub(crate) struct Connector {
    pub(crate) guard: Guard,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Connector {
    /// The addresses of a place that may be called.
    pub(crate) async fn addresses(&self, place: &Place) -> Result<Vec<IpAddr>, OutboundError> {
        let found = match &place.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = self.resolver.resolve(name).await;
                found.map_err(|_| OutboundError::Unresolved(name.clone()))?
            }
        };
        if found.is_empty() {
            return Err(OutboundError::Unresolved(place.host.to_string()));
        }
        let permitted: Vec<IpAddr> =
            found.iter().copied().filter(|address| self.guard.permits(*address)).take(MAX_ADDRESSES).collect();
        if permitted.is_empty() {
            tracing::debug!(host = %place.host, addresses = ?found, "an outgoing call was refused");
            return Err(OutboundError::Refused(place.host.to_string()));
        }
        Ok(permitted)
    }

    /// A connection to a place, within [`CONNECT_TIME`].
    pub(crate) async fn connect(&self, place: &Place) -> Result<Sender, OutboundError> {
        let made = tokio::time::timeout(CONNECT_TIME, self.make(place)).await;
        made.unwrap_or_else(|_| {
            Err(OutboundError::Connect { host: place.to_string(), why: "the time to connect is over".to_owned() })
        })
    }

    async fn make(&self, place: &Place) -> Result<Sender, OutboundError> {
        let mut last = None;
        for address in self.addresses(place).await? {
            // The address itself and not the name, which could by now resolve to something else.
            match TcpStream::connect(SocketAddr::new(address, place.port)).await {
                Ok(stream) => return self.agree(place, stream).await,
                Err(error) => last = Some(error),
            }
        }
        let why = last.map_or_else(String::new, |error| error.kind().to_string());
        Err(OutboundError::Connect { host: place.to_string(), why })
    }

    async fn agree(&self, place: &Place, stream: TcpStream) -> Result<Sender, OutboundError> {
        // A request is written at once; what is left of it must not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        match place.scheme {
            Scheme::Http => speak(stream).await,
            Scheme::Https => {
                let refused = |why: String| OutboundError::Tls { host: place.to_string(), why };
                let name = match &place.host {
                    Host::Name(name) => ServerName::try_from(name.clone()).map_err(|e| refused(e.to_string()))?,
                    Host::Address(address) => ServerName::IpAddress((*address).into()),
                };
                let connected = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
                speak(connected.map_err(|error| refused(error.to_string()))?).await
            }
        }
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> Result<Sender, OutboundError> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_ANSWER_HEAD_BYTES)
        .max_headers(MAX_ANSWER_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| OutboundError::Protocol(error.to_string()))?;
    // It ends when its sender is dropped, or the other side closes. What goes wrong the request hears of.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}
