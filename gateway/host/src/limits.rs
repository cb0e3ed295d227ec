//! Every bound of the function host in one place: what it limits, its unit, why this value, and what happens when it is reached.

use std::time::Duration;

/// Most random bytes that one host call gives: it makes them on the host's side, outside of the instance's memory, and a guest needs
/// tens of them. More: the invocation traps.
pub const RANDOM_BYTES_MAX: u64 = 4096;

/// The share of all invocations that one function may have under way, so that a function that waits leaves room for the others: a
/// quarter. Further ones of it wait as they do for a place of the host's.
pub const FUNCTION_SHARE: u32 = 4;

/// Largest component, bytes. A router of a compiled language has 50 KB to 3 MB, one with a JavaScript engine inside 2 to 12 MB, one with
/// Python inside 18 MB. Larger: not loaded.
pub const COMPONENT_BYTES_MAX: usize = 24 * 1024 * 1024;

/// Most memory of one instance, bytes, its tables not counted. A router needs 1 to 2 MB. More: growing fails, and the invocation ends
/// as out of memory if the function cannot do without.
pub const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How much processor time one invocation may take, looked at after each [`TIME_SLICE`]. A decision takes microseconds; a tenth of a second is
/// what a caller does not notice. More: the invocation ends as over its deadline.
pub const CPU_TIME_MAX: Duration = Duration::from_millis(100);

/// How long one invocation may take by the clock, waiting included. On a node that is busy it is more than the processor time. Longer:
/// the invocation ends as over its deadline.
pub const DEADLINE: Duration = Duration::from_millis(500);

/// How long a function computes before others get their turn: after the first one it goes on in the slow lane, there one after another.
pub const TIME_SLICE: Duration = Duration::from_millis(1);

/// One thread of the slow lane for this many processors, and at least one: whoever computes long gets half of the machine at most.
pub const SLOW_LANE_SHARE: usize = 2;

/// How far the threads of the slow lane step back (Unix's nice value, 0 to 19): at 10 such a thread gets about a tenth of what one gets
/// that wants the same processor at 0, and all of it when nobody does.
pub const SLOW_LANE_NICE: i32 = 10;

/// An instance that has more memory than this is given back on the slow lane, bytes: unmapping 64 MiB takes milliseconds.
pub const MEMORY_DROPPED_HERE_BYTES: usize = 4 * 1024 * 1024;

/// After this many time slices without an invocation the clock of time slices stops, until the next one: an idle node sleeps.
pub const IDLE_SLICES: u32 = 1000;

/// Largest stack of a function's own frames, bytes; wasmtime's default. Deeper: it traps.
pub const STACK_BYTES_MAX: usize = 512 * 1024;

/// Stack for an invocation as a whole, bytes: the function's and, as wasmtime wants it, as much again for the host functions that it calls.
pub const FIBER_STACK_BYTES: usize = 2 * STACK_BYTES_MAX;

/// Most stack of a function that was compiled fast, bytes: its frames are larger, and what fits when it is compiled well must fit then, too.
pub const BASELINE_STACK_BYTES_MAX: usize = 4 * STACK_BYTES_MAX;

/// The stack that such a function and the host functions that it calls run on, bytes.
pub const BASELINE_FIBER_STACK_BYTES: usize = BASELINE_STACK_BYTES_MAX + STACK_BYTES_MAX;

/// Most that a function may hand to the host in one go, bytes as the host holds them: its answer, or a line of its log. A plan within the
/// contract's own bounds has less than 400 KB. More: the invocation ends as answered too much.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How much of what an invocation writes to stdout and stderr is kept, bytes. Further output is counted and dropped.
pub const LOG_BYTES_MAX: usize = 16 * 1024;

/// How much of a function's own error message is kept, bytes (the contract says so).
pub const ERROR_BYTES_MAX: usize = tandem_switch::limits::FUNCTION_ERROR_BYTES_MAX;

