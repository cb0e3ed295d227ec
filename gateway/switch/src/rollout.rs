//! Which version of a function answers a call, and what is thought of each version by how its invocations go.
//!
//! One [`Rollout`] for each function. It is told what is deployed and how each invocation went, and finds out: that a version works,
//! that a roll-out has to be taken back, that a version is in a crash loop. It acts on what it finds at once: a version that was taken
//! back is chosen no more, until it is rolled out anew. It does not run functions, keep anything, or know time: how fresh a failure is
//! counts in invocations, so that a function that is asked once an hour is watched as well as one that is asked a thousand times a second.

use std::collections::{BTreeMap, VecDeque};

use crate::id::CallId;

/// The number of a version within its function.
pub type VersionNumber = u32;

/// How many invocations must have worked before a version counts as good and its roll-out as settled. At the default threshold (10 %
/// of at least 5) a version that fails every seventh time is found out before in nine of ten cases.
pub const GOOD_AFTER: u32 = 20;

/// How many invocations in a row must fail before a version that nothing watches is in a crash loop. Chance does not do that to a
/// version that works nine times of ten (1 in 10¹⁰), and a call loses little meanwhile: the safety net answers.
pub const CRASH_LOOP: u32 = 10;

/// The error rate is that of at most this many invocations, or of as many as the rule wants to know if that is more.
pub const WINDOW: u32 = 100;

/// See [`WINDOW`]: most that a rule can want to know. Four kilobytes for each function, at most.
pub const WINDOW_MAX: u32 = 1000;

/// What is deployed of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deployed {
    /// On all calls that the canary does not get.
    pub live: Option<VersionNumber>,
    /// On some of them.
    pub canary: Option<Canary>,
    /// What the safety net falls back on.
    pub last_good: Option<VersionNumber>,
    /// The roll-out that is watched: the canary's when there is one, else the live version's.
    pub watched: Option<Watch>,
}

/// A version that is tried on some calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Which.
    pub version: VersionNumber,
    /// On how many of a hundred calls.
    pub percent: u8,
}

/// A roll-out that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Its number: another number is another roll-out, even of the same version.
    pub deployment: u64,
    /// It is taken back when more than this many of a hundred invocations failed; 100: never.
    pub error_percent: u8,
    /// But not before this many are known; at most [`WINDOW_MAX`].
    pub after_invocations: u32,
}

/// Which version a new call is to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Ask(VersionNumber),
    /// It would be this one, but it is asked no more: the safety net answers.
    Paused(VersionNumber),
    /// Nothing is deployed.
    Nothing,
}

/// How an invocation went, as far as the function is answerable for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It gave a plan that can be carried out.
    Worked,
    /// It did not, by its own fault.
    Failed,
}

/// What was found out about a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It works: the safety net may fall back on it, and its roll-out has settled.
    Good,
    /// The roll-out failed too often: it is taken back, and what was live before answers.
    RolledBack,
    /// It fails every time and nothing is there to go back to: it is asked no more.
    Paused,
}

/// What was found out, about which version, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which version.
    pub version: VersionNumber,
    /// What.
    pub finding: Finding,
    /// Why, in plain words, with the figures.
    pub why: String,
}

/// What is known of a version.
#[derive(Clone, Debug, Default)]
struct Standing {
    /// The watched roll-out that brought it.
    deployment: Option<u64>,
    /// How its last invocations went; true: failed.
    window: VecDeque<bool>,
    failed_in_window: u32,
    failed_in_a_row: u32,
    worked: u32,
    finding: Option<Finding>,
}

impl Standing {
    fn note(&mut self, outcome: Outcome, window_max: u32) {
        let failed = outcome == Outcome::Failed;
        self.window.push_back(failed);
        self.failed_in_window += u32::from(failed);
        while self.window.len() > window_max as usize {
            let oldest = self.window.pop_front().unwrap_or_default();
            self.failed_in_window -= u32::from(oldest);
        }
        self.failed_in_a_row = if failed { self.failed_in_a_row.saturating_add(1) } else { 0 };
        self.worked = self.worked.saturating_add(u32::from(!failed));
    }

