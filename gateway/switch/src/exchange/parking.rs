//! Parked calls: slots of each tenant, and picking calls up.

use std::collections::BTreeMap;

use crate::call::{Deed, Input as CallInput, Refusal, no_such_call};
use crate::event::ParkResult;
use crate::id::{CallId, SessionId, TenantId};
use crate::limits;
use crate::plan::accept_park;
use crate::signal::{ErrorCode, ServerMessage};
use crate::time::Instant;
use crate::token::Grant;

use super::Exchange;

/// Which call is parked where. At most [`limits::PARKED_PER_TENANT_MAX`] of each tenant.
#[derive(Debug, Default)]
pub(super) struct Slots(BTreeMap<TenantId, BTreeMap<String, CallId>>);

impl Slots {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The slot that a call would get: the one that is wanted, else the lowest number that is free.
    fn find(&self, tenant: &TenantId, wanted: Option<&str>) -> Result<String, ParkResult> {
        let Some(taken) = self.0.get(tenant) else { return Ok(wanted.unwrap_or("1").to_owned()) };
        if taken.len() >= limits::PARKED_PER_TENANT_MAX {
            return Err(ParkResult::Full);
        }
        match wanted {
            Some(slot) if taken.contains_key(slot) => Err(ParkResult::SlotTaken),
            Some(slot) => Ok(slot.to_owned()),
            None => (1..=limits::PARKED_PER_TENANT_MAX)
                .map(|number| number.to_string())
                .find(|slot| !taken.contains_key(slot))
                .ok_or(ParkResult::Full),
        }
    }

    fn get(&self, tenant: &TenantId, slot: &str) -> Option<CallId> {
        self.0.get(tenant)?.get(slot).copied()
    }

    fn free(&mut self, tenant: &TenantId, call: CallId) {
        let Some(taken) = self.0.get_mut(tenant) else { return };
        taken.retain(|_, parked| *parked != call);
        if taken.is_empty() {
            self.0.remove(tenant);
        }
    }
}

impl Exchange {
    /// A call wants a slot.
    pub(super) fn park(&mut self, now: Instant, call: CallId, wanted: Option<String>) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let tenant = entry.call.invitation().tenant.clone();
        let slot = self.slots.find(&tenant, wanted.as_deref());
        if let Ok(slot) = &slot {
            self.slots.0.entry(tenant).or_default().insert(slot.clone(), call);
        }
        // Only a party's deed is ever refused.
        let _ = entry.call.handle(now, CallInput::Slot(slot));
    }

    /// A call's slot is free again.
    pub(super) fn unpark(&mut self, call: CallId) {
        if let Some(entry) = self.calls.get(&call) {
            self.slots.free(&entry.call.invitation().tenant, call);
        }
    }

    /// A party parks the other one. Nothing changes when the slot is taken.
    pub(super) fn park_peer(
        &mut self,
        now: Instant,
        id: SessionId,
        call: CallId,
        slot: Option<String>,
        timeout_ms: Option<u32>,
    ) -> Result<(), Refusal> {
        let timeout = timeout_ms.unwrap_or(u32::try_from(limits::PARK_TIMEOUT.as_millis()).unwrap_or(u32::MAX));
        let mut park =
            accept_park(slot, timeout).map_err(|message| Refusal { code: ErrorCode::BadMessage, message })?;
        let Some(tenant) = self.sessions.get(&id).map(|session| session.identity.tenant.clone()) else { return Ok(()) };
        let found = self.slots.find(&tenant, park.slot.as_deref());
        let slot = found.map_err(|result| match (result, park.slot.take()) {
            (ParkResult::SlotTaken, Some(slot)) => {
                let message = format!("another call is parked in slot {slot}; name another, or none");
                Refusal { code: ErrorCode::WrongState, message }
            }
            _ => {
                let message = format!("{} calls are parked, more cannot be", limits::PARKED_PER_TENANT_MAX);
                Refusal { code: ErrorCode::Overloaded, message }
            }
        })?;
        park.slot = Some(slot.clone());
        self.call_input(now, call, CallInput::Party(id, Deed::Park(park)))?;
        self.send_to(id, ServerMessage::ParkedIn { call, slot });
        Ok(())
    }

    /// A session takes a parked call.
    pub(super) fn pick_up(&mut self, now: Instant, id: SessionId, slot: &str) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        let refuse = |code, message: String| Err(Refusal { code, message });
        if !session.may(Grant::Answer) {
            return refuse(ErrorCode::NotGranted, "the token does not grant `answer`".to_owned());
        }
        if !session.has_room_for_a_call() {
            let max = limits::CALLS_PER_SESSION_MAX;
            return refuse(ErrorCode::Overloaded, format!("a session may be in {max} calls; end one first"));
        }
        let user = session.identity.user.clone();
        let Some(call) = self.slots.get(&session.identity.tenant, slot) else {
            // A slot's name is what the client sent: it may be long.
            return refuse(ErrorCode::NoSuchCall, "no call is parked in that slot".to_owned());
        };
        if session.calls.contains(&call) {
            return refuse(ErrorCode::WrongState, "it is you who is parked there".to_owned());
        }
        if !self.calls.contains_key(&call) {
            return Err(no_such_call());
        }
        self.call_input(now, call, CallInput::PickedUp(id, user))
    }
}
