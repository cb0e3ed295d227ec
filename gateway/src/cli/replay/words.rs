//! Plans in a line, as a person would say them: `dial alice, bob (20 s), reject no-answer`.

use tandem_host::outside::Question;
use tandem_switch::plan::{Address, AudioSource, DialStep, DialStrategy, Plan, Step};

use crate::cli::remote::show::word;

/// A plan in one line. Tenants' text in it is not made safe yet.
pub(crate) fn plan_line(plan: &Plan) -> String {
    let steps: Vec<_> = plan.steps.iter().map(step).collect();
    if steps.is_empty() { "an empty plan".to_owned() } else { steps.join(", ") }
}

/// What a function asked of the world, in a few words; values and bodies left out.
pub(crate) fn question(question: &Question) -> String {
    match question {
        Question::KvGet { store, key } => format!("key-value get {key:?} of {store}"),
        Question::KvSet { store, key, .. } => format!("key-value set {key:?} of {store}"),
        Question::KvDelete { store, key } => format!("key-value delete {key:?} of {store}"),
        Question::KvExists { store, key } => format!("key-value exists {key:?} of {store}"),
        Question::KvKeys { store, .. } => format!("key-value list {store}"),
        Question::KvIncrement { store, key, .. } => format!("key-value increment {key:?} of {store}"),
        Question::KvOpen { store } => format!("key-value open {store}"),
        Question::Variable { name } => format!("variable {name}"),
        Question::Variables => "all variables".to_owned(),
        Question::Http(request) => format!("{} {}", request.method, request.url),
        Question::Reachable { user } => format!("is {user} reachable"),
        Question::QueueLength { queue } => format!("length of queue {queue}"),
        Question::RoomOccupancy { room } => format!("occupancy of room {room}"),
    }
}

fn step(step: &Step) -> String {
    let name = step.name();
    match step {
        Step::Answer | Step::RingBack => name.to_owned(),
        Step::Play(play) => format!("play {}", audio(&play.source)),
        Step::Pause(millis) => format!("pause {}", seconds(*millis)),
        Step::Gather(gather) => format!("gather {}-{} digits", gather.min_digits, gather.max_digits),
        Step::Dial(dial) => dial_line(dial),
        Step::Conference(conference) => format!("{name} {}", conference.room),
        Step::Broadcast(channel) | Step::Listen(channel) => format!("{name} {channel}"),
        Step::Enqueue(enqueue) => format!("{name} {}", enqueue.queue),
        Step::Voicemail(voicemail) => format!("{name} {}", voicemail.mailbox),
        Step::Record(record) => format!("{name} {}", word(&record.action)),
        Step::Transfer(transfer) => format!("{} transfer to {}", word(&transfer.kind), address(&transfer.to)),
        Step::Park(park) => format!("{name} {}", park.slot.as_deref().unwrap_or("anywhere")),
        Step::Tap(tap) => format!("{name} to {}", tap.url),
        Step::Redirect(to) => format!("{name} to {to}"),
        Step::Reject(rejection) => match &rejection.reason {
            Some(reason) => format!("{name} {} ({reason})", word(&rejection.cause)),
            None => format!("{name} {}", word(&rejection.cause)),
        },
        Step::Hangup(cause) => format!("{name} {}", word(cause)),
        Step::Consult(tag) => format!("{name} {tag:?}"),
    }
}

fn dial_line(dial: &DialStep) -> String {
    let targets: Vec<_> = dial.targets.iter().map(|target| address(&target.address)).collect();
    let mut particulars = vec![seconds(dial.ring_timeout)];
    if dial.targets.len() > 1 && dial.strategy != DialStrategy::AtOnce {
        particulars.push(word(&dial.strategy));
    }
    particulars.extend(dial.max_duration.map(|max| format!("at most {}", seconds(max))));
    particulars.extend(dial.caller_id.as_ref().map(|id| format!("as {id}")));
    format!("dial {} ({})", targets.join(", "), particulars.join(", "))
}

fn address(address: &Address) -> String {
    match address {
        Address::User(name) => name.clone(),
        Address::Number(number) => number.number.clone(),
        Address::Sip(address) => address.clone(),
        Address::Room(name) => format!("room {name}"),
        Address::Queue(name) => format!("queue {name}"),
    }
}

fn audio(source: &AudioSource) -> String {
    match source {
        AudioSource::Prompt(name) => name.clone(),
        AudioSource::Tone(tone) => format!("tone {}", word(tone)),
        AudioSource::Digits(digits) => format!("digits {digits}"),
    }
}

fn seconds(millis: u32) -> String {
    if millis.is_multiple_of(1000) { format!("{} s", millis / 1000) } else { format!("{millis} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_said_in_a_line() {
        let table = [
            (r#"{"steps":[]}"#, "an empty plan"),
            (r#"{"steps":["ring-back",{"pause":1500},{"hangup":"busy"}]}"#, "ring-back, pause 1500 ms, hangup busy"),
            (
                r#"{"steps":[{"dial":{"targets":[{"address":{"user":"alice"}},{"address":{"user":"bob"}}],"strategy":"one-after-another",
                   "ring-timeout":20000,"caller-id":"desk"}},{"reject":{"cause":"no-answer","reason":"gone home"}}]}"#,
                "dial alice, bob (20 s, one-after-another, as desk), reject no-answer (gone home)",
            ),
            (r#"{"steps":[{"consult":"after-dial"}]}"#, "consult \"after-dial\""),
        ];
        for (json, said) in table {
            assert_eq!(plan_line(&serde_json::from_str(json).unwrap()), said);
        }
    }
}
