//! The rules of tenants' resources, each over a store in a temporary directory: signatures, retention, tokens, what is remembered and for
//! how long, the configuration file's functions, and what is said when the store itself is damaged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use rusqlite::params;
use tandem::calls::routing::Finding;
use tandem::config;
use tandem::store::StoreError;
use tandem::tenants::model::*;
use tandem::tenants::{Remembered, TenantError};
use tandem_host::Digest;
use tandem_switch::id::{TenantId, UserId};

use super::tenants::{Node, OPERATOR, acme, component, main_function};

async fn sql(node: &Node, statement: &'static str) {
    let changed =
        node.store.change(move |connection| connection.execute(statement, []).map_err(StoreError::from)).await;
    changed.unwrap();
}

async fn count(node: &Node, select: &'static str) -> i64 {
    let ask = move |connection: &rusqlite::Connection| {
        Ok::<_, StoreError>(connection.query_row(select, [], |row| row.get(0))?)
    };
    node.store.read(ask).await.unwrap()
}

#[tokio::test]
async fn a_signing_key_lets_in_only_what_it_signed() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let key = SigningKey::from_bytes(&[7; 32]);
    let signing_key = Some(STANDARD.encode(key.verifying_key().as_bytes()));
    let settings = Settings { signing_key, ..Settings::default() };
    node.tenants.change_settings(OPERATOR, &acme(), None, settings).await.unwrap();
    let digest = Digest::of(&component(1)).to_string();
    node.tenants.put_component(OPERATOR, &acme(), &digest, component(1).into()).await.unwrap();
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap()).collect();
    let signed = |key: &SigningKey, what: &[u8]| Some(STANDARD.encode(key.sign(what).to_bytes()));
    let create = async |signature: Option<String>| {
        let new = NewVersion { digest: digest.clone(), manifest: Manifest::default(), signature };
        node.tenants.create_version(OPERATOR, &acme(), &main_function(), new).await
    };
    let wrong = [
        (None, "is missing"),
        (Some("AAAA".to_owned()), "must be the base64 of 64 bytes"),
        (signed(&SigningKey::from_bytes(&[8; 32]), &bytes), "is not of the tenant's signing key"),
        (signed(&key, digest.as_bytes()), "is not of the tenant's signing key"),
    ];
    for (signature, said) in wrong {
        let error = create(signature).await.unwrap_err();
        assert!(matches!(&error, TenantError::Signature(_)) && error.to_string().contains(said), "{error}");
    }
    assert!(node.tenants.functions(&acme()).await.unwrap().is_empty(), "nothing has changed");
    assert_eq!(create(signed(&key, &bytes)).await.unwrap().number, 1);
}

#[tokio::test]
async fn versions_in_use_stay_and_the_oldest_others_go() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let limits = Limits { versions: 3, ..Limits::default() };
    node.tenants.change_settings(OPERATOR, &acme(), None, Settings { limits, ..Settings::default() }).await.unwrap();
    for (mark, percent) in [(1, None), (2, None), (3, Some(5))] {
        let version = node.version(mark).await;
        node.deploy(version, percent).await.unwrap();
    }
    assert_eq!(node.function().await, (Some(2), Some(3), Some(1)));
    for mark in 4..=6 {
        node.version(mark).await;
    }
    let kept = node.tenants.versions(&acme(), &main_function(), None, 10).await.unwrap().items;
    assert_eq!(kept.iter().map(|version| version.number).collect::<Vec<_>>(), [6, 3, 2, 1]);
    let gone = node.tenants.component(&acme(), &Digest::of(&component(4)).to_string()).await;
    assert!(matches!(gone, Err(TenantError::NotFound { .. })));
    assert_eq!(std::fs::read_dir(directory.path().join("components")).unwrap().count(), 4);
}

#[tokio::test]
async fn a_roll_back_never_goes_to_what_was_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    for mark in 1..=3 {
        let version = node.version(mark).await;
        node.deploy(version, None).await.unwrap();
    }
    let back = async || node.tenants.rollback(OPERATOR, &acme(), &main_function(), None).await;
    back().await.unwrap();
    assert_eq!(node.function().await, (Some(2), None, Some(1)));
    back().await.unwrap();
    assert_eq!(node.function().await, (Some(1), None, None), "3 was taken back: nobody falls back on it");
    let error = back().await.unwrap_err();
    assert!(matches!(error, TenantError::Conflict(_)), "{error}");
}

