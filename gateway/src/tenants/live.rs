//! A tenant's live calls and queues on this node. They are the call driver's; here they are asked for, and changes of calls written down.

use tandem_switch::call::{Command as CallCommand, Refusal};
use tandem_switch::id::{CallId, QueueId, TenantId};
use tandem_switch::plan::{AudioSource, Plan};
use tandem_switch::signal::ErrorCode;
use tokio::sync::oneshot;

use super::change::{Change, bounded, page};
use super::model::{Actor, CallSide, LiveCall, Page, QueueState};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};
use crate::calls::driver::Command;
use crate::calls::live::LiveQuestion;

impl Tenants {
    /// A queue as it is now.
    ///
    /// # Errors
    /// When there is no such tenant or queue, or the node is stopping.
    pub async fn queue_state(&self, tenant: &TenantId, queue: &QueueId) -> Result<QueueState> {
        let (answer, answered) = oneshot::channel();
        self.ask(tenant, LiveQuestion::Queue(queue.clone(), answer)).await?;
        let state = answered.await.map_err(|_| TenantError::Stopping)?;
        state.ok_or_else(|| TenantError::not_found("queue", queue))
    }

    /// Its live calls, by identifier.
    ///
    /// # Errors
    /// When there is no such tenant, the cursor is none, or the node is stopping.
    pub async fn live_calls(&self, tenant: &TenantId, cursor: Option<&str>, limit: usize) -> Result<Page<LiveCall>> {
        let wrong =
            |_| TenantError::invalid("cursor", "is none of this list; give what `next` of the page before said");
        let after = cursor.map(|cursor| CallId::try_from(cursor.to_owned()).map_err(wrong)).transpose()?;
        let limit = bounded(limit);
        let (answer, answered) = oneshot::channel();
        self.ask(tenant, LiveQuestion::Calls(after, limit + 1, answer)).await?;
        let calls = answered.await.map_err(|_| TenantError::Stopping)?;
        Ok(page(calls, limit, |live| live.call.to_string()))
    }

    /// Does something to a live call. `action` is what the audit log calls it.
    ///
    /// # Errors
    /// When there is no such call, or it does not fit what the call is at; then nothing has changed.
    pub async fn change_call(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        call: CallId,
        action: &'static str,
        command: CallCommand,
    ) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.ask(tenant, LiveQuestion::Change(call, Box::new(command), answer)).await?;
        answered.await.map_err(|_| TenantError::Stopping)?.map_err(|refusal| refused(call, refusal))?;
        let change = Change::new(actor, tenant, action, call, Effect::Nothing);
        self.change(change, |_connection, _line| Ok(())).await
    }

    /// Carries out another plan for a live call.
    ///
    /// # Errors
    /// As [`Tenants::change_call`], and when the plan breaks a rule.
    pub async fn redirect_call(&self, actor: &Actor, tenant: &TenantId, call: CallId, plan: Plan) -> Result<()> {
        let plan = plan.accept().map_err(|error| TenantError::invalid("plan", error.to_string()))?;
        self.change_call(actor, tenant, call, "call.redirect", CallCommand::Redirect(plan)).await
    }

    /// Plays something to one side of a live call.
    ///
    /// # Errors
    /// As [`Tenants::change_call`], and when it is nothing that can be played.
    pub async fn play_to_call(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        call: CallId,
        side: CallSide,
        source: AudioSource,
    ) -> Result<()> {
        let sound = source.accept().map_err(|what| TenantError::invalid("source", what))?;
        self.change_call(actor, tenant, call, "call.play", CallCommand::Play(side.into(), sound)).await
    }

    async fn ask(&self, tenant: &TenantId, question: LiveQuestion) -> Result<()> {
        let name = tenant.clone();
        self.read(move |connection| settings::find(connection, &name).map(drop)).await?;
        let asked = self.shared.parts.commands.send(Command::Live(tenant.clone(), question)).await;
        asked.map_err(|_| TenantError::Stopping)
    }
}

fn refused(call: CallId, refusal: Refusal) -> TenantError {
    match refusal.code {
        ErrorCode::NoSuchCall => TenantError::not_found("live call", call),
        ErrorCode::BadMessage => TenantError::invalid("to", refusal.message),
        _ => TenantError::Conflict(refusal.message),
    }
}
