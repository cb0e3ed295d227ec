//! Functions that trap, loop, hoard, talk or answer nonsense: each gets its own outcome, and nobody else notices.

mod kit;

use std::sync::Arc;
use std::time::Duration;

use kit::{INCOMING, call, guest, host, patient, until_idle};
use tandem_host::{Function, Host, Invocation, Limits, limits};
use tandem_switch::exchange::ConsultFailure;

fn load(host: &Host) -> Arc<Function> {
    host.load(&guest("misbehaving")).unwrap()
}

/// Asks the misbehaving guest to do something.
async fn ask(limits: Limits, deed: &str) -> Invocation {
    let host = host(limits);
    let function = load(&host);
    let invocation = host.invoke(&function, &call("mallory", deed), &INCOMING).await;
    // Whatever happened, the next question is answered.
    let next = host.invoke(&function, &call("carol", "alice"), &INCOMING).await;
    assert!(next.answer.is_ok_and(|plan| plan.accept().is_ok()), "after {deed}");
    until_idle(&host).await;
    invocation
}

#[tokio::test]
async fn traps_are_outcomes() {
    let panicked = ask(patient(), "panic").await;
    assert!(
        matches!(&panicked.answer, Err(ConsultFailure::Trapped(why)) if why.contains("unreachable")),
        "{panicked:?}"
    );
    assert!(panicked.log.text.contains("on purpose"), "{panicked:?}");
    let overflown = ask(patient(), "overflow").await.answer;
    assert!(matches!(&overflown, Err(ConsultFailure::Trapped(why)) if why.contains("stack")), "{overflown:?}");
    let exited = ask(patient(), "exit").await.answer;
    assert!(matches!(&exited, Err(ConsultFailure::Trapped(why)) if why.contains("exited")), "{exited:?}");
}

#[tokio::test]
async fn a_loop_ends_with_its_processor_time() {
    let cpu_time_max = Duration::from_millis(20);
    let answer = ask(Limits { cpu_time_max, ..patient() }, "loop").await.answer;
    assert_eq!(answer, Err(ConsultFailure::DeadlineExceeded(cpu_time_max)));
}

#[tokio::test]
async fn a_sleeper_ends_with_the_clock() {
    let deadline = Duration::from_millis(300);
    let host = host(Limits { deadline, ..patient() });
    let answer = host.invoke(&load(&host), &call("mallory", "sleep"), &INCOMING).await.answer;
    assert_eq!(answer, Err(ConsultFailure::DeadlineExceeded(deadline)));
    until_idle(&host).await;
}

#[tokio::test]
async fn a_hoarder_runs_out_of_memory() {
    let invocation = ask(patient(), "memory").await;
    assert_eq!(invocation.answer, Err(ConsultFailure::OutOfMemory(limits::MEMORY_BYTES_MAX as u64)));
    assert!(invocation.memory_high_water_bytes <= limits::MEMORY_BYTES_MAX, "{invocation:?}");
    assert!(invocation.memory_high_water_bytes > limits::MEMORY_BYTES_MAX / 2, "{invocation:?}");
}

#[tokio::test]
async fn a_talker_is_cut_short_and_still_answers() {
    let invocation = ask(patient(), "talk").await;
    assert!(invocation.answer.is_ok(), "{invocation:?}");
    assert!(invocation.log.text.starts_with("line 0\nline 1\n"), "{invocation:?}");
    assert_eq!(invocation.log.text.len(), limits::LOG_BYTES_MAX);
    let written: usize = (0..10_000).map(|line: u32| format!("line {line}\n").len()).sum();
    assert_eq!(invocation.log.dropped_bytes as usize, written - limits::LOG_BYTES_MAX);
}

#[tokio::test]
async fn a_huge_answer_is_not_taken() {
    let answer = ask(patient(), "huge-answer").await.answer;
    assert!(matches!(answer, Err(ConsultFailure::AnswerTooLarge(_))), "{answer:?}");
}

