//! Between the contract as wasmtime has it ([`crate::bindings`]) and as the core has it: field for field, exhaustively, so that
//! neither side can change alone. Checks nothing: [`plan::Plan::accept`] does.

use tandem_switch::cause::Cause;
use tandem_switch::room::RoomCause;
use tandem_switch::{event, plan};

use crate::bindings::tandem::voice::types as wit;

/// What the function is told of the call.
pub(crate) fn context(context: &event::Context) -> wit::Context {
    wit::Context {
        call: context.call.clone(),
        from: party(&context.from),
        to: context.to.clone(),
        transport: match context.transport {
            event::Transport::Webtransport => wit::Transport::Webtransport,
            event::Transport::Websocket => wit::Transport::Websocket,
            event::Transport::Sip => wit::Transport::Sip,
        },
        node: context.node.clone(),
        region: context.region.clone(),
        headers: context.headers.iter().map(header).collect(),
        started_at: context.started_at.0,
        now: context.now.0,
        state: context.state.clone(),
        version: context.version.clone(),
    }
}

/// What the function is told has happened.
pub(crate) fn event(event: &event::Event) -> wit::Event {
    match event {
        event::Event::Incoming => wit::Event::Incoming,
        event::Event::Consulted(consultation) => wit::Event::Consulted(wit::Consultation {
            tag: consultation.tag.clone(),
            outcome: outcome(&consultation.outcome),
        }),
        event::Event::Ended(ended) => wit::Event::Ended(call_record(ended)),
    }
}

/// What the function answered.
pub(crate) fn plan(plan: wit::Plan) -> plan::Plan {
    plan::Plan { steps: plan.steps.into_iter().map(step).collect(), state: plan.state }
}

fn party(party: &event::Party) -> wit::Party {
    wit::Party {
        address: party.address.clone(),
        display_name: party.display_name.clone(),
        verified_by: match party.verified_by {
            event::Verification::Token => wit::Verification::Token,
            event::Verification::Trunk => wit::Verification::Trunk,
            event::Verification::None => wit::Verification::None,
        },
    }
}

fn header(header: &event::Header) -> wit::Header {
    wit::Header { name: header.name.clone(), value: header.value.clone() }
}

