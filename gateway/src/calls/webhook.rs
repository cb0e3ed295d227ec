//! Asking a webhook instead of a function: `tandem dev --router`. There are no versions to fall back on: a failure leaves the call to
//! the default plan, and is shown to the developer in plain words.

use tandem_switch::event::{Context, Event};
use tandem_switch::exchange::{Answer, ConsultFailure};

use crate::outgoing::webhook::{VERSION, Webhook};

/// What the webhook answers.
///
/// # Errors
/// Why it gave no plan that can be carried out.
pub(super) async fn ask(webhook: &Webhook, mut context: Context, event: Event) -> Result<Answer, ConsultFailure> {
    VERSION.clone_into(&mut context.version);
    let plan = webhook.ask(&context, &event).await.and_then(|plan| {
        // The exchange checks it again; here the developer learns of it.
        let checked = plan.clone().accept();
        checked.map(|_accepted| plan).map_err(|refused| ConsultFailure::PlanRefused(refused.to_string()))
    });
    if let Err(failure) = &plan
        && !matches!(event, Event::Ended(_))
    {
        tracing::debug!(target: "function", "{failure}. The call goes on with the default plan.");
    }
    plan.map(|plan| Answer { plan, version: VERSION.to_owned(), instead_of: None })
}