#[tokio::test]
async fn a_version_in_use_can_be_taken_back_however_much_was_deployed_since() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    for mark in 1..=3 {
        let version = node.version(mark).await;
        node.deploy(version, None).await.unwrap();
    }
    node.found(3, Finding::Good).await;
    sql(&node, "UPDATE tenant SET deployments = 5000").await;
    let version = node.version(4).await;
    node.deploy(version, Some(10)).await.unwrap();
    let back = async || node.tenants.rollback(OPERATOR, &acme(), &main_function(), None).await.unwrap();
    assert_eq!((back().await.version, back().await.version), (4, 3));
    assert_eq!(node.function().await.0, Some(2));
    let kept = node.tenants.deployments(&acme(), None, None, 10).await.unwrap().items;
    assert_eq!(kept.iter().map(|deployment| deployment.version).collect::<Vec<_>>(), [4, 3, 2], "1 is in use no more");
}

#[tokio::test]
async fn a_failed_version_with_nothing_before_it_is_paused_and_its_roll_out_over() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let version = node.version(1).await;
    node.deploy(version, None).await.unwrap();
    node.found(version, Finding::RolledBack).await;
    let judged = node.tenants.version(&acme(), &main_function(), version).await.unwrap();
    let deployment = node.tenants.deployments(&acme(), None, None, 1).await.unwrap().items.remove(0);
    assert_eq!((judged.state, deployment.state), (VersionState::Paused, DeploymentState::RolledBack));
    assert_eq!(node.live(), None);
}

async fn token(node: &Node, actor: &Actor, scopes: &[Scope], seconds: Option<u64>) -> Result<Actor, TenantError> {
    let new = NewToken { name: "t".into(), scopes: scopes.to_vec(), seconds };
    let (_, secret) = node.tenants.create_token(actor, &acme(), new).await?;
    Ok(node.tenants.authenticate(secret.reveal()).await.unwrap())
}

