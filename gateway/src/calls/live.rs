//! What may be asked of live calls and queues, and done to calls, from outside: the control API's way to the exchange.

use tandem_switch::call::{Command, Refusal};
use tandem_switch::exchange::Exchange;
use tandem_switch::id::{CallId, QueueId, TenantId};
use tandem_switch::time::Instant;
use tokio::sync::oneshot;

use crate::tenants::model::{LiveCall, QueueState};

/// A question about a tenant's live calls and queues, or a change of a call. Each is answered at once.
#[derive(Debug)]
pub enum LiveQuestion {
    /// A queue as it is now; `None`: there is none.
    Queue(QueueId, oneshot::Sender<Option<QueueState>>),
    /// Live calls by identifier, those after a call, at most so many.
    Calls(Option<CallId>, usize, oneshot::Sender<Vec<LiveCall>>),
    /// Something is to be done to a call.
    Change(CallId, Box<Command>, oneshot::Sender<Result<(), Refusal>>),
}

/// Answers. Whoever asked may be gone: then nobody hears it.
pub(super) fn answer(exchange: &mut Exchange, now: Instant, tenant: &TenantId, question: LiveQuestion) {
    match question {
        LiveQuestion::Queue(queue, answer) => {
            let _ = answer.send(exchange.queue(now, tenant, &queue).map(QueueState::from));
        }
        LiveQuestion::Calls(after, limit, answer) => {
            let own = exchange.live_calls().filter(|live| live.tenant == tenant);
            let rest = own.filter(|live| after.is_none_or(|after| live.call > after));
            let calls = rest.take(limit).map(|live| LiveCall {
                call: live.call,
                from: live.from.clone(),
                to: live.to.to_owned(),
                state: live.state.to_owned(),
                seconds: now.since(live.since).as_secs(),
            });
            let _ = answer.send(calls.collect());
        }
        LiveQuestion::Change(call, command, answer) => {
            let _ = answer.send(exchange.command(now, tenant, call, *command));
        }
    }
}
