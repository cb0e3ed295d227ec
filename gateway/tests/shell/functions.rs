//! Functions under live conditions: which version answers, what happens when it fails, what it may use, what is kept of it.

use std::path::Path;
use std::sync::Arc;

use tandem::calls::budgets::Budgets;
use tandem::calls::functions::{Chosen, Functions, Observation};
use tandem::calls::outside::{About as DirectoryAbout, Directory, DirectoryQuestion, Surroundings, World, quota};
use tandem::calls::recorder::Recorder;
use tandem::calls::routing::{Deployed, Finding, Routing, Version, Watched};
use tandem::calls::safety_net::{Answered, Question, SafetyNet};
use tandem::outgoing::addresses::Reach;
use tandem::outgoing::{Client, OutgoingMetrics};
use tandem::store::{InvocationLog, Kv, Store};
use tandem::tenants::model::{Binding, InvocationFilter, Limits, Manifest, RollbackRule, Variables, VersionNumber};
use tandem::tenants::usage::{Meters, TenantMeters};
use tandem_host::outside::{Bytes, HttpRequest, Outside as _, Question as Ask, Refusal, Reply};
use tandem_host::{Host, HostConfig};
use tandem_switch::event::{Context, Event, Party, Transport, Verification};
use tandem_switch::exchange::{Answer, ConsultFailure};
use tandem_switch::id::{CallId, FunctionId, TenantId};
use tandem_switch::record::Instead;
use tandem_switch::rollout::{CRASH_LOOP, Outcome};
use tandem_switch::time::UnixMillis;
use tokio::sync::mpsc;

use crate::guests::guest;

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn main_function() -> FunctionId {
    FunctionId::new("main").unwrap()
}

/// Alice calls.
fn context(to: &str) -> Context {
    Context {
        call: CallId(1).to_string(),
        from: Party { address: "alice".into(), display_name: None, verified_by: Verification::Token },
        to: to.into(),
        transport: Transport::Webtransport,
        node: "test".into(),
        region: "test".into(),
        headers: Vec::new(),
        started_at: UnixMillis(1_793_620_800_000),
        now: UnixMillis(1_793_620_800_000),
        state: Vec::new(),
        version: String::new(),
    }
}

/// What the call driver puts around functions.
struct Stage {
    host: Arc<Host>,
    functions: Functions,
    net: SafetyNet,
    invocations: InvocationLog,
    data: tempfile::TempDir,
    _directory: mpsc::Receiver<DirectoryQuestion>,
}

impl Stage {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        // Nothing reaches these bounds by accident on a machine that is busy.
        let limits = tandem_host::Limits { permit_wait_max: std::time::Duration::from_mins(1), ..Default::default() };
        let host = Arc::new(Host::new(HostConfig { limits, cache: None }).unwrap());
        let (world, directory) = world(data.path());
        Self {
            functions: Functions::new(Arc::new(Meters::default())),
            net: SafetyNet { host: Arc::clone(&host), world },
            invocations: InvocationLog::open(data.path()).unwrap(),
            host,
            data,
            _directory: directory,
        }
    }

    fn version(&self, number: VersionNumber, package: &str) -> Version {
        let function = self.host.load(&guest(package)).unwrap();
        let name = format!("main@{number}").into();
        Version { of: main_function(), number, name, function, manifest: Arc::default() }
    }

    fn route(&mut self, deployed: Deployed, limits: Limits, variables: Variables) {
        let bindings = vec![Binding { pattern: "*".into(), function: main_function() }];
        let functions = [(main_function(), deployed)].into();
        self.functions.route(acme(), Routing { bindings, functions, variables: Arc::new(variables), limits });
    }

    /// Version 2 misbehaves; version 1 worked before.
    fn route_broken(&mut self) {
        let watched = Some(Watched { deployment: 1, rule: RollbackRule::default() });
        let (live, last_good) = (Some(self.version(2, "misbehaving")), Some(self.version(1, "find-me")));
        self.route(Deployed { live, canary: None, last_good, watched }, generous(), Variables::new());
    }

    async fn ask(&mut self, call: u128, to: &str) -> Answered {
        let call = CallId(call);
        let chosen = self.functions.for_call(call, &acme(), to).expect("something is deployed");
        let share = self.functions.share(&acme()).unwrap().clone();
        let context = context(to);
        let question =
            Question { tenant: acme(), call, consultation: 1, context, event: Event::Incoming, chosen, share };
        self.net.ask(question).await
    }

    fn observe(&mut self, observations: Vec<Observation>) -> Option<(VersionNumber, Finding)> {
        let found = |observation| self.functions.observe(&acme(), observation);
        observations.into_iter().filter_map(found).last().map(|verdict| (verdict.version, verdict.finding))
    }
}

