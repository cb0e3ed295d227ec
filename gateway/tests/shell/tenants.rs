//! Tenants and what they have, over a store in a temporary directory: made, changed, refused, and there again after a restart.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use tandem::blobs::{BlobMetrics, Blobs};
use tandem::calls::driver::Command as Order;
use tandem::calls::routing::{Finding, Routing, Verdict};
use tandem::config;
use tandem::store::Store;
use tandem::tenants::model::*;
use tandem::tenants::{Parts, TenantError, Tenants};
use tandem::token::Keyring;
use tandem_host::{Digest, Host, HostConfig};
use tandem_switch::id::{FunctionId, TenantId, UserId};
use tokio::sync::mpsc;

use crate::guests::guest;

pub(crate) const OPERATOR: &Actor = &Actor::Operator;

pub(crate) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn main_function() -> FunctionId {
    FunctionId::new("main").unwrap()
}

/// What the call driver would have been told last.
pub(crate) type Told = Arc<Mutex<Option<Routing>>>;

pub(crate) struct Node {
    pub(crate) tenants: Tenants,
    pub(crate) store: Store,
    keyring: Arc<Keyring>,
    told: Told,
}

impl Node {
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::start_with(directory, &config::Storage::default()).await
    }

    pub(crate) async fn start_with(directory: &Path, storage: &config::Storage) -> Self {
        static HOST: OnceLock<Arc<Host>> = OnceLock::new();
        let host = Arc::clone(HOST.get_or_init(|| Arc::new(Host::new(HostConfig::default()).unwrap())));
        let store = Store::open(directory).unwrap();
        let (commands, orders) = mpsc::channel(8);
        let told = Told::default();
        tokio::spawn(obey(orders, Arc::clone(&told)));
        let keyring = Arc::new(Keyring::default());
        let operator_token = Some(config::Secret::new("tdmop_test"));
        let blobs = Blobs::open(store.clone(), storage, BlobMetrics::default()).unwrap();
        let (store_too, keyring_too, meters) = (store.clone(), Arc::clone(&keyring), Arc::default());
        let parts = Parts { store: store_too, host, keyring: keyring_too, blobs, meters, commands, operator_token };
        Self { tenants: Tenants::open(parts).await.unwrap(), store, keyring, told }
    }

    pub(crate) async fn with_acme(directory: &Path) -> Self {
        let node = Self::start(directory).await;
        node.tenants.create_tenant(OPERATOR, acme(), Settings::default()).await.unwrap();
        node
    }

    pub(crate) async fn restart(self, directory: &Path) -> Self {
        self.restart_with(directory, &config::Storage::default()).await
    }

    pub(crate) async fn restart_with(self, directory: &Path, storage: &config::Storage) -> Self {
        self.tenants.invocation_log().clone().close().await;
        self.store.close().await.unwrap();
        Self::start_with(directory, storage).await
    }

    /// A component becomes a version; gives its number.
    pub(crate) async fn version(&self, mark: u8) -> VersionNumber {
        let component = component(mark);
        let digest = Digest::of(&component).to_string();
        self.tenants.put_component(OPERATOR, &acme(), &digest, component.into()).await.unwrap();
        let new = NewVersion { digest, manifest: Manifest::default(), signature: None };
        self.tenants.create_version(OPERATOR, &acme(), &main_function(), new).await.unwrap().number
    }

    pub(crate) async fn deploy(&self, version: VersionNumber, percent: Option<u8>) -> Result<Deployment, TenantError> {
        let new = NewDeployment { version, percent, rollback: RollbackRule::default() };
        self.tenants.deploy(OPERATOR, &acme(), &main_function(), None, new).await
    }

    pub(crate) async fn function(&self) -> (Option<VersionNumber>, Option<VersionNumber>, Option<VersionNumber>) {
        let function = self.tenants.function(&acme(), &main_function()).await.unwrap();
        (function.live, function.canary.map(|canary| canary.version), function.last_good)
    }

    /// The version that the driver was told to put on all calls.
    pub(crate) fn live(&self) -> Option<VersionNumber> {
        let told = self.told.lock().unwrap();
        told.as_ref()?.functions.get(&main_function())?.live.as_ref().map(|version| version.number)
    }

    pub(crate) async fn found(&self, version: VersionNumber, finding: Finding) {
        let (verdicts, found) = mpsc::channel(1);
        let verdict = Verdict { tenant: acme(), function: main_function(), version, finding, why: "5 of 5".into() };
        verdicts.send(verdict).await.unwrap();
        drop(verdicts);
        self.tenants.clone().follow(found).await;
    }
}

