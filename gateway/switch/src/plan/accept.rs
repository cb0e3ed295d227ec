//! From what a function says to what the call machine carries out: every bound is checked here, once.

use std::time::Duration;

use crate::audio::{Digit, Sound};
use crate::call::ring;
use crate::id::{QueueId, RoomName, UserId};
use crate::limits;
use crate::queue::{Skills, check_skills};
use crate::room::{Entry, RoomKind};

use super::{
    Accepted, Action, Address, AudioSource, ConferenceStep, Dial, DialStep, DialStrategy, Enqueue, EnqueueStep, Enter,
    Gather, GatherStep, Order, Park, ParkStep, Plan, Play, PlayStep, RecordStep, Rejection, Step, TapStep,
    TransferKind, TransferStep, Voicemail, VoicemailStep,
};

/// Why a plan is refused. Each says which step, what was wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No steps.
    #[error("a plan needs at least one step")]
    Empty,
    /// Too many steps.
    #[error("a plan has at most {max} steps; this one has {0}", max = limits::PLAN_STEPS_MAX)]
    TooManySteps(usize),
    /// Too much state.
    #[error("a plan's state is at most {max} bytes; this one has {0}", max = limits::PLAN_STATE_BYTES_MAX)]
    StateTooLarge(usize),
    /// A step of the contract that this gateway does not carry out yet.
    #[error("step {index}: this gateway does not carry out `{step}` yet")]
    NotCarriedOut {
        /// The step's place in the plan, from 1.
        index: usize,
        /// What it is, in the contract's words.
        step: &'static str,
    },
    /// A value out of its bounds.
    #[error("step {index} (`{step}`): {what}")]
    OutOfBounds {
        /// The step's place in the plan, from 1.
        index: usize,
        /// The step's name.
        step: &'static str,
        /// What was wrong and what would be right.
        what: String,
    },
}

impl Plan {
    /// Checks every bound and parses the steps into what the call machine carries out.
    ///
    /// # Errors
    /// Names the first step that is wrong or not carried out by this gateway.
    pub fn accept(self) -> Result<Accepted, PlanError> {
        if self.steps.is_empty() {
            return Err(PlanError::Empty);
        }
        if self.steps.len() > limits::PLAN_STEPS_MAX {
            return Err(PlanError::TooManySteps(self.steps.len()));
        }
        if self.state.len() > limits::PLAN_STATE_BYTES_MAX {
            return Err(PlanError::StateTooLarge(self.state.len()));
        }
        let steps = self.steps.into_iter().enumerate().map(|(at, step)| accept_step(at + 1, step));
        Ok(Accepted { steps: steps.collect::<Result<_, _>>()?, state: self.state })
    }
}

impl AudioSource {
    /// Checks what is to be played.
    ///
    /// # Errors
    /// Says what was wrong and what would be right.
    pub fn accept(self) -> Result<Sound, String> {
        accept_sound(self)
    }
}

