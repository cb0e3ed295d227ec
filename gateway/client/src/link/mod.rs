//! One transport connection to a gateway: lines and media datagrams, over WebTransport or WebSocket.
//!
//! A link knows nothing of sessions and calls. It ends for good when its connection does.

pub mod web_socket;
pub mod web_transport;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use crate::client::Options;
use crate::error::ConnectError;
use crate::flows::Flows;
use crate::limits;
use crate::trust::Trust;

/// Where the gateway takes sessions, over either transport.
pub const PATH: &str = "/v1/connect";

/// What a link runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// WebTransport over QUIC.
    WebTransport,
    /// WebSocket over TLS (or plain, for an `http` address).
    WebSocket,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebTransport => "WebTransport",
            Self::WebSocket => "WebSocket",
        })
    }
}

/// Which transports may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// WebTransport; WebSocket when it does not come to stand within 3 s.
    #[default]
    Auto,
    /// WebTransport only.
    WebTransport,
    /// WebSocket only.
    WebSocket,
}

/// A connection that stands.
pub(crate) struct Link {
    pub(crate) transport: Transport,
    /// Lines to the gateway, each with its newline.
    pub(crate) outgoing: mpsc::Sender<Vec<u8>>,
    /// Lines from the gateway, without newlines. Ends with the link.
    pub(crate) incoming: mpsc::Receiver<Vec<u8>>,
    pub(crate) media: MediaOut,
    endpoint: Option<quinn::Endpoint>,
    /// Everything that works for the link; dropping it ends the link as a crash would.
    _tasks: JoinSet<()>,
}

/// Where media datagrams go.
#[derive(Clone, Debug)]
pub(crate) enum MediaOut {
    Datagrams(quinn::Connection),
    Socket(mpsc::Sender<Bytes>),
}

impl MediaOut {
    /// Sends a datagram if it can be sent now; says whether it was.
    pub(crate) fn send(&self, datagram: Bytes) -> bool {
        match self {
            Self::Datagrams(connection) => connection.send_datagram(datagram).is_ok(),
            Self::Socket(frames) => frames.try_send(datagram).is_ok(),
        }
    }
}

impl Link {
    /// Connects over the first transport that works.
    pub(crate) async fn connect(options: &Options, flows: &Arc<Flows>) -> Result<Self, ConnectError> {
        let encrypted = match options.gateway.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(ConnectError::BadAddress(options.gateway.to_string())),
        };
        match options.transport {
            TransportChoice::WebTransport => web_transport::link(options, flows).await,
            TransportChoice::WebSocket => web_socket::link(options, flows).await,
            TransportChoice::Auto if !encrypted => web_socket::link(options, flows).await,
            TransportChoice::Auto => match web_transport::link(options, flows).await {
                Ok(link) => Ok(link),
                Err(error @ (ConnectError::InsecureBeyondLoopback(_) | ConnectError::Trust(_))) => Err(error),
                Err(first) => {
                    tracing::debug!(error = %first, "WebTransport does not work; trying WebSocket");
                    web_socket::link(options, flows).await.map_err(|second| ConnectError::NoTransport {
                        web_transport: Box::new(first),
                        web_socket: Box::new(second),
                    })
                }
            },
        }
    }

    /// Goes on from a new UDP port, as a client does whose address changes. Says whether the transport can.
    pub(crate) fn migrate(&self) -> std::io::Result<bool> {
        let Some(endpoint) = &self.endpoint else { return Ok(false) };
        let address = SocketAddr::new(endpoint.local_addr()?.ip(), 0);
        endpoint.rebind(std::net::UdpSocket::bind(address)?)?;
        Ok(true)
    }

    /// Ends the link without a word, as a lost network does.
    pub(crate) fn drop_now(self) {
        if let MediaOut::Datagrams(connection) = &self.media {
            connection.close(0u32.into(), b"");
        }
    }
}

/// Host and first address of the gateway; refuses unchecked certificates beyond this machine.
async fn resolve(gateway: &Url, trust: &Trust) -> Result<(String, SocketAddr), ConnectError> {
    let bad = || ConnectError::BadAddress(gateway.to_string());
    let host = gateway.host_str().ok_or_else(bad)?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = gateway.port_or_known_default().ok_or_else(bad)?;
    let looked_up = tokio::net::lookup_host((host.as_str(), port)).await.map(|mut addresses| addresses.next());
    let address = match looked_up {
        Ok(Some(address)) => address,
        Ok(None) => return Err(ConnectError::Unresolved { host, reason: "it has none".to_owned() }),
        Err(error) => return Err(ConnectError::Unresolved { host, reason: error.to_string() }),
    };
    if matches!(trust, Trust::AnyOnLoopback) && !address.ip().is_loopback() {
        return Err(ConnectError::InsecureBeyondLoopback(host));
    }
    Ok((host, address))
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes bytes, gives every line that is complete, without newlines. `None` when a line is longer than the protocol allows.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut complete = Vec::new();
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.partial.extend_from_slice(piece);
            complete.push(std::mem::take(&mut self.partial));
        }
        self.partial.extend_from_slice(last);
        let max = tandem_switch::limits::LINE_BYTES_MAX;
        let too_long = self.partial.len() > max || complete.iter().any(|line| line.len() > max);
        (!too_long).then_some(complete)
    }
}

/// The channels of a link, as its tasks hold them.
struct Ends {
    outgoing: mpsc::Receiver<Vec<u8>>,
    incoming: mpsc::Sender<Vec<u8>>,
}

fn channels() -> (mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>, Ends) {
    let (to_gateway, outgoing) = mpsc::channel(limits::LINES_MAX);
    let (incoming, from_gateway) = mpsc::channel(limits::LINES_MAX);
    (to_gateway, from_gateway, Ends { outgoing, incoming })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_bytes_are() {
        let text = b"{\"a\":1}\n\n{\"b\":2}\nrest";
        for step in 1..text.len() {
            let mut lines = Lines::default();
            let got: Vec<_> = text.chunks(step).flat_map(|chunk| lines.push(chunk).unwrap()).collect();
            assert_eq!(got, [&b"{\"a\":1}"[..], b"", b"{\"b\":2}"], "in steps of {step}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_noticed_before_it_ends() {
        let mut lines = Lines::default();
        let max = tandem_switch::limits::LINE_BYTES_MAX;
        assert_eq!(lines.push(&vec![b'x'; max]), Some(vec![]));
        assert_eq!(lines.push(b"x"), None);
    }

    #[tokio::test]
    async fn unchecked_certificates_stay_on_this_machine() {
        let beyond = Url::parse("https://192.0.2.1:4433").unwrap();
        let error = resolve(&beyond, &Trust::AnyOnLoopback).await.unwrap_err();
        assert!(matches!(error, ConnectError::InsecureBeyondLoopback(host) if host == "192.0.2.1"));
        let here = Url::parse("https://[::1]:4433").unwrap();
        assert_eq!(resolve(&here, &Trust::AnyOnLoopback).await.unwrap().1.port(), 4433);
    }
}