async fn obey(mut orders: mpsc::Receiver<Order>, told: Told) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Routing(_, routing, done) => {
                *told.lock().unwrap() = Some(*routing);
                let _ = done.send(());
            }
            Order::Forget(_, done) => {
                *told.lock().unwrap() = None;
                let _ = done.send(());
            }
            _ => {}
        }
    }
}

/// A routing function; those with another mark do the same and have another digest.
pub(crate) fn component(mark: u8) -> Vec<u8> {
    let mut bytes = guest("block-list");
    // A custom section: its id, its length, the length of its name, its name, what it holds.
    bytes.extend([0, 3, 1, b'm', mark]);
    bytes
}

#[tokio::test]
async fn everything_is_there_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (tenants, acme) = (&node.tenants, acme());
    let alice = User { name: UserId::new("alice").unwrap(), display_name: Some("Alice".into()) };
    tenants.put_user(OPERATOR, &acme, alice.clone()).await.unwrap();
    tenants.add_key(OPERATOR, &acme, NewKey { id: "k".into(), secret: None, public: None }).await.unwrap();
    let secret = Variable { name: "api_key".into(), value: Some("hunter22".into()), secret: true };
    tenants.put_variable(OPERATOR, &acme, secret).await.unwrap();
    tenants.kv_put(OPERATOR, &acme, "default", "k", "v".into()).await.unwrap();
    let token = NewToken { name: "ci".into(), scopes: vec![Scope::FunctionsWrite], seconds: None };
    let (_, token) = tenants.create_token(OPERATOR, &acme, token).await.unwrap();
    let version = node.version(1).await;
    node.deploy(version, None).await.unwrap();
    let before = tenants.audit(Some(&acme), None, 100).await.unwrap();

    let node = node.restart(directory.path()).await;
    let (tenants, acme) = (&node.tenants, &acme);
    assert_eq!(tenants.users(acme, None, 10).await.unwrap().items, vec![alice]);
    assert_eq!(tenants.keys(acme).await.unwrap().len(), 1);
    let shown = Variable { name: "api_key".into(), value: None, secret: true };
    assert_eq!(tenants.variables(acme).await.unwrap(), vec![shown]);
    assert_eq!(tenants.kv_get(acme, "default", "k").await.unwrap(), "v");
    assert!(matches!(tenants.authenticate(token.reveal()).await, Some(Actor::Token { tenant, .. }) if tenant == *acme));
    assert_eq!(tenants.authenticate("tdmop_test").await, Some(Actor::Operator));
    for wrong in ["", "tdmop_", "tdm_", "tdm_0_1", &format!("{}x", token.reveal())] {
        assert_eq!(tenants.authenticate(wrong).await, None, "{wrong}");
    }
    assert_eq!(node.function().await, (Some(version), None, None));
    let introduced = tenants.introductions().await.unwrap();
    assert_eq!(introduced[0].routing.functions[&main_function()].live.as_ref().unwrap().number, version);
    assert_eq!(introduced[0].routing.bindings[0].pattern, "*");
    assert_eq!(introduced[0].routing.variables["api_key"], ("hunter22".to_owned(), true));
    assert_eq!(tenants.audit(Some(acme), None, 100).await.unwrap(), before);
    assert!(before.items.iter().all(|line| !line.detail.contains("hunter22")));
}

#[tokio::test]
async fn versions_are_rolled_out_tried_promoted_and_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (one, two, three) = (node.version(1).await, node.version(2).await, node.version(3).await);
    assert_eq!(node.version(2).await, two, "the same component is the same version");
    let error = node.deploy(one, Some(5)).await.unwrap_err().to_string();
    assert!(error.contains("no live version"), "{error}");
    node.deploy(one, None).await.unwrap();
    let error = node.tenants.rollback(OPERATOR, &acme(), &main_function(), None).await.unwrap_err().to_string();
    assert!(error.contains("no version before this one"), "{error}");
    node.deploy(two, Some(10)).await.unwrap();
    assert_eq!(node.function().await, (Some(one), Some(two), None));
    node.tenants.promote(OPERATOR, &acme(), &main_function(), None).await.unwrap();
    assert_eq!((node.function().await, node.live()), ((Some(two), None, Some(one)), Some(two)));
    let error = node.tenants.promote(OPERATOR, &acme(), &main_function(), None).await.unwrap_err().to_string();
    assert!(error.contains("no canary"), "{error}");
    node.deploy(three, None).await.unwrap();
    let taken = node.tenants.rollback(OPERATOR, &acme(), &main_function(), None).await.unwrap();
    assert_eq!((taken.version, taken.state), (three, DeploymentState::RolledBack));
    assert_eq!((node.function().await.0, node.live()), (Some(two), Some(two)));
    let stale = node.tenants.rollback(OPERATOR, &acme(), &main_function(), Some(1)).await.unwrap_err();
    assert!(matches!(stale, TenantError::Changed { expected: 1, .. }), "{stale}");
}