    fn known(&self) -> u32 {
        u32::try_from(self.window.len()).unwrap_or(u32::MAX)
    }

    fn breaks(&self, watch: &Watch) -> bool {
        let enough = self.known() >= watch.after_invocations.clamp(1, WINDOW_MAX);
        enough && self.failed_in_window * 100 > u32::from(watch.error_percent) * self.known()
    }

    fn is_out(&self) -> bool {
        matches!(self.finding, Some(Finding::RolledBack | Finding::Paused))
    }
}

/// The versions of one function that answer calls, and what is known of them.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    deployed: Deployed,
    /// One for each version that is deployed.
    standings: BTreeMap<VersionNumber, Standing>,
}

impl Rollout {
    /// Something else is deployed. What is known of a version stays, as long as it stays deployed by the same roll-out.
    pub fn deploy(&mut self, deployed: Deployed) {
        self.deployed = deployed;
        let canary = deployed.canary.map(|canary| canary.version);
        let versions = [deployed.live, canary, deployed.last_good];
        self.standings.retain(|version, _| versions.contains(&Some(*version)));
        for version in versions.into_iter().flatten() {
            self.standings.entry(version).or_default();
        }
        if let (Some(version), Some(watch)) = (self.watched_version(), deployed.watched) {
            let standing = self.standings.entry(version).or_default();
            if standing.deployment != Some(watch.deployment) {
                *standing = Standing { deployment: Some(watch.deployment), ..Standing::default() };
            }
        }
    }

    /// What is deployed, as it was told.
    pub fn deployed(&self) -> &Deployed {
        &self.deployed
    }

    /// Which version a new call is to ask; for the same call the same, while nothing else is deployed and nothing is found.
    pub fn choose(&self, call: CallId) -> Choice {
        if let Some(canary) = self.deployed.canary
            && !self.is_out(canary.version)
            && share_of(call, self.deployed.watched.map_or(0, |watch| watch.deployment)) < canary.percent
        {
            return Choice::Ask(canary.version);
        }
        let last_good = self.deployed.last_good.filter(|version| !self.is_out(*version));
        let Some(live) = self.deployed.live else {
            return last_good.map_or(Choice::Nothing, Choice::Ask);
        };
        match self.finding(live) {
            None | Some(Finding::Good) => Choice::Ask(live),
            Some(Finding::RolledBack) => last_good.map_or(Choice::Paused(live), Choice::Ask),
            Some(Finding::Paused) => Choice::Paused(live),
        }
    }

    /// What the safety net asks instead of a version that failed: instead of the canary the live one, else the last good one.
    pub fn fall_back(&self, failed: VersionNumber) -> Option<VersionNumber> {
        let is_canary = self.deployed.canary.is_some_and(|canary| canary.version == failed);
        let live = self.deployed.live.filter(|_| is_canary);
        let candidates = [live, self.deployed.last_good].into_iter().flatten();
        candidates.into_iter().find(|version| *version != failed && !self.is_out(*version))
    }

    /// What was found out about a version that is deployed, if anything.
    pub fn finding(&self, version: VersionNumber) -> Option<Finding> {
        self.standings.get(&version)?.finding
    }

    fn is_out(&self, version: VersionNumber) -> bool {
        self.standings.get(&version).is_some_and(Standing::is_out)
    }

    /// An invocation went well or not. Of a version that is not deployed any more (a call may still run on it) nothing is found.
    pub fn observe(&mut self, version: VersionNumber, outcome: Outcome) -> Option<Verdict> {
        let watch = self.deployed.watched.filter(|_| self.watched_version() == Some(version));
        let way_back = self.fall_back(version);
        let standing = self.standings.get_mut(&version)?;
        let watch = watch.filter(|_| standing.finding.is_none());
        let wanted = watch.map_or(WINDOW, |watch| watch.after_invocations);
        standing.note(outcome, wanted.clamp(WINDOW, WINDOW_MAX));
        if standing.is_out() {
            return None;
        }
        let (finding, why) = judge(standing, watch.as_ref(), way_back)?;
        standing.finding = Some(finding);
        Some(Verdict { version, finding, why })
    }

