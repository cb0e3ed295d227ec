//! A TCP listener that serves HTTP until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::places::Places;
use crate::certificate::{Certificate, CertificateError};

/// How long a client may take to finish its TLS handshake, and again to send a request's header.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of a request's header. Longer: 431.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 64;

/// Why a listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("cannot listen on TCP {address} ({purpose}): {error}{hint}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What for.
        purpose: &'static str,
        /// Why.
        error: io::Error,
        /// What to do about it, or nothing.
        hint: &'static str,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// One running listener.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves `router` with TLS, and follows the certificate as it changes. `purpose` is the setting that the address is from.
    ///
    /// # Errors
    /// When the address cannot be bound or the certificate not be used.
    pub(super) fn tls(
        address: SocketAddr,
        purpose: &'static str,
        places: Places,
        router: Router,
        mut certificate: watch::Receiver<Arc<Certificate>>,
    ) -> Result<Self, ListenError> {
        let tls = certificate.borrow_and_update().tcp()?;
        let tls = RustlsConfig::from_config(Arc::new(tls));
        let acceptor = RustlsAcceptor::new(tls.clone()).handshake_timeout(CLIENT_TIMEOUT).acceptor(places);
        let (listener, address) = bind(address, purpose)?;
        let handle = Handle::new();
        let mut server =
            axum_server::Server::<SocketAddr>::from_listener(listener).acceptor(acceptor).handle(handle.clone());
        bound(&mut server);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving =
            tokio::spawn(async move { report(server.first_request_timeout(CLIENT_TIMEOUT).serve(service).await) });
        let following = tokio::spawn(async move {
            while certificate.changed().await.is_ok() {
                match certificate.borrow_and_update().tcp() {
                    Ok(config) => tls.reload_from_config(Arc::new(config)),
                    Err(error) => tracing::error!(%error, listener = purpose, "a listener keeps its old certificate"),
                }
            }
        });
        Ok(Self { address, handle, tasks: vec![serving, following] })
    }

    /// Serves `router` without TLS. The configuration lets this happen for callers on loopback addresses only, and for operators.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(super) fn plain(
        address: SocketAddr,
        purpose: &'static str,
        places: Places,
        router: Router,
    ) -> Result<Self, ListenError> {
        let (listener, address) = bind(address, purpose)?;
        let handle = Handle::new();
        let server = axum_server::Server::<SocketAddr>::from_listener(listener);
        let mut server = server.acceptor(places).handle(handle.clone());
        bound(&mut server);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving =
            tokio::spawn(async move { report(server.first_request_timeout(CLIENT_TIMEOUT).serve(service).await) });
        Ok(Self { address, handle, tasks: vec![serving] })
    }

    /// The address, with the port that the system chose when it was 0.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no further connection, lets requests end for as long as `grace`, then ends.
    pub(super) async fn stop(mut self, grace: Duration) {
        self.handle.graceful_shutdown(Some(grace));
        let serving = self.tasks.remove(0);
        for task in self.tasks {
            task.abort();
        }
        // A task that ended by panicking has said so in the log.
        let _ = serving.await;
    }
}

/// Binds at once, so that an address that is taken is an error of the start and not of later.
fn bind(address: SocketAddr, purpose: &'static str) -> Result<(tokio::net::TcpListener, SocketAddr), ListenError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bind().map_err(|error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "; another process listens there: stop it, or choose another port",
            io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
            io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        };
        ListenError::Bind { address, purpose, error, hint }
    })
}

/// Bounds what one client may hold up.
fn bound<Acceptor>(server: &mut axum_server::Server<SocketAddr, Acceptor>) {
    let builder = server.http_builder();
    builder.http1().header_read_timeout(CLIENT_TIMEOUT).max_buf_size(HEADER_BYTES_MAX);
    let h2_header_bytes = u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX);
    builder.http2().max_concurrent_streams(STREAMS_MAX).max_header_list_size(h2_header_bytes);
    builder.http2().keep_alive_interval(Some(CLIENT_TIMEOUT * 3)).keep_alive_timeout(CLIENT_TIMEOUT);
}

fn report(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "a web listener ended");
    }
}
