//! From wasmtime's errors to what the call is told: every way in which an invocation can go wrong has its name.

use std::time::Duration;

use tandem_switch::exchange::ConsultFailure;
use wasmtime::Trap;

use crate::capabilities::MemoryLimit;

/// The invocation used up its processor time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the function computed for {0:?}")]
pub(crate) struct CpuTimeSpent(pub(crate) Duration);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The function, or its host, broke; [`failure`] says how.
    Broke(wasmtime::Error),
    /// It is known already.
    Said(ConsultFailure),
}

impl From<wasmtime::Error> for NoAnswer {
    fn from(error: wasmtime::Error) -> Self {
        Self::Broke(error)
    }
}

/// What wasmtime says when a guest hands over more than [`crate::limits::ANSWER_BYTES_MAX`]; its error type is private.
const TOO_MUCH_DATA: &str = "fuel allocated for hostcalls has been exhausted";

/// Says in the core's words why there is no answer.
pub(crate) fn failure(error: &wasmtime::Error, memory: &MemoryLimit, answer_bytes_max: usize) -> ConsultFailure {
    if let Some(CpuTimeSpent(span)) = error.downcast_ref() {
        return ConsultFailure::DeadlineExceeded(*span);
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return ConsultFailure::Overloaded;
    }
    if memory.refused {
        return ConsultFailure::OutOfMemory(memory.bytes_max as u64);
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return ConsultFailure::Trapped(trap.to_string());
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return ConsultFailure::Trapped(format!("it exited with code {}", exit.0));
    }
    let cause = error.root_cause().to_string();
    if cause.contains(TOO_MUCH_DATA) {
        return ConsultFailure::AnswerTooLarge(format!("more than {answer_bytes_max} bytes"));
    }
    ConsultFailure::Trapped(cause)
}

/// At most `max` bytes of `text`, cut at a character.
pub(crate) fn shortened(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: wasmtime::Error, refused: bool) -> ConsultFailure {
        let memory = MemoryLimit { bytes_max: 64, bytes: 64, refused };
        failure(&error, &memory, 1024)
    }

    #[test]
    fn each_error_has_its_name() {
        let slice = Duration::from_millis(3);
        assert_eq!(told(CpuTimeSpent(slice).into(), false), ConsultFailure::DeadlineExceeded(slice));
        assert_eq!(told(Trap::UnreachableCodeReached.into(), true), ConsultFailure::OutOfMemory(64));
        let overflow = told(Trap::StackOverflow.into(), false);
        assert_eq!(overflow, ConsultFailure::Trapped("wasm trap: call stack exhausted".into()));
        let exit = told(wasmtime_wasi::I32Exit(3).into(), false);
        assert_eq!(exit, ConsultFailure::Trapped("it exited with code 3".into()));
    }

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(shortened("aäb".into(), 2), "a");
        assert_eq!(shortened("aäb".into(), 3), "aä");
        assert_eq!(shortened("ab".into(), 9), "ab");
    }
}