fn outcome(outcome: &event::Outcome) -> wit::Outcome {
    match outcome {
        event::Outcome::None => wit::Outcome::None,
        event::Outcome::Dialled(dialled) => wit::Outcome::Dialled(wit::DialOutcome {
            cause: cause_to_guest(dialled.cause),
            answered_by: dialled.answered_by.clone(),
            talked: dialled.talked,
        }),
        event::Outcome::Played(played) => {
            wit::Outcome::Played(wit::PlayOutcome { finished: played.finished, failure: played.failure.clone() })
        }
        event::Outcome::Gathered(gathered) => wit::Outcome::Gathered(wit::GatherOutcome {
            digits: gathered.digits.clone(),
            complete: gathered.complete,
            ended_by: match gathered.ended_by {
                event::GatherEnd::MaxDigits => wit::GatherEnd::MaxDigits,
                event::GatherEnd::FinishKey => wit::GatherEnd::FinishKey,
                event::GatherEnd::FirstDigitTimeout => wit::GatherEnd::FirstDigitTimeout,
                event::GatherEnd::InterDigitTimeout => wit::GatherEnd::InterDigitTimeout,
            },
        }),
        event::Outcome::LeftMessage(message) => wit::Outcome::LeftMessage(wit::MessageOutcome {
            recording: message.recording.clone(),
            duration: message.duration,
            ended_by: match message.ended_by {
                event::MessageEnd::FinishKey => wit::MessageEnd::FinishKey,
                event::MessageEnd::Silence => wit::MessageEnd::Silence,
                event::MessageEnd::MaxDuration => wit::MessageEnd::MaxDuration,
                event::MessageEnd::Failed => wit::MessageEnd::Failed,
            },
        }),
        event::Outcome::Started(started) => {
            wit::Outcome::Started(wit::StartOutcome { id: started.id.clone(), failure: started.failure.clone() })
        }
        event::Outcome::Conferenced(stay) => wit::Outcome::Conferenced(wit::RoomOutcome {
            room: stay.room.clone(),
            cause: match stay.cause {
                RoomCause::Left => wit::RoomCause::Left,
                RoomCause::Kicked => wit::RoomCause::Kicked,
                RoomCause::Ended => wit::RoomCause::Ended,
                RoomCause::Locked => wit::RoomCause::Locked,
                RoomCause::Full => wit::RoomCause::Full,
                RoomCause::Refused => wit::RoomCause::Refused,
            },
            stayed: stay.stayed,
        }),
        event::Outcome::Queued(queued) => wit::Outcome::Queued(wit::QueueOutcome {
            queue: queued.queue.clone(),
            result: match queued.result {
                event::QueueResult::Connected => wit::QueueResult::Connected,
                event::QueueResult::TimedOut => wit::QueueResult::TimedOut,
                event::QueueResult::Full => wit::QueueResult::Full,
                event::QueueResult::NoAgents => wit::QueueResult::NoAgents,
                event::QueueResult::LeftByKey => wit::QueueResult::LeftByKey,
                event::QueueResult::Removed => wit::QueueResult::Removed,
                event::QueueResult::NoSuchQueue => wit::QueueResult::NoSuchQueue,
            },
            waited: queued.waited,
            agent: queued.agent.clone(),
            talked: queued.talked,
        }),
        event::Outcome::Parked(parked) => wit::Outcome::Parked(wit::ParkOutcome {
            slot: parked.slot.clone(),
            result: match parked.result {
                event::ParkResult::PickedUp => wit::ParkResult::PickedUp,
                event::ParkResult::TimedOut => wit::ParkResult::TimedOut,
                event::ParkResult::SlotTaken => wit::ParkResult::SlotTaken,
                event::ParkResult::Full => wit::ParkResult::Full,
            },
            waited: parked.waited,
            by: parked.by.clone(),
            talked: parked.talked,
        }),
    }
}

fn call_record(ended: &event::EndedCall) -> wit::CallRecord {
    wit::CallRecord {
        call: ended.call.clone(),
        from: ended.from.clone(),
        to: ended.to.clone(),
        started_at: ended.started_at.0,
        answered_at: ended.answered_at.map(|at| at.0),
        ended_at: ended.ended_at.0,
        answered_by: ended.answered_by.clone(),
        cause: cause_to_guest(ended.cause),
    }
}

fn step(step: wit::Step) -> plan::Step {
    match step {
        wit::Step::Answer => plan::Step::Answer,
        wit::Step::RingBack => plan::Step::RingBack,
        wit::Step::Play(step) => plan::Step::Play(plan::PlayStep { source: audio(step.source), times: step.times }),
        wit::Step::Pause(millis) => plan::Step::Pause(millis),
        wit::Step::Gather(step) => plan::Step::Gather(gather(step)),
        wit::Step::Dial(step) => plan::Step::Dial(dial(step)),
        wit::Step::Conference(step) => plan::Step::Conference(conference(step)),
        wit::Step::Broadcast(channel) => plan::Step::Broadcast(channel),
        wit::Step::Listen(channel) => plan::Step::Listen(channel),
        wit::Step::Enqueue(step) => plan::Step::Enqueue(enqueue(step)),
        wit::Step::Voicemail(step) => plan::Step::Voicemail(plan::VoicemailStep {
            mailbox: step.mailbox,
            greeting: step.greeting.map(audio),
            max_duration: step.max_duration,
            silence_timeout: step.silence_timeout,
            finish_key: step.finish_key,
        }),
        wit::Step::Record(step) => plan::Step::Record(record(step)),
        wit::Step::Transfer(step) => plan::Step::Transfer(transfer(step)),
        wit::Step::Park(step) => plan::Step::Park(plan::ParkStep { slot: step.slot, timeout: step.timeout }),
        wit::Step::Tap(step) => plan::Step::Tap(tap(step)),
        wit::Step::Redirect(address) => plan::Step::Redirect(address),
        wit::Step::Reject(rejection) => {
            plan::Step::Reject(plan::Rejection { cause: cause(rejection.cause), reason: rejection.reason })
        }
        wit::Step::Hangup(why) => plan::Step::Hangup(cause(why)),
        wit::Step::Consult(tag) => plan::Step::Consult(tag),
    }
}