#[tokio::test]
async fn what_the_driver_finds_is_kept_and_put_to_work() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (one, two) = (node.version(1).await, node.version(2).await);
    node.deploy(one, None).await.unwrap();
    node.found(one, Finding::Good).await;
    let deployments = node.tenants.deployments(&acme(), None, None, 10).await.unwrap().items;
    assert_eq!(deployments[0].state, DeploymentState::Settled);
    node.deploy(two, None).await.unwrap();
    node.found(two, Finding::RolledBack).await;
    assert_eq!((node.function().await.0, node.live()), (Some(one), Some(one)));
    let failed = node.tenants.version(&acme(), &main_function(), two).await.unwrap();
    assert_eq!((failed.state, failed.reason.as_deref()), (VersionState::RolledBack, Some("5 of 5")));
    node.found(one, Finding::Paused).await;
    assert_eq!(node.live(), None, "a paused version is asked no more");
    let audit = node.tenants.audit(Some(&acme()), None, 1).await.unwrap().items;
    assert_eq!((audit[0].actor.as_str(), audit[0].action.as_str()), ("gateway", "version.pause"));
}

#[tokio::test]
async fn concurrent_deploys_come_one_after_another() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let versions = [node.version(1).await, node.version(2).await, node.version(3).await];
    let deploys = (0..12).map(|at| node.deploy(versions[at % 3], None));
    let done = futures_util::future::join_all(deploys).await;
    let mut ids: Vec<u64> = done.into_iter().map(|deployment| deployment.unwrap().id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=12).collect::<Vec<_>>());
    let deployments = node.tenants.deployments(&acme(), None, None, 100).await.unwrap().items;
    let running: Vec<_> = deployments.iter().filter(|it| it.state == DeploymentState::Running).collect();
    assert_eq!((running.len(), running[0].id, Some(running[0].version)), (1, 12, node.live()));
    assert_eq!(node.function().await.0, node.live());
}

#[tokio::test]
async fn a_damaged_component_is_never_served_and_an_upload_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let version = node.version(1).await;
    node.deploy(version, None).await.unwrap();
    let digest = Digest::of(&component(1)).to_string();
    let file = directory.path().join("components").join(format!("{digest}.wasm"));
    let half = directory.path().join("components").join(format!("{digest}.7.part"));
    std::fs::write(&file, b"\0asm").unwrap();
    std::fs::write(&half, b"\0as").unwrap();
    let node = node.restart(directory.path()).await;
    assert!(!half.exists(), "what an interrupted upload left is removed");
    let introduced = node.tenants.introductions().await.unwrap();
    assert!(introduced[0].routing.functions[&main_function()].live.is_none());
    let error = node.tenants.component(&acme(), &digest).await.unwrap_err().to_string();
    assert!(error.contains("is damaged") && error.contains("upload it again"), "{error}");
    node.version(1).await;
    assert_eq!(node.live(), Some(version));
    assert_eq!(node.tenants.component(&acme(), &digest).await.unwrap(), component(1));
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (tenants, acme, nobody) = (&node.tenants, acme(), TenantId::new("nobody").unwrap());
    let before = tenants.audit(None, None, 100).await.unwrap();
    let digest = Digest::of(&component(1)).to_string();
    let settings = |versions| Settings { limits: Limits { versions, ..Limits::default() }, ..Settings::default() };
    let variable = |name: &str| Variable { name: name.into(), value: Some("v".into()), secret: false };
    let errors = [
        tenants.create_tenant(OPERATOR, acme.clone(), Settings::default()).await.unwrap_err(),
        tenants.create_tenant(OPERATOR, nobody.clone(), settings(1)).await.unwrap_err(),
        tenants.change_settings(OPERATOR, &acme, Some(7), Settings::default()).await.unwrap_err(),
        tenants.put_component(OPERATOR, &acme, &digest, component(2).into()).await.unwrap_err(),
        tenants.put_component(OPERATOR, &acme, "../../etc/passwd", component(2).into()).await.unwrap_err(),
        tenants.put_component(OPERATOR, &nobody, &digest, component(1).into()).await.unwrap_err(),
        tenants.put_variable(OPERATOR, &acme, variable("../x")).await.unwrap_err(),
        tenants.kv_put(OPERATOR, &acme, "../x", "k", "v".into()).await.unwrap_err(),
        tenants.kv_get(&acme, "default", "k").await.unwrap_err(),
        tenants.delete_key(OPERATOR, &acme, "k").await.unwrap_err(),
        tenants.rollback(OPERATOR, &acme, &main_function(), None).await.unwrap_err(),
    ];
    let words = [
        "already a tenant",
        "limits.versions",
        "its revision is 1, not 7",
        "was the upload interrupted",
        "digest: must be a SHA-256",
        "no tenant \"nobody\"",
        "name: must be",
        "label is",
        "no key \"k\"",
        "no key \"k\"",
        "no function \"main\"",
    ];
    for (error, words) in errors.iter().zip(words) {
        assert!(error.to_string().contains(words), "{error} should say {words:?}");
    }
    assert_eq!(tenants.audit(None, None, 100).await.unwrap(), before);
}

