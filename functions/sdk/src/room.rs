//! Building the step that puts a caller into a room.

use crate::ConferenceStep;

/// A room, entered as one of many: heard at once, whoever else is there.
///
/// ```
/// use tandem_function::{Plan, conference};
///
/// let plan = Plan::new().conference(conference("all-hands").muted().waits_for_moderator());
/// ```
pub fn conference(room: impl Into<String>) -> ConferenceStep {
    ConferenceStep {
        room: room.into(),
        muted: false,
        moderator: false,
        starts: true,
        ends: false,
        waits: false,
        announced: false,
    }
}

impl ConferenceStep {
    /// The caller enters muted, and may unmute.
    pub fn muted(self) -> Self {
        Self { muted: true, ..self }
    }

    /// The caller moderates: may mute, remove and admit others, lock the room and end it.
    pub fn moderator(self) -> Self {
        Self { moderator: true, ..self }
    }

    /// Nobody hears anybody until somebody enters without this.
    pub fn waits_for_moderator(self) -> Self {
        Self { starts: false, ..self }
    }

    /// The conference ends for all when this caller leaves.
    pub fn ends_with_caller(self) -> Self {
        Self { ends: true, ..self }
    }

    /// The caller waits in the lobby until a moderator admits them.
    pub fn waits_in_lobby(self) -> Self {
        Self { waits: true, ..self }
    }

    /// The others hear a tone when the caller comes and goes.
    pub fn announced(self) -> Self {
        Self { announced: true, ..self }
    }
}
