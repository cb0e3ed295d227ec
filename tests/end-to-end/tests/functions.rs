//! A function that misbehaves never loses a call: it goes on with the default plan, and the failure is in the record.

use tandem_client::TransportChoice::WebTransport;
use tandem_end_to_end::{CALLEE_HZ, CALLER_HZ, Gateway, Phone, Settings, function};
use tandem_switch::cause::Cause;
use tandem_switch::record::Instead;

#[tokio::test]
async fn a_call_goes_on_by_the_default_plan_whatever_the_function_does() -> anyhow::Result<()> {
    let function = Some(function::component("misbehaving").await?);
    let gateway = Gateway::start(Settings { function, ..Settings::default() }).await?;
    // The guest rings whoever was dialled, unless the name asks for trouble.
    let mut carol = Phone::sign_in(&gateway, "carol", WebTransport).await?;
    let mut dave = Phone::sign_in(&gateway, "dave", WebTransport).await?;
    let other = carol.talk_with(&mut dave).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let troubles =
        ["panic", "overflow", "loop", "memory", "huge-answer", "impossible-step", "ten-thousand-targets", "error"];
    for trouble in troubles {
        let mut callee = Phone::sign_in(&gateway, trouble, WebTransport).await?;
        let call = alice.dial(trouble).await?;
        assert_eq!(callee.rings().await?, call, "{trouble}");
        callee.client.decline(call).await?;
        assert_eq!(alice.ended(call).await?, Cause::Declined, "{trouble}");
    }
    carol.hears(CALLEE_HZ).await?;
    dave.hears(CALLER_HZ).await?;
    carol.hang_up(other).await?;
    let records = gateway.await_records(troubles.len() + 1).await?;
    for record in records {
        let failures: Vec<_> = record.consultations.iter().filter_map(|asked| asked.failure.as_deref()).collect();
        let expected = usize::from(record.to != "dave");
        assert_eq!(failures.len(), expected, "{}: {:?}", record.to, record.consultations);
    }
    Ok(())
}

#[tokio::test]
async fn with_no_good_version_and_no_plan_to_fall_back_on_a_call_is_refused_politely() -> anyhow::Result<()> {
    let function = Some(function::component("misbehaving").await?);
    let gateway = Gateway::start(Settings { function, default_plan: "refuse", ..Settings::default() }).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    // There is somebody of this name, whom the other default plan would ring.
    let _callee = Phone::sign_in(&gateway, "panic", WebTransport).await?;
    let call = alice.dial("panic").await?;
    assert_eq!(alice.ended(call).await?, Cause::FunctionFailed);
    let records = gateway.await_records(1).await?;
    let asked = &records[0].consultations[0];
    assert!(asked.failure.as_deref().is_some_and(|why| why.contains("trapped")), "{asked:?}");
    assert_eq!((&asked.instead, records[0].ringing_at), (&Some(Instead::Rejection), None));
    // Other calls, the same version routes.
    let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
    let call = alice.talk_with(&mut bob).await?;
    alice.hang_up(call).await?;
    assert_eq!(bob.ended(call).await?, Cause::Normal);
    Ok(())
}

#[tokio::test]
async fn a_spin_application_routes_a_call() -> anyhow::Result<()> {
    // Made by spin-sdk 7: it serves `wasi:http` 0.3 and knows nothing of Tandem but its JSON.
    let function = Some(function::component("spin-app").await?);
    let gateway = Gateway::start(Settings { function, ..Settings::default() }).await?;
    let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
    let mut carol = Phone::sign_in(&gateway, "carol", WebTransport).await?;
    // Nobody is called so: without the application nobody would ring.
    let call = carol.dial("front-desk").await?;
    assert_eq!(alice.rings().await?, call);
    alice.client.decline(call).await?;
    assert_eq!(carol.ended(call).await?, Cause::Declined);
    let records = gateway.await_records(1).await?;
    let asked = &records[0].consultations[0];
    assert_eq!((asked.version.as_str(), asked.failure.as_deref()), ("main@1", None));
    Ok(())
}