fn world(data: &Path) -> (World, mpsc::Receiver<DirectoryQuestion>) {
    let (directory, questions) = Directory::new();
    let http = Client::new(Reach::default(), OutgoingMetrics::default()).unwrap();
    (World { kv: Kv::new(Store::open(data).unwrap()), http, directory }, questions)
}

/// No test with these looks for a budget.
fn generous() -> Limits {
    Limits { cpu_ms_per_second: 1_000_000, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_version_fails_the_last_good_one_answers_and_the_roll_out_is_taken_back() {
    let mut stage = Stage::new();
    stage.route_broken();
    let troubles = ["panic", "loop", "memory", "impossible-step", "error"];
    for (index, trouble) in troubles.into_iter().enumerate() {
        let answered = stage.ask(index as u128, trouble).await;
        let Ok(Answer { version, instead_of: Some(failed), .. }) = &answered.answer else {
            panic!("{trouble}: {:?}", answered.answer)
        };
        assert_eq!((version.as_str(), failed.version.as_str()), ("main@1", "main@2"), "{trouble}");
        assert_eq!(answered.moved_to.map(|version| version.number), Some(1), "{trouble}");
        let [broken, good] = &answered.invocations[..] else { panic!("{trouble}: {:?}", answered.invocations) };
        assert_eq!(broken.instead, Some(Instead::LastGoodVersion("main@1".into())), "{trouble}");
        assert_eq!(broken.failure.as_ref(), Some(&failed.failure), "{trouble}");
        assert_eq!((good.version, &good.failure, good.plan.is_some()), (1, &None, true), "{trouble}");
        let outcomes: Vec<_> = answered.observations.iter().map(|it| (it.version, it.outcome)).collect();
        assert_eq!(outcomes, [(2, Outcome::Failed), (1, Outcome::Worked)], "{trouble}");
        let expected = (index + 1 == troubles.len()).then_some((2, Finding::RolledBack));
        assert_eq!(stage.observe(answered.observations), expected, "{trouble}");
    }
    let answered = stage.ask(100, "panic").await;
    assert!(matches!(&answered.answer, Ok(Answer { version, instead_of: None, .. }) if version == "main@1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_with_nothing_to_go_back_to_is_paused_when_it_only_fails() {
    let mut stage = Stage::new();
    let live = Some(stage.version(1, "misbehaving"));
    let deployed = Deployed { live, canary: None, last_good: None, watched: None };
    stage.route(deployed, generous(), Variables::new());
    for call in 1..=CRASH_LOOP {
        let answered = stage.ask(call.into(), "error").await;
        assert!(matches!(answered.answer, Err(ConsultFailure::Refused(_))), "{:?}", answered.answer);
        let expected = (call == CRASH_LOOP).then_some((1, Finding::Paused));
        assert_eq!(stage.observe(answered.observations), expected);
    }
    let answered = stage.ask(100, "bob").await;
    assert_eq!(answered.answer, Err(ConsultFailure::Paused("main@1".into())));
    assert!(answered.invocations.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_keeps_its_version_whatever_is_deployed_meanwhile() {
    let mut stage = Stage::new();
    stage.route_broken();
    let number = |chosen: Option<Chosen>| match chosen {
        Some(Chosen::Version(version, _) | Chosen::Paused(version, _)) => version.number,
        None => 0,
    };
    let (old, new) = (CallId(1), CallId(2));
    assert_eq!(number(stage.functions.for_call(old, &acme(), "bob")), 2);
    let next = stage.version(3, "find-me");
    let deployed = Deployed { live: Some(next), canary: None, last_good: None, watched: None };
    stage.route(deployed, generous(), Variables::new());
    assert_eq!(number(stage.functions.for_call(old, &acme(), "bob")), 2);
    assert_eq!(number(stage.functions.for_call(new, &acme(), "bob")), 3);
    let one = stage.version(1, "find-me");
    stage.functions.moved(old, one);
    assert_eq!(number(stage.functions.release(old, &acme())), 1, "`ended` goes to the version that took over");
    assert_eq!(number(stage.functions.release(old, &acme())), 0);
    assert_eq!(stage.functions.pinned_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_binding_fits_is_nobodys() {
    let mut stage = Stage::new();
    assert!(stage.functions.for_call(CallId(1), &acme(), "bob").is_none(), "no tenant");
    let live = Some(stage.version(1, "find-me"));
    let deployed = Deployed { live, canary: None, last_good: None, watched: None };
    let bindings = vec![Binding { pattern: "+49*".into(), function: main_function() }];
    let functions = [(main_function(), deployed)].into();
    let routing = Routing { bindings, functions, variables: Arc::default(), limits: Limits::default() };
    stage.functions.route(acme(), routing);
    assert!(stage.functions.for_call(CallId(1), &acme(), "bob").is_none());
    assert!(stage.functions.for_call(CallId(1), &acme(), "+4930").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_used_up_speaks_against_no_version_and_is_counted() {
    let mut stage = Stage::new();
    let live = Some(stage.version(1, "find-me"));
    let last_good = live.clone();
    let limits = Limits { invocations_per_second: 0, ..Limits::default() };
    stage.route(Deployed { live, canary: None, last_good, watched: None }, limits, Variables::new());
    let answered = stage.ask(1, "bob").await;
    assert_eq!(answered.answer, Err(ConsultFailure::OverBudget("invocations-per-second (0)".into())));
    assert!(answered.observations.is_empty() && answered.invocations.is_empty());
    let meters = stage.functions.share(&acme()).unwrap().budgets.meters();
    assert_eq!((meters.invocations.refused(), meters.failures.total()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_function_writes_everywhere_is_nowhere_on_disk() {
    const SECRET: &str = "correct horse \"battery\" staple";
    let mut stage = Stage::new();
    let live = Some(stage.version(1, "capable"));
    let variables = [("secret".to_owned(), (SECRET.to_owned(), true))].into();
    stage.route(Deployed { live, canary: None, last_good: None, watched: None }, generous(), variables);
    let answered = stage.ask(1, "tell-secret").await;
    let log = &answered.invocations[0].log;
    assert!(log.contains(SECRET), "the function does not do what this test is about: {log:?}");
    let recorder = Recorder::start(stage.invocations.clone(), Default::default());
    let share = stage.functions.share(&acme()).unwrap().clone();
    for record in answered.invocations {
        recorder.record(&acme(), &share, record);
    }
    recorder.close().await;
    let kept = stage.invocations.invocations(&acme(), InvocationFilter { limit: 10, ..Default::default() }).await;
    let kept = kept.unwrap().items;
    assert_eq!(kept.len(), 1);
    assert!(kept[0].log.contains("«secret:secret»"), "{:?}", kept[0].log);
    stage.invocations.clone().close().await;
    for entry in std::fs::read_dir(stage.data.path()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for spelling in [SECRET.to_owned(), SECRET.replace('"', "\\\"")] {
            let found = bytes.windows(spelling.len()).any(|window| window == spelling.as_bytes());
            assert!(!found, "{spelling} is in {}", path.display());
        }
    }
}

/// A function's world, with the directory's questions.
fn surroundings(data: &Path, limits: &Limits, manifest: Manifest) -> (Surroundings, mpsc::Receiver<DirectoryQuestion>) {
    let (world, questions) = world(data);
    let variables = [("greeting", ("hello", false)), ("key", ("s3cr3t", true))];
    let variables = variables.map(|(name, (value, secret))| (name.to_owned(), (value.to_owned(), secret)));
    let surroundings = Surroundings {
        world,
        tenant: acme(),
        manifest: Arc::new(manifest),
        variables: Arc::new(variables.into()),
        quota: quota(limits),
        budgets: Arc::new(Budgets::new(limits, Arc::new(TenantMeters::default()))),
    };
    (surroundings, questions)
}

#[tokio::test]
async fn a_function_meets_its_own_stores_and_variables_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let manifest = Manifest { key_value_stores: vec!["callers".into()], ..Manifest::default() };
    let limits = Limits { kv_keys: 2, ..Limits::default() };
    let (outside, mut questions) = surroundings(data.path(), &limits, manifest);
    let driver = tokio::spawn(async move {
        while let Some(DirectoryQuestion { about, answer, .. }) = questions.recv().await {
            let _ = answer.send(matches!(about, DirectoryAbout::Room(_)).then_some(3));
        }
    });
    let (store, key) = (|label: &str| label.to_owned(), |key: &str| key.to_owned());
    let value = Bytes(bytes::Bytes::from_static(b"7"));
    let not_allowed = "the manifest does not name the key-value store \"other\"; \
                       add it to key_value_stores in the function's manifest and deploy a new version";
    let dialogue = [
        (Ask::KvOpen { store: store("default") }, Reply::Done),
        (Ask::KvOpen { store: store("other") }, Reply::Refused(Refusal::Denied(not_allowed.into()))),
        (Ask::KvGet { store: store("other"), key: key("a") }, Reply::Refused(Refusal::Denied(not_allowed.into()))),
        (Ask::KvSet { store: store("callers"), key: key("a"), value: value.clone() }, Reply::Done),
        (Ask::KvGet { store: store("callers"), key: key("a") }, Reply::Value(Some(value.clone()))),
        (Ask::KvGet { store: store("default"), key: key("a") }, Reply::Value(None)),
        (Ask::KvIncrement { store: store("callers"), key: key("a"), by: -2 }, Reply::Number(5)),
        (Ask::KvExists { store: store("callers"), key: key("a") }, Reply::Truth(true)),
        (Ask::KvSet { store: store("default"), key: key("b"), value: value.clone() }, Reply::Done),
        (
            Ask::KvSet { store: store("default"), key: key("c"), value },
            Reply::Refused(Refusal::OverLimit("kv-keys (2)".into())),
        ),
        (Ask::KvKeys { store: store("default"), after: None }, Reply::Keys { keys: vec![key("b")], more: None }),
        (Ask::KvDelete { store: store("default"), key: key("b") }, Reply::Done),
        (Ask::KvExists { store: store("default"), key: key("b") }, Reply::Truth(false)),
        (Ask::Variable { name: key("key") }, Reply::Text(Some("s3cr3t".into()))),
        (Ask::Variable { name: key("none") }, Reply::Text(None)),
        (Ask::QueueLength { queue: key("sales") }, Reply::Refused(Refusal::NoSuch("queue \"sales\"".into()))),
        (Ask::RoomOccupancy { room: key("lobby") }, Reply::Number(3)),
        (Ask::Reachable { user: key("Not A Name") }, Reply::Number(0)),
    ];
    for (question, expected) in dialogue {
        assert_eq!(outside.ask(question.clone()).await, expected, "{question:?}");
    }
    assert_eq!(outside.budgets.meters().kv_keys.refused(), 1);
    driver.abort();
}

#[tokio::test]
async fn requests_are_held_to_the_manifest_and_the_budget() {
    let data = tempfile::tempdir().unwrap();
    let limits = Limits { http_requests_per_second: 1, ..Limits::default() };
    let (outside, _questions) = surroundings(data.path(), &limits, Manifest::default());
    let request = || {
        let (method, url) = ("GET".into(), "https://api.example.com/".into());
        Ask::Http(HttpRequest { method, url, headers: vec![], body: Bytes::default(), timeout_ms: None })
    };
    assert!(matches!(outside.ask(request()).await, Reply::Refused(Refusal::Denied(_))));
    let over = Reply::Refused(Refusal::OverLimit("http-requests-per-second (1)".into()));
    assert_eq!(outside.ask(request()).await, over);
}

#[tokio::test]
async fn who_is_reachable_and_who_is_in_a_room_is_asked_of_the_driver() {
    let data = tempfile::tempdir().unwrap();
    let (outside, mut questions) = surroundings(data.path(), &Limits::default(), Manifest::default());
    let driver = async {
        let DirectoryQuestion { tenant, about, answer } = questions.recv().await.unwrap();
        assert!(matches!(about, DirectoryAbout::Reachable(user) if user.as_str() == "bob"));
        assert_eq!(tenant, acme());
        answer.send(Some(2)).unwrap();
        let DirectoryQuestion { about, answer, .. } = questions.recv().await.unwrap();
        assert!(matches!(about, DirectoryAbout::Room(room) if room.as_str() == "all-hands"));
        answer.send(Some(31)).unwrap();
    };
    let ask = async {
        let reachable = outside.ask(Ask::Reachable { user: "bob".into() }).await;
        (reachable, outside.ask(Ask::RoomOccupancy { room: "all-hands".into() }).await)
    };
    let (replies, ()) = tokio::join!(ask, driver);
    assert_eq!(replies, (Reply::Number(2), Reply::Number(31)));
    assert_eq!(outside.ask(Ask::RoomOccupancy { room: "No Name".into() }).await, Reply::Number(0));
    drop(questions);
    assert!(matches!(outside.ask(Ask::Reachable { user: "bob".into() }).await, Reply::Refused(Refusal::Failed(_))));
}
