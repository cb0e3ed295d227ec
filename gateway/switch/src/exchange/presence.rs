//! Tenants on this node: their settings and sessions, who is reachable, and who wants to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::call::{Gone, Refusal};
use crate::id::{SessionId, TenantId, UserId};
use crate::limits;
use crate::signal::{ErrorCode, GoodbyeReason, Presence, PresenceState, ServerMessage};
use crate::time::Instant;
use crate::token::Grant;

use super::session::Watch;
use super::{DefaultPlan, Exchange, TenantSettings};

/// A tenant.
#[derive(Debug, Default)]
pub(super) struct Tenant {
    pub(super) settings: TenantSettings,
    /// Shared with the calls that begin under it.
    pub(super) default_plan: Arc<DefaultPlan>,
    /// How many calls are live.
    pub(super) calls: usize,
    /// How many rooms are live.
    pub(super) rooms: usize,
    /// How many were refused because of the tenant's limit.
    pub(super) sessions_refused: u64,
    /// See [`Tenant::sessions_refused`]; calls.
    pub(super) calls_refused: u64,
    members: BTreeMap<UserId, BTreeSet<SessionId>>,
    sessions: usize,
    /// Users that are not offline, as the watchers were last told.
    announced: BTreeMap<UserId, PresenceState>,
    /// Sessions that watch particular users.
    watchers: BTreeMap<UserId, BTreeSet<SessionId>>,
    /// Sessions that watch everybody.
    watching_everybody: BTreeSet<SessionId>,
}

impl Tenant {
    /// Whether there is such a user. Without a list of users anybody whose token is good is one.
    pub(super) fn knows(&self, user: &UserId) -> bool {
        self.settings.users.is_empty() || self.settings.users.contains_key(user)
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    /// All of its sessions.
    fn all_sessions(&self) -> Vec<SessionId> {
        self.members.values().flatten().copied().collect()
    }

    pub(super) fn sessions_of(&self, user: &UserId) -> impl Iterator<Item = SessionId> {
        self.members.get(user).into_iter().flatten().copied()
    }

    pub(super) fn add_session(&mut self, user: &UserId, session: SessionId) {
        if self.members.entry(user.clone()).or_default().insert(session) {
            self.sessions += 1;
        }
    }

    pub(super) fn remove_session(&mut self, user: &UserId, session: SessionId) {
        let Some(sessions) = self.members.get_mut(user) else { return };
        if sessions.remove(&session) {
            self.sessions -= 1;
        }
        if sessions.is_empty() {
            self.members.remove(user);
        }
    }

    /// At a node's end nobody is left, and nobody to tell.
    pub(super) fn forget_sessions(&mut self) {
        let settings = std::mem::take(&mut self.settings);
        *self = Self { settings, default_plan: self.default_plan.clone(), ..Self::default() };
    }

    /// Whether nothing but settings is kept.
    pub(super) fn is_idle(&self) -> bool {
        self.calls == 0
            && self.rooms == 0
            && self.sessions == 0
            && self.members.is_empty()
            && self.announced.is_empty()
            && self.watchers.is_empty()
            && self.watching_everybody.is_empty()
    }

    fn watchers_of(&self, user: &UserId) -> BTreeSet<SessionId> {
        let mut watchers = self.watchers.get(user).cloned().unwrap_or_default();
        if self.knows(user) {
            watchers.extend(&self.watching_everybody);
        }
        watchers
    }

    fn presence(&self, user: &UserId) -> Presence {
        let name = self.settings.users.get(user).cloned().flatten();
        let state = self.announced.get(user).copied().unwrap_or(PresenceState::Offline);
        Presence { user: user.clone(), name, state }
    }

    fn everybody(&self) -> Vec<UserId> {
        if self.settings.users.is_empty() {
            return self.members.keys().cloned().collect();
        }
        self.settings.users.keys().cloned().collect()
    }
}

impl Default for DefaultPlan {
    fn default() -> Self {
        TenantSettings::default().default_plan
    }
}

impl Exchange {
    /// A tenant's settings are new or changed. Calls under way keep the default plan they began with. Those who watch everybody
    /// are told of users that are new or have another name.
    pub(super) fn configure(&mut self, now: Instant, id: TenantId, settings: TenantSettings) {
        self.configure_queues(now, &id, &settings.queues);
        let tenant = self.tenants.entry(id).or_default();
        tenant.default_plan = Arc::new(settings.default_plan.clone());
        let before = std::mem::replace(&mut tenant.settings, settings);
        let is_new = |(user, name): &(&UserId, &Option<String>)| before.users.get(*user) != Some(*name);
        let changed: Vec<Presence> =
            tenant.settings.users.iter().filter(is_new).map(|(user, _)| tenant.presence(user)).collect();
        for watcher in tenant.watching_everybody.clone() {
            self.send_presence(watcher, &changed);
        }
    }

    /// A tenant is gone, with its sessions and calls.
    pub(super) fn forget_tenant(&mut self, now: Instant, tenant: &TenantId) {
        let sessions = self.tenants.get(tenant).map(Tenant::all_sessions).unwrap_or_default();
        for session in sessions {
            self.end_session(now, session, Gone::Lost, Some(GoodbyeReason::NotWelcome));
        }
        self.forget_queues(tenant);
        self.tenants.remove(tenant);
    }