#[tokio::test]
async fn an_error_is_kept_short() {
    let answer = ask(patient(), "error").await.answer;
    assert_eq!(answer, Err(ConsultFailure::Refused("x".repeat(limits::ERROR_BYTES_MAX))));
}

#[tokio::test]
async fn an_impossible_plan_is_refused_by_name() {
    let table = [
        ("impossible-step", "step 2: this gateway does not carry out `transfer attended` yet"),
        ("impossible-value", "step 2 (`pause`): the pause must be 1 to 60000 ms; got 0"),
        ("ten-thousand-targets", "step 2 (`dial`): 1 to 64 targets; got 10000"),
    ];
    for (deed, refusal) in table {
        let plan = ask(patient(), deed).await.answer.unwrap();
        assert_eq!(plan.accept().unwrap_err().to_string(), refusal, "{deed}");
    }
}

#[tokio::test]
async fn globals_do_not_outlive_a_question() {
    let host = host(patient());
    let function = load(&host);
    for _ in 0..20 {
        let plan = host.invoke(&function, &call("carol", "count"), &INCOMING).await.answer.unwrap();
        assert_eq!(plan.state, b"0");
    }
}

#[tokio::test]
async fn a_function_sees_nothing_of_the_hosts_world() {
    let plan = ask(patient(), "look-around").await.answer.unwrap();
    let seen = String::from_utf8(plan.state).unwrap();
    assert_eq!(seen, "0 variables, 0 arguments, root false, passwords false");
}

/// Waits until the looping guest is being run.
async fn until_under_way(host: &Host, looping: &tokio::task::JoinHandle<Invocation>) {
    while host.invocations_under_way() == 0 {
        assert!(!looping.is_finished(), "it ended before anybody else had a turn");
        tokio::task::yield_now().await;
    }
}

/// One thread for everything: if the loop did not give way, the others would have no turn before it is ended.
#[tokio::test(flavor = "current_thread")]
async fn a_loop_leaves_the_thread_to_others() {
    let host = Arc::new(host(Limits { cpu_time_max: Duration::from_secs(20), ..patient() }));
    let function = load(&host);
    let looping = tokio::spawn({
        let (host, function) = (Arc::clone(&host), Arc::clone(&function));
        async move { host.invoke(&function, &call("mallory", "loop"), &INCOMING).await }
    });
    until_under_way(&host, &looping).await;
    for _ in 0..50 {
        let invocation = host.invoke(&function, &call("carol", "alice"), &INCOMING).await;
        assert!(invocation.answer.is_ok(), "{invocation:?}");
    }
    assert!(!looping.is_finished(), "it loops until it is ended");
    looping.abort();
    assert!(looping.await.unwrap_err().is_cancelled());
    until_idle(&host).await;
}

#[tokio::test]
async fn beyond_the_most_invocations_one_is_overloaded() {
    let limits = Limits { invocations_max: 1, permit_wait_max: Duration::from_millis(10), ..patient() };
    let host = Arc::new(host(limits));
    let function = load(&host);
    let looping = tokio::spawn({
        let (host, function) = (Arc::clone(&host), Arc::clone(&function));
        async move { host.invoke(&function, &call("mallory", "loop"), &INCOMING).await }
    });
    until_under_way(&host, &looping).await;
    let answer = host.invoke(&function, &call("carol", "alice"), &INCOMING).await.answer;
    assert_eq!(answer, Err(ConsultFailure::Overloaded));
    looping.abort();
    assert!(looping.await.unwrap_err().is_cancelled());
    // Its place is free once its memory is given back, which nobody who asks has to wait for.
    until_idle(&host).await;
    let answer = host.invoke(&function, &call("carol", "alice"), &INCOMING).await.answer;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_function_of_another_host_is_not_run() {
    let (one, other) = (host(patient()), host(patient()));
    let answer = other.invoke(&load(&one), &call("carol", "alice"), &INCOMING).await.answer;
    assert!(matches!(answer, Err(ConsultFailure::Host(_))), "{answer:?}");
}
