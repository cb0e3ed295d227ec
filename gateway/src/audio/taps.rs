//! What a tap and its far end say to each other over a WebSocket, version 1.
//!
//! The gateway connects to the `wss:` address of the plan's `tap` step and says first, as a text message,
//! `{"type":"start","version":1,"tap":…,"call":…,"tracks":["caller","callee"],"format":"pcm-16k","rate":16000,"channels":1,"frame-ms":20,"speaks":false}`
//! (`rate` is 48000 for `opus`). Then, as binary messages, frames of 20 ms:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version: 1 |
//! | 1 | track: 0 the caller, 1 the callee, 2 the far end |
//! | 2-3 | sequence number within the track, big-endian, wraps: a number that is missing is a frame that the far end was too slow for |
//! | 4-7 | timestamp, big-endian, wraps: 1/48,000 s since the first voice was heard, the same clock for all tracks |
//! | 8… | an Opus packet (RFC 6716), or the samples: 16 bit, little-endian, mono |
//!
//! A track begins when its voice is first heard. In `pcm` formats a frame follows every 20 ms from then on, silence included; in `opus` only
//! what was sent is passed on, as it is, so that silence is a jump of the timestamp.
//!
//! Where the plan lets it speak, the far end sends binary messages with the same head and track 2; sequence number and timestamp are not
//! looked at. The payload is an Opus packet of 20 ms, or any number of samples, at most 128 KiB. It may be sent faster than it sounds: a minute is
//! held, what comes beyond is dropped. Text messages of the far end:
//!
//! - `{"type":"clear"}`: what was sent and is not heard yet shall not be;
//! - `{"type":"mark","name":"…"}`: answered by the same when all that was sent before it was heard or cleared.
//!
//! The gateway ends with `{"type":"stop"}` and a close frame; the far end by closing. A far end that reads too slowly loses frames.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tandem_switch::audio::{TapId, Track};
use tandem_switch::plan::{Legs, TapFormat, TapStep};

use super::limits;

/// The version of all of this.
const VERSION: u8 = 1;

/// Length of a frame's head, bytes.
pub const HEAD_BYTES: usize = 8;

/// The far end's own track.
const FAR_END: u8 = 2;

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Whose voice.
    pub track: u8,
    /// Counts the track's frames, wraps.
    pub sequence: u16,
    /// Samples at 48 kHz since the first voice was heard, wraps.
    pub timestamp: u32,
}

impl FrameHead {
    /// Writes it.
    pub fn write(self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u8(self.track);
        out.put_u16(self.sequence);
        out.put_u32(self.timestamp);
    }

    /// Reads it from a binary message.
    ///
    /// # Errors
    /// Says what is wrong with the message.
    pub fn read(message: &[u8]) -> Result<Self, BadMessage> {
        let (head, _) = message.split_first_chunk::<HEAD_BYTES>().ok_or(BadMessage::Short(message.len()))?;
        let [version, track, s0, s1, t0, t1, t2, t3] = *head;
        if version != VERSION {
            return Err(BadMessage::Version(version));
        }
        Ok(Self { track, sequence: u16::from_be_bytes([s0, s1]), timestamp: u32::from_be_bytes([t0, t1, t2, t3]) })
    }
}

/// A track's number.
pub(super) fn number(track: Track) -> u8 {
    match track {
        Track::Caller => 0,
        Track::Callee => 1,
    }
}

/// The first message.
pub(super) fn start(tap: TapId, step: &TapStep) -> String {
    let tracks: &[Track] = match step.legs {
        Legs::Both => &[Track::Caller, Track::Callee],
        Legs::Caller => &[Track::Caller],
        Legs::Callee => &[Track::Callee],
    };
    let rate = match step.format {
        TapFormat::Pcm8k => 8_000,
        TapFormat::Pcm16k => 16_000,
        TapFormat::Pcm24k => 24_000,
        TapFormat::Opus | TapFormat::Pcm48k => 48_000,
    };
    serde_json::json!({
        "type": "start", "version": VERSION, "tap": tap.to_string(), "call": tap.call, "tracks": tracks,
        "format": step.format, "rate": rate, "channels": 1, "frame-ms": 20, "speaks": step.speaks,
    })
    .to_string()
}