fn accept_step(index: usize, step: Step) -> Result<Action, PlanError> {
    let name = step.name();
    let out_of_bounds = |what: String| PlanError::OutOfBounds { index, step: name, what };
    match step {
        Step::Answer => Ok(Action::Answer),
        Step::RingBack => Ok(Action::RingBack),
        Step::Play(play) => accept_play(play).map(Action::Play).map_err(out_of_bounds),
        Step::Gather(gather) => accept_gather(gather).map(Action::Gather).map_err(out_of_bounds),
        Step::Voicemail(voicemail) => accept_voicemail(voicemail).map(Action::Voicemail).map_err(out_of_bounds),
        Step::Record(RecordStep { action, legs }) => Ok(Action::Record { action, legs }),
        Step::Tap(tap) => accept_tap(tap).map(Action::Tap).map_err(out_of_bounds),
        Step::Redirect(address) => {
            at_most(&address, limits::ADDRESS_BYTES_MAX, "the address").map_err(out_of_bounds)?;
            Ok(Action::Redirect(address))
        }
        Step::Pause(millis) => {
            let pause = within(millis, limits::PAUSE_MIN, limits::PAUSE_MAX, "the pause").map_err(out_of_bounds)?;
            Ok(Action::Pause(pause))
        }
        Step::Dial(dial) => accept_dial(index, dial).map(Action::Dial),
        Step::Reject(Rejection { cause, reason }) => {
            at_most(reason.as_deref().unwrap_or(""), limits::REASON_BYTES_MAX, "the reason").map_err(out_of_bounds)?;
            Ok(Action::Reject { cause, reason })
        }
        Step::Hangup(cause) => Ok(Action::Hangup(cause)),
        Step::Enqueue(step) => accept_enqueue(step).map(Action::Enqueue).map_err(out_of_bounds),
        Step::Park(ParkStep { slot, timeout }) => accept_park(slot, timeout).map(Action::Park).map_err(out_of_bounds),
        Step::Transfer(transfer) => accept_transfer(index, transfer),
        Step::Consult(tag) => {
            at_most(&tag, limits::TAG_BYTES_MAX, "the tag").map_err(out_of_bounds)?;
            Ok(Action::Consult(tag))
        }
        Step::Conference(step) => accept_conference(step).map(Action::Enter).map_err(out_of_bounds),
        Step::Broadcast(channel) => {
            let entry = Entry { speaks: true, moderator: true, ..Entry::default() };
            accept_channel(&channel, entry).map(Action::Enter).map_err(out_of_bounds)
        }
        Step::Listen(channel) => accept_channel(&channel, Entry::default()).map(Action::Enter).map_err(out_of_bounds),
    }
}

fn accept_dial(index: usize, dial: DialStep) -> Result<Dial, PlanError> {
    let out_of_bounds = |what: String| PlanError::OutOfBounds { index, step: "dial", what };
    let not_carried_out = |step| PlanError::NotCarriedOut { index, step };
    let whisper = dial.whisper.map(accept_sound).transpose().map_err(out_of_bounds)?;
    let confirm = dial.confirm_key.map(|key| accept_key(key, "confirm-key")).transpose().map_err(out_of_bounds)?;
    let count = dial.targets.len();
    if count == 0 || count > limits::DIAL_TARGETS_MAX {
        return Err(out_of_bounds(format!("1 to {} targets; got {count}", limits::DIAL_TARGETS_MAX)));
    }
    if let Some(caller_id) = &dial.caller_id {
        at_most(caller_id, limits::ADDRESS_BYTES_MAX, "the caller id").map_err(out_of_bounds)?;
    }
    let ring_timeout = within(dial.ring_timeout, limits::RING_TIMEOUT_MIN, limits::RING_TIMEOUT_MAX, "ring-timeout")
        .map_err(out_of_bounds)?;
    let max_duration = match dial.max_duration {
        None => limits::CALL_DURATION_MAX,
        Some(millis) => within(millis, limits::CALL_DURATION_MIN, limits::CALL_DURATION_MAX, "max-duration")
            .map_err(out_of_bounds)?,
    };
    let mut targets = Vec::with_capacity(count);
    for target in dial.targets {
        let user = match target.address {
            Address::User(name) => UserId::new(&name).map_err(|error| out_of_bounds(error.to_string()))?,
            Address::Number(_) => return Err(not_carried_out("dial to number")),
            Address::Sip(_) => return Err(not_carried_out("dial to sip")),
            Address::Room(_) => return Err(not_carried_out("dial to room")),
            Address::Queue(_) => return Err(not_carried_out("dial to queue")),
        };
        targets.push((target.round, target.weight, user));
    }
    let order = match dial.strategy {
        DialStrategy::AtOnce => Order::Rounds(vec![targets.into_iter().map(|(_, _, user)| user).collect()]),
        DialStrategy::OneAfterAnother => Order::Rounds(targets.into_iter().map(|(_, _, user)| vec![user]).collect()),
        DialStrategy::Rounds => Order::Rounds(by_round(targets)),
        DialStrategy::Weighted => {
            Order::Weighted(targets.into_iter().map(|(_, weight, user)| (weight, user)).collect())
        }
    };
    let (caller_id, after_answer) = (dial.caller_id, dial.after_answer);
    Ok(Dial { order, ring_timeout, max_duration, caller_id, whisper, confirm, after_answer })
}