/// Most invocations at once: each holds a place of the instance pool. At 50 µs each that is five million questions a second, so it is
/// reached only by functions that wait or compute long. Further ones wait [`PERMIT_WAIT_MAX`].
pub const INVOCATIONS_MAX: u32 = 256;

/// How long an invocation waits for a place. Then it fails as overloaded, which speaks against no version.
pub const PERMIT_WAIT_MAX: Duration = Duration::from_millis(100);

/// Most clock readings of one invocation that are recorded. Further ones show one microsecond more each.
pub const CLOCK_READINGS_MAX: usize = 256;

/// Most host calls (key-value, variables, HTTP, directory) of one invocation. A further one is refused as over the limit.
pub const HOST_CALLS_MAX: usize = 64;

/// Largest value that one host call may carry in or out (a key-value value, an HTTP body), bytes. Larger: refused.
pub const HOST_CALL_BYTES_MAX: usize = 1024 * 1024;

/// Most that all host calls of one invocation carry together, bytes, since all of it is kept in memory until the invocation ends and is
/// then recorded. A further one is refused as over the limit.
pub const TRACE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most handles (of streams, pollables …) that an instance may hold at once. More: it traps. Rust's std needs five.
pub const HANDLES_MAX: usize = 256;

/// Most core instances in one component. A Rust component has three or four, one that was composed of several a dozen, one with Python inside
/// 38, a stub for each of Python's libraries. More: not loaded.
pub const CORE_INSTANCES_MAX: u32 = 48;

/// Most memories in one component: its own, and one of an adapter. More: not loaded.
pub const MEMORIES_MAX: u32 = 2;

/// Most tables in one component. More: not loaded.
pub const TABLES_MAX: u32 = 8;

/// Most elements of one table. A table holds the functions that are called through pointers; a JavaScript engine has about 10,000. More:
/// not loaded, or growing fails.
pub const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Memory of a finished instance that stays resident for the next, bytes: with the kernel's page scan only what was written is reset,
/// which halves the cost of a fresh instance. A router touches less than this.
pub const MEMORY_KEPT_BYTES: usize = 1024 * 1024;

/// See [`MEMORY_KEPT_BYTES`]; for tables.
pub const TABLE_KEPT_BYTES: usize = 64 * 1024;

/// Most compiled components kept in the cache directory. Beyond it the one that was written first is removed.
pub const CACHE_FILES_MAX: usize = 20_000;

/// Most components that were compiled fast and wait to be compiled well, in number: a burst of uploads, at a third of a second each a minute's
/// worth. Further ones are compiled well at once, which their uploaders wait for.
pub const OPTIMISING_COMPONENTS_MAX: usize = 200;

/// See [`OPTIMISING_COMPONENTS_MAX`]; in bytes, since they are held in memory until then.
pub const OPTIMISING_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What functions may use. [`Default`] takes the values of this module; an operator may choose others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`COMPONENT_BYTES_MAX`].
    pub component_bytes_max: usize,
    /// See [`MEMORY_BYTES_MAX`].
    pub memory_bytes_max: usize,
    /// See [`CPU_TIME_MAX`].
    pub cpu_time_max: Duration,
    /// See [`DEADLINE`].
    pub deadline: Duration,
    /// See [`ANSWER_BYTES_MAX`].
    pub answer_bytes_max: usize,
    /// See [`INVOCATIONS_MAX`].
    pub invocations_max: u32,
    /// See [`PERMIT_WAIT_MAX`].
    pub permit_wait_max: Duration,
    /// See [`OPTIMISING_BYTES_MAX`]; 0: every component is compiled well at once.
    pub optimising_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes_max: COMPONENT_BYTES_MAX,
            memory_bytes_max: MEMORY_BYTES_MAX,
            cpu_time_max: CPU_TIME_MAX,
            deadline: DEADLINE,
            answer_bytes_max: ANSWER_BYTES_MAX,
            invocations_max: INVOCATIONS_MAX,
            permit_wait_max: PERMIT_WAIT_MAX,
            optimising_bytes_max: OPTIMISING_BYTES_MAX,
        }
    }
}
