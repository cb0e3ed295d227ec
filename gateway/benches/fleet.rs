//! A thousand tenants' components on one node: what each takes of memory when it is loaded from the cache of compiled code, and what a
//! decision costs when every one is by another tenant's function.
//!
//! The components are one example function made distinct by a custom section: each is compiled, cached and mapped by itself.

mod kit;

use std::sync::Arc;
use std::time::Instant;

use kit::{call, distinct, guest, report, smoke};
use tandem_host::{Function, Host, HostConfig, Origin};
use tandem_switch::event::Event;

const TENANTS: u64 = 1000;
const ROUNDS: u64 = 10;

fn main() {
    let (tenants, rounds) = if smoke() { (3, 1) } else { (TENANTS, ROUNDS) };
    let component = guest("front-desk");
    let cache = tempfile::tempdir().expect("a temporary directory");
    let host = || {
        Host::new(HostConfig { cache: Some(cache.path().to_owned()), ..HostConfig::default() })
            .expect("the host starts")
    };

    let started = Instant::now();
    let compiling = host();
    let mut held = Vec::new();
    for tenant in 0..tenants {
        held.push(compiling.load(&distinct(&component, tenant)).expect("it compiles"));
    }
    compiling.settle();
    let each = started.elapsed().as_secs_f64() * 1e3 / tenants as f64;
    println!("{tenants} distinct components of {} KiB; compiling one: {each:.0} ms", component.len() / 1024);
    drop((compiling, held));

    let host = host();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    // What the first function touches (the pool, the allocator) is the host's, not a tenant's.
    let first = host.load(&distinct(&component, 0)).expect("it loads");
    runtime.block_on(decide(&host, std::slice::from_ref(&first), 100.min(rounds * 10)));

    let (before, started) = (Resident::now(), Instant::now());
    let load = |tenant| {
        let function = host.load(&distinct(&component, tenant)).expect("it loads");
        assert_eq!(function.origin(), Origin::Cached);
        function
    };
    let fleet: Vec<Arc<Function>> = (0..tenants).map(load).collect();
    let each = started.elapsed().as_secs_f64() * 1e3 / tenants as f64;
    println!("loading one from the cache: {each:.2} ms");
    Resident::now().since(&before).print("memory of each, loaded", tenants);

    let took = runtime.block_on(decide(&host, &fleet, rounds));
    Resident::now().since(&before).print("memory of each, after decisions", tenants);
    report("decision, tenants in turn", took);
    let took = runtime.block_on(decide(&host, &[first], rounds * tenants));
    report("decision, one tenant", took);
}

/// Asks each function once in every round.
async fn decide(host: &Host, fleet: &[Arc<Function>], rounds: u64) -> Vec<std::time::Duration> {
    let context = call("front-desk");
    let mut took = Vec::new();
    for _ in 0..rounds {
        for function in fleet {
            let started = Instant::now();
            let invocation = host.invoke(function, &context, &Event::Incoming).await;
            took.push(started.elapsed());
            assert!(invocation.answer.is_ok(), "{invocation:?}");
        }
    }
    took
}

/// What the process has in memory, KiB (`/proc/self/status`).
struct Resident {
    /// Its own.
    anonymous: i64,
    /// Pages of files, which the system may take back: compiled code.
    file: i64,
}

impl Resident {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a figure in KiB")
        };
        Self { anonymous: field("RssAnon:"), file: field("RssFile:") }
    }

    fn since(&self, before: &Self) -> Self {
        Self { anonymous: self.anonymous - before.anonymous, file: self.file - before.file }
    }

    fn print(&self, what: &str, count: u64) {
        let each = |kib: i64| kib as f64 / count as f64;
        println!("{what}: {:.1} KiB of its own, {:.1} KiB of mapped code", each(self.anonymous), each(self.file));
    }
}
