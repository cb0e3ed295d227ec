//! What a function may do beyond computing, by every interface that offers it: the guest `capable` does it, a [`Town`] answers.

mod kit;
mod town;

use std::sync::Arc;

use kit::{INCOMING, call, guest, host, patient};
use tandem_host::outside::{Nothing, Outside, Question, Refusal, Reply};
use tandem_host::{Conditions, Invocation, Limits, limits};
use tandem_switch::exchange::ConsultFailure;
use town::Town;

/// Asks the guest to do each of these, in a town of its own each, and says how it went.
async fn deeds<const N: usize>(deeds: [&str; N]) -> [Invocation; N] {
    let host = host(patient());
    let function = host.load(&guest("capable")).unwrap();
    let mut done = Vec::new();
    for deed in deeds {
        let conditions = Conditions { seed: [7; 32], ..host.conditions(Arc::new(Town::default())) };
        done.push(host.invoke_under(&function, &call("carol", deed), &INCOMING, conditions).await);
    }
    done.try_into().unwrap_or_else(|_| unreachable!("one each"))
}

fn found(invocation: &Invocation) -> &str {
    match &invocation.answer {
        Ok(plan) => std::str::from_utf8(&plan.state).unwrap(),
        Err(failure) => panic!("{failure}: {}", invocation.log.text),
    }
}