fn audio(source: wit::AudioSource) -> plan::AudioSource {
    match source {
        wit::AudioSource::Prompt(name) => plan::AudioSource::Prompt(name),
        wit::AudioSource::Tone(tone) => plan::AudioSource::Tone(match tone {
            wit::Tone::Dial => plan::Tone::Dial,
            wit::Tone::RingBack => plan::Tone::RingBack,
            wit::Tone::Busy => plan::Tone::Busy,
            wit::Tone::Congestion => plan::Tone::Congestion,
            wit::Tone::Beep => plan::Tone::Beep,
        }),
        wit::AudioSource::Digits(digits) => plan::AudioSource::Digits(digits),
    }
}

fn tap(step: wit::TapStep) -> plan::TapStep {
    let format = match step.format {
        wit::TapFormat::Opus => plan::TapFormat::Opus,
        wit::TapFormat::Pcm8k => plan::TapFormat::Pcm8k,
        wit::TapFormat::Pcm16k => plan::TapFormat::Pcm16k,
        wit::TapFormat::Pcm24k => plan::TapFormat::Pcm24k,
        wit::TapFormat::Pcm48k => plan::TapFormat::Pcm48k,
    };
    plan::TapStep { url: step.url, legs: legs(step.legs), format, speaks: step.speaks }
}

fn gather(step: wit::GatherStep) -> plan::GatherStep {
    plan::GatherStep {
        min_digits: step.min_digits,
        max_digits: step.max_digits,
        finish_key: step.finish_key,
        first_digit_timeout: step.first_digit_timeout,
        inter_digit_timeout: step.inter_digit_timeout,
        prompt: step.prompt.map(audio),
        barge_in: step.barge_in,
    }
}

fn dial(step: wit::DialStep) -> plan::DialStep {
    plan::DialStep {
        targets: step.targets.into_iter().map(target).collect(),
        strategy: match step.strategy {
            wit::DialStrategy::AtOnce => plan::DialStrategy::AtOnce,
            wit::DialStrategy::OneAfterAnother => plan::DialStrategy::OneAfterAnother,
            wit::DialStrategy::Rounds => plan::DialStrategy::Rounds,
            wit::DialStrategy::Weighted => plan::DialStrategy::Weighted,
        },
        ring_timeout: step.ring_timeout,
        max_duration: step.max_duration,
        caller_id: step.caller_id,
        whisper: step.whisper.map(audio),
        confirm_key: step.confirm_key,
        after_answer: match step.after_answer {
            wit::AfterAnswer::HangUp => plan::AfterAnswer::HangUp,
            wit::AfterAnswer::GoOn => plan::AfterAnswer::GoOn,
        },
    }
}

fn target(target: wit::DialTarget) -> plan::DialTarget {
    plan::DialTarget { address: address(target.address), round: target.round, weight: target.weight }
}

fn address(address: wit::Address) -> plan::Address {
    match address {
        wit::Address::User(user) => plan::Address::User(user),
        wit::Address::Number(to) => plan::Address::Number(plan::TrunkNumber { number: to.number, trunk: to.trunk }),
        wit::Address::Sip(uri) => plan::Address::Sip(uri),
        wit::Address::Room(room) => plan::Address::Room(room),
        wit::Address::Queue(queue) => plan::Address::Queue(queue),
    }
}