fn accept_enqueue(step: EnqueueStep) -> Result<Enqueue, String> {
    let EnqueueStep { queue, priority, music, max_wait, needs } = step;
    let needs = needs.into_iter().map(|need| (need.skill, need.level)).collect();
    check_skills(&needs).map_err(|error| error.to_string().replacen("`skills`", "`needs`", 1))?;
    Ok(Enqueue {
        queue: QueueId::new(&queue).map_err(|error| error.to_string())?,
        priority,
        music: music.map(accept_sound).transpose()?,
        max_wait: within(max_wait, limits::QUEUE_WAIT_MIN, limits::QUEUE_WAIT_MAX, "max-wait")?,
        needs,
    })
}

/// Checks what a plan or a client says of parking.
pub(crate) fn accept_park(slot: Option<String>, timeout: u32) -> Result<Park, String> {
    let timeout = within(timeout, limits::PARK_MIN, limits::PARK_MAX, "the timeout")?;
    if let Some(slot) = &slot {
        UserId::new(slot).map_err(|error| error.to_string().replacen("`user`", "a slot", 1))?;
    }
    Ok(Park { slot, timeout })
}

/// Before anybody is connected, to hand a call over is to ring the new party, or to put the caller into the queue.
fn accept_transfer(index: usize, step: TransferStep) -> Result<Action, PlanError> {
    let out_of_bounds = |what: String| PlanError::OutOfBounds { index, step: "transfer", what };
    let not_carried_out = |step| Err(PlanError::NotCarriedOut { index, step });
    match (step.kind, step.to) {
        (TransferKind::Attended, _) => not_carried_out("transfer attended"),
        (TransferKind::Blind, Address::User(name)) => {
            let user = UserId::new(&name).map_err(|error| out_of_bounds(error.to_string()))?;
            Ok(Action::Dial(ring(user)))
        }
        (TransferKind::Blind, Address::Queue(name)) => Ok(Action::Enqueue(Enqueue {
            queue: QueueId::new(&name).map_err(|error| out_of_bounds(error.to_string()))?,
            priority: 0,
            music: None,
            max_wait: limits::QUEUE_WAIT_MAX,
            needs: Skills::new(),
        })),
        (TransferKind::Blind, Address::Number(_)) => not_carried_out("transfer to number"),
        (TransferKind::Blind, Address::Sip(_)) => not_carried_out("transfer to sip"),
        (TransferKind::Blind, Address::Room(_)) => not_carried_out("transfer to room"),
    }
}

fn by_round(mut targets: Vec<(u8, u16, UserId)>) -> Vec<Vec<UserId>> {
    targets.sort_by_key(|(round, _, _)| *round);
    targets
        .chunk_by(|(a, _, _), (b, _, _)| a == b)
        .map(|round| round.iter().map(|(_, _, user)| user.clone()).collect())
        .collect()
}

fn accept_sound(source: AudioSource) -> Result<Sound, String> {
    match source {
        AudioSource::Prompt(name) => {
            UserId::new(&name).map_err(|error| error.to_string().replacen("`user`", "a prompt's name", 1))?;
            Ok(Sound::Prompt(name))
        }
        AudioSource::Tone(tone) => Ok(Sound::Tone(tone)),
        AudioSource::Digits(digits) => {
            let count = digits.chars().count();
            if count == 0 || count > limits::DTMF_DIGITS_MAX {
                return Err(format!("1 to {} digits are played; got {count}", limits::DTMF_DIGITS_MAX));
            }
            let keys = digits.chars().map(|key| accept_key(key, "a digit"));
            Ok(Sound::Digits(keys.collect::<Result<_, _>>()?))
        }
    }
}

