//! Messages in a stream: each ends where its `Content-Length` says (RFC 3261 §18.3).

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};

use super::head::{self, Head};
use super::{Carrier, Fault, Policy, Verdict};
use crate::limits;

/// What came in a connection and is not judged yet. Drained by [`Stream::poll`] after each read, it holds one message at most and what
/// was read with it.
#[derive(Debug)]
pub struct Stream {
    policy: Policy,
    source: SocketAddr,
    buffer: BytesMut,
    /// How far the buffer was searched for the end of a head.
    searched: usize,
    /// How long the message at the buffer's beginning is, once its head is known.
    needed: Option<usize>,
    broken: bool,
}

impl Stream {
    /// The stream of a connection that came from `source`.
    pub fn new(policy: Policy, source: SocketAddr) -> Self {
        Self { policy, source, buffer: BytesMut::new(), searched: 0, needed: None, broken: false }
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether nobody can say any more where a message begins: the connection is to be closed, after the last answer.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// How many bytes wait for the rest of their message.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next verdict, if a whole message is there.
    pub fn poll(&mut self) -> Option<Verdict> {
        if self.broken {
            return None;
        }
        if self.needed.is_none() {
            if let Some(pong) = self.keep_alive() {
                return Some(pong);
            }
            if let Err(fault) = self.find_end()? {
                return Some(self.break_off(fault));
            }
        }
        let needed = self.needed.filter(|needed| *needed <= self.buffer.len())?;
        let message = self.buffer.split_to(needed);
        (self.searched, self.needed) = (0, None);
        Some(super::judge(&self.policy, &message, self.source, Carrier::Stream))
    }

    /// A double line end between messages is a question whether we are here, a single one the answer to ours (RFC 5626 §4.4.1).
    fn keep_alive(&mut self) -> Option<Verdict> {
        while self.buffer.starts_with(b"\r\n") {
            match self.buffer.get(2..4) {
                Some(b"\r\n") => {
                    self.buffer.advance(4);
                    return Some(Verdict::KeepAlive(b"\r\n"));
                }
                Some(_) => self.buffer.advance(2),
                None if self.buffer.len() == 3 && self.buffer[2] != b'\r' => self.buffer.advance(2),
                None => return None,
            }
        }
        None
    }

    /// None while the head is not whole.
    fn find_end(&mut self) -> Option<Result<(), Fault>> {
        if self.buffer.starts_with(b"\r\n") || self.buffer.is_empty() {
            return None;
        }
        let Some(end) = head::end_of_head(&self.buffer[self.searched..]).map(|end| self.searched + end) else {
            self.searched = self.buffer.len().saturating_sub(3);
            return (self.buffer.len() > limits::HEAD_BYTES_MAX).then_some(Err(Fault::HeadTooLarge));
        };
        if end > limits::HEAD_BYTES_MAX {
            return Some(Err(Fault::HeadTooLarge));
        }
        let (head, _) = Head::read(&self.buffer[..end + 4]);
        let length = super::announced_length(&head).and_then(|length| length.ok_or(Fault::Missing("Content-Length")));
        Some(length.map(|length| self.needed = Some(end + 4 + length)))
    }

    fn break_off(&mut self, fault: Fault) -> Verdict {
        self.broken = true;
        let message = std::mem::take(&mut self.buffer);
        let (head, _) = Head::read(&message);
        match head.start {
            head::Start::Request { method, .. } if method != "ACK" => {
                super::refuse(&self.policy, &head, fault, self.source)
            }
            _ => Verdict::Drop(fault),
        }
    }
}
