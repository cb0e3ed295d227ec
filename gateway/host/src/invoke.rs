//! Asking a function: a permit, a fresh instance, the question, the answer or the reason why there is none.
//!
//! Nothing outlives an invocation: the instance, its memory and its log go with it. An invocation that is dropped half-way (the caller
//! hung up) is safe at every await; its place in the pool is free at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_switch::event::{Context, Event};
use tandem_switch::exchange::ConsultFailure;
use tandem_switch::plan::Plan;
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::bindings::tandem::voice::types as wit;
use crate::capabilities::Sandbox;
use crate::convert;
use crate::host::Host;
use crate::limits;
use crate::load::Function;
use crate::outcome::{CpuTimeSpent, failure, shortened};
use crate::outside::{Nothing, Outside};
use crate::trace::Trace;

/// What an invocation meets: the world behind its host calls, its clocks, its random numbers, and what it may use.
#[derive(Clone)]
pub struct Conditions {
    /// Answers its host calls.
    pub outside: Arc<dyn Outside>,
    /// What its clocks show.
    pub clock: Clock,
    /// What its random numbers are drawn from.
    pub seed: [u8; 32],
    /// Most processor time.
    pub cpu_time_max: Duration,
    /// Most time by the clock, waiting included.
    pub deadline: Duration,
    /// Most memory of its instance, bytes; never more than the host's own limit.
    pub memory_bytes_max: usize,
}

/// What an invocation's clocks show. Its wall clock begins at `context.now`, its monotonic clock at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The real time that has passed since the invocation began.
    #[default]
    Real,
    /// What a recorded invocation saw, reading by reading ([`Trace::clock`]); afterwards one microsecond more at each reading.
    Recorded(Vec<u64>),
}

/// An answer and what it cost.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The plan, not yet checked ([`Plan::accept`] does), or why there is none.
    pub answer: Result<Plan, ConsultFailure>,
    /// How long a thread worked for it, microseconds: what counts against the tenant's processor time.
    pub cpu_micros: u64,
    /// What it saw of the world.
    pub trace: Trace,
    /// How long it took from the permit to the answer, microseconds: instantiation, the function itself and conversion.
    pub micros: u64,
    /// The most memory that the instance had.
    pub memory_high_water_bytes: usize,
    /// What the function wrote to stdout and stderr.
    pub log: Log,
}

/// What a function wrote. It may hold what callers are called: keep it away from the operator's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// At most [`limits::LOG_BYTES_MAX`] bytes; what is no UTF-8 is replaced.
    pub text: String,
    /// How much more there was.
    pub dropped_bytes: u64,
}

impl Invocation {
    fn failed(failure: ConsultFailure) -> Self {
        Self {
            answer: Err(failure),
            micros: 0,
            cpu_micros: 0,
            trace: Trace::default(),
            memory_high_water_bytes: 0,
            log: Log::default(),
        }
    }
}

impl Host {
    /// Asks a function with nothing around it: for tests and benchmarks.
    pub async fn invoke(&self, function: &Function, context: &Context, event: &Event) -> Invocation {
        self.invoke_under(function, context, event, self.conditions(Arc::new(Nothing))).await
    }

    /// The host's own limits, the real time, and a seed that is always the same: a caller that needs chance sets another.
    pub fn conditions(&self, outside: Arc<dyn Outside>) -> Conditions {
        Conditions {
            outside,
            clock: Clock::Real,
            seed: [0; 32],
            cpu_time_max: self.limits.cpu_time_max,
            deadline: self.limits.deadline,
            memory_bytes_max: self.limits.memory_bytes_max,
        }
    }

    /// Asks a function. Needs a tokio runtime with its time driver. Never panics and never takes a thread for itself: a function that
    /// computes on and on gives way after each time slice.
    pub async fn invoke_under(
        &self,
        function: &Function,
        context: &Context,
        event: &Event,
        conditions: Conditions,
    ) -> Invocation {
        if !Engine::same(&self.engine, function.pre.engine()) {
            return Invocation::failed(ConsultFailure::Host("the function was loaded by another host".into()));
        }
        let permits = async { (function.permits.acquire().await, self.permits.acquire().await) };
        let permits = tokio::time::timeout(self.limits.permit_wait_max, permits).await;
        let Ok((Ok(_share), Ok(_place))) = permits else {
            return Invocation::failed(ConsultFailure::Overloaded);
        };
        let _running = self.ticker.run();
        let started = Instant::now();
        let mut store = self.store(&conditions, context);
        let asked = ask(&mut store, function, convert::context(context), convert::event(event));
        let asked = tokio::time::timeout(self.limits.deadline, asked).await;
        let sandbox = store.data_mut();
        let answer = match asked {
            Err(_) => Err(ConsultFailure::DeadlineExceeded(self.limits.deadline)),
            Ok(Err(error)) => Err(failure(&error, &sandbox.memory, &self.limits)),
            Ok(Ok(Err(error))) => Err(ConsultFailure::Refused(shortened(error.message, limits::ERROR_BYTES_MAX))),
            Ok(Ok(Ok(plan))) => Ok(convert::plan(plan)),
        };
        let (text, dropped_bytes) = sandbox.log.take();
        Invocation {
            answer,
            micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            cpu_micros: 0,
            trace: sandbox.take_trace(),
            memory_high_water_bytes: sandbox.memory.bytes,
            log: Log { text, dropped_bytes },
        }
    }

    /// A fresh world for one instance, with every limit set.
    fn store(&self, conditions: &Conditions, context: &Context) -> Store<Sandbox> {
        let mut store = Store::new(&self.engine, Sandbox::new(conditions, context.now));
        store.limiter(|sandbox| &mut sandbox.memory);
        store.set_hostcall_fuel(self.limits.answer_bytes_max);
        store.set_max_component_handles(limits::HANDLES_MAX);
        store.set_epoch_deadline(1);
        let cpu_time_max = self.limits.cpu_time_max;
        let mut spent = Duration::ZERO;
        store.epoch_deadline_callback(move |_| {
            spent += limits::TIME_SLICE;
            if spent >= cpu_time_max {
                return Err(CpuTimeSpent(cpu_time_max).into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

async fn ask(
    store: &mut Store<Sandbox>,
    function: &Function,
    context: wit::Context,
    event: wit::Event,
) -> wasmtime::Result<Result<wit::Plan, wit::Error>> {
    let router = function.pre.instantiate_async(&mut *store).await?;
    store.run_concurrent(async |accessor| router.call_route(accessor, context, event).await).await?
}
