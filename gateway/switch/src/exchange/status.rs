//! Views for metrics and status pages. Nothing here changes anything.

use crate::id::{CallId, LinkId, TenantId, UserId};
use crate::record::Instead;
use crate::time::Instant;

use super::Exchange;
use super::presence::Tenant;

/// How much an exchange holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions that have a link.
    pub sessions_attached: usize,
    /// Sessions whose link is lost and that may still come back.
    pub sessions_away: usize,
    /// Live calls.
    pub calls: usize,
    /// Live rooms and channels.
    pub rooms: usize,
    /// Their members.
    pub room_members: usize,
}

/// How much one tenant has.
#[derive(Clone, Copy, Debug)]
pub struct TenantCounts<'a> {
    /// Which tenant.
    pub tenant: &'a TenantId,
    /// Its sessions.
    pub sessions: usize,
    /// Its live calls.
    pub calls: usize,
    /// How many sessions were refused because of its limit.
    pub sessions_refused: u64,
    /// How many calls were refused because of its limit.
    pub calls_refused: u64,
}

/// A live call, for a status page.
#[derive(Clone, Copy, Debug)]
pub struct LiveCall<'a> {
    /// Which.
    pub call: CallId,
    /// Whose.
    pub tenant: &'a TenantId,
    /// Who calls.
    pub from: &'a UserId,
    /// What was dialled.
    pub to: &'a str,
    /// Its state in one word, as [`crate::call::Call::state_word`] says it.
    pub state: &'static str,
    /// Since when it is in that state.
    pub since: Instant,
}

impl Exchange {
    /// How much there is; takes no time to speak of.
    pub fn counts(&self) -> Counts {
        let sessions_attached = self.links.len();
        Counts {
            sessions_attached,
            sessions_away: self.sessions.len() - sessions_attached,
            calls: self.calls.len(),
            rooms: self.rooms.len(),
            room_members: self.rooms.members(),
        }
    }

    /// How much each tenant has, in the order of their names.
    pub fn tenants(&self) -> impl Iterator<Item = TenantCounts<'_>> {
        self.tenants.iter().map(|(tenant, state)| TenantCounts {
            tenant,
            sessions: state.sessions(),
            calls: state.calls,
            sessions_refused: state.sessions_refused,
            calls_refused: state.calls_refused,
        })
    }

    /// What a call goes on with when nothing answers for it, while it is live.
    pub fn instead_for(&self, call: CallId) -> Option<Instead> {
        let invitation = self.calls.get(&call)?.call.invitation();
        Some(invitation.default_plan.instead(&invitation.to))
    }

    /// Whether a session lives on this link.
    pub fn is_attached(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// Whether the session on this link may send a message now. Whoever has to work on a message before handing it on, as `renew`'s token
    /// has to be checked, asks first.
    pub fn may_speak(&self, now: Instant, link: LinkId) -> bool {
        let session = self.links.get(&link).and_then(|id| self.sessions.get(id));
        session.is_some_and(|session| session.allowance.clone().take(now))
    }

    /// Every live call, in the order of their identifiers.
    pub fn live_calls(&self) -> impl Iterator<Item = LiveCall<'_>> {
        self.calls.iter().map(|(id, entry)| {
            let invitation = entry.call.invitation();
            LiveCall {
                call: *id,
                tenant: &invitation.tenant,
                from: &entry.call.began_by().user,
                to: &invitation.to,
                state: entry.call.state_word(),
                since: entry.call.since(),
            }
        })
    }

    /// Whether nothing is left but settings: no session, call, flow, watcher, timer or undrained output.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
            && self.links.is_empty()
            && self.calls.is_empty()
            && self.flows.is_empty()
            && self.ports.is_empty()
            && self.rooms.is_empty()
            && self.slots.is_empty()
            && self.queues.is_idle()
            && self.timers.is_empty()
            && self.touched.is_empty()
            && self.outputs.is_empty()
            && self.tenants.values().all(Tenant::is_idle)
    }
}
