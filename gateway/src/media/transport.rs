//! How QUIC is set up.

use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::limits;
use super::steering::ShardIdentifiers;

/// The only application protocol: HTTP/3, for browsers and the native client alike.
const ALPN: &[u8] = web_transport_quinn::ALPN.as_bytes();

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// The TLS side of a server: certificate and application protocol.
pub(crate) fn crypto(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<QuicServerConfig>, CertificateError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(QuicServerConfig::try_from(tls)?))
}

/// What all shards' endpoints have in common. Clones share the key of address tokens, so that one shard's token is good at another.
pub(crate) fn server_config(crypto: Arc<QuicServerConfig>) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(crypto);
    config
        .transport_config(Arc::new(transport_config()))
        .migration(true)
        .max_incoming(limits::HANDSHAKES_MAX)
        // A client's first flight is a few packets.
        .incoming_buffer_size(16 * 1024)
        .incoming_buffer_size_total(4 * 1024 * 1024);
    config
}

fn transport_config() -> TransportConfig {
    let idle =
        IdleTimeout::try_from(limits::IDLE_TIMEOUT).expect("the idle time-out fits a QUIC variable-length integer");
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(limits::KEEP_ALIVE_INTERVAL))
        .max_concurrent_bidi_streams(limits::BIDIRECTIONAL_STREAMS_MAX.into())
        .max_concurrent_uni_streams(limits::UNIDIRECTIONAL_STREAMS_MAX.into())
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(limits::CONNECTION_WINDOW_BYTES))
        .send_window(limits::SEND_WINDOW_BYTES)
        .datagram_send_buffer_size(limits::DATAGRAM_SEND_BUFFER_BYTES)
        .datagram_receive_buffer_size(Some(limits::DATAGRAM_RECEIVE_BUFFER_BYTES))
        // Voice packets are small and there is nothing in bulk: probing for larger ones would cost and bring nothing.
        .mtu_discovery_config(None);
    transport
}

/// One shard's endpoint: its connection identifiers lead back to it.
pub(crate) fn endpoint_config(shard: usize, shards: usize) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.cid_generator(move || Box::new(ShardIdentifiers { shard, shards }));
    config
}
