//! The front desk in JavaScript and in Python decides as the one in Rust does, and routes a real call. `sh functions/languages/build.sh` makes
//! the components; `cargo xtask test languages` does both.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tandem_client::TransportChoice::WebTransport;
use tandem_end_to_end::{Gateway, Phone, Settings, function};
use tandem_host::{Function, Host, HostConfig, Kind, Limits};
use tandem_switch::cause::Cause;
use tandem_switch::event::{
    Consultation, Context, DialOutcome, EndedCall, Event, Outcome, Party, Transport, Verification,
};
use tandem_switch::plan::Plan;
use tandem_switch::time::UnixMillis;

/// Decisions that are timed in each language.
const DECISIONS: usize = 100;

/// In the order in which they are shown.
const LANGUAGES: [(&str, &str); 2] = [("JavaScript", "front-desk.js.wasm"), ("Python", "front_desk.py.wasm")];

fn built(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the tests are two levels down");
    root.join("target/languages").join(file)
}

fn call(to: &str, now: u64) -> Context {
    Context {
        call: "00000000000000000000000001".into(),
        from: Party { address: "carol".into(), display_name: Some("Carol".into()), verified_by: Verification::Token },
        to: to.into(),
        transport: Transport::Websocket,
        node: "test".into(),
        region: "test".into(),
        headers: Vec::new(),
        started_at: UnixMillis(now),
        now: UnixMillis(now),
        state: vec![1, 2, 3],
        version: "v1".into(),
    }
}

/// What is asked: every kind of event, every address that is told apart, names that are not ASCII, and odd hours.
fn questions() -> Vec<(Context, Event)> {
    const MONDAY_NOON: u64 = 1_793_620_800_000;
    let outcomes = [
        Outcome::None,
        Outcome::Dialled(DialOutcome { cause: Cause::NoAnswer, answered_by: None, talked: 0 }),
        Outcome::Dialled(DialOutcome { cause: Cause::Normal, answered_by: Some("bob".into()), talked: u32::MAX }),
    ];
    let ended = EndedCall {
        call: "00000000000000000000000001".into(),
        from: "carol".into(),
        to: "front-desk".into(),
        started_at: UnixMillis(1),
        answered_at: Some(UnixMillis(2)),
        ended_at: UnixMillis(3),
        answered_by: None,
        cause: Cause::Cancelled,
    };
    let mut asked = Vec::new();
    for to in ["front-desk", "dave", "Front-Desk", "", "jürgen", "日本", "+493012345"] {
        for now in [0, MONDAY_NOON, MONDAY_NOON + 5 * 86_400_000, MONDAY_NOON + 12 * 3_600_000] {
            asked.push((call(to, now), Event::Incoming));
        }
        for outcome in outcomes.clone() {
            let consultation = Consultation { tag: "next".into(), outcome };
            asked.push((call(to, MONDAY_NOON), Event::Consulted(consultation)));
        }
        asked.push((call(to, MONDAY_NOON), Event::Ended(ended.clone())));
    }
    asked
}

/// Bounds that nothing here reaches on a machine that is busy.
fn patient() -> Host {
    let minute = Duration::from_mins(1);
    let limits = Limits { cpu_time_max: minute, deadline: minute, permit_wait_max: minute, ..Limits::default() };
    Host::new(HostConfig { limits, cache: None }).expect("the host starts")
}

async fn decide(host: &Host, function: &Function, context: &Context, event: &Event) -> Plan {
    host.invoke(function, context, event).await.answer.expect("a plan")
}

/// Prints what a decision costs in a fresh instance, and what the component and its memory weigh.
async fn measure(host: &Host, function: &Function, language: &str, bytes: usize) {
    // What is measured is what a node runs most of the time: compiled well.
    host.settle();
    let (context, event) = questions().swap_remove(0);
    let mut micros = Vec::new();
    let mut memory = 0;
    for _ in 0..DECISIONS {
        let invocation = host.invoke(function, &context, &event).await;
        micros.push(invocation.micros);
        memory = invocation.memory_high_water_bytes;
    }
    micros.sort_unstable();
    let (p50, p99) = (micros[DECISIONS / 2], micros[DECISIONS * 99 / 100]);
    println!("{language:<12} p50 {p50:>6} µs  p99 {p99:>6} µs  {bytes:>9} bytes  {:>3} MiB memory", memory >> 20);
}

#[tokio::test]
async fn other_languages_decide_as_rust_does() -> anyhow::Result<()> {
    let host = patient();
    let bytes = std::fs::read(function::component("front-desk").await?)?;
    let rust = host.load(&bytes)?;
    measure(&host, &rust, "Rust", bytes.len()).await;
    for (language, file) in LANGUAGES {
        let bytes = std::fs::read(built(file))?;
        let function = host.load(&bytes)?;
        assert_eq!(function.kind(), Kind::BlockingRouter, "{language}");
        for (context, event) in questions() {
            let expected = decide(&host, &rust, &context, &event).await;
            assert_eq!(
                decide(&host, &function, &context, &event).await,
                expected,
                "{language}: {} {event:?}",
                context.to
            );
        }
        measure(&host, &function, language, bytes.len()).await;
    }
    Ok(())
}

#[tokio::test]
async fn other_languages_route_a_real_call() -> anyhow::Result<()> {
    for (language, file) in LANGUAGES {
        let gateway = Gateway::start(Settings { function: Some(built(file)), ..Settings::default() }).await?;
        let mut carol = Phone::sign_in(&gateway, "carol", WebTransport).await?;
        let mut alice = Phone::sign_in(&gateway, "alice", WebTransport).await?;
        let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
        let call = carol.dial("front-desk").await?;
        // The whole desk rings, as only the function knows.
        assert_eq!((alice.rings().await?, bob.rings().await?), (call, call), "{language}");
        alice.client.decline(call).await?;
        bob.client.decline(call).await?;
        assert_eq!(carol.ended(call).await?, Cause::NoAnswer, "{language}");
        let record = gateway.await_records(1).await?.remove(0);
        let failures: Vec<_> = record.consultations.iter().filter_map(|asked| asked.failure.as_deref()).collect();
        assert!(failures.is_empty(), "{language}: {failures:?}");
    }
    Ok(())
}
