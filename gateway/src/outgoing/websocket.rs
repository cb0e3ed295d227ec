//! WebSockets to other people's servers, for taps: checked against the manifest and the network's bounds as functions' requests are.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Name, Resolve as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::{Host, Url};

use super::addresses::{Reach, is_public};
use super::hosts::HostPattern;
use super::limits;
use super::transport::{self, JudgedNames, SetupError, SystemNames};

/// A connection, with TLS or without.
pub(crate) type Socket = WebSocketStream<Pin<Box<dyn Io>>>;

/// Bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

/// Connects to `wss:` addresses that are public or that the operator allows, and to `ws:` addresses only where the operator allows them:
/// what is said in calls does not cross the Internet in the clear. Clones share all.
#[derive(Clone)]
pub struct WebSockets {
    names: Arc<JudgedNames>,
    tls: TlsConnector,
}

impl std::fmt::Debug for WebSockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSockets").finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It is no address of a WebSocket.
    #[error("{0}")]
    Invalid(String),
    /// The manifest does not name the host.
    #[error(
        "the manifest does not allow {0}; add it to allowed_outbound_hosts in the function's manifest and deploy a new version"
    )]
    NotInManifest(String),
    /// Nobody may be connected to there.
    #[error(
        "the host has no public address; the operator may allow private ones with `allow_private_addresses` under [functions]"
    )]
    NotPublic,
    /// It would cross the Internet in the clear.
    #[error("`ws:` is not encrypted, and only for private addresses that the operator allows; use `wss:`")]
    InTheClear,
    /// The name, the connection, or TLS failed.
    #[error("{0}")]
    Failed(String),
    /// It is no WebSocket that answers there.
    #[error("the server does not take WebSockets there: {0}")]
    Refused(String),
}

impl WebSockets {
    /// Reaches public addresses, and those that `reach` adds.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn new(reach: Reach) -> Result<Self, SetupError> {
        let names = JudgedNames { names: Arc::new(SystemNames::default()), reach: Arc::new(reach) };
        Ok(Self { names: Arc::new(names), tls: TlsConnector::from(Arc::new(transport::tls()?)) })
    }

    /// Connects to where `allowed` lets a function go: `https` there means `wss` here, `http` means `ws`. Takes as long as the server does:
    /// the caller bounds it. Messages of more than `message_bytes_max` end the connection.
    ///
    /// # Errors
    /// Says who refused and what would help.
    pub(crate) async fn connect(
        &self,
        text: &str,
        allowed: &[HostPattern],
        message_bytes_max: usize,
    ) -> Result<Socket, ConnectError> {
        let url = checked(text, allowed)?;
        let addresses = self.addresses(&url).await?;
        let is_tls = url.scheme() == "wss";
        if !is_tls && addresses.iter().any(|address| is_public(address.ip())) {
            return Err(ConnectError::InTheClear);
        }
        let failed = |error: std::io::Error| ConnectError::Failed(error.to_string());
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let stream: Pin<Box<dyn Io>> = if is_tls {
            let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let name = rustls_pki_types::ServerName::try_from(name)
                .map_err(|error| ConnectError::Invalid(format!("the host cannot be named in TLS: {error}")))?;
            Box::pin(self.tls.connect(name, stream).await.map_err(failed)?)
        } else {
            Box::pin(stream)
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let upgraded = tokio_tungstenite::client_async_with_config(url.as_str(), stream, Some(config)).await;
        Ok(upgraded.map_err(|error| ConnectError::Refused(error.to_string()))?.0)
    }

    /// The addresses of the URL's host that may be reached.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, ConnectError> {
        let port = url.port_or_known_default().unwrap_or(443);
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) => {
                let name: Name = name.parse().map_err(|_| ConnectError::Invalid(format!("{name:?} is no host")))?;
                let found =
                    self.names.resolve(name).await.map_err(|error| match error.is::<transport::NotPublic>() {
                        true => ConnectError::NotPublic,
                        false => ConnectError::Failed(format!("the host's name cannot be resolved: {error}")),
                    })?;
                return Ok(found.map(|address| SocketAddr::new(address.ip(), port)).collect());
            }
            None => return Err(ConnectError::Invalid("the URL names no host".into())),
        };
        match self.names.reach.allows(literal) {
            true => Ok(vec![SocketAddr::new(literal, port)]),
            false => Err(ConnectError::NotPublic),
        }
    }
}

fn checked(text: &str, allowed: &[HostPattern]) -> Result<Url, ConnectError> {
    if text.len() > limits::URL_BYTES_MAX {
        return Err(ConnectError::Invalid(format!("the URL has more than {} bytes", limits::URL_BYTES_MAX)));
    }
    let mut url =
        Url::parse(text).map_err(|error| ConnectError::Invalid(format!("the URL cannot be read: {error}")))?;
    let http = match url.scheme() {
        "wss" => "https",
        "ws" => "http",
        other => return Err(ConnectError::Invalid(format!("{other}: a tap connects to wss: addresses"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConnectError::Invalid(
            "the URL carries a sign-in; put what proves who you are into its query".into(),
        ));
    }
    url.set_fragment(None);
    // Between special schemes, so it is always possible.
    let mut as_http = url.clone();
    let changed = as_http.set_scheme(http).is_ok();
    match changed && allowed.iter().any(|pattern| pattern.allows(&as_http)) {
        true => Ok(url),
        false => Err(ConnectError::NotInManifest(as_http.origin().ascii_serialization())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<HostPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn only_what_manifest_and_operator_allow_is_connected_to() {
        let loopback = Reach::with_private(vec!["127.0.0.0/8".parse().unwrap()]);
        let table: [(&str, &[&str], Reach, &str); 7] = [
            ("https://a.test/", &["https://a.test"], Reach::default(), "wss:"),
            ("wss://a.test/", &["https://b.test"], Reach::default(), "the manifest does not allow https://a.test"),
            ("ws://a.test/", &["https://a.test"], Reach::default(), "the manifest does not allow http://a.test"),
            ("wss://me:it@a.test/", &["https://a.test"], Reach::default(), "sign-in"),
            ("wss://127.0.0.1:9/", &["https://127.0.0.1:9"], Reach::default(), "no public address"),
            ("wss://localhost:9/", &["https://localhost:9"], Reach::default(), "no public address"),
            ("ws://192.0.0.9.nip.test:9/", &["http://192.0.0.9.nip.test:9"], loopback.clone(), "resolved"),
        ];
        for (url, allowed, reach, says) in table {
            let sockets = WebSockets::new(reach).unwrap();
            let Err(error) = sockets.connect(url, &patterns(allowed), 1000).await else { panic!("{url} is refused") };
            let error = error.to_string();
            assert!(error.contains(says), "{url}: {error}");
        }
        let sockets = WebSockets::new(loopback).unwrap();
        let in_the_clear = sockets.connect("ws://1.1.1.1:9/", &patterns(&["http://1.1.1.1:9"]), 1000).await;
        assert!(matches!(in_the_clear, Err(ConnectError::InTheClear)));
    }
}
