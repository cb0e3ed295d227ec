//! Any sequence of inputs: nothing panics, and the end leaves nothing behind.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// One thing that happens; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Move {
    Attach(u64, u8),
    Resume(u64, u64),
    Lose(u64),
    Invite(u64, u8),
    Deed(u64, usize, u8),
    Plan(u8),
    Wait(u16),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let link = || 0..6_u64;
    let one = prop_oneof![
        (link(), 0..4_u8).prop_map(|(link, user)| Move::Attach(link, user)),
        (link(), link()).prop_map(|(link, of)| Move::Resume(link, of)),
        link().prop_map(Move::Lose),
        (link(), 0..4_u8).prop_map(|(link, user)| Move::Invite(link, user)),
        (link(), 0..8_usize, 0..10_u8).prop_map(|(link, call, deed)| Move::Deed(link, call, deed)),
        (link(), 0..8_usize, 0..10_u8).prop_map(|(link, call, deed)| Move::Deed(link, call, deed)),
        (0..6_u8).prop_map(Move::Plan),
        (0..20_000_u16).prop_map(Move::Wait),
    ];
    vec(one, 1..120)
}

const USERS: [&str; 4] = ["alice", "bob", "carol", "not a name"];

fn deed(call: CallId, kind: u8) -> ClientMessage {
    match kind {
        0..=2 => ClientMessage::Answer { call },
        3 => ClientMessage::Decline { call, cause: None },
        4 => ClientMessage::Hangup { call },
        5 => ClientMessage::Hold { call },
        6 => ClientMessage::Resume { call },
        7 => ClientMessage::Mute { call },
        8 => ClientMessage::Bye,
        _ => ClientMessage::Dtmf { call, digits: "5".into() },
    }
}

fn steps(kind: u8) -> Vec<Step> {
    match kind {
        0 => vec![ring(&["alice", "bob", "carol"]), Step::Consult("t".into())],
        1 => vec![one_after_another(&["bob", "carol"]), Step::RingBack, Step::Pause(500)],
        2 => vec![dial(&["alice", "bob"], AfterAnswer::GoOn), Step::Consult("again".into())],
        3 => vec![],
        4 => vec![Step::Consult("loop".into())],
        _ => vec![Step::Hangup(Cause::Closed)],
    }
}

/// A harness whose links can be taken anew: each of the moves' six links is a fresh one every time.
fn play(harness: &mut Harness, moves: Vec<Move>) -> usize {
    let mut links: [u64; 6] = [0; 6];
    let mut next = 100;
    let mut begun = 0;
    for step in moves {
        match step {
            Move::Attach(link, user) => {
                next += 1;
                links[link as usize] = next;
                harness.attach(next, "acme", USERS[usize::from(user) % 3]);
            }
            Move::Resume(link, of) => {
                let of = links[of as usize];
                if !harness.said.iter().any(|(to, m)| *to == LinkId(of) && matches!(m, ServerMessage::Welcome { .. })) {
                    continue;
                }
                next += 1;
                links[link as usize] = next;
                harness.resume(next, USERS[(next % 3) as usize], of, vec![]);
            }
            Move::Lose(link) => harness.lose(links[link as usize]),
            Move::Invite(link, user) => {
                let to = USERS[usize::from(user)].to_owned();
                let before = harness.said.len();
                let message = ClientMessage::Invite { reference: "r".into(), to, headers: Vec::new() };
                harness.says(links[link as usize], message);
                let taken = |(_, message): &(LinkId, ServerMessage)| matches!(message, ServerMessage::Calling { .. });
                begun += harness.said[before..].iter().filter(|said| taken(said)).count();
            }
            Move::Deed(link, call, kind) => {
                let calls: Vec<CallId> = harness.exchange.live_calls().map(|live| live.call).collect();
                let call = calls.get(call % calls.len().max(1)).copied().unwrap_or(CallId(1));
                harness.says(links[link as usize], deed(call, kind));
            }
            Move::Plan(kind) if !harness.asked.is_empty() => harness.plan(steps(kind)),
            Move::Plan(_) => {}
            Move::Wait(millis) => harness.wait(Duration::from_millis(millis.into())),
        }
    }
    begun
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_history_ends_with_one_record_for_each_call_and_nothing_left(moves in moves()) {
        let mut harness = Harness::new();
        let begun = play(&mut harness, moves);
        harness.input(Input::Drain);
        harness.wait(Duration::from_secs(2 * 3600));
        prop_assert!(harness.exchange.is_idle(), "{:?}", harness.exchange);
        prop_assert!(harness.routes.is_empty());
        let mut recorded: Vec<CallId> = harness.records.iter().map(|record| record.call).collect();
        prop_assert_eq!(recorded.len(), begun);
        recorded.sort_unstable();
        recorded.dedup();
        prop_assert_eq!(recorded.len(), begun);
    }
}
