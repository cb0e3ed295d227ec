//! Lines out of a byte stream, with a bound on their length.

use tandem_switch::limits::LINE_BYTES_MAX;
use tandem_switch::signal::{ClientMessage, DecodeError};

/// Collects bytes until a line is whole. Holds at most one line's bytes and the last piece that was pushed.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
    /// Bytes at the buffer's start that were handed out.
    taken: usize,
    /// Bytes after them that hold no newline.
    searched: usize,
    /// Whether the rest of a line that was too long is being thrown away.
    skipping: bool,
}

impl Lines {
    /// Adds bytes. Take all messages out first: only then is the buffer bounded.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, or why a line is none; `None` when no line is whole.
    ///
    /// A line that is too long is reported once, as soon as it is known to be; its rest is thrown away.
    pub(crate) fn next(&mut self) -> Option<Result<ClientMessage, DecodeError>> {
        loop {
            let rest = &self.buffer[self.taken..];
            let Some(length) = rest[self.searched..].iter().position(|&byte| byte == b'\n') else {
                return self.unfinished();
            };
            let line = &rest[..self.searched + length];
            let message = ClientMessage::decode(line);
            self.taken += line.len() + 1;
            self.searched = 0;
            if !std::mem::take(&mut self.skipping) {
                return Some(message);
            }
        }
    }

    fn unfinished(&mut self) -> Option<Result<ClientMessage, DecodeError>> {
        let length = self.buffer.len() - self.taken;
        self.searched = length;
        if length <= LINE_BYTES_MAX && !self.skipping {
            return None;
        }
        self.taken = self.buffer.len();
        self.searched = 0;
        let known = std::mem::replace(&mut self.skipping, true);
        (!known).then_some(Err(DecodeError::TooLong(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(data: u64) -> ClientMessage {
        ClientMessage::Ping { data }
    }

    fn drain(lines: &mut Lines) -> Vec<Result<ClientMessage, DecodeError>> {
        std::iter::from_fn(|| lines.next()).collect()
    }

    #[test]
    fn lines_come_out_whole_however_they_are_cut() {
        let stream: Vec<u8> = (0..5).flat_map(|data| ping(data).encode()).collect();
        for size in 1..=stream.len() {
            let mut lines = Lines::default();
            let mut heard = Vec::new();
            for piece in stream.chunks(size) {
                lines.push(piece);
                heard.extend(drain(&mut lines));
            }
            assert_eq!(heard, (0..5).map(|data| Ok(ping(data))).collect::<Vec<_>>(), "pieces of {size}");
        }
    }

    #[test]
    fn garbage_is_reported_and_the_next_line_is_read() {
        let mut lines = Lines::default();
        lines.push(b"\xff\xfe{]\n");
        lines.push(&ping(1).encode());
        let heard = drain(&mut lines);
        assert!(matches!(heard[0], Err(DecodeError::NotAMessage(_))), "{heard:?}");
        assert_eq!(heard[1..], [Ok(ping(1))]);
    }

    #[test]
    fn a_line_that_is_too_long_is_reported_once_and_not_kept() {
        let mut lines = Lines::default();
        let mut heard = Vec::new();
        for _ in 0..64 {
            lines.push(&[b'x'; 4096]);
            heard.extend(drain(&mut lines));
            assert!(lines.buffer.len() <= LINE_BYTES_MAX + 2 * 4096);
        }
        lines.push(b"tail\n");
        lines.push(&ping(2).encode());
        heard.extend(drain(&mut lines));
        assert!(matches!(heard[0], Err(DecodeError::TooLong(length)) if length > LINE_BYTES_MAX), "{heard:?}");
        assert_eq!(heard[1..], [Ok(ping(2))]);
    }

    #[test]
    fn a_long_line_in_one_piece_is_too_long_as_well() {
        let mut lines = Lines::default();
        let mut piece = vec![b'x'; LINE_BYTES_MAX + 1];
        piece.push(b'\n');
        lines.push(&piece);
        assert_eq!(drain(&mut lines), [Err(DecodeError::TooLong(LINE_BYTES_MAX + 1))]);
    }
}
