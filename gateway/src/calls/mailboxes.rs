//! Users and their mailboxes: answers what they ask over signalling, and tells them what waits.
//!
//! One task between the call driver, which knows sessions, and `tenants`, which holds the messages. Questions are answered one after
//! another; when all that may wait do, the next is refused with a word that says so.

use tandem_switch::id::{MailboxId, TenantId, UserId};
use tandem_switch::limits;
use tandem_switch::mailbox::{Bookmark, MailboxRequest, Message, Question};
use tandem_switch::signal::{ErrorCode, ServerMessage};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::calls::driver::Command;
use crate::tenants::model::{self, Actor};
use crate::tenants::{Notice, TenantError, Tenants, Waiting};

/// Most questions that wait. Beyond it a question is refused with `overloaded`.
const QUESTIONS_MAX: usize = 256;

/// Something to find out for a user.
#[derive(Debug)]
pub enum MailboxQuestion {
    /// A user asks about a mailbox.
    Asked(Box<Question>),
    /// How many messages wait for a user.
    Waits {
        /// Whose user.
        tenant: TenantId,
        /// Who.
        user: UserId,
    },
}

/// Where the driver puts questions.
pub fn questions() -> (mpsc::Sender<MailboxQuestion>, mpsc::Receiver<MailboxQuestion>) {
    mpsc::channel(QUESTIONS_MAX)
}

/// Answers until the driver is gone.
///
/// Cancellation safety: both branches of the `select!` are channels' `recv`.
pub async fn serve(tenants: Tenants, mut questions: mpsc::Receiver<MailboxQuestion>, driver: mpsc::Sender<Command>) {
    let mut notices = tenants.notices();
    loop {
        let command = tokio::select! {
            question = questions.recv() => match question {
                None => return,
                Some(question) => answer(&tenants, question).await,
            },
            notice = notices.recv() => match notice {
                Ok(Notice::Waiting(waiting)) => Some(waiting_command(waiting)),
                Ok(Notice::RecordingDone(_)) => None,
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
        };
        if let Some(command) = command
            && driver.send(command).await.is_err()
        {
            return;
        }
    }
}

fn waiting_command(waiting: Waiting) -> Command {
    let Waiting { tenant, user, waiting, messages } = waiting;
    Command::Waiting { tenant, user, waiting, messages }
}

async fn answer(tenants: &Tenants, question: MailboxQuestion) -> Option<Command> {
    match question {
        MailboxQuestion::Waits { tenant, user } => {
            // Whoever cannot be told now is told at the next change.
            let found = tenants.waiting(&tenant, &user).await.ok()?;
            (found.messages > 0).then(|| waiting_command(found))
        }
        MailboxQuestion::Asked(question) => {
            let Question { session, tenant, user, reference, mailbox, request } = *question;
            let actor = Actor::User(user);
            let done = obey(tenants, &actor, &tenant, &mailbox, request, &reference).await;
            let message = Box::new(done.unwrap_or_else(|error| refusal(&error, reference)));
            Some(Command::Told(session, message))
        }
    }
}

async fn obey(
    tenants: &Tenants,
    actor: &Actor,
    tenant: &TenantId,
    mailbox: &MailboxId,
    request: MailboxRequest,
    reference: &str,
) -> Result<ServerMessage, TenantError> {
    let reference = reference.to_owned();
    let changed =
        |reference, message| ServerMessage::Message { reference, mailbox: mailbox.clone(), message: shown(message) };
    Ok(match request {
        MailboxRequest::List { cursor } => {
            let page = tenants.messages(actor, tenant, mailbox, cursor.as_deref(), limits::MESSAGES_PAGE_MAX).await?;
            let messages = page.items.into_iter().map(shown).collect();
            ServerMessage::Messages { reference, mailbox: mailbox.clone(), messages, next: page.next }
        }
        MailboxRequest::Mark { message, heard } => {
            changed(reference, tenants.mark_message(actor, tenant, mailbox, message, heard).await?)
        }
        MailboxRequest::Share { message, with } => {
            changed(reference, tenants.share_message(actor, tenant, mailbox, message, &with).await?)
        }
        MailboxRequest::Delete { message } => {
            tenants.delete_message(actor, tenant, mailbox, message).await?;
            ServerMessage::MessageDeleted { reference }
        }
    })
}

fn shown(message: model::Message) -> Message {
    Message {
        id: message.id,
        from: message.from,
        to: message.to,
        received_at: message.received_at,
        duration_ms: message.duration_ms,
        heard: message.heard,
        bookmarks: message
            .bookmarks
            .into_iter()
            .map(|mark| Bookmark { at_ms: mark.at_ms, label: mark.label })
            .collect(),
        shared_from: message.shared_from,
    }
}

/// The refusal of a question.
fn refusal(error: &TenantError, reference: String) -> ServerMessage {
    let (code, message) = match error {
        TenantError::NotFound { .. } => (ErrorCode::NoSuchMessage, error.to_string()),
        TenantError::OverLimit { .. } => (ErrorCode::Overloaded, error.to_string()),
        TenantError::Invalid { .. } | TenantError::Exists { .. } | TenantError::Conflict(_) => {
            (ErrorCode::BadMessage, error.to_string())
        }
        // The gateway's own trouble is no user's business.
        other => {
            tracing::warn!(error = %other, "a user's question about a mailbox could not be answered");
            (ErrorCode::Overloaded, "the gateway could not look; ask again later".to_owned())
        }
    };
    ServerMessage::Error { code, message, reference: Some(reference), call: None }
}

/// The refusal of a question that there is no room for.
pub fn too_many(reference: String) -> ServerMessage {
    let message = "the gateway is too busy to look; ask again in a moment".to_owned();
    ServerMessage::Error { code: ErrorCode::Overloaded, message, reference: Some(reference), call: None }
}
