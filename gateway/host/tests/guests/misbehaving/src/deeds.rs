//! What the misbehaving function does: the dialled address says it.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tandem_function::{Address, Context, Error, Event, Plan, Router, Step, TransferKind, TransferStep, ring};

/// Survives between questions only if the host breaks its promise of a fresh instance.
static ASKED: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Misbehaving;

impl Router for Misbehaving {
    async fn route(context: Context, _event: Event) -> Result<Plan, Error> {
        let plan = Plan::new().ring_back();
        match context.to.as_str() {
            "panic" => panic!("on purpose"),
            "overflow" => Ok(plan.with_state(deeper(black_box(1)).to_string())),
            "exit" => std::process::exit(3),
            "loop" => loop {
                black_box(());
            },
            "sleep" => {
                std::thread::sleep(Duration::from_hours(1));
                Ok(plan)
            }
            "memory" => Ok(plan.with_state(hoard().to_string())),
            "talk" => {
                (0..10_000).for_each(|line| println!("line {line}"));
                Ok(plan)
            }
            "huge-answer" => Ok(plan.with_state(vec![0; 8 * 1024 * 1024])),
            "impossible-step" => {
                let to = Address::Sip("sip:alice@example.org".into());
                Ok(plan.step(Step::Transfer(TransferStep { kind: TransferKind::Attended, to })))
            }
            "impossible-value" => Ok(plan.pause_ms(0)),
            "ten-thousand-targets" => Ok(plan.dial(ring((0..10_000).map(|number| format!("user-{number}"))))),
            "error" => Err(Error::new("x".repeat(10_000))),
            "count" => Ok(plan.with_state(ASKED.fetch_add(1, Ordering::Relaxed).to_string())),
            "look-around" => Ok(plan.with_state(look_around())),
            other => Ok(plan.dial(ring([other]))),
        }
    }
}

/// Recursion that the compiler cannot turn into a loop, without end for any practical purpose. It keeps nothing in memory, so that it
/// is the stack of calls that runs out.
fn deeper(depth: u64) -> u64 {
    if depth == u64::MAX { 0 } else { (deeper(depth + 1) ^ depth).rotate_left(3) }
}

/// Takes memory, a mebibyte at a time, and writes to it.
fn hoard() -> usize {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for chunk in 0..4096_u32 {
        held.push(black_box(vec![chunk as u8 | 1; 1024 * 1024]));
    }
    held.len()
}

/// What of the host's world can be seen: nothing is the right answer.
fn look_around() -> String {
    let variables = std::env::vars().count();
    let arguments = std::env::args().count();
    let root = std::fs::read_dir("/").is_ok();
    let passwords = std::fs::read("/etc/passwd").is_ok();
    format!("{variables} variables, {arguments} arguments, root {root}, passwords {passwords}")
}
