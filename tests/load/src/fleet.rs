//! All callers: threads with a current-thread runtime each, who set up their calls and then talk at the rate they are told.

use std::net::ToSocketAddrs;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tandem_client::Trust;
use tandem_client::link::web_transport;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval};
use url::Url;

use crate::cpu;
use crate::histogram::Histogram;
use crate::party::{Access, Party};
use crate::report::{GatewayCpu, Latency, Measurement};
use crate::talk::{Control, Talker, Tally, listen};

/// How long a new rate runs before it is measured: congestion control and caches find their place.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long packets may be under way after a measurement.
const SETTLE: Duration = Duration::from_secs(1);

/// How often packets that are due are sent.
const TICK: Duration = Duration::from_millis(1);

/// A thread that falls behind by more than this leaves packets out instead of sending a burst.
const BEHIND_MAX: Duration = Duration::from_millis(20);

/// What to set up.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) gateway: Url,
    pub(crate) trust: Trust,
    pub(crate) tenant: String,
    pub(crate) secret: String,
    pub(crate) calls: u32,
    pub(crate) threads: u32,
    pub(crate) sockets: u32,
    pub(crate) setup_rate: u32,
    pub(crate) payload: usize,
}

impl Plan {
    fn access(&self) -> anyhow::Result<Access> {
        let host = self.gateway.host_str().context("the gateway's address has no host")?.to_owned();
        let port = self.gateway.port_or_known_default().context("the gateway's address has no port")?;
        let mut addresses = (host.as_str(), port).to_socket_addrs()?;
        let address = addresses.next().context("the gateway's name has no address")?;
        if matches!(self.trust, Trust::AnyOnLoopback) && !address.ip().is_loopback() {
            return Err(anyhow!("--insecure is for a gateway on this machine, not for {address}"));
        }
        let quic = web_transport::quic(&self.trust)?;
        Ok(Access { address, host, quic, tenant: self.tenant.clone(), secret: self.secret.clone() })
    }
}

struct Worker {
    tally: Arc<Tally>,
    thread: JoinHandle<anyhow::Result<()>>,
}

/// All callers, talking.
pub(crate) struct Fleet {
    calls: u32,
    control: Arc<Control>,
    workers: Vec<Worker>,
    gateway_pid: Option<u32>,
    phase: u32,
}

impl Fleet {
    /// Sets up every call.
    pub(crate) fn start(plan: Plan, gateway_pid: Option<u32>) -> anyhow::Result<Self> {
        let access = plan.access()?;
        let control = Arc::new(Control::new());
        let (ready, progress) = channel();
        let workers = (0..plan.threads).map(|index| {
            let tally = Arc::new(Tally::default());
            let crew = Crew {
                index,
                plan: plan.clone(),
                access: access.clone(),
                control: control.clone(),
                tally: tally.clone(),
                ready: ready.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("callers-{index}")).spawn(move || crew.run())?;
            Ok(Worker { tally, thread })
        });
        let workers = workers.collect::<anyhow::Result<Vec<_>>>()?;
        drop(ready);
        let fleet = Self { calls: plan.calls, control, workers, gateway_pid, phase: 0 };
        fleet.await_set_up(&progress)
    }

    /// Waits until every call stands; a thread that gives up drops its end.
    fn await_set_up(self, progress: &Receiver<()>) -> anyhow::Result<Self> {
        let mut standing = 0;
        while standing < self.calls {
            if progress.recv().is_err() {
                let outcome = self.stop();
                return Err(outcome.err().unwrap_or_else(|| anyhow!("a thread ended early")));
            }
            standing += 1;
            if standing.is_multiple_of(100) || standing == self.calls {
                println!("  {standing} calls stand");
            }
        }
        Ok(self)
    }

    /// Holds `rate` packets a second for `span` and measures.
    pub(crate) fn measure(&mut self, rate: u64, span: Duration) -> anyhow::Result<Measurement> {
        self.control.rate.store(rate / self.workers.len() as u64, Ordering::Relaxed);
        std::thread::sleep(WARM_UP);
        self.workers.iter().for_each(|worker| worker.tally.reset());
        self.phase += 1;
        let cpu_before = self.gateway_pid.map(cpu::time_of).transpose()?;
        let begun = Instant::now();
        self.control.phase.store(self.phase, Ordering::Relaxed);
        std::thread::sleep(span);
        // Silence, not the next phase: what is under way still counts.
        self.control.rate.store(0, Ordering::Relaxed);
        let seconds = begun.elapsed().as_secs_f64();
        std::thread::sleep(SETTLE);
        let cpu_after = self.gateway_pid.map(cpu::time_of).transpose()?;
        self.control.phase.store(0, Ordering::Relaxed);
        let mut measurement = self.collect(rate, seconds);
        if let (Some(before), Some(after)) = (cpu_before, cpu_after) {
            measurement.gateway = Some(gateway_cpu((after - before).as_secs_f64(), seconds, measurement.received));
        }
        Ok(measurement)
    }