    /// How many devices of a user take calls now, those that may still come back included; none of somebody unknown.
    pub fn reachable(&self, tenant: &TenantId, user: &UserId) -> usize {
        let Some(tenant) = self.tenants.get(tenant).filter(|tenant| tenant.knows(user)) else { return 0 };
        let sessions = tenant.sessions_of(user).filter_map(|id| self.sessions.get(&id));
        sessions.filter(|session| session.may(Grant::Answer) && session.has_room_for_a_call()).count()
    }

    /// A session wants to know who is reachable, instead of whom it watched before.
    pub(super) fn watch(&mut self, id: SessionId, users: Vec<UserId>) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        if !session.may(Grant::Presence) {
            let message = "the token does not grant `presence`".to_owned();
            return Err(Refusal { code: ErrorCode::NotGranted, message });
        }
        if users.len() > limits::WATCHED_USERS_MAX {
            let message = format!("`users` names at most {} users; got {}", limits::WATCHED_USERS_MAX, users.len());
            return Err(Refusal { code: ErrorCode::BadMessage, message });
        }
        self.unwatch(id);
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let tenant = self.tenants.entry(session.identity.tenant.clone()).or_default();
        let watch = if users.is_empty() {
            tenant.watching_everybody.insert(id);
            Watch::Everybody
        } else {
            let users: BTreeSet<UserId> = users.into_iter().collect();
            for user in &users {
                tenant.watchers.entry(user.clone()).or_default().insert(id);
            }
            Watch::Users(users)
        };
        session.watch = Some(watch);
        self.tell_watched(id);
        Ok(())
    }

    /// A session does not want to know any more.
    pub(super) fn unwatch(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(tenant) = self.tenants.get_mut(&session.identity.tenant) else { return };
        match session.watch.take() {
            None => {}
            Some(Watch::Everybody) => {
                tenant.watching_everybody.remove(&id);
            }
            Some(Watch::Users(users)) => {
                for user in users {
                    let Some(watchers) = tenant.watchers.get_mut(&user) else { continue };
                    watchers.remove(&id);
                    if watchers.is_empty() {
                        tenant.watchers.remove(&user);
                    }
                }
            }
        }
    }

    /// Tells a session the state of all whom it watches.
    pub(super) fn tell_watched(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(tenant) = self.tenants.get(&session.identity.tenant) else { return };
        let mut users = std::mem::take(&mut session.missed_departures);
        match &session.watch {
            None => return,
            Some(Watch::Everybody) => users.extend(tenant.everybody()),
            Some(Watch::Users(watched)) => users.clone_from(watched),
        }
        let states: Vec<Presence> = users.iter().map(|user| tenant.presence(user)).collect();
        if states.is_empty() {
            return self.send_to(id, ServerMessage::Presence { users: states });
        }
        self.send_presence(id, &states);
    }

    /// Sends states in messages that stay far below the longest line.
    fn send_presence(&mut self, id: SessionId, states: &[Presence]) {
        for users in states.chunks(limits::WATCHED_USERS_MAX) {
            self.send_to(id, ServerMessage::Presence { users: users.to_vec() });
        }
    }

    /// The presence of this session's user may have changed.
    pub(super) fn touch(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id) {
            self.touched.insert((session.identity.tenant.clone(), session.identity.user.clone()));
        }
    }

    /// Tells watchers what has changed during this input.
    pub(super) fn announce(&mut self, now: Instant) {
        for (tenant_id, user) in std::mem::take(&mut self.touched) {
            let state = self.state_of(&tenant_id, &user);
            self.presence_of_agent(now, &tenant_id, &user, state);
            let Some(tenant) = self.tenants.get_mut(&tenant_id) else { continue };
            let before = match state {
                PresenceState::Offline => tenant.announced.remove(&user),
                state => tenant.announced.insert(user.clone(), state),
            };
            if before.unwrap_or(PresenceState::Offline) == state {
                continue;
            }
            let presence = tenant.presence(&user);
            for watcher in tenant.watchers_of(&user) {
                self.send_presence(watcher, std::slice::from_ref(&presence));
                if state == PresenceState::Offline {
                    self.note_departure(watcher, &user);
                }
            }
        }
    }

    /// Remembers for a watcher that is away that somebody left.
    fn note_departure(&mut self, watcher: SessionId, user: &UserId) {
        let Some(session) = self.sessions.get_mut(&watcher) else { return };
        if session.link().is_none() && session.missed_departures.len() < limits::SESSIONS_PER_TENANT_MAX {
            session.missed_departures.insert(user.clone());
        }
    }

    /// A user can be reached while one of their sessions takes calls, a session in its grace included; they are talking while
    /// one of their sessions is connected in a call.
    pub(super) fn state_of(&self, tenant: &TenantId, user: &UserId) -> PresenceState {
        let Some(tenant) = self.tenants.get(tenant) else { return PresenceState::Offline };
        let mut state = PresenceState::Offline;
        for id in tenant.sessions_of(user) {
            let Some(session) = self.sessions.get(&id) else { continue };
            let connected = |call| {
                let call = self.calls.get(call).map(|entry| &entry.call);
                call.is_some_and(|call| call.engages(id))
            };
            if session.calls.iter().any(connected) {
                return PresenceState::Talking;
            }
            if session.may(Grant::Answer) {
                state = PresenceState::Available;
            }
        }
        state
    }
}