#[tokio::test]
async fn quotas_hold_and_what_is_deleted_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (tenants, acme) = (&node.tenants, &acme());
    let limits = Limits { kv_keys: 2, kv_bytes: 20, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    tenants.change_settings(OPERATOR, acme, None, settings).await.unwrap();
    let put = async |key: &str, value: &'static str| tenants.kv_put(OPERATOR, acme, "s", key, value.into()).await;
    put("a", "1").await.unwrap();
    put("b", "1").await.unwrap();
    assert!(matches!(put("c", "1").await, Err(TenantError::OverLimit { budget: "kv-keys", limit: 2, .. })));
    assert!(matches!(put("a", "12345678901234567890").await, Err(TenantError::OverLimit { budget: "kv-bytes", .. })));
    tenants.kv_delete(OPERATOR, acme, "s", "b").await.unwrap();
    put("c", "1").await.unwrap();
    assert_eq!(tenants.kv().usage(acme).await.unwrap(), (2, 4));
    let usage = tenants.usage(acme).await.unwrap();
    let keys = usage.iter().find(|usage| usage.budget == "kv-keys").unwrap();
    assert_eq!((keys.limit, keys.used, keys.refused), (2, 2, 1));
}

#[tokio::test]
async fn a_tenant_that_is_deleted_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let version = node.version(1).await;
    node.deploy(version, None).await.unwrap();
    node.tenants.kv_put(OPERATOR, &acme(), "s", "k", "v".into()).await.unwrap();
    node.tenants.delete_tenant(OPERATOR, &acme(), None).await.unwrap();
    assert!(node.told.lock().unwrap().is_none(), "the driver was told");
    assert_eq!(std::fs::read_dir(directory.path().join("components")).unwrap().count(), 0);
    node.tenants.create_tenant(OPERATOR, acme(), Settings::default()).await.unwrap();
    assert!(node.tenants.functions(&acme()).await.unwrap().is_empty());
    assert!(matches!(node.tenants.kv_get(&acme(), "s", "k").await, Err(TenantError::NotFound { .. })));
}

#[tokio::test]
async fn the_file_has_the_last_word_on_tenants_that_it_declares() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).await;
    let key = config::SigningKey {
        id: Some("k".into()),
        hs256_secret: Some(config::Secret::new("s".repeat(32))),
        ..config::SigningKey::default()
    };
    let file = config::Tenant { name: "acme".into(), keys: vec![key], ring_seconds: 20, ..config::Tenant::default() };
    node.tenants.declare(std::slice::from_ref(&file)).await.unwrap();
    let found = node.tenants.tenant(&acme()).await.unwrap();
    assert!(found.declared && found.settings.default_plan == DefaultPlan::RingDialled { ring_seconds: 20 });
    let refused = node.tenants.change_settings(OPERATOR, &acme(), None, Settings::default()).await.unwrap_err();
    assert!(matches!(refused, TenantError::Declared(_)), "{refused}");
    let once = node.tenants.audit(None, None, 10).await.unwrap();
    node.tenants.declare(&[file]).await.unwrap();
    assert_eq!(node.tenants.audit(None, None, 10).await.unwrap(), once, "the same again is no change");
    assert!(format!("{:?}", node.keyring).contains("\"acme\": 1"));
    node.tenants.declare(&[]).await.unwrap();
    assert!(!node.tenants.tenant(&acme()).await.unwrap().declared);
    assert!(node.tenants.keys(&acme()).await.unwrap().is_empty());
    assert!(format!("{:?}", node.keyring).contains("\"acme\": 0"));
}