#[tokio::test]
async fn nobody_grants_more_than_they_have_nor_for_longer() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let some = token(&node, OPERATOR, &[Scope::KeysWrite, Scope::KvRead], Some(3600)).await.unwrap();
    let all = token(&node, OPERATOR, &[Scope::All], None).await.unwrap();
    type Case<'a> = (&'a Actor, &'a [Scope], Option<u64>, Option<&'a str>);
    let cases: [Case<'_>; 8] = [
        (&some, &[Scope::KvRead], Some(60), None),
        (&some, &[Scope::KvWrite], Some(60), Some("must not grant \"kv:write\"")),
        (&some, &[Scope::KvRead, Scope::All], Some(60), Some("must not grant \"*\"")),
        (&some, &[Scope::KvRead], None, Some("the token that makes this one ends then")),
        (&some, &[Scope::KvRead], Some(7200), Some("the token that makes this one ends then")),
        (&all, &[Scope::All], None, None),
        (&all, &[], None, Some("must name one or more")),
        (OPERATOR, &[Scope::All], Some(0), Some("seconds: must be 1 to")),
    ];
    for (actor, scopes, seconds, refused) in cases {
        let made = token(&node, actor, scopes, seconds).await.map_err(|error| error.to_string());
        match refused {
            None => assert!(made.is_ok(), "{scopes:?} {seconds:?}: {made:?}"),
            Some(said) => assert!(made.as_ref().is_err_and(|error| error.contains(said)), "{scopes:?}: {made:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_that_ended_or_was_deleted_opens_nothing_and_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let new = |seconds| NewToken { name: "t".into(), scopes: vec![Scope::All], seconds };
    let (ends, secret) = node.tenants.create_token(OPERATOR, &acme(), new(Some(60))).await.unwrap();
    let (deleted, other) = node.tenants.create_token(OPERATOR, &acme(), new(None)).await.unwrap();
    let maker = node.tenants.authenticate(other.reveal()).await.unwrap();
    sql(
        &node,
        "UPDATE token SET body = json_set(body, '$.expires-at', 1) WHERE json_extract(body, '$.expires-at') > 1",
    )
    .await;
    assert_eq!(node.tenants.authenticate(secret.reveal()).await, None);
    node.tenants.delete_token(OPERATOR, &acme(), &deleted.id).await.unwrap();
    assert_eq!(node.tenants.authenticate(other.reveal()).await, None);
    let late = node.tenants.create_token(&maker, &acme(), new(None)).await.unwrap_err();
    assert!(matches!(late, TenantError::NotFound { kind: "control token", .. }), "{late}");
    let (third, _) = node.tenants.create_token(OPERATOR, &acme(), new(None)).await.unwrap();
    let left = node.tenants.tokens(&acme()).await.unwrap();
    assert_eq!(left.iter().map(|token| &token.id).collect::<Vec<_>>(), [&third.id], "{} is forgotten", ends.id);
}

#[tokio::test]
async fn what_creates_brought_is_remembered_a_day_and_a_thousand_for_each() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).await;
    let answer = Remembered { request: [1; 32], status: 201, body: b"{}".to_vec() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let fill = move |connection: &rusqlite::Connection| {
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
            INSERT INTO idempotency SELECT 'operator', 'k' || i, zeroblob(32), 201, x'', ?1 - 5000 + i FROM n";
        connection.execute(many, [now])?;
        let old = "INSERT INTO idempotency VALUES ('token 1', 'old', zeroblob(32), 201, x'', ?1)";
        connection.execute(old, params![now - 25 * 60 * 60 * 1000]).map_err(StoreError::from)
    };
    node.store.change(fill).await.unwrap();
    let other = Actor::Token { tenant: acme(), id: "1".into(), scopes: vec![] };
    assert_eq!(node.tenants.remembered(&other, "old").await.unwrap(), None, "after a day it is another request");
    assert_eq!(node.tenants.remembered(&other, "k1").await.unwrap(), None, "each has its own keys");
    assert!(node.tenants.remembered(OPERATOR, "k1").await.unwrap().is_some());
    node.tenants.remember(OPERATOR, "last", answer.clone()).await.unwrap();
    assert_eq!(node.tenants.remembered(OPERATOR, "last").await.unwrap(), Some(answer));
    assert_eq!(node.tenants.remembered(OPERATOR, "k1").await.unwrap(), None, "the oldest goes");
    assert!(node.tenants.remembered(OPERATOR, "k2").await.unwrap().is_some());
    assert_eq!(count(&node, "SELECT count(*) FROM idempotency").await, 1000);
}

fn invocation(micros: u64) -> InvocationRecord {
    let record = serde_json::json!({
        "at": 1_800_000_000_000_u64, "function": "main", "version": 1, "call": "00000000000000000000000001",
        "consultation": 1, "event": "incoming",
        "context": {
            "call": "00000000000000000000000001", "to": "bob", "transport": "webtransport", "node": "n", "region": "",
            "from": { "address": "alice", "display-name": null, "verified-by": "token" },
            "headers": [], "started-at": 1, "now": 1, "state": [], "version": "",
        },
        "plan": { "steps": ["ring-back"] }, "failure": null, "instead": null,
        "trace": { "seed": "00".repeat(32), "clock": [], "calls": [] },
        "log": "", "log-dropped-bytes": 0, "micros": micros, "cpu-micros": 30, "memory-bytes": 65536,
    });
    serde_json::from_value(record).unwrap()
}

#[tokio::test]
async fn of_each_tenant_the_newest_invocations_are_kept_and_shown_to_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (acme, other) = (acme(), TenantId::new("other").unwrap());
    let log = node.tenants.invocation_log();
    assert!(log.keep(&other, 3, &invocation(0)));
    for number in 1..=10 {
        assert!(log.keep(&acme, 3, &invocation(number)));
    }
    log.flush().await;
    let filter = InvocationFilter { limit: 100, ..InvocationFilter::default() };
    let kept = node.tenants.invocations(&acme, filter.clone()).await.unwrap().items;
    assert_eq!(kept.iter().map(|record| record.micros).collect::<Vec<_>>(), [10, 9, 8], "newest first");
    let newest = kept[0].id;
    assert!(log.invocation(&other, newest).await.unwrap().is_none());
    assert_eq!((log.count(&other).await.unwrap(), log.dropped()), (1, 0));
    let node = node.restart(directory.path()).await;
    let log = node.tenants.invocation_log();
    log.keep(&acme, 3, &invocation(11));
    log.flush().await;
    let after = InvocationFilter { after: Some(newest), ..filter };
    let newer = node.tenants.invocations(&acme, after).await.unwrap().items;
    assert_eq!(newer.iter().map(|record| record.micros).collect::<Vec<_>>(), [11]);
    assert_eq!(log.count(&acme).await.unwrap(), 3, "the ring goes on where it was");
}

