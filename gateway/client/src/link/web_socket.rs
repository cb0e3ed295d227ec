//! A link over WebSocket: lines as text messages, media datagrams as binary ones, on one TCP connection.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Ends, Link, MediaOut, PATH, Transport, channels};
use crate::client::Options;
use crate::error::ConnectError;
use crate::flows::Flows;
use crate::limits;

fn failed(reason: impl ToString) -> ConnectError {
    ConnectError::Transport { transport: Transport::WebSocket, reason: reason.to_string() }
}

/// Connects within [`limits::WEB_SOCKET_TIMEOUT`].
pub(super) async fn link(options: &Options, flows: &Arc<Flows>) -> Result<Link, ConnectError> {
    let after = limits::WEB_SOCKET_TIMEOUT;
    tokio::time::timeout(after, open(options, flows))
        .await
        .map_err(|_| ConnectError::TimedOut { transport: Transport::WebSocket, after })?
}

async fn open(options: &Options, flows: &Arc<Flows>) -> Result<Link, ConnectError> {
    let (host, address) = super::resolve(&options.gateway, &options.trust).await?;
    let tcp = TcpStream::connect(address).await.map_err(failed)?;
    // Voice must not wait for more of itself (Nagle's algorithm).
    tcp.set_nodelay(true).map_err(failed)?;
    let mut url = options.gateway.clone();
    url.set_path(PATH);
    if url.scheme() == "http" {
        url.set_scheme("ws").map_err(|()| failed("the address cannot be a WebSocket's"))?;
        return upgrade(tcp, url.as_str(), flows).await;
    }
    url.set_scheme("wss").map_err(|()| failed("the address cannot be a WebSocket's"))?;
    let tls = options.trust.tls(&[&rustls::version::TLS13, &rustls::version::TLS12], "http/1.1")?;
    let name = ServerName::try_from(host).map_err(failed)?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.map_err(failed)?;
    upgrade(stream, url.as_str(), flows).await
}

async fn upgrade<S>(stream: S, url: &str, flows: &Arc<Flows>) -> Result<Link, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let longest = tandem_switch::limits::LINE_BYTES_MAX + 1;
    let config = WebSocketConfig::default().max_message_size(Some(longest)).max_frame_size(Some(longest));
    let (socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await.map_err(failed)?;
    let (sink, source) = socket.split();
    let (outgoing, incoming, ends) = channels();
    let (media, datagrams) = mpsc::channel(limits::MEDIA_MAX);
    let Ends { outgoing: lines, incoming: heard } = ends;
    let mut tasks = JoinSet::new();
    tasks.spawn(write(sink, lines, datagrams));
    tasks.spawn(read(source, heard, flows.clone()));
    let media = MediaOut::Socket(media);
    Ok(Link { transport: Transport::WebSocket, outgoing, incoming, media, endpoint: None, _tasks: tasks })
}

/// Writes lines and datagrams as they come. `recv` is cancellation safe, and nothing is cancelled while it is sent.
async fn write<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut lines: mpsc::Receiver<Vec<u8>>,
    mut datagrams: mpsc::Receiver<Bytes>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = tokio::select! {
            biased;
            line = lines.recv() => match line.map(text) {
                Some(Some(message)) => message,
                Some(None) => continue,
                None => break,
            },
            Some(datagram) = datagrams.recv() => Message::Binary(datagram),
        };
        if let Err(error) = sink.send(message).await {
            tracing::debug!(%error, "the WebSocket takes no more");
            return;
        }
    }
    if let Err(error) = sink.close().await {
        tracing::debug!(%error, "the WebSocket did not close well");
    }
}

/// A line as a text message: without its newline, which the message's end stands for.
fn text(mut line: Vec<u8>) -> Option<Message> {
    line.pop_if(|byte| *byte == b'\n');
    String::from_utf8(line).ok().map(Message::text)
}

async fn read<S>(mut source: SplitStream<WebSocketStream<S>>, incoming: mpsc::Sender<Vec<u8>>, flows: Arc<Flows>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = source.next().await {
        match message {
            Ok(Message::Text(text)) => {
                for line in text.as_str().lines() {
                    if incoming.send(line.as_bytes().to_vec()).await.is_err() {
                        return;
                    }
                }
            }
            Ok(Message::Binary(datagram)) => flows.arrived(datagram),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(_)) => return,
            Err(error) => {
                tracing::debug!(%error, "the WebSocket broke");
                return;
            }
        }
    }
}
