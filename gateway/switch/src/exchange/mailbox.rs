//! Users and their mailboxes: who may ask, and how much at once. What is in them is the shell's business.

use crate::call::Refusal;
use crate::id::{MailboxId, SessionId, TenantId, UserId};
use crate::limits;
use crate::mailbox::{MailboxRequest, Question};
use crate::signal::{ErrorCode, ServerMessage};
use crate::token::Grant;

use super::{Exchange, Output};

impl Exchange {
    /// A user asks something about a mailbox.
    pub(super) fn ask_mailbox(
        &mut self,
        id: SessionId,
        reference: String,
        mailbox: Option<MailboxId>,
        request: MailboxRequest,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if !session.may(Grant::Messages) {
            let message = "the token does not grant `messages`".to_owned();
            return Err(Refusal { code: ErrorCode::NotGranted, message });
        }
        if session.asking >= limits::MAILBOX_REQUESTS_MAX {
            let message =
                format!("a session may ask {} things at once; wait for answers", limits::MAILBOX_REQUESTS_MAX);
            return Err(Refusal { code: ErrorCode::Overloaded, message });
        }
        session.asking += 1;
        let (tenant, user) = (session.identity.tenant.clone(), session.identity.user.clone());
        let mailbox = mailbox.unwrap_or_else(|| MailboxId::from(&user));
        let question = Question { session: id, tenant, user, reference, mailbox, request };
        self.outputs.push_back(Output::Mailbox(Box::new(question)));
        Ok(())
    }

    /// The answer to what a session asked. One whose link is lost meanwhile asks again.
    pub(super) fn told(&mut self, id: SessionId, message: ServerMessage) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.asking = session.asking.saturating_sub(1);
        self.send_to(id, message);
    }

    /// Tells all sessions of a user that may know it.
    pub(super) fn tell_waiting(&mut self, tenant: &TenantId, user: &UserId, message: &ServerMessage) {
        let Some(sessions) = self.tenants.get(tenant).map(|tenant| tenant.sessions_of(user).collect::<Vec<_>>()) else {
            return;
        };
        for id in sessions {
            if self.sessions.get(&id).is_some_and(|session| session.may(Grant::Messages)) {
                self.send_to(id, message.clone());
            }
        }
    }

    /// Has the shell say how many messages wait for a session's user.
    pub(super) fn ask_what_waits(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id).filter(|session| session.may(Grant::Messages)) {
            let (tenant, user) = (session.identity.tenant.clone(), session.identity.user.clone());
            self.outputs.push_back(Output::Waits { tenant, user });
        }
    }
}