    fn collect(&self, wanted_rate: u64, seconds: f64) -> Measurement {
        let total = |count: fn(&Tally) -> u64| self.workers.iter().map(|worker| count(&worker.tally)).sum::<u64>();
        let sent = total(|tally| tally.sent.load(Ordering::Relaxed));
        let received = total(|tally| tally.received.load(Ordering::Relaxed));
        let held_back = total(|tally| tally.held_back.load(Ordering::Relaxed));
        let mut latency = Histogram::default();
        for worker in &self.workers {
            latency.merge(&worker.tally.latency.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let micros = |quantile: f64| latency.quantile(quantile).as_secs_f64() * 1e6;
        let latency = Latency {
            p50_us: micros(0.5),
            p99_us: micros(0.99),
            p999_us: micros(0.999),
            max_us: latency.max().as_secs_f64() * 1e6,
        };
        let loss = if sent == 0 { 1.0 } else { sent.saturating_sub(received) as f64 / sent as f64 };
        Measurement { calls: self.calls, wanted_rate, seconds, sent, received, held_back, loss, latency, gateway: None }
    }

    /// Ends every call; tells what went wrong in a thread.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.control.stop.store(true, Ordering::Relaxed);
        let outcomes = self
            .workers
            .into_iter()
            .map(|worker| worker.thread.join().map_err(|_| anyhow!("a thread of callers panicked"))?);
        outcomes.collect::<Vec<_>>().into_iter().collect()
    }
}

fn gateway_cpu(cpu_seconds: f64, seconds: f64, packets: u64) -> GatewayCpu {
    let packets = packets.max(1) as f64;
    GatewayCpu {
        cores: cpu_seconds / seconds,
        us_per_packet: cpu_seconds * 1e6 / packets,
        packets_per_core_second: if cpu_seconds > 0.0 { packets / cpu_seconds } else { 0.0 },
    }
}

/// The callers of one thread.
struct Crew {
    index: u32,
    plan: Plan,
    access: Access,
    control: Arc<Control>,
    tally: Arc<Tally>,
    ready: Sender<()>,
}

impl Crew {
    fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.work())
    }

    async fn work(self) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        let endpoints = (0..self.plan.sockets).map(|_| web_transport::endpoint(self.access.address));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let mut talkers = Vec::new();
        let mut pace = interval(Duration::from_secs(1) * self.plan.threads / self.plan.setup_rate);
        for call in (self.index..self.plan.calls).step_by(self.plan.threads as usize) {
            pace.tick().await;
            if self.control.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let pair = self.set_up(call, &endpoints).await.with_context(|| format!("call {call}"))?;
            for (connection, flow, party) in pair {
                let (control, tally) = (self.control.clone(), self.tally.clone());
                let heard = connection.clone();
                tasks.spawn_local(async move { listen(heard, &control, &tally).await });
                tasks.spawn_local(party.ignore());
                talkers.push(Talker::new(connection, flow, self.plan.payload));
            }
            // An error means that the main thread has given up, which the stop flag tells too.
            let _given_up = self.ready.send(());
        }
        self.talk(&mut talkers).await;
        drop(tasks);
        for endpoint in endpoints {
            endpoint.close(0u32.into(), b"");
            endpoint.wait_idle().await;
        }
        Ok(())
    }

    async fn set_up(
        &self,
        call: u32,
        endpoints: &[quinn::Endpoint],
    ) -> anyhow::Result<[(quinn::Connection, tandem_switch::id::FlowId, Party); 2]> {
        let socket = |number: u32| &endpoints[number as usize % endpoints.len()];
        let (caller, callee) = (format!("load-a-{call}"), format!("load-b-{call}"));
        let answering = Party::sign_in(socket(2 * call + 1), &self.access, &callee).await?;
        let calling = Party::sign_in(socket(2 * call), &self.access, &caller).await?;
        let (a, b) = tokio::try_join!(calling.call(&callee), answering.answer())?;
        Ok([a, b].map(|talking| (talking.connection, talking.flow, talking.party)))
    }

    /// Sends what is due, evenly over all talkers, until it is told to stop.
    async fn talk(&self, talkers: &mut [Talker]) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut rate, mut since, mut done, mut next) = (0, Instant::now(), 0u64, 0);
        while !self.control.stop.load(Ordering::Relaxed) {
            tick.tick().await;
            let wanted = self.control.rate.load(Ordering::Relaxed);
            if wanted != rate {
                (rate, since, done) = (wanted, Instant::now(), 0);
            }
            let due = (since.elapsed().as_secs_f64() * rate as f64) as u64;
            let burst_max = (BEHIND_MAX.as_secs_f64() * rate as f64) as u64 + 1;
            done = done.max(due.saturating_sub(burst_max));
            while done < due {
                talkers[next].say(&self.control, &self.tally);
                next = (next + 1) % talkers.len();
                done += 1;
            }
        }
    }
}
