//! Noisy neighbours: what a quiet tenant's decisions take alone, and while another tenant of the same node loops, hoards memory or floods,
//! held to its budgets as on a node. The goal: p99 within twice that of the quiet node.

mod kit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kit::{call, guest, report, smoke};
use tandem::calls::budgets::Budgets;
use tandem::tenants::model::Limits;
use tandem_host::outside::Nothing;
use tandem_host::{Function, Host, HostConfig};
use tandem_switch::event::Event;

/// Decisions of the quiet tenant in each part.
const DECISIONS: usize = 5_000;

/// How long the quiet tenant waits between two calls: 500 a second.
const PAUSE: Duration = Duration::from_millis(2);

/// How many callers the noisy tenant has at once; each asks again as soon as it was answered.
const CALLERS: usize = 64;

/// How long a caller who was refused takes to call again: nobody dials faster.
const REDIAL: Duration = Duration::from_millis(1);

/// How much longer the quiet tenant's p99 may be with a neighbour.
const RATIO_MAX: f64 = 2.0;

/// A tenant: its function, and what it may use.
#[derive(Clone)]
struct Tenant {
    host: Arc<Host>,
    function: Arc<Function>,
    budgets: Arc<Budgets>,
    memory_bytes_max: usize,
}

impl Tenant {
    fn new(host: &Arc<Host>, component: &str) -> Self {
        let limits = Limits::default();
        let function = host.load(&guest(component)).expect("it loads");
        host.settle();
        Self {
            host: Arc::clone(host),
            function,
            budgets: Arc::new(Budgets::new(&limits, Arc::default())),
            memory_bytes_max: limits.memory_mib as usize * 1024 * 1024,
        }
    }

    /// Asks as the call driver does; says whether there was an answer.
    async fn ask(&self, to: &str) -> bool {
        let Ok(place) = self.budgets.enter().await else { return false };
        let mut conditions = self.host.conditions(Arc::new(Nothing));
        conditions.memory_bytes_max = conditions.memory_bytes_max.min(self.memory_bytes_max);
        let invocation = self.host.invoke_under(&self.function, &call(to), &Event::Incoming, conditions).await;
        place.settle(Duration::from_micros(invocation.cpu_micros));
        invocation.answer.is_ok()
    }
}

fn main() {
    let decisions = if smoke() { 20 } else { DECISIONS };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let host = Arc::new(Host::new(HostConfig::default()).expect("the host starts"));
    let quiet = Tenant::new(&host, "front-desk");
    runtime.block_on(decide(&quiet, decisions.min(500)));
    let alone = report("alone", runtime.block_on(decide(&quiet, decisions)));
    let noises = [("a neighbour loops", "misbehaving", "loop"), ("a neighbour hoards memory", "misbehaving", "memory")];
    let mut worst = 0.0_f64;
    for (what, component, to) in noises.into_iter().chain([("a neighbour floods", "front-desk", "front-desk")]) {
        let noisy = Tenant::new(&host, component);
        let callers: Vec<_> = (0..CALLERS).map(|_| runtime.spawn(call_again(noisy.clone(), to))).collect();
        let p99 = report(what, runtime.block_on(decide(&quiet, decisions)));
        callers.iter().for_each(|caller| caller.abort());
        runtime.block_on(async {
            for caller in callers {
                let _ = caller.await;
            }
        });
        let ratio = p99.as_secs_f64() / alone.as_secs_f64();
        let meters = noisy.budgets.meters();
        println!(
            "{:<34} p99 × {ratio:.2}; the neighbour was asked {} times and refused {} times",
            "",
            meters.invocations.total(),
            meters.invocations.refused() + meters.cpu_micros.refused() + meters.invocations_at_once.refused(),
        );
        worst = worst.max(ratio);
    }
    println!("worst p99 with a neighbour: × {worst:.2} (goal: at most × {RATIO_MAX:.0})");
}

/// The quiet tenant's decisions, one after another with pauses; from a task of its own, as calls are.
async fn decide(tenant: &Tenant, decisions: usize) -> Vec<Duration> {
    let tenant = tenant.clone();
    let decided = tokio::spawn(async move {
        let mut took = Vec::with_capacity(decisions);
        for _ in 0..decisions {
            tokio::time::sleep(PAUSE).await;
            let started = Instant::now();
            assert!(tenant.ask("front-desk").await, "the quiet tenant is refused nothing");
            took.push(started.elapsed());
        }
        took
    });
    decided.await.expect("every decision is answered")
}

async fn call_again(tenant: Tenant, to: &'static str) {
    loop {
        if !tenant.ask(to).await {
            tokio::time::sleep(REDIAL).await;
        }
    }
}
