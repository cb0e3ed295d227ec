//! How many TCP connections a listener has at once. Each connection holds a place until it is closed, a WebSocket that it became included.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Which listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listener {
    /// The setting that its address is from.
    listener: &'static str,
}

/// What listeners count.
#[derive(Clone, Debug, Default)]
pub(super) struct ListenerMetrics {
    refused: Family<Listener, Counter>,
}

impl ListenerMetrics {
    /// Registers `tandem_listeners_…`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("connections_refused", "Connections beyond a listener's bound", metrics.refused.clone());
        metrics
    }

    /// `count` places for the connections of the listener that the setting `listener` describes.
    pub(super) fn places(&self, listener: &'static str, count: usize) -> Places {
        let refused = self.refused.get_or_create(&Listener { listener }).clone();
        Places { free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))), refused }
    }
}

/// The places of one listener. When all are taken, a further connection is closed at once and counted: its client sees a reset and may
/// try again, or another node.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    refused: Counter,
}

impl<Service> Accept<TcpStream, Service> for Places {
    type Stream = Placed;
    type Service = Service;
    type Future = Ready<io::Result<(Placed, Service)>>;

    fn accept(&self, stream: TcpStream, service: Service) -> Self::Future {
        let Ok(place) = Arc::clone(&self.free).try_acquire_owned() else {
            self.refused.inc();
            return ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, "all places for connections are taken")));
        };
        // Voice in small WebSocket messages must not wait to be gathered.
        ready(stream.set_nodelay(true).map(|()| (Placed { stream, _place: place }, service)))
    }
}

/// A connection in its place.
#[derive(Debug)]
pub(super) struct Placed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Placed {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Placed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_beyond_the_bound_is_refused_until_another_closes() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = async || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (client, listener.accept().await.unwrap().0)
        };
        let places = ListenerMetrics::default().places("web.listen", 1);
        let (_client, stream) = connect().await;
        let (placed, ()) = places.accept(stream, ()).await.unwrap();
        let (_other_client, stream) = connect().await;
        assert!(places.accept(stream, ()).await.is_err());
        assert_eq!(places.refused.get(), 1);
        drop(placed);
        let (_third_client, stream) = connect().await;
        assert!(places.accept(stream, ()).await.is_ok());
    }
}
