//! What a function may do beyond computing. Inside of the sandbox: read clocks ([`clock`]), draw random numbers ([`chance`]), write to its
//! own log ([`log`]). Through the one [`door`]: everything else. It has no environment, arguments, files or other functions.
//!
//! Rust's std imports more of WASI than that (files, terminals, exit). Those interfaces are linked and empty: there is no directory to
//! open and no variable to read. Network sockets are not even linked; a component that imports what [`is_allowed`] does not name is
//! refused when it is loaded.

mod chance;
mod clock;
mod directory;
mod door;
mod foreign;
mod http;
mod imports;
mod key_value;
mod log;
mod logging;
mod memory;
mod settings;

use tandem_switch::time::UnixMillis;
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings;
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub(crate) use self::chance::seed;
use self::chance::{Chance, hexadecimal};
use self::clock::{Monotonic, Readings, Wall};
use self::door::Door;
use self::http::Outgoing;
pub use self::imports::is_allowed;
pub(crate) use self::log::CappedLog;
pub(crate) use self::memory::MemoryLimit;
use crate::invoke::Conditions;
use crate::limits;
use crate::trace::Trace;

/// Links what [`is_allowed`] names.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Sandbox>> {
    let mut linker = Linker::new(engine);
    link_wasi_0_2(&mut linker)?;
    link_wasi_0_3(&mut linker)?;
    foreign::Door::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |sandbox| sandbox)?;
    Ok(linker)
}

fn link_wasi_0_2(l: &mut Linker<Sandbox>) -> wasmtime::Result<()> {
    // `wasi:io`, clocks, random and the standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    bindings::random::insecure::add_to_linker::<_, WasiRandom>(l, |sandbox: &mut Sandbox| sandbox.wasi.random())?;
    bindings::random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |sandbox: &mut Sandbox| sandbox.wasi.random())?;
    bindings::cli::exit::add_to_linker::<_, WasiCli>(l, Sandbox::cli)?;
    bindings::cli::environment::add_to_linker::<_, WasiCli>(l, Sandbox::cli)?;
    bindings::cli::terminal_input::add_to_linker::<_, WasiCli>(l, Sandbox::cli)?;
    bindings::cli::terminal_output::add_to_linker::<_, WasiCli>(l, Sandbox::cli)?;
    bindings::cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, Sandbox::cli)?;
    bindings::cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, Sandbox::cli)?;
    bindings::cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, Sandbox::cli)?;
    bindings::filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, Sandbox::filesystem)?;
    bindings::filesystem::types::add_to_linker::<_, WasiFilesystem>(l, Sandbox::filesystem)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)
}

fn link_wasi_0_3(l: &mut Linker<Sandbox>) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::cli::add_to_linker(l)?;
    wasmtime_wasi::p3::clocks::add_to_linker(l)?;
    wasmtime_wasi::p3::filesystem::add_to_linker(l)?;
    wasmtime_wasi::p3::random::add_to_linker(l)?;
    wasmtime_wasi_http::p3::add_to_linker(l)
}

/// What belongs to one invocation: its view of the world, its log, its trace and the count of its memory.
pub(crate) struct Sandbox {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    table: ResourceTable,
    readings: Readings,
    seed: [u8; 32],
    pub(crate) log: CappedLog,
    pub(crate) memory: MemoryLimit,
}

impl Sandbox {
    /// A fresh world under these conditions, whose wall clock begins at `now`.
    pub(crate) fn new(conditions: &Conditions, now: UnixMillis) -> Self {
        let log = CappedLog::default();
        let readings = Readings::new(conditions.clock.clone());
        let Chance { secure, insecure, insecure_seed } = Chance::new(conditions.seed);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(log.clone())
            .stderr(log.clone())
            .wall_clock(Wall { readings: readings.clone(), begins_at: now })
            .monotonic_clock(Monotonic(readings.clone()))
            .secure_random(secure)
            .insecure_random(insecure)
            .insecure_random_seed(insecure_seed)
            .max_random_size(limits::RANDOM_BYTES_MAX);
        Self {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outgoing: Outgoing(Door::new(conditions.outside.clone())),
            table: ResourceTable::new(),
            readings,
            seed: conditions.seed,
            log,
            memory: MemoryLimit { bytes_max: conditions.memory_bytes_max, bytes: 0, refused: false },
        }
    }

    /// What reached the invocation from outside until now; works after a trap and a deadline, too.
    pub(crate) fn take_trace(&self) -> Trace {
        Trace { seed: hexadecimal(self.seed), clock: self.readings.take(), calls: self.door().take() }
    }

    fn door(&self) -> &Door {
        &self.outgoing.0
    }
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Sandbox {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}
