//! Call records on disk.

use tandem::store::{Filter, Reader, Store, StoreError};
use tandem_switch::cause::Cause;
use tandem_switch::event::Transport;
use tandem_switch::id::{CallId, TenantId, UserId};
use tandem_switch::record::{CallRecord, EndedBy};
use tandem_switch::time::UnixMillis;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn record(number: u32, tenant: &str, from: &str, to: &str) -> CallRecord {
    let at = UnixMillis(u64::from(number) * 1000);
    CallRecord {
        call: CallId(u128::from(number)),
        tenant: TenantId::new(tenant).unwrap(),
        from: user(from),
        to: to.to_owned(),
        transport: Transport::Webtransport,
        started_at: at,
        ringing_at: None,
        answered_at: Some(at),
        ended_at: UnixMillis(at.0 + 500),
        answered_by: Some(user(to)),
        cause: Cause::Normal,
        ended_by: EndedBy::Caller,
        went_to: None,
        consultations: Vec::new(),
        voice: Vec::new(),
    }
}

fn numbers(records: &[CallRecord]) -> Vec<u128> {
    records.iter().map(|record| record.call.0).collect()
}

#[tokio::test]
async fn records_are_found_by_every_filter_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let rows = [
        (1, "acme", "alice", "bob"),
        (2, "acme", "bob", "carol"),
        (3, "other", "alice", "dave"),
        (4, "acme", "carol", "dave"),
    ];
    for (number, tenant, from, to) in rows {
        store.insert_record(record(number, tenant, from, to)).await.unwrap();
    }
    let tenant = Some(TenantId::new("acme").unwrap());
    let table = [
        (Filter::default(), vec![4, 3, 2, 1]),
        (Filter { tenant: tenant.clone(), ..Filter::default() }, vec![4, 2, 1]),
        (Filter { user: Some(user("bob")), ..Filter::default() }, vec![2, 1]),
        (Filter { tenant, user: Some(user("dave")), ..Filter::default() }, vec![4]),
        (Filter { since: Some(UnixMillis(2000)), until: Some(UnixMillis(4000)), ..Filter::default() }, vec![3, 2]),
        (Filter { limit: Some(2), ..Filter::default() }, vec![4, 3]),
        (Filter { user: Some(user("nobody")), ..Filter::default() }, vec![]),
    ];
    let reader = Reader::open(directory.path()).unwrap();
    for (filter, expected) in table {
        assert_eq!(numbers(&store.records(filter.clone()).await.unwrap().records), expected, "{filter:?}");
        assert_eq!(numbers(&reader.records(&filter).unwrap().records), expected, "{filter:?}");
    }
    let whole = store.records(Filter { limit: Some(1), ..Filter::default() }).await.unwrap();
    assert_eq!(whole.records, [record(4, "acme", "carol", "dave")]);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for number in 0..10 {
        store.insert_record(record(number, "acme", "alice", "bob")).await.unwrap();
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = store.records(Filter { limit: Some(3), after, ..Filter::default() }).await.unwrap();
        seen.extend(numbers(&page.records));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..10).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn many_at_once_are_all_kept_and_a_repeated_one_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..2000 {
        let store = store.clone();
        tasks.spawn(async move { store.insert_record(record(number % 1000, "acme", "alice", "bob")).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(store.records(Filter::default()).await.unwrap().records.len(), 1000);
}

#[tokio::test]
async fn what_was_asked_before_closing_is_done_and_nothing_after() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let other = store.clone();
    store.insert_record(record(1, "acme", "alice", "bob")).await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(other.insert_record(record(2, "acme", "alice", "bob")).await, Err(StoreError::Closed)));
    let again = Store::open(directory.path()).unwrap();
    assert_eq!(numbers(&again.records(Filter::default()).await.unwrap().records), [1]);
}

/// Set in the child process that is killed: the directory to write to.
const VICTIM: &str = "TANDEM_TEST_STORE_VICTIM";

/// Not a test of its own: what the child process of the next one does, and nothing when there is none.
#[tokio::test]
async fn victim() {
    let Some(directory) = std::env::var_os(VICTIM) else { return };
    let store = Store::open(directory.as_ref()).unwrap();
    for number in 0.. {
        store.insert_record(record(number, "acme", "alice", "bob")).await.unwrap();
        println!("\nkept {number}");
    }
}

#[tokio::test]
async fn an_acknowledged_record_survives_a_killed_process() {
    use std::io::BufRead as _;
    let directory = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::victim", "--nocapture", "--test-threads=1"])
        .env(VICTIM, directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let kept = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("kept ")?.parse::<u128>().ok());
    let last = kept.take(20).last().expect("the child must acknowledge records");
    child.kill().unwrap();
    child.wait().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let found = numbers(&store.records(Filter::default()).await.unwrap().records);
    assert!(found.contains(&last) && found.len() as u128 > last, "acknowledged up to {last}; found {found:?}");
}

#[test]
fn directories_and_files_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert!(matches!(Reader::open(path), Err(StoreError::Missing { .. })));
    std::fs::write(path.join("file"), "").unwrap();
    assert!(matches!(Store::open(&path.join("file/inside")), Err(StoreError::NoDirectory { .. })));
    std::fs::create_dir_all(path.join("other/tandem.sqlite")).unwrap();
    assert!(matches!(Store::open(&path.join("other")), Err(StoreError::CannotOpen { .. })));
    let damaged = path.join("damaged");
    std::fs::create_dir_all(&damaged).unwrap();
    std::fs::write(damaged.join("tandem.sqlite"), "this is no database ".repeat(100)).unwrap();
    let error = Store::open(&damaged).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("move it away to start a new one"), "{error}");
}

#[tokio::test]
async fn databases_of_others_and_of_the_future_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tandem.sqlite");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(Store::open(directory.path()), Err(StoreError::Foreign { .. })));
    std::fs::remove_file(&file).unwrap();
    Store::open(directory.path()).unwrap().close().await.unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(matches!(Store::open(directory.path()), Err(StoreError::TooNew { found: 99, .. })));
}

#[tokio::test]
async fn a_data_directory_is_made_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("new/data");
    let store = Store::open(&data).unwrap();
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    store.close().await.unwrap();
}