#[tokio::test]
async fn every_interface_reaches_the_same_world() {
    let table = [
        ("sdk", r#"Some([104, 101, 108, 108, 111]), 2, Some("xyzzy")"#),
        ("directory alice", "2, 0, there is no alice"),
        ("directory nobody", "there is no nobody, there is no nobody, there is no nobody"),
        ("draft", r#"3 [Some(("a", [51])), None] ["a"] false Some(Error::AccessDenied) Some(Error::NoSuchStore)"#),
        (
            "draft2",
            r#"-1 [("a", Some([45, 49])), ("b", None)] ["a"] Some(Error::Other("compare-and-swap is not offered here; `increment` is atomic"))"#,
        ),
        ("spin-2", r#"Some([49]) ["a"] false Ok("xyzzy") Err(Error::Undefined("missing"))"#),
        ("spin-3", r#"Some([49]) ["a"] false Ok("xyzzy") Err(Error::Undefined("missing"))"#),
        ("config", r#"[("secret", "xyzzy")] Some("xyzzy") None"#),
        ("fetch-0.2 https://crm.example/who", r#"200 POST Some("capable") who is it? Some(2000)"#),
        ("fetch-0.3 https://crm.example/who", r#"200 POST Some("capable") who is it? Some(2000)"#),
        ("wait", "true"),
    ];
    let invocations = deeds(table.map(|(deed, _)| deed)).await;
    for ((deed, expected), invocation) in table.iter().zip(&invocations) {
        assert_eq!(found(invocation), *expected, "{deed}");
    }
    assert_eq!(invocations[0].log.text, "WARN sdk: it works\n");
}

#[tokio::test]
async fn refusals_of_http_have_their_error_codes() {
    let table = [
        ("https://denied.example/", "HttpRequestDenied"),
        ("https://slow.example/", "ConnectionTimeout"),
        ("https://large.example/", "HttpResponseBodySize(Some(1048576))"),
        ("https://busy.example/", "ConnectionLimitReached"),
        ("https://other.example/", r#"InternalError(Some("failed: on purpose"))"#),
    ];
    let host = host(patient());
    let function = host.load(&guest("capable")).unwrap();
    for (url, code) in table {
        for version in ["fetch-0.2", "fetch-0.3"] {
            let conditions = host.conditions(Arc::new(Town::default()));
            let call = call("carol", &format!("{version} {url}"));
            let invocation = host.invoke_under(&function, &call, &INCOMING, conditions).await;
            let expected = format!("ErrorCode::{code}");
            assert_eq!(found(&invocation), expected, "{version} {url}");
        }
    }
}

#[tokio::test]
async fn clocks_begin_at_the_event_and_every_reading_is_recorded() {
    let [std, three] = deeds(["clocks", "clocks-0.3"]).await;
    let noon_micros = 1_793_620_800_000_000_u64;
    let [_began, now, ended] = std.trace.clock[..] else { panic!("{:?}", std.trace.clock) };
    assert_eq!(found(&std), format!("{} {}", noon_micros + now, ended - std.trace.clock[0]));
    let [began, now] = three.trace.clock[..] else { panic!("{:?}", three.trace.clock) };
    let (seconds, nanos) = ((noon_micros + now) / 1_000_000, (noon_micros + now) % 1_000_000 * 1000);
    assert_eq!(found(&three), format!("{} {seconds}.{nanos:09}", began * 1000));
}

#[tokio::test]
async fn random_numbers_follow_the_seed() {
    let [first, second] = deeds(["random", "random"]).await;
    assert_eq!(found(&first), found(&second));
    assert!(found(&first).ends_with("true 3"), "{}", found(&first));
    assert_eq!(first.trace.seed, "07".repeat(32));
    let host = host(patient());
    let function = host.load(&guest("capable")).unwrap();
    let conditions = Conditions { seed: [8; 32], ..host.conditions(Arc::new(Nothing)) };
    let other = host.invoke_under(&function, &call("carol", "random"), &INCOMING, conditions).await;
    assert_ne!(found(&other), found(&first));
}

#[tokio::test]
async fn host_calls_are_bounded_and_recorded() {
    let [often, large, sdk] = deeds(["ask-often", "large", "sdk"]).await;
    let max = limits::HOST_CALLS_MAX;
    assert_eq!(found(&often), format!("{max}: over the tenant's limit: {max} host calls of an invocation"));
    assert_eq!(often.trace.calls.len(), max);
    assert!(matches!(large.answer, Err(ConsultFailure::AnswerTooLarge(_))), "{:?}", large.answer);
    let asked: Vec<_> = sdk.trace.calls.iter().map(|call| call.question.to_string()).collect();
    let expected = [
        "key-value: open default",
        "key-value: set greeting of default",
        "key-value: open default",
        "key-value: get greeting of default",
        "key-value: open default",
        "key-value: delete greeting of default",
        "key-value: open default",
        "key-value: add 2 to calls of default",
        "variable secret",
    ];
    assert_eq!(asked, expected);
    assert_eq!(sdk.trace.calls[8].reply, Reply::Text(Some("xyzzy".into())));
}

#[tokio::test]
async fn a_function_with_nothing_around_it_is_told_so() {
    let host = host(patient());
    let function = host.load(&guest("capable")).unwrap();
    let invocation = host.invoke(&function, &call("carol", "sdk"), &INCOMING).await;
    let told = Err(ConsultFailure::Refused("this store may not be used".into()));
    assert_eq!(invocation.answer, told);
}

/// Never answers.
struct Silent;

#[async_trait::async_trait]
impl Outside for Silent {
    async fn ask(&self, _question: Question) -> Reply {
        std::future::pending().await
    }
}

#[tokio::test]
async fn the_trace_survives_a_deadline() {
    let deadline = std::time::Duration::from_millis(200);
    let host = host(Limits { deadline, ..patient() });
    let function = host.load(&guest("capable")).unwrap();
    let silence = host.conditions(Arc::new(Silent));
    let invocation = host.invoke_under(&function, &call("carol", "sdk"), &INCOMING, silence).await;
    assert_eq!(invocation.answer, Err(ConsultFailure::DeadlineExceeded(deadline)));
    let [open] = &invocation.trace.calls[..] else { panic!("{:?}", invocation.trace) };
    assert_eq!(open.question, Question::KvOpen { store: "default".into() });
    assert!(matches!(open.reply, Reply::Refused(Refusal::TimedOut(_))));
}
