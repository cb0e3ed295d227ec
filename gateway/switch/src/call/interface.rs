//! What a call is told and what it wants done: its contract with the exchange.

use std::sync::Arc;
use std::time::Duration;

use crate::audio::{AudioCommand, RecordingId, Sound, TapId, Track};
use crate::call::{Command, QueueDeed, QueueNews};
use crate::cause::Cause;
use crate::event::{Header, ParkResult, Transport};
use crate::exchange::{Answer, Consult, ConsultFailure, DefaultPlan};
use crate::id::{CallId, SessionId, TenantId, UserId};
use crate::media::stats::Reception;
use crate::plan::{Enter, Park, RecordAction};
use crate::record::CallRecord;
use crate::room::Exit;
use crate::signal::{ErrorCode, Happening};

/// Who calls, and how they reached the gateway.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The session that sent the invitation.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// The name to show.
    pub name: Option<String>,
    /// What the session runs on.
    pub transport: Transport,
}

/// An invitation: what a call begins with.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The call's name.
    pub call: CallId,
    /// Whose call it is.
    pub tenant: TenantId,
    /// Who calls.
    pub caller: Caller,
    /// What was dialled.
    pub to: String,
    /// What the caller sent along.
    pub headers: Vec<Header>,
    /// What happens when the function fails, as the tenant's settings are when the call begins.
    pub default_plan: Arc<DefaultPlan>,
}

/// What a call is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The function answered question number `.0`, or failed to.
    Planned(u32, Box<Result<Answer, ConsultFailure>>),
    /// The answer to [`Output::Find`]: each user with what there is of them.
    Found(Vec<(UserId, Found)>),
    /// A party did something.
    Party(SessionId, Deed),
    /// A session is over.
    Gone(SessionId, Gone),
    /// A playback to a party is over; why it could not be played, if it could not.
    Played(SessionId, u32, Option<String>),
    /// A party has been silent for as long as was asked.
    Silence(SessionId),
    /// The caller is let into the room.
    Entered,
    /// The caller is not in the room any more, or was not let in.
    OutOfRoom(Exit),
    /// A recording could not begin, or broke off.
    RecordingFailed(RecordingId),
    /// A tap is over; why, if it failed.
    TapEnded(TapId, Option<String>),
    /// The queue that the caller waits in says something.
    Queue(QueueNews),
    /// The slot that the call is parked in, or why there is none: the answer to [`Output::Park`].
    Slot(Result<String, ParkResult>),
    /// Somebody picks the parked call up.
    PickedUp(SessionId, UserId),
    /// This side leaves, and who they talk with in another call takes their place: the end of an attended transfer.
    Join(Side, Joining),
    /// This side leaves and the other goes on in another call, named here: this call ends.
    HandOver(Side, CallId),
    /// Something is done to the call from outside.
    Command(Command),
    /// The node stops.
    Shutdown,
}

/// What a party may do to a call.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Takes it.
    Answer,
    /// Refuses it.
    Decline(Cause),
    /// Leaves it.
    Hangup,
    /// Holds.
    Hold,
    /// Holds no more.
    Resume,
    /// Is not to be heard.
    Mute,
    /// Is to be heard again.
    Unmute,
    /// Presses keys; checked already.
    Dtmf(String),
    /// Hands the other party over to this user.
    Transfer(UserId),
    /// Parks the other party.
    Park(Park),
    /// Wants the call recorded, or not any more.
    Record(RecordAction),
    /// Says how well the other party is heard.
    Report(Reception),
}

/// Somebody who comes into a call out of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// Their session.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// Whether they were muted there: they stay so.
    pub muted: bool,
    /// The call that they were in.
    pub out_of: CallId,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its client said `bye`: as if it hung up.
    Bye,
    /// Its link was lost and did not come back, or its token expired.
    Lost,
}

/// What there is of a dialled user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Devices to ring; at least one.
    Devices(Vec<SessionId>),
    /// The tenant has no such user.
    Unknown,
    /// No device that takes calls is connected.
    Away,
    /// Every device is a party of as many calls as it may be.
    Full,
}

/// What the exchange must do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Ask the function.
    Consult(Box<Consult>),
    /// Say what there is of these users, with [`Input::Found`], at once.
    Find(Vec<UserId>),
    /// Tell a party.
    Tell(SessionId, Happening),
    /// Allot flows, tell both parties `connected` and route their voices.
    Connect {
        /// Who answered.
        callee: SessionId,
    },
    /// Who hears whom has changed; see [`Call::heard_by`].
    Gates,
    /// Let the gateway itself speak with a party: tell it `answered`, with a port of its own and a flow for its voice.
    Speak(SessionId),
    /// Have a party's port do something. A party that the gateway does not speak with yet gets a port, and is told `hear`.
    Port(SessionId, PortDeed),
    /// Recordings and taps: pass on as it is. A tap that speaks does so through the caller's port.
    Audio(AudioCommand),
    /// Let the caller into a room; answered with [`Input::Entered`] or [`Input::OutOfRoom`].
    Enter(Box<Enter>),
    /// The caller mutes (`true`) or unmutes in the room.
    MuteInRoom(bool),
    /// A party that answered is not connected after all: its voice and its port are gone.
    Release(SessionId),
    /// What the caller does in a queue.
    Queue(QueueDeed),
    /// Find a slot to park in, this one or any; answered with [`Input::Slot`], at once.
    Park(Option<String>),
    /// The call's slot is free again.
    Unpark,
    /// Stop the voices of both parties; the callee's port is gone, the caller's stays.
    Disconnect,
    /// Stop all voices, close all ports.
    Silence,
    /// The call is over.
    Record(Box<CallRecord>),
}

/// What a port shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortDeed {
    /// Play; answered with [`Input::Played`].
    Play {
        /// Names the playback.
        playback: u32,
        /// What.
        sound: Sound,
        /// How many times.
        times: u32,
    },
    /// Stop what plays.
    Stop,
    /// Tell of a silence of this length with [`Input::Silence`]; `None`: any more.
    Watch(Option<Duration>),
}

/// Who hears a party.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hearers {
    /// Whether anything passes: neither held nor muted.
    pub passes: bool,
    /// Who there is, in a fixed order.
    pub hearers: Vec<Hearer>,
}

/// Somebody or something that hears a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearer {
    /// Another party.
    Party(SessionId),
    /// Everybody in the caller's room, where the room lets them be heard.
    Room,
    /// The party's own port.
    Port,
    /// A recording.
    Recording(RecordingId, Track),
    /// A tap.
    Tap(TapId, Track),
}

/// Why a party's deed is refused; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of error.
    pub code: ErrorCode,
    /// What was wrong and what would be right.
    pub message: String,
}

/// One side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Who called.
    Caller,
    /// Who answered.
    Callee,
}

impl Side {
    /// Both, the caller first.
    pub const BOTH: [Self; 2] = [Self::Caller, Self::Callee];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}
