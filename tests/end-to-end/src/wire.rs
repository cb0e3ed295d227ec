//! A client that may say anything: raw text over an unencrypted WebSocket.

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tandem_switch::signal::{ClientMessage, Hello, ServerMessage, VERSION};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::{Gateway, PATIENCE};

/// A WebSocket to a gateway.
pub struct Wire(WebSocketStream<TcpStream>);

impl Wire {
    /// Connects and says nothing.
    ///
    /// # Errors
    /// When the gateway does not take it.
    pub async fn connect(gateway: &Gateway) -> anyhow::Result<Self> {
        let address = gateway.plain_address();
        let tcp = TcpStream::connect(address).await?;
        let url = format!("ws://{address}{}", tandem_client::link::PATH);
        let (socket, _) = timeout(PATIENCE, tokio_tungstenite::client_async(url, tcp)).await??;
        Ok(Self(socket))
    }

    /// Connects and says `hello` with `token`; gives the gateway's answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn hello(gateway: &Gateway, token: &str) -> anyhow::Result<(Self, ServerMessage)> {
        let mut wire = Self::connect(gateway).await?;
        let hello = Hello { version: VERSION, token: token.to_owned(), client: "wire".to_owned(), resume: None };
        wire.say_message(&ClientMessage::Hello(hello)).await?;
        let answer = wire.hear().await?.context("the gateway hung up without an answer")?;
        Ok((wire, answer))
    }

    /// Sends text.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn say(&mut self, text: impl Into<String>) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(text.into())).await?)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn say_message(&mut self, message: &ClientMessage) -> anyhow::Result<()> {
        self.say(String::from_utf8(message.encode())?.trim_end()).await
    }

    /// Sends bytes as a media datagram.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn say_bytes(&mut self, bytes: impl Into<Bytes>) -> anyhow::Result<()> {
        Ok(self.0.send(Message::Binary(bytes.into())).await?)
    }

    /// The next message; `None` when the gateway has closed the connection.
    ///
    /// # Errors
    /// When it says something that is no message, or nothing.
    pub async fn hear(&mut self) -> anyhow::Result<Option<ServerMessage>> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.context("the gateway says nothing")? {
                Some(Ok(Message::Text(text))) => return Ok(Some(ServerMessage::decode(text.as_bytes())?)),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The gateway's next error; other messages are passed over.
    ///
    /// # Errors
    /// When it says goodbye or closes instead.
    pub async fn error(&mut self) -> anyhow::Result<(tandem_switch::signal::ErrorCode, String)> {
        loop {
            match self.hear().await? {
                Some(ServerMessage::Error { code, message, .. }) => return Ok((code, message)),
                Some(ServerMessage::Goodbye { reason }) => bail!("goodbye instead of an error: {reason:?}"),
                Some(_) => {}
                None => bail!("the connection ended instead of an error"),
            }
        }
    }

    /// Reads until the gateway closes the connection; gives its goodbye, if it said one.
    ///
    /// # Errors
    /// When it does not.
    pub async fn closed(&mut self) -> anyhow::Result<Option<tandem_switch::signal::GoodbyeReason>> {
        let mut goodbye = None;
        while let Some(message) = self.hear().await? {
            if let ServerMessage::Goodbye { reason } = message {
                goodbye = Some(reason);
            }
        }
        Ok(goodbye)
    }
}
