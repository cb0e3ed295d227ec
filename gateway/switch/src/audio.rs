//! What calls want of the gateway's own voice, and what it tells them: playing, listening, recording, tapping.
//!
//! The gateway speaks with a party through a **port**: it has one flow of its own towards the party, and may be given the party's voice. Ports,
//! recordings and taps are named here; the shell's codec threads do the work. Commands are carried out in their order; nothing waits.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{CallId, FlowId, LinkId, RoomId, TenantId, UserId};
use crate::plan::{TapStep, Tone};

/// A port; the exchange never uses its number again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u64);

/// A recording: the call it is of and which one of it, from 1. Written `call-number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId {
    /// The call.
    pub call: CallId,
    /// Counts up within the call.
    pub number: u16,
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.call, self.number)
    }
}

/// A tap: the call it is of and which one of it, from 1. Written `call-number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TapId {
    /// The call.
    pub call: CallId,
    /// Counts up within the call.
    pub number: u16,
}

impl fmt::Display for TapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.call, self.number)
    }
}

/// A key of a telephone (ITU-T Q.23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit(char);

impl Digit {
    /// One of `0-9`, `*`, `#`, `A-D`; else nothing.
    pub fn new(key: char) -> Option<Self> {
        (key.is_ascii_digit() || ['*', '#', 'A', 'B', 'C', 'D'].contains(&key)).then_some(Self(key))
    }

    /// The key.
    pub fn as_char(self) -> char {
        self.0
    }
}

/// Something to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sound {
    /// A prompt of the tenant's, by name.
    Prompt(String),
    /// A generated tone. Tones that have no end of their own are played for their natural length (a beep) or one cadence a time.
    Tone(Tone),
    /// Keys of a telephone as tones.
    Digits(Vec<Digit>),
    /// A mailbox's own greeting; nothing, when it has none.
    Greeting(UserId),
}

/// A copy of a voice goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A party's link: the very bytes that came in.
    Link(LinkId),
    /// A room: all who hear it, but for the talker.
    Room(RoomId),
    /// A port that listens.
    Port(PortId),
    /// A track of a recording.
    Recording(RecordingId, Track),
    /// A track of a tap.
    Tap(TapId, Track),
}

/// Whose voice, within a recording or tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Track {
    /// The caller's.
    Caller,
    /// The callee's: of whoever answered, one after another.
    Callee,
}

/// What shall be recorded, for whom and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Whose.
    pub tenant: TenantId,
    /// Who calls.
    pub caller: UserId,
    /// What was dialled.
    pub dialled: String,
    /// Why it is made.
    pub purpose: Purpose,
    /// The tracks there may be.
    pub tracks: Vec<Track>,
}

/// Why a recording is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Of a call, because plan, client or API asked for it.
    Call,
    /// A message for a mailbox.
    Message {
        /// Which.
        mailbox: UserId,
    },
}

/// What the codec threads shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioCommand {
    /// Make a port. What it plays goes out under `flow`.
    Open {
        /// Its name.
        port: PortId,
        /// Whose call.
        tenant: TenantId,
        /// Which call.
        call: CallId,
        /// The gateway's voice towards the party.
        flow: FlowId,
        /// The party's link; `None` while it is lost.
        to: Option<LinkId>,
    },
    /// The party has another link, or none for now: what is played goes on, unheard.
    Retarget {
        /// Which port.
        port: PortId,
        /// Its link.
        to: Option<LinkId>,
    },
    /// Play; ends what the port played before. Answered by [`AudioEvent::Played`], unless it is stopped or the port closed.
    Play {
        /// Which port.
        port: PortId,
        /// Names this playback in the answer.
        playback: u32,
        /// What.
        sound: Sound,
        /// How many times, at least once.
        times: u32,
    },
    /// Stop what plays.
    Stop {
        /// Which port.
        port: PortId,
    },
    /// Tell when nobody has spoken into the port for so long, once, with [`AudioEvent::Silence`]; `None`: any more.
    Watch {
        /// Which port.
        port: PortId,
        /// How long.
        silence: Option<Duration>,
    },
    /// Close a port for good.
    Close {
        /// Which port.
        port: PortId,
    },
    /// Begin to record what is routed to [`Destination::Recording`].
    Record {
        /// Its name.
        recording: RecordingId,
        /// What.
        what: Box<Recording>,
    },
    /// End a recording. Answered by [`AudioEvent::Recorded`].
    Finish {
        /// Which.
        recording: RecordingId,
        /// Whether it is kept: a message that is too short is not.
        keep: bool,
    },
    /// Connect a tap to its far end. When that fails, or ends: [`AudioEvent::TapEnded`].
    Tap {
        /// Its name.
        tap: TapId,
        /// Whose.
        tenant: TenantId,
        /// Where to, and how.
        step: Box<TapStep>,
        /// Where the far end's voice is heard, if it may speak.
        port: Option<PortId>,
    },
    /// End a tap.
    Untap {
        /// Which.
        tap: TapId,
    },
}

/// What the codec threads tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioEvent {
    /// A playback is over: played to its end, or not at all.
    Played {
        /// Which port.
        port: PortId,
        /// Which playback.
        playback: u32,
        /// Why it could not be played, in plain words.
        failure: Option<String>,
    },
    /// Nobody has spoken into a port for as long as was asked.
    Silence {
        /// Which port.
        port: PortId,
    },
    /// A recording could not begin, or broke off; what was written until then is kept. The call goes on.
    RecordingFailed {
        /// Which.
        recording: RecordingId,
        /// Why, in plain words.
        failure: String,
    },
    /// A tap's far end refused, closed or was lost.
    TapEnded {
        /// Which.
        tap: TapId,
        /// Why, in plain words; `None` when the far end closed properly.
        failure: Option<String>,
    },
}
