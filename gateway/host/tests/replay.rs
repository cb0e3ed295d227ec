//! A recorded invocation, taken again, comes to the same answer.

mod kit;
mod town;

use std::sync::Arc;

use kit::{INCOMING, call, guest, host, patient};
use tandem_host::outside::Question;
use tandem_host::{Conditions, Trace};
use town::Town;

/// How often the same invocation is replayed.
const REPLAYS: usize = 100;

#[tokio::test]
async fn replays_come_to_the_recorded_plan() {
    let host = host(patient());
    let function = host.load(&guest("capable")).unwrap();
    let call = call("carol", "everything");
    let conditions = Conditions { seed: [42; 32], ..host.conditions(Arc::new(Town::default())) };
    let recorded = host.invoke_under(&function, &call, &INCOMING, conditions).await;
    let plan = serde_json::to_vec(&recorded.answer.unwrap()).unwrap();
    // The trace as it is kept and fetched again.
    let trace: Trace = serde_json::from_str(&serde_json::to_string(&recorded.trace).unwrap()).unwrap();
    assert!(trace.clock.len() >= 6 && trace.calls.len() >= 6, "{trace:?}");
    for _ in 0..REPLAYS {
        let replayed = host.replay(&function, &call, &INCOMING, &trace).await;
        assert_eq!(replayed.unrecorded, []);
        assert_eq!(serde_json::to_vec(&replayed.invocation.answer.unwrap()).unwrap(), plan);
        assert_eq!(
            (replayed.invocation.trace.clock, replayed.invocation.trace.seed),
            (trace.clock.clone(), trace.seed.clone())
        );
    }
}

#[tokio::test]
async fn a_candidate_that_asks_more_is_told_that_nobody_knows() {
    let host = host(patient());
    let function = host.load(&guest("capable")).unwrap();
    let replayed = host.replay(&function, &call("carol", "directory alice"), &INCOMING, &Trace::default()).await;
    let plan = replayed.invocation.answer.unwrap();
    assert_eq!(String::from_utf8(plan.state).unwrap(), "not recorded, not recorded, not recorded");
    let name = || "alice".to_owned();
    let expected = [
        Question::Reachable { user: name() },
        Question::QueueLength { queue: name() },
        Question::RoomOccupancy { room: name() },
    ];
    assert_eq!(replayed.unrecorded, expected);
}