    fn watched_version(&self) -> Option<VersionNumber> {
        self.deployed.canary.map(|canary| canary.version).or(self.deployed.live)
    }
}

fn judge(standing: &Standing, watch: Option<&Watch>, way_back: Option<VersionNumber>) -> Option<(Finding, String)> {
    let never = watch.is_some_and(|watch| watch.error_percent >= 100);
    if let Some(watch) = watch {
        if standing.breaks(watch) && way_back.is_some() {
            let (failed, known, percent) = (standing.failed_in_window, standing.known(), watch.error_percent);
            let why = format!("{failed} of its last {known} invocations failed, more than {percent} %");
            return Some((Finding::RolledBack, why));
        }
        if standing.worked >= GOOD_AFTER && !standing.breaks(watch) {
            return Some((Finding::Good, format!("{GOOD_AFTER} of its invocations worked")));
        }
    }
    if standing.failed_in_a_row < CRASH_LOOP {
        return None;
    }
    let finding = if way_back.is_some() && !never { Finding::RolledBack } else { Finding::Paused };
    Some((finding, format!("its last {} invocations failed", standing.failed_in_a_row)))
}

/// Where among a hundred a call stands in a roll-out: the same for the same call, evenly spread, and another for another roll-out, so that
/// no call is always among the first. Calls' identifiers are drawn by the gateway: nobody outside can choose theirs.
fn share_of(call: CallId, roll_out: u64) -> u8 {
    let [high, low] = [call.0 >> 64, call.0 & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or_default());
    let spread = mixed(low ^ mixed(high ^ mixed(roll_out)));
    u8::try_from((u128::from(spread) * 100) >> 64).unwrap_or(99)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Outcome::{Failed, Worked};
    use super::*;

    const WATCH: Watch = Watch { deployment: 7, error_percent: 10, after_invocations: 5 };

    /// Version 2 is rolled out on all calls; version 1 worked before.
    fn at_once() -> Deployed {
        Deployed { live: Some(2), canary: None, last_good: Some(1), watched: Some(WATCH) }
    }

    /// Version 2 is tried on some calls; version 1 answers the others.
    fn canary(percent: u8) -> Deployed {
        let canary = Some(Canary { version: 2, percent });
        Deployed { live: Some(1), canary, last_good: Some(1), watched: Some(WATCH) }
    }

    fn rollout(deployed: Deployed) -> Rollout {
        let mut rollout = Rollout::default();
        rollout.deploy(deployed);
        rollout
    }

    /// The first verdict, and after how many invocations.
    fn verdict(rollout: &mut Rollout, version: VersionNumber, outcomes: &[Outcome]) -> Option<(usize, Finding)> {
        outcomes
            .iter()
            .enumerate()
            .find_map(|(index, outcome)| rollout.observe(version, *outcome).map(|verdict| (index + 1, verdict.finding)))
    }

    const CALL: CallId = CallId(1);

    #[test]
    fn a_canary_gets_its_share_of_calls_and_each_call_always_the_same() {
        for percent in [1, 10, 50, 99] {
            let rollout = rollout(canary(percent));
            let asked = |number: u128| rollout.choose(CallId(number << 64 | mixed(number as u64) as u128));
            let canaries = (0..100_000).filter(|number| asked(*number) == Choice::Ask(2)).count();
            let expected = usize::from(percent) * 1000;
            // Four standard deviations of 100,000 fair draws at 50 %.
            assert!(canaries.abs_diff(expected) < 650, "{percent} %: {canaries}");
            assert!((0..100).all(|number| asked(number) == asked(number)));
        }
    }

    #[test]
    fn identifiers_that_follow_on_each_other_are_spread_as_well() {
        let rollout = rollout(canary(20));
        let canaries = (0..100_000).filter(|number| rollout.choose(CallId(*number)) == Choice::Ask(2)).count();
        assert!(canaries.abs_diff(20_000) < 650, "{canaries}");
    }

    #[test]
    fn verdicts_come_when_the_rule_says() {
        let always = |outcome| vec![outcome; 200];
        let mostly =
            |period: usize| (1..200).map(|n| if n % period == 0 { Failed } else { Worked }).collect::<Vec<_>>();
        let nothing_before = Deployed { last_good: None, ..at_once() };
        let never = Deployed { watched: Some(Watch { error_percent: 100, ..WATCH }), ..at_once() };
        let patient = Deployed { watched: Some(Watch { after_invocations: 15, ..WATCH }), ..at_once() };
        let unwatched = Deployed { watched: None, ..at_once() };
        let first = Deployed { last_good: Some(2), ..unwatched };
        let cases = [
            ("always fails", at_once(), always(Failed), Some((5, Finding::RolledBack))),
            ("always works", at_once(), always(Worked), Some((20, Finding::Good))),
            ("fails at every sixth", at_once(), mostly(6), Some((6, Finding::RolledBack))),
            ("fails at every tenth", at_once(), mostly(10), Some((22, Finding::Good))),
            (
                "fails until the rule knows enough",
                at_once(),
                vec![Failed, Worked, Worked, Worked, Worked],
                Some((5, Finding::RolledBack)),
            ),
            ("a canary fails", canary(50), always(Failed), Some((5, Finding::RolledBack))),
            ("nothing to go back to", nothing_before, always(Failed), Some((10, Finding::Paused))),
            ("nothing to go back to, fails mostly", nothing_before, mostly(2), None),
            ("is never rolled back", never, always(Failed), Some((10, Finding::Paused))),
            ("more must be known", patient, always(Failed), Some((10, Finding::RolledBack))),
            ("nothing watches any more: crash loop", unwatched, always(Failed), Some((10, Finding::RolledBack))),
            ("nothing watches any more: a failure now and then", unwatched, mostly(3), None),
            ("crash loop of the only good one", first, always(Failed), Some((10, Finding::Paused))),
        ];
        for (name, deployed, outcomes, expected) in cases {
            let mut rollout = rollout(deployed);
            assert_eq!(verdict(&mut rollout, 2, &outcomes), expected, "{name}");
        }
    }

    #[test]
    fn a_version_that_was_taken_back_is_asked_no_more_until_it_is_rolled_out_anew() {
        let mut rollout = rollout(at_once());
        assert_eq!(rollout.choose(CALL), Choice::Ask(2));
        assert_eq!(verdict(&mut rollout, 2, &[Failed; 5]), Some((5, Finding::RolledBack)));
        assert_eq!(rollout.choose(CALL), Choice::Ask(1));
        // Something else about the tenant has changed.
        rollout.deploy(at_once());
        assert_eq!(rollout.choose(CALL), Choice::Ask(1));
        assert_eq!(verdict(&mut rollout, 2, &[Failed; 50]), None, "a call that is pinned to it changes nothing");
        rollout.deploy(Deployed { watched: Some(Watch { deployment: 8, ..WATCH }), ..at_once() });
        assert_eq!(rollout.choose(CALL), Choice::Ask(2));
    }

    #[test]
    fn what_is_known_survives_a_change_of_something_else() {
        let mut rollout = rollout(at_once());
        assert_eq!(verdict(&mut rollout, 2, &[Failed; 4]), None);
        rollout.deploy(at_once());
        assert_eq!(verdict(&mut rollout, 2, &[Failed]), Some((1, Finding::RolledBack)));
    }

    #[test]
    fn a_version_that_proved_good_is_watched_no_more() {
        let mut rollout = rollout(at_once());
        assert_eq!(verdict(&mut rollout, 2, &[Worked; 20]), Some((20, Finding::Good)));
        assert_eq!(verdict(&mut rollout, 2, &[Failed; 9]), None);
        assert_eq!(verdict(&mut rollout, 2, &[Failed]), Some((1, Finding::RolledBack)), "but a crash loop is one");
    }

    #[test]
    fn a_paused_version_is_not_asked_and_the_net_knows_where_to_go() {
        let mut alone = rollout(Deployed { last_good: None, ..at_once() });
        verdict(&mut alone, 2, &[Failed; 10]);
        assert_eq!((alone.choose(CALL), alone.fall_back(2)), (Choice::Paused(2), None));
        let never = Watch { error_percent: 100, ..WATCH };
        let mut with_net = rollout(Deployed { watched: Some(never), ..at_once() });
        verdict(&mut with_net, 2, &[Failed; 10]);
        assert_eq!((with_net.choose(CALL), with_net.fall_back(2)), (Choice::Paused(2), Some(1)));
    }

    #[test]
    fn the_net_falls_from_the_canary_on_the_live_version_and_from_that_on_the_last_good_one() {
        let cases = [
            (Deployed { last_good: Some(0), ..canary(10) }, 2, Some(1)),
            (Deployed { last_good: Some(0), ..canary(10) }, 1, Some(0)),
            (canary(10), 1, None),
            (at_once(), 2, Some(1)),
            (Deployed { last_good: None, ..at_once() }, 2, None),
            (Deployed::default(), 2, None),
        ];
        for (deployed, failed, expected) in cases {
            assert_eq!(rollout(deployed).fall_back(failed), expected, "{deployed:?}, {failed} failed");
        }
    }

    #[test]
    fn what_is_live_answers_and_when_nothing_is_the_last_good_version() {
        let cases = [
            (Deployed::default(), Choice::Nothing),
            (Deployed { live: Some(3), ..Deployed::default() }, Choice::Ask(3)),
            (Deployed { last_good: Some(3), ..Deployed::default() }, Choice::Ask(3)),
        ];
        for (deployed, expected) in cases {
            assert_eq!(rollout(deployed).choose(CALL), expected, "{deployed:?}");
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Deploy(Deployed),
        Observe(VersionNumber, Outcome),
    }

    fn op() -> impl Strategy<Value = Op> {
        let version = 1u32..5;
        let some = || proptest::option::of(version.clone());
        let canary = (version.clone(), 1u8..100).prop_map(|(version, percent)| Canary { version, percent });
        let watch = (0u64..3, 0u8..=100, 0u32..1200).prop_map(|(deployment, error_percent, after_invocations)| Watch {
            deployment,
            error_percent,
            after_invocations,
        });
        let deployed = (some(), proptest::option::of(canary), some(), proptest::option::of(watch))
            .prop_map(|(live, canary, last_good, watched)| Deployed { live, canary, last_good, watched });
        let outcome = prop_oneof![Just(Worked), Just(Failed)];
        prop_oneof![
            1 => deployed.prop_map(Op::Deploy),
            20 => (version, outcome).prop_map(|(version, outcome)| Op::Observe(version, outcome)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_only_what_is_deployed_and_not_out_is_asked(ops in proptest::collection::vec(op(), 0..400)) {
            let mut rollout = Rollout::default();
            for op in ops {
                let verdict = match op {
                    Op::Deploy(deployed) => {
                        rollout.deploy(deployed);
                        None
                    }
                    Op::Observe(version, outcome) => rollout.observe(version, outcome),
                };
                let Deployed { live, canary, last_good, .. } = *rollout.deployed();
                let deployed = [live, canary.map(|canary| canary.version), last_good];
                for call in 0..20 {
                    match rollout.choose(CallId(call)) {
                        Choice::Ask(version) => {
                            prop_assert!(deployed.contains(&Some(version)) && !rollout.is_out(version));
                        }
                        Choice::Paused(version) => prop_assert!(live == Some(version) && rollout.is_out(version)),
                        Choice::Nothing => prop_assert!(live.is_none()),
                    }
                }
                if let Some(verdict) = verdict {
                    let goes_back = verdict.finding == Finding::RolledBack;
                    prop_assert!(!goes_back || rollout.fall_back(verdict.version).is_some(), "{:?}", verdict);
                }
                prop_assert!(rollout.standings.len() <= 3);
                prop_assert!(rollout.standings.values().all(|it| it.window.len() <= WINDOW_MAX as usize));
            }
        }
    }
}