/// The last message.
pub(super) const STOP: &str = r#"{"type":"stop"}"#;

/// Text messages of the far end, and what a mark is answered by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Control {
    /// See the module.
    Clear,
    /// See the module.
    Mark {
        /// Which.
        name: String,
    },
}

/// What a far end must not say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// A binary message without a head.
    #[error("the far end sent a binary message of {0} bytes; a frame has a head of {HEAD_BYTES}")]
    Short(usize),
    /// A frame of another version.
    #[error("the far end sent a frame of version {0}; this is version {VERSION}")]
    Version(u8),
    /// A frame of somebody else's voice.
    #[error("the far end sent a frame of track {0}; its own is {FAR_END}")]
    Track(u8),
    /// Text that is not understood.
    #[error("the far end sent text that is neither clear nor mark: {0}")]
    Text(String),
    /// A mark whose name is too long.
    #[error("the far end sent a mark with a name of {0} bytes; it has at most {max}", max = limits::TAP_MARK_BYTES_MAX)]
    Mark(usize),
}

/// Reads the payload of what the far end says.
///
/// # Errors
/// Says what is wrong with the message.
pub(super) fn voice(mut message: Bytes) -> Result<Bytes, BadMessage> {
    let head = FrameHead::read(&message)?;
    if head.track != FAR_END {
        return Err(BadMessage::Track(head.track));
    }
    Ok(message.split_off(HEAD_BYTES))
}

/// Reads a text message of the far end.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn control(text: &str) -> Result<Control, BadMessage> {
    match serde_json::from_str(text).map_err(|error| BadMessage::Text(error.to_string()))? {
        Control::Mark { name } if name.len() > limits::TAP_MARK_BYTES_MAX => Err(BadMessage::Mark(name.len())),
        control => Ok(control),
    }
}

#[cfg(test)]
mod tests {
    use tandem_switch::id::CallId;

    use super::*;

    #[test]
    fn a_frame_s_head_is_read_as_it_is_written() {
        let head = FrameHead { track: 1, sequence: 0xfffe, timestamp: 0x0102_0304 };
        let mut out = BytesMut::new();
        head.write(&mut out);
        assert_eq!(out[..], [1, 1, 0xff, 0xfe, 1, 2, 3, 4]);
        assert_eq!(FrameHead::read(&out), Ok(head));
    }

    #[test]
    fn the_far_end_s_messages_are_read_or_refused_with_words() {
        assert_eq!(voice(Bytes::from_static(&[1, 2, 0, 0, 0, 0, 0, 0, 7, 8])), Ok(Bytes::from_static(&[7, 8])));
        let table: [(&'static [u8], BadMessage); 3] = [
            (&[1, 2, 0], BadMessage::Short(3)),
            (&[9, 2, 0, 0, 0, 0, 0, 0], BadMessage::Version(9)),
            (&[1, 0, 0, 0, 0, 0, 0, 0], BadMessage::Track(0)),
        ];
        for (message, error) in table {
            assert_eq!(voice(Bytes::from_static(message)), Err(error));
        }
        assert_eq!(control(r#"{"type":"clear"}"#), Ok(Control::Clear));
        assert_eq!(control(r#"{"type":"mark","name":"a"}"#), Ok(Control::Mark { name: "a".into() }));
        assert!(matches!(control(r#"{"type":"hang-up"}"#), Err(BadMessage::Text(_))));
        let long = format!(r#"{{"type":"mark","name":"{}"}}"#, "a".repeat(300));
        assert_eq!(control(&long), Err(BadMessage::Mark(300)));
    }

    #[test]
    fn the_start_says_what_follows() {
        let step = TapStep { url: "wss://x.test".into(), legs: Legs::Both, format: TapFormat::Pcm16k, speaks: true };
        let start: serde_json::Value =
            serde_json::from_str(&start(TapId { call: CallId(1), number: 2 }, &step)).unwrap();
        assert_eq!(start["format"], "pcm-16k");
        assert_eq!((&start["rate"], &start["version"], &start["speaks"]), (&16_000.into(), &1.into(), &true.into()));
        assert_eq!(start["tracks"], serde_json::json!(["caller", "callee"]));
        assert_eq!(start["tap"], format!("{}-2", start["call"].as_str().unwrap()));
    }
}