fn accept_key(key: char, what: &str) -> Result<Digit, String> {
    Digit::new(key).ok_or_else(|| format!("{what} must be one of 0-9, *, #, A-D; got {key:?}"))
}

fn accept_play(play: PlayStep) -> Result<Play, String> {
    if play.times == 0 || play.times > limits::PLAY_TIMES_MAX {
        return Err(format!("times must be 1 to {}; got {}", limits::PLAY_TIMES_MAX, play.times));
    }
    Ok(Play { sound: accept_sound(play.source)?, times: play.times })
}

fn accept_gather(gather: GatherStep) -> Result<Gather, String> {
    let (min, max) = (usize::from(gather.min_digits), usize::from(gather.max_digits));
    if max == 0 || max > limits::GATHER_DIGITS_MAX {
        return Err(format!("max-digits must be 1 to {}; got {max}", limits::GATHER_DIGITS_MAX));
    }
    if min > max {
        return Err(format!("min-digits must be at most max-digits, {max}; got {min}"));
    }
    let timeout = |millis, what| within(millis, limits::DIGIT_TIMEOUT_MIN, limits::DIGIT_TIMEOUT_MAX, what);
    Ok(Gather {
        min,
        max,
        finish: gather.finish_key.map(|key| accept_key(key, "finish-key")).transpose()?,
        first_timeout: timeout(gather.first_digit_timeout, "first-digit-timeout")?,
        inter_timeout: timeout(gather.inter_digit_timeout, "inter-digit-timeout")?,
        prompt: gather.prompt.map(accept_sound).transpose()?,
        barge_in: gather.barge_in,
    })
}

fn accept_voicemail(step: VoicemailStep) -> Result<Voicemail, String> {
    let mailbox = UserId::new(&step.mailbox);
    let silence = |millis| within(millis, limits::SILENCE_MIN, limits::SILENCE_MAX, "silence-timeout");
    Ok(Voicemail {
        mailbox: mailbox.map_err(|error| error.to_string().replacen("`user`", "a mailbox's name", 1))?,
        greeting: step.greeting.map(accept_sound).transpose()?,
        max_duration: within(step.max_duration, limits::MESSAGE_MIN, limits::MESSAGE_MAX, "max-duration")?,
        silence: step.silence_timeout.map(silence).transpose()?,
        finish: step.finish_key.map(|key| accept_key(key, "finish-key")).transpose()?,
    })
}

fn accept_tap(tap: TapStep) -> Result<TapStep, String> {
    at_most(&tap.url, limits::TAP_URL_BYTES_MAX, "the url")?;
    if !tap.url.starts_with("wss://") && !tap.url.starts_with("ws://") {
        return Err(format!(
            "the url must begin with `wss://`; got {:?}",
            tap.url.chars().take(16).collect::<String>()
        ));
    }
    Ok(tap)
}

fn accept_conference(step: ConferenceStep) -> Result<Enter, String> {
    let ConferenceStep { room, muted, moderator, starts, ends, waits, announced } = step;
    let room = RoomName::new(&room).map_err(|error| error.to_string())?;
    let entry = Entry { speaks: true, muted, moderator, starts, ends, waits, announced };
    Ok(Enter { room, kind: RoomKind::Conference, entry })
}

fn accept_channel(channel: &str, entry: Entry) -> Result<Enter, String> {
    let room = RoomName::new(channel).map_err(|error| error.to_string().replacen("`room`", "a channel's name", 1))?;
    Ok(Enter { room, kind: RoomKind::Channel, entry })
}

fn within(millis: u32, min: Duration, max: Duration, what: &str) -> Result<Duration, String> {
    let span = Duration::from_millis(millis.into());
    if span < min || span > max {
        return Err(format!("{what} must be {} to {} ms; got {millis}", min.as_millis(), max.as_millis()));
    }
    Ok(span)
}

fn at_most(text: &str, max: usize, what: &str) -> Result<(), String> {
    if text.len() > max {
        return Err(format!("{what} is at most {max} bytes; got {}", text.len()));
    }
    Ok(())
}
