//! Asking a function: a permit, a fresh instance, the question, the answer or the reason why there is none.
//!
//! Nothing outlives an invocation: the instance, its memory and its log go with it. An invocation that is dropped half-way (the caller
//! hung up) is safe at every await.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_switch::event::{Context, Event};
use tandem_switch::exchange::ConsultFailure;
use tandem_switch::plan::Plan;

use crate::host::Host;
use crate::instance::Instance;
use crate::lanes::Turns;
use crate::load::Function;
use crate::meter::Meter;
use crate::outcome::{NoAnswer, failure};
use crate::outside::{Nothing, Outside};
use crate::trace::Trace;
use crate::world::Question;

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
    /// Which invocations it takes turns with once it computes long: those of the same tenant.
    pub turns: Turns,
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

    /// The host's own limits, the real time, turns that are nobody else's, and a seed that is always the same: a caller that needs chance
    /// sets another.
    pub fn conditions(&self, outside: Arc<dyn Outside>) -> Conditions {
        Conditions {
            outside,
            clock: Clock::Real,
            seed: [0; 32],
            cpu_time_max: self.limits().cpu_time_max,
            deadline: self.limits().deadline,
            memory_bytes_max: self.limits().memory_bytes_max,
            turns: Turns::default(),
        }
    }

    /// Asks a function. Needs a tokio runtime with its time driver. Never panics and never takes a thread for itself: a function that
    /// computes on and on is moved to the slow lane after its first time slice. Dropping the future ends the invocation; its place is
    /// free as soon as its memory is given back.
    pub async fn invoke_under(
        &self,
        function: &Function,
        context: &Context,
        event: &Event,
        conditions: Conditions,
    ) -> Invocation {
        let nursery = &self.nursery;
        let world = function.world();
        if !nursery.runs(world.engine()) {
            return Invocation::failed(ConsultFailure::Host("the function was loaded by another host".into()));
        }
        let Some(place) = nursery.place(Some(&function.share)).await else {
            return Invocation::failed(ConsultFailure::Overloaded);
        };
        let bounded = Conditions {
            memory_bytes_max: conditions.memory_bytes_max.min(nursery.limits.memory_bytes_max),
            ..conditions
        };
        let meter = Arc::new(Meter::default());
        let asking = Asking {
            instance: nursery.instance(world.engine(), &bounded, context.now, Arc::clone(&meter), place),
            question: world.question(context, event),
            deadline: bounded.deadline,
            answer_bytes_max: nursery.limits.answer_bytes_max,
            meter: Arc::clone(&meter),
        };
        nursery.slow.run(&meter, &bounded.turns, asking.answered()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "an invocation panicked");
            let failed = Invocation::failed(ConsultFailure::Host("the host panicked".into()));
            Invocation { cpu_micros: micros(meter.spent()), ..failed }
        })
    }
}

/// An invocation before its answer; borrows nothing, so that it may change threads.
struct Asking {
    instance: Instance,
    question: Question,
    deadline: Duration,
    answer_bytes_max: usize,
    meter: Arc<Meter>,
}

impl Asking {
    async fn answered(self) -> Invocation {
        let Self { mut instance, question, deadline, answer_bytes_max, meter } = self;
        let started = Instant::now();
        let asked = tokio::time::timeout(deadline, question.ask(&mut instance, answer_bytes_max)).await;
        let sandbox = instance.data();
        let answer = match asked {
            Err(_) => Err(ConsultFailure::DeadlineExceeded(deadline)),
            Ok(Err(NoAnswer::Broke(error))) => Err(failure(&error, &sandbox.memory, answer_bytes_max)),
            Ok(Err(NoAnswer::Said(failure))) => Err(failure),
            Ok(Ok(plan)) => Ok(plan),
        };
        let trace = sandbox.take_trace();
        let memory_high_water_bytes = sandbox.memory.bytes;
        let (text, dropped_bytes) = sandbox.log.take();
        let micros = micros(started.elapsed());
        // Giving memory back is work for this invocation, too.
        drop(instance);
        let cpu_micros = self::micros(meter.during());
        let log = Log { text, dropped_bytes };
        Invocation { answer, cpu_micros, trace, micros, memory_high_water_bytes, log }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
