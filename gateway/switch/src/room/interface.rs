//! What a room is told, what it wants done, and what its members see: its contract with the exchange and with clients.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{FlowId, RoomName, UserId};

/// What sort of a room it is. Both have names of their own: a conference and a channel may be called the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomKind {
    /// Everybody may talk.
    Conference,
    /// A few talk, many listen.
    Channel,
}

impl RoomKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Conference, Self::Channel];
}

/// Somebody who wants to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Who.
    pub user: UserId,
    /// The name to show; a longer one than [`crate::limits::ROOM_NAME_SHOWN_CHARS_MAX`] is cut.
    pub name: Option<String>,
    /// How they enter.
    pub entry: Entry,
}

/// How somebody enters a room; from the plan's step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// May talk; in a channel only broadcasters may, until somebody lets a listener speak.
    pub speaks: bool,
    /// Enters muted, and may unmute.
    pub muted: bool,
    /// May mute, remove and admit others, lock and end the room. Enters whether it is locked or not.
    pub moderator: bool,
    /// The conference starts when this party enters; until then nobody hears anybody.
    pub starts: bool,
    /// The conference ends when this party leaves.
    pub ends: bool,
    /// Waits in the lobby until a moderator admits them.
    pub waits: bool,
    /// Members are played a tone when this party comes and goes.
    pub announced: bool,
}

/// What a room is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Somebody wants to join; they are told apart by their voice's flow. One who is in already stays as they are.
    Join(FlowId, Box<Newcomer>),
    /// A member is gone: their call is over.
    Gone(FlowId),
    /// A member does something.
    Act(FlowId, RoomAction),
    /// A member mutes or unmutes themselves.
    Mute(FlowId, bool),
    /// A member's link is lost; it may come back.
    Away(FlowId),
    /// A member has a link (again): it is told all that it may see.
    Back(FlowId),
    /// Who speaks now, the loudest first.
    Speaking(Vec<FlowId>),
    /// Everybody has to leave: the tenant or the node closes it.
    Close,
}

/// What the exchange must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Tell members. What one without a link misses, [`Input::Back`] makes up for.
    Tell(Vec<FlowId>, Box<RoomNews>),
    /// A member's voice passes or not, and they hear the others or not.
    Voice {
        /// Whose.
        member: FlowId,
        /// Whether they are heard.
        talks: bool,
        /// Whether they hear.
        hears: bool,
    },
    /// Somebody is not in the room any more, or was never let in. Comes after their last [`Output::Voice`], once.
    Out(FlowId, Exit),
    /// Nobody is left: the room is over.
    Over,
}

/// How somebody left a room, or why they were not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomCause {
    /// They left, and stay in the call.
    Left,
    /// A moderator removed them.
    Kicked,
    /// The room ended.
    Ended,
    /// It is locked.
    Locked,
    /// It, its lobby, or the tenant's number of rooms is full.
    Full,
    /// A moderator did not admit them.
    Refused,
}

impl RoomCause {
    /// Every cause, in the order of the contract.
    pub const ALL: [Self; 6] = [Self::Left, Self::Kicked, Self::Ended, Self::Locked, Self::Full, Self::Refused];

    /// The word used in signalling, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Kicked => "kicked",
            Self::Ended => "ended",
            Self::Locked => "locked",
            Self::Full => "full",
            Self::Refused => "refused",
        }
    }
}

/// An end of somebody's stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Why.
    pub cause: RoomCause,
    /// Why, in words, where the word is not enough.
    pub reason: Option<String>,
}

impl Exit {
    pub(crate) fn new(cause: RoomCause) -> Self {
        Self { cause, reason: None }
    }

    pub(crate) fn full(reason: String) -> Self {
        Self { cause: RoomCause::Full, reason: Some(reason) }
    }
}

