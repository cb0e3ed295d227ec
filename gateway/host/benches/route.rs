//! What a route decision costs: a fresh instance for each, as on a node. Prints a table; SPECIFICATION.md has the figures.

#[path = "../tests/kit/mod.rs"]
mod kit;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kit::{INCOMING, call, guest};
use tandem_host::{Host, HostConfig, Origin};

const WARM_UP: usize = 500;
const DECISIONS: usize = 20_000;
const LOADS: usize = 5;

fn main() {
    // `cargo test --benches` passes `--test`: then once through is enough to see that it works.
    let (decisions, loads) =
        if std::env::args().any(|argument| argument == "--test") { (10, 1) } else { (DECISIONS, LOADS) };
    let bytes = guest("front-desk");
    let cache = tempfile::tempdir().expect("a temporary directory");
    load_times("cold", None, &bytes, loads);
    load_times("from the cache", Some(cache.path().to_owned()), &bytes, loads);
    let host = Host::new(HostConfig::default()).expect("the host starts");
    let function = host.load(&bytes).expect("front-desk loads");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (took, memory) = runtime.block_on(async {
        let context = call("carol", "front-desk");
        let mut took = Vec::with_capacity(decisions);
        let mut memory = 0;
        for round in 0..WARM_UP.min(decisions) + decisions {
            let started = Instant::now();
            let invocation = host.invoke(&function, &context, &INCOMING).await;
            let elapsed = started.elapsed();
            assert!(invocation.answer.is_ok(), "{invocation:?}");
            memory = invocation.memory_high_water_bytes;
            if round >= WARM_UP.min(decisions) {
                took.push(elapsed);
            }
        }
        (took, memory)
    });
    report("route decision (fresh instance, typed world)", took);
    println!("memory of an instance: {} KiB; component: {} KiB", memory / 1024, bytes.len() / 1024);
}

fn load_times(what: &str, cache: Option<PathBuf>, bytes: &[u8], loads: usize) {
    let host = || Host::new(HostConfig { cache: cache.clone(), ..HostConfig::default() }).expect("the host starts");
    if cache.is_some() {
        assert_eq!(host().load(bytes).expect("it loads").origin(), Origin::Compiled);
    }
    let mut took = Vec::with_capacity(loads);
    for _ in 0..loads {
        let host = host();
        let started = Instant::now();
        let function = host.load(bytes).expect("it loads");
        took.push(started.elapsed());
        assert_eq!(function.origin() == Origin::Cached, cache.is_some());
    }
    report(&format!("load, {what}"), took);
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!("{what}: p50 {:.1} µs, p99 {:.1} µs (n={})", at(50), at(99), took.len());
}
