//! A link over WebTransport: lines on one bidirectional stream, media in QUIC datagrams.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Endpoint, IdleTimeout, TransportConfig};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;
use web_transport_quinn::{RecvStream, SendStream, Session};

use super::{Lines, Link, MediaOut, PATH, Transport, channels};
use crate::client::Options;
use crate::error::ConnectError;
use crate::flows::Flows;
use crate::limits;
use crate::trust::Trust;

/// A silent path that is still there is kept open through NAT bindings, which may expire after 30 s (RFC 4787 says 2 minutes).
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A path that answers nothing for so long is gone.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// Longest read from the signalling stream, bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// QUIC settings of a client; `trust` says which gateways are believed.
///
/// # Errors
/// When there is no certificate to trust.
pub fn quic(trust: &Trust) -> Result<quinn::ClientConfig, ConnectError> {
    let tls = trust.tls(&[&rustls::version::TLS13], web_transport_quinn::ALPN)?;
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| ConnectError::Trust(error.to_string()))?;
    let mut transport = TransportConfig::default();
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    transport.max_idle_timeout(IdleTimeout::try_from(IDLE_MAX).ok());
    transport.datagram_send_buffer_size(limits::DATAGRAM_SEND_BUFFER_BYTES);
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Sets up a WebTransport session with the gateway at `address` and its signalling stream.
///
/// # Errors
/// Says at which step it failed.
pub async fn open(
    endpoint: &Endpoint,
    quic: quinn::ClientConfig,
    address: SocketAddr,
    host: &str,
    port: u16,
) -> Result<(Session, SendStream, RecvStream), ConnectError> {
    let failed = |reason: String| ConnectError::Transport { transport: Transport::WebTransport, reason };
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let url = Url::parse(&format!("https://{authority}{PATH}")).map_err(|error| failed(error.to_string()))?;
    let connecting = endpoint.connect_with(quic, address, host).map_err(|error| failed(error.to_string()))?;
    let connection = connecting.await.map_err(|error| failed(error.to_string()))?;
    let session = Session::connect(connection, url).await.map_err(|error| failed(error.to_string()))?;
    let (send, receive) = session.open_bi().await.map_err(|error| failed(error.to_string()))?;
    Ok((session, send, receive))
}

/// A UDP endpoint on a port of its own, of the address family that reaches `remote`.
///
/// # Errors
/// When there is no socket to be had.
pub fn endpoint(remote: SocketAddr) -> Result<Endpoint, ConnectError> {
    let local = match remote {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let failed = |error: std::io::Error| ConnectError::Transport {
        transport: Transport::WebTransport,
        reason: format!("no UDP socket: {error}"),
    };
    Endpoint::client(local).map_err(failed)
}

/// Connects within [`limits::WEB_TRANSPORT_TIMEOUT`].
pub(super) async fn link(options: &Options, flows: &Arc<Flows>) -> Result<Link, ConnectError> {
    let (host, address) = super::resolve(&options.gateway, &options.trust).await?;
    let endpoint = endpoint(address)?;
    let opening = open(&endpoint, quic(&options.trust)?, address, &host, address.port());
    let after = limits::WEB_TRANSPORT_TIMEOUT;
    let (session, send, receive) = tokio::time::timeout(after, opening)
        .await
        .map_err(|_| ConnectError::TimedOut { transport: Transport::WebTransport, after })??;
    let connection = quinn::Connection::clone(&session);
    let (outgoing, incoming, ends) = channels();
    let mut tasks = JoinSet::new();
    tasks.spawn(write(send, ends.outgoing, session));
    tasks.spawn(read(receive, ends.incoming));
    tasks.spawn(receive_media(connection.clone(), flows.clone()));
    let media = MediaOut::Datagrams(connection);
    Ok(Link { transport: Transport::WebTransport, outgoing, incoming, media, endpoint: Some(endpoint), _tasks: tasks })
}

/// Writes lines until there are no more; keeps the session, whose end would be the connection's.
async fn write(mut stream: SendStream, mut lines: mpsc::Receiver<Vec<u8>>, session: Session) {
    while let Some(line) = lines.recv().await {
        if let Err(error) = stream.write_all(&line).await {
            tracing::debug!(%error, "the signalling stream takes no more");
            break;
        }
    }
    session.closed().await;
}

async fn read(mut stream: RecvStream, incoming: mpsc::Sender<Vec<u8>>) {
    let mut lines = Lines::default();
    loop {
        let chunk = match stream.read_chunk(CHUNK_BYTES, true).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the signalling stream broke");
                return;
            }
        };
        let Some(complete) = lines.push(&chunk.bytes) else {
            tracing::debug!("the gateway sent a line that is too long");
            return;
        };
        for line in complete {
            if incoming.send(line).await.is_err() {
                return;
            }
        }
    }
}

async fn receive_media(connection: quinn::Connection, flows: Arc<Flows>) {
    while let Ok(datagram) = connection.read_datagram().await {
        flows.arrived(datagram);
    }
}
