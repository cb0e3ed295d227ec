//! What a replay found: which decisions would change, grouped, the worst first. Pure: decisions in, words or JSON out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use tandem_switch::event::Event;
use tandem_switch::plan::Plan;

use super::words::plan_line;
use crate::cli::remote::show::{Paint, Tone, printable};
use crate::tenants::model::InvocationRecord;

/// How many examples stand beside a group.
const EXAMPLES_MAX: usize = 3;

/// How many groups are written in words; all of them are in the JSON.
const GROUPS_MAX: usize = 20;

/// What a version decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This plan, which the gateway accepts.
    Plan(Plan),
    /// Nothing: this went wrong.
    Failure(String),
}

impl Decision {
    /// What was decided when it was recorded; `None` where nothing is known.
    pub(crate) fn recorded(record: &InvocationRecord) -> Option<Self> {
        match (&record.failure, &record.plan) {
            (Some(failure), _) => Some(Self::Failure(failure.clone())),
            (None, Some(plan)) => Some(Self::Plan(plan.clone())),
            (None, None) => None,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Plan(plan) => plan_line(plan),
            Self::Failure(failure) => format!("failure: {failure}"),
        }
    }
}

/// One invocation, decided twice.
#[derive(Clone, Debug)]
pub(crate) struct Replayed {
    /// What was recorded.
    pub(crate) record: InvocationRecord,
    /// What the candidate decides.
    pub(crate) now: Decision,
    /// What the candidate asked of the world that the recorded version had not asked, in words.
    pub(crate) unrecorded: Vec<String>,
}

/// How a decision fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// There was a plan, and now there is none.
    NewFailure,
    /// Another plan, or the same plan with another state.
    Changed,
    /// There was none, and now there is a plan.
    Mended,
    /// None.
    Same,
}

impl Change {
    fn title(self) -> &'static str {
        match self {
            Self::NewFailure => "New failures",
            Self::Changed => "Other decisions",
            Self::Mended => "Failures that are mended",
            Self::Same => "The same",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::NewFailure => Tone::Bad,
            Self::Changed => Tone::Strong,
            Self::Mended | Self::Same => Tone::Good,
        }
    }
}

/// Decisions that change alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Group {
    change: Change,
    before: String,
    now: String,
    count: usize,
    examples: Vec<Example>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Example {
    invocation: u64,
    call: String,
    from: String,
    to: String,
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Report {
    /// How many decisions were taken again.
    decisions: usize,
    /// How many of them change.
    changed: usize,
    /// How many asked something of the world that was not recorded, so that their outcome is not certain.
    uncertain: usize,
    /// What was asked and not recorded, and how often.
    unrecorded: BTreeMap<String, usize>,
    /// Those that change, the worst first, then the most frequent.
    groups: Vec<Group>,
}

/// Some decision changes: an outcome of its own, with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{changed} of {decisions} decisions change")]
pub(crate) struct DecisionsChange {
    changed: usize,
    decisions: usize,
}

impl Report {
    /// Compares.
    pub(crate) fn of(replayed: Vec<Replayed>) -> Self {
        let decisions = replayed.len();
        let mut unrecorded = BTreeMap::new();
        let mut groups: BTreeMap<(Change, String, String), Group> = BTreeMap::new();
        let mut uncertain = 0;
        for one in replayed {
            uncertain += usize::from(!one.unrecorded.is_empty());
            for question in &one.unrecorded {
                *unrecorded.entry(question.clone()).or_insert(0) += 1;
            }
            let change = change(&one);
            if change != Change::Same {
                add(&mut groups, change, &one);
            }
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| (group.change, std::cmp::Reverse(group.count)));
        let changed = groups.iter().map(|group| group.count).sum();
        Self { decisions, changed, uncertain, unrecorded, groups }
    }

    /// An error when some decision changes.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        if self.changed == 0 {
            return Ok(());
        }
        Err(DecisionsChange { changed: self.changed, decisions: self.decisions }.into())
    }

    /// In words, for a person.
    pub(crate) fn words(&self, paint: Paint) -> String {
        let mut text = match self.changed {
            0 => format!("all {} decisions stay as they were\n", self.decisions),
            changed => format!("{changed} of {} decisions change\n", self.decisions),
        };
        let mut title = None;
        for group in self.groups.iter().take(GROUPS_MAX) {
            if title.replace(group.change) != Some(group.change) {
                let of_kind = self.groups.iter().filter(|other| other.change == group.change);
                let count: usize = of_kind.map(|other| other.count).sum();
                let _ = writeln!(
                    text,
                    "\n{}",
                    paint.text(group.change.tone(), &format!("{}: {count}", group.change.title()))
                );
            }
            text += &group.words(paint);
        }
        let hidden = self.groups.len().saturating_sub(GROUPS_MAX);
        if hidden > 0 {
            let _ = writeln!(text, "\n… and {hidden} more kinds of change; --json has them all");
        }
        if self.uncertain > 0 {
            let _ =
                writeln!(text, "\n{} decisions asked what was not recorded, so they are not certain:", self.uncertain);
            for (question, count) in &self.unrecorded {
                let _ = writeln!(text, "  {count}×  {}", printable(question));
            }
        }
        text
    }
}

impl Group {
    fn words(&self, paint: Paint) -> String {
        let count = format!("{}×", self.count);
        let mut text = format!("  {count:>6}  {}\n", printable(&self.before));
        let _ = writeln!(text, "       →  {}", paint.text(self.change.tone(), &printable(&self.now)));
        for example in &self.examples {
            let Example { invocation, call, from, to } = example;
            let line =
                format!("          invocation {invocation}: {} calls {}, call {call}", printable(from), printable(to));
            let _ = writeln!(text, "{}", paint.text(Tone::Faint, &line));
        }
        text
    }
}

