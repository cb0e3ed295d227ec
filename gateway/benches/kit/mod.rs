//! What the benchmarks that run functions share: guests, built once; a call to route; figures.
#![allow(dead_code, reason = "no benchmark needs all of it")]

#[path = "../../tests/shell/guests.rs"]
mod guests;

use std::time::Duration;

pub(crate) use guests::guest;

use tandem_switch::event::{Context, Party, Transport, Verification};
use tandem_switch::time::UnixMillis;

/// Whether this is only a look whether the benchmark works: without the `--bench` that `cargo bench` passes.
pub(crate) fn smoke() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}

/// Carol calls somebody, on Monday, 2 November 2026, 12:00 UTC.
pub(crate) fn call(to: &str) -> Context {
    let monday_noon = UnixMillis(1_793_620_800_000);
    Context {
        call: "00000000000000000000000001".into(),
        from: Party { address: "carol".into(), display_name: None, verified_by: Verification::Token },
        to: to.into(),
        transport: Transport::Webtransport,
        node: "bench".into(),
        region: "bench".into(),
        headers: Vec::new(),
        started_at: monday_noon,
        now: monday_noon,
        state: Vec::new(),
        version: String::new(),
    }
}

/// The same component under another digest: with a custom section (component binary format, section 0) at its end.
pub(crate) fn distinct(component: &[u8], number: u64) -> Vec<u8> {
    const NAME: &[u8] = b"distinct";
    let contents = [&[NAME.len() as u8], NAME, &number.to_le_bytes()].concat();
    [component, &[0, contents.len() as u8], &contents].concat()
}

/// Of so many of a hundred times, the longest.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Prints p50 and p99 of some times; gives p99.
pub(crate) fn report(what: &str, mut took: Vec<Duration>) -> Duration {
    took.sort();
    let [p50, p99] = [50, 99].map(|percent| percentile(&took, percent));
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("{what:<34} p50 {:>9.1} µs   p99 {:>9.1} µs   (n={})", micros(p50), micros(p99), took.len());
    p99
}