fn conference(step: wit::ConferenceStep) -> plan::ConferenceStep {
    let wit::ConferenceStep { room, muted, moderator, starts, ends, waits, announced } = step;
    plan::ConferenceStep { room, muted, moderator, starts, ends, waits, announced }
}

fn enqueue(step: wit::EnqueueStep) -> plan::EnqueueStep {
    let wit::EnqueueStep { queue, priority, music, max_wait, needs } = step;
    let need = |wit::SkillNeed { skill, level }: wit::SkillNeed| plan::SkillNeed { skill, level };
    let needs = needs.into_iter().map(need).collect();
    plan::EnqueueStep { queue, priority, music: music.map(audio), max_wait, needs }
}

fn record(step: wit::RecordStep) -> plan::RecordStep {
    let action = match step.action {
        wit::RecordAction::Start => plan::RecordAction::Start,
        wit::RecordAction::Stop => plan::RecordAction::Stop,
        wit::RecordAction::Pause => plan::RecordAction::Pause,
        wit::RecordAction::Resume => plan::RecordAction::Resume,
    };
    plan::RecordStep { action, legs: legs(step.legs) }
}

fn transfer(step: wit::TransferStep) -> plan::TransferStep {
    let kind = match step.kind {
        wit::TransferKind::Blind => plan::TransferKind::Blind,
        wit::TransferKind::Attended => plan::TransferKind::Attended,
    };
    plan::TransferStep { kind, to: address(step.to) }
}

fn legs(legs: wit::Legs) -> plan::Legs {
    match legs {
        wit::Legs::Both => plan::Legs::Both,
        wit::Legs::Caller => plan::Legs::Caller,
        wit::Legs::Callee => plan::Legs::Callee,
    }
}

/// Both ways of the same list of words.
macro_rules! causes {
    ($($cause:ident),* $(,)?) => {
        fn cause(cause: wit::Cause) -> Cause {
            match cause {
                $(wit::Cause::$cause => Cause::$cause,)*
            }
        }

        fn cause_to_guest(cause: Cause) -> wit::Cause {
            match cause {
                $(Cause::$cause => wit::Cause::$cause,)*
            }
        }
    };
}

causes! {
    Normal, Cancelled, Busy, NoAnswer, Declined, AnsweredElsewhere, NotFound, Unreachable, Forbidden, OwnAddress, Closed, Redirected, TimeLimit,
    ConnectionLost, FunctionFailed, NoRoute, Overloaded, Shutdown, InternalError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_survive_both_ways() {
        for there_and_back in Cause::ALL {
            assert_eq!(cause(cause_to_guest(there_and_back)), there_and_back);
        }
    }

    #[test]
    fn a_dial_keeps_every_field() {
        let guest = wit::DialStep {
            targets: vec![wit::DialTarget {
                address: wit::Address::Number(wit::TrunkNumber { number: "+491".into(), trunk: Some("t".into()) }),
                round: 2,
                weight: 3,
            }],
            strategy: wit::DialStrategy::Rounds,
            ring_timeout: 4000,
            max_duration: Some(5000),
            caller_id: Some("me".into()),
            whisper: Some(wit::AudioSource::Tone(wit::Tone::Beep)),
            confirm_key: Some('1'),
            after_answer: wit::AfterAnswer::GoOn,
        };
        let core = plan::DialStep {
            targets: vec![plan::DialTarget {
                address: plan::Address::Number(plan::TrunkNumber { number: "+491".into(), trunk: Some("t".into()) }),
                round: 2,
                weight: 3,
            }],
            strategy: plan::DialStrategy::Rounds,
            ring_timeout: 4000,
            max_duration: Some(5000),
            caller_id: Some("me".into()),
            whisper: Some(plan::AudioSource::Tone(plan::Tone::Beep)),
            confirm_key: Some('1'),
            after_answer: plan::AfterAnswer::GoOn,
        };
        assert_eq!(dial(guest), core);
    }
}