fn change(one: &Replayed) -> Change {
    // What answers the news that a call is over is not carried out, so only its failure counts.
    let is_over = matches!(one.record.event, Event::Ended(_));
    match (Decision::recorded(&one.record), &one.now) {
        (Some(Decision::Failure(_)), Decision::Failure(_)) => Change::Same,
        (Some(Decision::Failure(_)), Decision::Plan(_)) => Change::Mended,
        (_, Decision::Failure(_)) => Change::NewFailure,
        (Some(Decision::Plan(before)), Decision::Plan(now)) if !is_over && before != *now => Change::Changed,
        (Some(Decision::Plan(_)) | None, Decision::Plan(_)) => Change::Same,
    }
}

fn add(groups: &mut BTreeMap<(Change, String, String), Group>, change: Change, one: &Replayed) {
    let before = Decision::recorded(&one.record).map_or_else(|| "nothing".to_owned(), |decision| decision.words());
    let mut now = one.now.words();
    if now == before {
        now += ", with another state";
    }
    let fresh = || Group { change, before: before.clone(), now: now.clone(), count: 0, examples: Vec::new() };
    let group = groups.entry((change, before.clone(), now.clone())).or_insert_with(fresh);
    group.count += 1;
    if group.examples.len() < EXAMPLES_MAX {
        let InvocationRecord { id, call, context, .. } = &one.record;
        let (from, to) = (context.from.address.clone(), context.to.clone());
        group.examples.push(Example { invocation: *id, call: call.clone(), from, to });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    fn plan(steps: &str) -> Plan {
        serde_json::from_str(&format!(r#"{{"steps":[{steps}]}}"#)).unwrap()
    }

    fn replayed(id: u64, before: Decision, now: Decision) -> Replayed {
        let mut record = record(id);
        match before {
            Decision::Plan(plan) => record.plan = Some(plan),
            Decision::Failure(failure) => (record.plan, record.failure) = (None, Some(failure)),
        }
        Replayed { record, now, unrecorded: Vec::new() }
    }

    fn decided(steps: &str) -> Decision {
        Decision::Plan(plan(steps))
    }

    fn failed(why: &str) -> Decision {
        Decision::Failure(why.into())
    }

    #[test]
    fn each_decision_fares_in_one_way() {
        let (ring, busy) = (decided(r#""ring-back""#), decided(r#"{"hangup":"busy"}"#));
        let state = Decision::Plan(Plan { state: vec![1], ..plan(r#""ring-back""#) });
        let table = [
            (&ring, &ring, Change::Same),
            (&ring, &busy, Change::Changed),
            (&ring, &state, Change::Changed),
            (&ring, &failed("trap"), Change::NewFailure),
            (&failed("trap"), &ring, Change::Mended),
            (&failed("trap"), &failed("slow"), Change::Same),
        ];
        for (before, now, expected) in table {
            assert_eq!(change(&replayed(1, before.clone(), now.clone())), expected, "{before:?} → {now:?}");
        }
    }

    #[test]
    fn what_answers_the_end_of_a_call_counts_only_when_it_fails() {
        let mut one = replayed(1, decided(r#""ring-back""#), decided(r#"{"hangup":"busy"}"#));
        let ended = r#"{"ended":{"call":"c","from":"a","to":"b","started-at":1,"answered-at":null,"ended-at":2,"answered-by":null,"cause":"normal"}}"#;
        one.record.event = serde_json::from_str(ended).unwrap();
        assert_eq!(change(&one), Change::Same);
        one.now = failed("trap");
        assert_eq!(change(&one), Change::NewFailure);
    }

    #[test]
    fn changes_are_grouped_and_the_worst_come_first() {
        let (ring, busy) = (r#""ring-back""#, r#"{"hangup":"busy"}"#);
        let mut all: Vec<_> = (0..60).map(|id| replayed(id, decided(ring), decided(ring))).collect();
        all.extend((60..95).map(|id| replayed(id, decided(ring), decided(busy))));
        all.extend((95..97).map(|id| replayed(id, decided(ring), failed("it \u{1b}trapped"))));
        all.extend((97..100).map(|id| replayed(id, failed("trap"), decided(ring))));
        all[0].unrecorded = vec!["key-value get vip".into()];
        let report = Report::of(all);
        let words = report.words(Paint::Plain);
        assert_eq!(
            words.lines().filter(|line| !line.contains("invocation")).collect::<Vec<_>>().join("\n"),
            "40 of 100 decisions change\n\
             \nNew failures: 2\n      2×  ring-back\n       →  failure: it ?trapped\n\
             \nOther decisions: 35\n     35×  ring-back\n       →  hangup busy\n\
             \nFailures that are mended: 3\n      3×  failure: trap\n       →  ring-back\n\
             \n1 decisions asked what was not recorded, so they are not certain:\n  1×  key-value get vip"
        );
        assert_eq!(words.matches("invocation ").count(), 3 + 2 + 3, "three examples at most");
        assert_eq!(report.verdict().unwrap_err().to_string(), "40 of 100 decisions change");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["changed"], &json["groups"][0]["change"]), (&40.into(), &"new-failure".into()));
    }

    #[test]
    fn no_change_is_no_error() {
        let report = Report::of(vec![replayed(1, decided(r#""ring-back""#), decided(r#""ring-back""#))]);
        assert_eq!(report.words(Paint::Plain), "all 1 decisions stay as they were\n");
        assert!(report.verdict().is_ok());
    }
}