/// What a member may do to a room. Those that name nobody are about oneself, or about the room. One mutes oneself with the messages
/// `mute` and `unmute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum RoomAction {
    /// Leaves; the call's plan goes on.
    Leave,
    /// Asks to speak.
    RaiseHand,
    /// Asks no more; for moderators, takes down another's hand.
    LowerHand {
        /// Whose; without it one's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<FlowId>,
    },
    /// For moderators: nobody hears this member, whatever they do, until `unsilence`.
    Silence {
        /// Whom; without it everybody but the moderators.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<FlowId>,
    },
    /// For moderators: the member may be heard again, once they are not muted by themselves.
    Unsilence {
        /// Whom; without it everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<FlowId>,
    },
    /// For moderators: the member may speak, in a channel; their hand goes down.
    LetSpeak {
        /// Whom.
        member: FlowId,
    },
    /// For moderators: the member only listens, in a channel.
    StopSpeaking {
        /// Whom.
        member: FlowId,
    },
    /// For moderators: removes a member; one who waits is not admitted.
    Kick {
        /// Whom.
        member: FlowId,
    },
    /// For moderators: lets in who waits.
    Admit {
        /// Whom; without it everybody who waits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<FlowId>,
    },
    /// For moderators: nobody but moderators may enter any more.
    Lock,
    /// For moderators: the room is open again.
    Unlock,
    /// For moderators: whoever enters from now on waits until they are admitted.
    Lobby,
    /// For moderators: whoever enters from now on comes right in; who waits goes on waiting.
    NoLobby,
    /// For moderators: ends the room for everybody.
    End,
}

/// A member, as shown to others. What is left out of the JSON is false.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomMember {
    /// The flow of their voice, which also tells members apart.
    pub flow: FlowId,
    /// Who.
    pub user: UserId,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// May talk.
    #[serde(default, skip_serializing_if = "is_false")]
    pub speaks: bool,
    /// Muted by themselves.
    #[serde(default, skip_serializing_if = "is_false")]
    pub muted: bool,
    /// Muted by a moderator.
    #[serde(default, skip_serializing_if = "is_false")]
    pub silenced: bool,
    /// Asks to speak.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hand: bool,
    /// Moderates.
    #[serde(default, skip_serializing_if = "is_false")]
    pub moderator: bool,
    /// Waits in the lobby; hears nobody, is heard by nobody.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waiting: bool,
    /// Their connection is lost; it may come back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub away: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Who speaks. Their packets come under `flow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Speaker {
    /// The flow of their voice.
    pub flow: FlowId,
    /// Who.
    pub user: UserId,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How a room is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomState {
    /// Whether it has started; until then nobody hears anybody.
    pub started: bool,
    /// Whether nobody but moderators may enter.
    pub locked: bool,
    /// Whether whoever enters waits until they are admitted.
    pub lobby: bool,
    /// How many are in it; those who wait are not.
    pub present: u32,
    /// How many of them may talk.
    pub speakers: u32,
}

/// What is new in a room, as one member is told. Fields that are left out have not changed.
///
/// A client keeps a list of members by their flow: `whole` clears it, `members` are put in or replaced, `gone` are taken out. In a large
/// room not everybody is in the list; `state.present` counts them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomNews {
    /// Which room.
    pub room: RoomName,
    /// What sort of a room.
    pub kind: RoomKind,
    /// The list of members starts anew: one has just come in, or is back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub whole: bool,
    /// The member who is told this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub you: Option<RoomMember>,
    /// New or changed members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<RoomMember>,
    /// Members who are not shown any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<FlowId>,
    /// How the room is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RoomState>,
    /// Who speaks now, the loudest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speakers: Option<Vec<Speaker>>,
    /// Play a tone: somebody came or went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tone: Option<RoomTone>,
}

/// What a tone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomTone {
    /// Somebody came.
    Joined,
    /// Somebody left.
    Left,
}

/// What a room has at once, as its tenant's settings are when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// Most members.
    pub members_max: usize,
    /// How many talkers are heard at once.
    pub speakers: usize,
}

/// How often a room of this many members tells them what is new: five times a second, and less often in large rooms, so that a room
/// makes [`crate::limits::ROOM_MESSAGES_PER_SECOND`] messages at the most.
pub(super) fn news_interval(members: usize) -> Duration {
    let micros = members as u64 * 1_000_000 / u64::from(crate::limits::ROOM_MESSAGES_PER_SECOND);
    Duration::from_micros(micros).max(crate::limits::ROOM_NEWS_INTERVAL_MIN)
}
