//! What the fuzzer checks: decoders of bytes that strangers send. Each body takes any bytes and panics when an invariant is broken.
//!
//! The targets under `fuzz/` (cargo-fuzz layout) and the replay of `corpus/` in the tests run the same bodies. To fuzz:
//! `cargo fuzz run --fuzz-dir tests/fuzz/fuzz signal tests/fuzz/corpus/signal` (or `media`, `plan`, `sdp`, `sip`).

mod media;
mod sdp;
mod sip;

use std::fmt::Debug;

use tandem_switch::limits;
use tandem_switch::plan::{Action, Order, Plan};
use tandem_switch::signal::{ClientMessage, DecodeError, ServerMessage};

pub use media::media;
pub use sdp::sdp;
pub use sip::sip;

/// Signalling lines: what is read can be written and read again as the same; a refusal says why.
pub fn signal(data: &[u8]) {
    check_line(data, ClientMessage::decode, ClientMessage::encode);
    check_line(data, ServerMessage::decode, ServerMessage::encode);
}

fn check_line<T: Debug + PartialEq>(
    line: &[u8],
    decode: fn(&[u8]) -> Result<T, DecodeError>,
    encode: fn(&T) -> Vec<u8>,
) {
    match decode(line) {
        Ok(message) => {
            let written = encode(&message);
            assert_eq!(written.iter().position(|&byte| byte == b'\n'), Some(written.len() - 1), "one line");
            // Defaults that are written out and escapes may make a line longer than the limit that it was read under.
            if written.len() <= limits::LINE_BYTES_MAX {
                assert_eq!(decode(&written), Ok(message));
            }
        }
        Err(DecodeError::TooLong(length)) => assert!(length == line.len() && length > limits::LINE_BYTES_MAX),
        Err(error @ DecodeError::NotAMessage(_)) => {
            assert!(line.len() <= limits::LINE_BYTES_MAX && !error.to_string().is_empty());
        }
    }
}

/// Plans: what is read survives being written; what is accepted keeps every bound.
pub fn plan(data: &[u8]) {
    let Ok(plan) = serde_json::from_slice::<Plan>(data) else { return };
    let written = serde_json::to_vec(&plan).expect("a plan is JSON");
    assert_eq!(serde_json::from_slice::<Plan>(&written).expect("a written plan is one"), plan);
    let steps = plan.steps.len();
    match plan.accept() {
        Ok(accepted) => {
            assert!(accepted.steps.len() == steps && (1..=limits::PLAN_STEPS_MAX).contains(&steps));
            assert!(accepted.state.len() <= limits::PLAN_STATE_BYTES_MAX);
            accepted.steps.iter().for_each(check_action);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_action(action: &Action) {
    match action {
        Action::Answer | Action::RingBack | Action::Hangup(_) | Action::Record { .. } => {}
        Action::Play(play) => assert!((1..=limits::PLAY_TIMES_MAX).contains(&play.times)),
        Action::Gather(gather) => {
            assert!(gather.min <= gather.max && (1..=limits::GATHER_DIGITS_MAX).contains(&gather.max));
            for timeout in [gather.first_timeout, gather.inter_timeout] {
                assert!((limits::DIGIT_TIMEOUT_MIN..=limits::DIGIT_TIMEOUT_MAX).contains(&timeout));
            }
        }
        Action::Voicemail(voicemail) => {
            assert!((limits::MESSAGE_MIN..=limits::MESSAGE_MAX).contains(&voicemail.max_duration));
            assert!(voicemail.silence.is_none_or(|span| (limits::SILENCE_MIN..=limits::SILENCE_MAX).contains(&span)));
        }
        Action::Enqueue(step) => {
            assert!((limits::QUEUE_WAIT_MIN..=limits::QUEUE_WAIT_MAX).contains(&step.max_wait));
            assert!(step.needs.len() <= limits::SKILLS_MAX);
        }
        Action::Park(park) => assert!((limits::PARK_MIN..=limits::PARK_MAX).contains(&park.timeout)),
        Action::Tap(tap) => assert!(tap.url.len() <= limits::TAP_URL_BYTES_MAX),
        Action::Redirect(address) => assert!(address.len() <= limits::ADDRESS_BYTES_MAX),
        Action::Pause(pause) => assert!((limits::PAUSE_MIN..=limits::PAUSE_MAX).contains(pause)),
        Action::Dial(dial) => {
            let targets = match &dial.order {
                Order::Rounds(rounds) => {
                    assert!(!rounds.is_empty() && rounds.iter().all(|round| !round.is_empty()));
                    rounds.iter().map(Vec::len).sum::<usize>()
                }
                Order::Weighted(targets) => targets.len(),
            };
            assert!((1..=limits::DIAL_TARGETS_MAX).contains(&targets));
            assert!((limits::RING_TIMEOUT_MIN..=limits::RING_TIMEOUT_MAX).contains(&dial.ring_timeout));
            assert!((limits::CALL_DURATION_MIN..=limits::CALL_DURATION_MAX).contains(&dial.max_duration));
            assert!(dial.caller_id.as_ref().is_none_or(|id| id.len() <= limits::ADDRESS_BYTES_MAX));
        }
        Action::Reject { cause: _, reason } => {
            assert!(reason.as_ref().is_none_or(|reason| reason.len() <= limits::REASON_BYTES_MAX));
        }
        Action::Enter(enter) => assert!(enter.room.as_str().len() <= limits::NAME_BYTES_MAX),
        Action::Consult(tag) => assert!(tag.len() <= limits::TAG_BYTES_MAX),
    }
}