#[tokio::test]
async fn a_new_tenant_gets_nothing_of_an_earlier_one_of_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).await;
    // As when a call outlives its tenant, or the node is killed while it forgets one.
    sql(&node, "INSERT INTO kv (tenant, store, key, value) VALUES ('acme', 's', 'k', x'00')").await;
    node.tenants.invocation_log().keep(&acme(), 10, &invocation(1));
    node.tenants.create_tenant(OPERATOR, acme(), Settings::default()).await.unwrap();
    node.tenants.invocation_log().flush().await;
    assert_eq!(node.tenants.invocation_log().count(&acme()).await.unwrap(), 0);
    assert!(matches!(node.tenants.kv_get(&acme(), "s", "k").await, Err(TenantError::NotFound { .. })));
}

#[tokio::test]
async fn the_file_s_function_is_rolled_out_once_and_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("function.wasm");
    let file = config::Tenant { name: "acme".into(), function: Some(path.clone()), ..config::Tenant::default() };
    let start = async |node: &Node| {
        node.tenants.declare(std::slice::from_ref(&file)).await.unwrap();
        node.tenants.deploy_declared(std::slice::from_ref(&file)).await
    };
    let node = Node::start(directory.path()).await;
    let error = start(&node).await.unwrap_err();
    assert!(format!("{error:#}").contains("function.wasm"), "{error:#}");
    std::fs::write(&path, component(1)).unwrap();
    start(&node).await.unwrap();
    assert_eq!(node.function().await.0, Some(1));
    let node = node.restart(directory.path()).await;
    start(&node).await.unwrap();
    let rolled_out = async |node: &Node| node.tenants.deployments(&acme(), None, None, 10).await.unwrap().items.len();
    assert_eq!(rolled_out(&node).await, 1, "the same file again is no roll-out");
    std::fs::write(&path, component(2)).unwrap();
    start(&node).await.unwrap();
    assert_eq!((node.function().await, rolled_out(&node).await), ((Some(2), None, Some(1)), 2));
    node.deploy(1, None).await.unwrap();
    start(&node).await.unwrap();
    assert_eq!((node.function().await.0, rolled_out(&node).await), (Some(1), 3), "what came by the API stays");
}

#[tokio::test]
async fn a_declared_tenant_is_deleted_in_the_file_first() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).await;
    let file = config::Tenant { name: "acme".into(), ..config::Tenant::default() };
    node.tenants.declare(&[file]).await.unwrap();
    let error = node.tenants.delete_tenant(OPERATOR, &acme(), None).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "tenant acme is declared in the node's configuration file; take it out there and start the node again, then delete it here"
    );
    node.tenants.declare(&[]).await.unwrap();
    node.tenants.delete_tenant(OPERATOR, &acme(), None).await.unwrap();
}

#[tokio::test]
async fn a_damaged_store_is_not_the_client_s_mistake_and_what_was_kept_is_said_so() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    sql(&node, "INSERT INTO user (tenant, name) VALUES ('acme', 'no name')").await;
    let damaged = node.tenants.users(&acme(), None, 10).await.unwrap_err();
    assert!(matches!(damaged, TenantError::Store(StoreError::BadName(_))), "{damaged}");
    let alice = User { name: UserId::new("alice").unwrap(), display_name: None };
    let error = node.tenants.put_user(OPERATOR, &acme(), alice).await.unwrap_err();
    assert!(matches!(error, TenantError::NotAtWork(_)), "{error}");
    assert_eq!(count(&node, "SELECT count(*) FROM user WHERE name = 'alice'").await, 1);
    assert_eq!(node.tenants.audit(Some(&acme()), None, 1).await.unwrap().items[0].action, "user.put");
}
