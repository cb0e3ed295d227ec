//! Functions of every kind: each world routes the same decision, and fails as the typed one does.

mod kit;

use std::sync::Arc;
use std::time::Duration;

use kit::{INCOMING, call, guest, host, patient, until_idle};
use tandem_host::{Function, Host, Invocation, Kind, Limits, limits};
use tandem_switch::exchange::ConsultFailure;
use tandem_switch::plan::{Action, Order, Plan};

/// A guest of each world.
const WORLDS: [(&str, Kind); 4] = [
    ("misbehaving", Kind::Router),
    ("blocking", Kind::BlockingRouter),
    ("served-misbehaving", Kind::Http02),
    ("spin-app", Kind::Http03),
];

async fn ask(host: &Host, function: &Function, to: &str) -> Invocation {
    host.invoke(function, &call("carol", to), &INCOMING).await
}

/// Asks a guest once; whatever happened, its next question is answered and its place is given back.
async fn once(name: &str, limits: Limits, to: &str) -> Result<Plan, ConsultFailure> {
    let host = host(limits);
    let function = host.load(&guest(name)).unwrap();
    let answer = ask(&host, &function, to).await.answer;
    let next = ask(&host, &function, "alice").await;
    assert!(next.answer.is_ok_and(|plan| plan.accept().is_ok()), "{name} after {to}");
    until_idle(&host).await;
    answer
}

/// Who rings.
fn rung(plan: Plan) -> Vec<String> {
    let steps = plan.accept().unwrap().steps;
    let dial = steps.into_iter().find_map(|step| if let Action::Dial(dial) = step { Some(dial) } else { None });
    let Order::Rounds(rounds) = dial.expect("a dial").order else { panic!("a dial in rounds") };
    rounds.concat().into_iter().map(String::from).collect()
}

#[tokio::test]
async fn each_world_routes_the_same_decision() {
    let host = host(patient());
    for (name, kind) in WORLDS {
        let bytes = guest(name);
        let function = host.load(&bytes).unwrap();
        assert_eq!((function.kind(), function.bytes()), (kind, bytes.len()), "{name}");
        assert!(function.imports().iter().any(|import| import.contains("types@")), "{name}: {:?}", function.imports());
        let invocation = ask(&host, &function, "dave").await;
        assert!(invocation.cpu_micros > 0 && invocation.memory_high_water_bytes > 0, "{name}: {invocation:?}");
        assert_eq!(rung(invocation.answer.unwrap()), ["dave"], "{name}");
    }
}

#[tokio::test]
async fn a_component_of_two_worlds_runs_in_the_typed_one() {
    let host = host(patient());
    let inspection = host.inspect(&guest("front-desk")).unwrap();
    assert_eq!(inspection.kind, Ok(Kind::Router));
    assert!(inspection.exports.iter().any(|name| name.starts_with("wasi:http/incoming-handler@")), "{inspection:?}");
}

#[tokio::test]
async fn a_trap_is_an_outcome_in_each_world() {
    for (name, _) in WORLDS {
        let answer = once(name, patient(), "panic").await;
        assert!(matches!(&answer, Err(ConsultFailure::Trapped(_))), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_loop_ends_with_its_processor_time_in_each_world() {
    let cpu_time_max = Duration::from_millis(20);
    for (name, _) in WORLDS {
        let answer = once(name, Limits { cpu_time_max, ..patient() }, "loop").await;
        assert_eq!(answer, Err(ConsultFailure::DeadlineExceeded(cpu_time_max)), "{name}");
    }
}

#[tokio::test]
async fn a_hoarder_runs_out_of_memory_in_each_world() {
    for name in ["misbehaving", "served-misbehaving", "spin-app"] {
        let answer = once(name, patient(), "memory").await;
        assert_eq!(answer, Err(ConsultFailure::OutOfMemory(limits::MEMORY_BYTES_MAX as u64)), "{name}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_not_taken_in_any_world() {
    for name in ["misbehaving", "served-misbehaving", "spin-app"] {
        let answer = once(name, patient(), "huge-answer").await;
        assert!(matches!(&answer, Err(ConsultFailure::AnswerTooLarge(_))), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_functions_own_error_is_told_in_each_world() {
    let table = [
        ("blocking", "error", "no database"),
        ("served-misbehaving", "error-code", "no database"),
        ("spin-app", "error", "status 500: no database"),
        ("spin-app", "path", "status 500: /"),
    ];
    for (name, to, reason) in table {
        assert_eq!(once(name, patient(), to).await, Err(ConsultFailure::Refused(reason.into())), "{name} {to}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_plan_is_refused_by_what_is_wrong() {
    for (to, what) in [("bad-json", "expected value at line 1"), ("wrong-field", "unknown variant `dance`")] {
        let answer = once("spin-app", patient(), to).await;
        assert!(matches!(&answer, Err(ConsultFailure::PlanRefused(why)) if why.contains(what)), "{to}: {answer:?}");
    }
    assert_eq!(once("spin-app", patient(), "nothing").await, Ok(Plan { steps: vec![], state: vec![] }));
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_an_outcome() {
    let table = [
        ("silence", "it returned without an answer"),
        ("half", "the body of its answer broke off"),
        ("afterthought", "unreachable"),
    ];
    for (to, what) in table {
        let answer = once("served-misbehaving", patient(), to).await;
        assert!(matches!(&answer, Err(ConsultFailure::Trapped(why)) if why.contains(what)), "{to}: {answer:?}");
    }
}

/// More than the slow lane has threads, by far: if they did not take turns, or kept the caller's thread, nobody else would be answered.
#[tokio::test(flavor = "current_thread")]
async fn quick_questions_are_answered_while_many_loop() {
    const LOOPERS: usize = 64;
    let places = 4 * u32::try_from(LOOPERS).unwrap();
    let host = Arc::new(host(Limits { invocations_max: places, ..patient() }));
    let looping = host.load(&guest("misbehaving")).unwrap();
    let mut loopers = tokio::task::JoinSet::new();
    let mut first = None;
    for _ in 0..LOOPERS {
        let (host, looping) = (Arc::clone(&host), Arc::clone(&looping));
        let looper = loopers.spawn(async move { ask(&host, &looping, "loop").await });
        first.get_or_insert(looper);
    }
    let first = first.expect("64 of them");
    while host.invocations_under_way() < LOOPERS {
        tokio::task::yield_now().await;
    }
    for (name, _) in WORLDS {
        // Loaded anew, so that it has places of its own.
        let quick = host.load(&guest(name)).unwrap();
        for _ in 0..10 {
            assert_eq!(rung(ask(&host, &quick, "alice").await.answer.unwrap()), ["alice"], "{name}");
        }
    }
    assert!(loopers.try_join_next().is_none(), "each loops until it is ended");
    assert_eq!(host.invocations_under_way(), LOOPERS);
    // One that is dropped frees its place, and only its own.
    first.abort();
    assert!(loopers.join_next().await.expect("64 of them").is_err_and(|error| error.is_cancelled()));
    while host.invocations_under_way() == LOOPERS {
        tokio::task::yield_now().await;
    }
    assert_eq!(host.invocations_under_way(), LOOPERS - 1);
    loopers.shutdown().await;
    until_idle(&host).await;
}
