//! What becomes known of recordings and mailboxes, for whoever forwards it: as an event to a function, as a notice to a user's sessions.

use tandem_switch::id::{TenantId, UserId};
use tokio::sync::broadcast;

use super::Tenants;
use super::model::Recording;

/// Notices that a slow listener may be behind. One that is further behind loses the oldest and is told how many; what they said can be asked.
pub(super) const NOTICES_MAX: usize = 1024;

/// Something that became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A recording has ended, and can be heard from now on.
    RecordingDone(RecordingDone),
    /// A user's messages have changed.
    Waiting(Waiting),
}

/// A recording that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingDone {
    /// Whose.
    pub tenant: TenantId,
    /// The recording; whether it is whole or cut short is in its state.
    pub recording: Recording,
}

/// How many messages wait for a user, in all of the user's mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whose.
    pub tenant: TenantId,
    /// For whom.
    pub user: UserId,
    /// How many nobody has heard yet.
    pub waiting: u64,
    /// How many there are.
    pub messages: u64,
}

impl Tenants {
    /// Everything that becomes known from now on. Nobody has to listen.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.shared.notices.subscribe()
    }

    pub(super) fn tell(&self, notice: Notice) {
        // Without a listener it is told to nobody.
        let _ = self.shared.notices.send(notice);
    }
}
