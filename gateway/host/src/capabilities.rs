//! What a function may do beyond computing: read clocks, draw random numbers, and write to its own log. It has no environment, arguments,
//! files, network or other functions.
//!
//! Rust's std imports more of WASI 0.2 than that (files, terminals, exit). Those interfaces are linked and empty: there is no
//! directory to open and no variable to read. Interfaces of the network are not even linked; a component that imports one is
//! refused when it is loaded, by [`is_allowed`].

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult, bindings};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::limits;

/// Interfaces that a component may import, without their version: `0.2.x` of WASI, ours at any version that links.
pub const ALLOWED: [&str; 21] = [
    "tandem:voice/types",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Whether the contract lets a component import this.
pub fn is_allowed(import: &str) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    ALLOWED.contains(&interface) && (!interface.starts_with("wasi:") || version.starts_with("0.2."))
}

/// Links what [`ALLOWED`] names.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Sandbox>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
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
    Ok(linker)
}

/// What belongs to one invocation: its view of the world, its log and the count of its memory.
pub(crate) struct Sandbox {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) log: CappedLog,
    pub(crate) memory: MemoryLimit,
}

impl Sandbox {
    pub(crate) fn new(memory_bytes_max: usize) -> Self {
        let log = CappedLog::default();
        let mut wasi = WasiCtx::builder();
        let wasi = wasi.stdout(log.clone()).stderr(log.clone()).max_random_size(limits::RANDOM_BYTES_MAX).build();
        let memory = MemoryLimit { bytes_max: memory_bytes_max, bytes: 0, refused: false };
        Self { wasi, table: ResourceTable::new(), log, memory }
    }
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Counts the memory of an instance, all its memories together, and refuses what is too much.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    pub(crate) bytes_max: usize,
    /// How much it has. Memory does not shrink, so this is the high-water mark as well.
    pub(crate) bytes: usize,
    /// Whether it wanted more than it may have.
    pub(crate) refused: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        self.refused |= bytes > self.bytes_max;
        if bytes <= self.bytes_max {
            self.bytes = bytes;
        }
        Ok(bytes <= self.bytes_max)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= limits::TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_MAX as usize
    }
}

/// Where stdout and stderr of an invocation go: the first [`limits::LOG_BYTES_MAX`] bytes are kept, the rest is counted. Writing never
/// fails, so that a talkative function still answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct CappedLog(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    kept: Vec<u8>,
    dropped: u64,
}

impl CappedLog {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, bytes: &[u8]) {
        let mut written = self.written();
        let room = limits::LOG_BYTES_MAX - written.kept.len();
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        written.kept.extend_from_slice(kept);
        written.dropped += dropped.len() as u64;
    }

    /// What was kept, as text, and how many bytes were dropped.
    pub(crate) fn take(&self) -> (String, u64) {
        let Written { kept, dropped } = std::mem::take(&mut *self.written());
        (String::from_utf8_lossy(&kept).into_owned(), dropped)
    }
}

impl IsTerminal for CappedLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for CappedLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for CappedLog {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for CappedLog {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(limits::LOG_BYTES_MAX)
    }
}

impl AsyncWrite for CappedLog {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_names_what_may_be_imported() {
        let table = [
            ("wasi:cli/stdout@0.2.6", true),
            ("wasi:cli/stdout@0.2.0", true),
            ("wasi:cli/stdout@0.3.0", false),
            ("wasi:cli/stdout", false),
            ("tandem:voice/types@0.1.0", true),
            ("wasi:sockets/tcp@0.2.6", false),
            ("wasi:http/outgoing-handler@0.2.6", false),
            ("wasi:cli/run@0.2.6", false),
            ("evil:thing/api", false),
            ("", false),
        ];
        for (import, allowed) in table {
            assert_eq!(is_allowed(import), allowed, "{import}");
        }
    }

    #[test]
    fn a_log_keeps_its_beginning_and_counts_the_rest() {
        let log = CappedLog::default();
        log.append(&vec![b'a'; limits::LOG_BYTES_MAX - 1]);
        log.append(b"bcd");
        let (kept, dropped) = log.take();
        assert_eq!((kept.len(), dropped), (limits::LOG_BYTES_MAX, 2));
        assert!(kept.ends_with("ab"));
    }

    #[test]
    fn memories_count_together() {
        let mut limit = MemoryLimit { bytes_max: 100, bytes: 0, refused: false };
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert!(!limit.refused);
        assert!(!limit.memory_growing(60, 61, None).unwrap());
        assert!(limit.refused);
        assert_eq!(limit.bytes, 100);
    }
}
