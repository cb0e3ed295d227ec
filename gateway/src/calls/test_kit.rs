//! What unit tests of this part share.

use tandem_host::Trace;
use tandem_switch::event::{Context, Event, Party, Transport, Verification};
use tandem_switch::id::FunctionId;
use tandem_switch::plan::Plan;
use tandem_switch::time::UnixMillis;

use crate::tenants::model::{InvocationRecord, VersionNumber};

/// Alice calls bob.
pub(crate) fn context() -> Context {
    Context {
        call: "00000000000000000000000001".into(),
        from: Party { address: "alice".into(), display_name: None, verified_by: Verification::Token },
        to: "bob".into(),
        transport: Transport::Webtransport,
        node: "test".into(),
        region: "test".into(),
        headers: Vec::new(),
        started_at: UnixMillis(1),
        now: UnixMillis(1),
        state: Vec::new(),
        version: String::new(),
    }
}

/// An invocation that answered with bob's devices.
pub(crate) fn record(function: &str, version: VersionNumber) -> InvocationRecord {
    InvocationRecord {
        id: 0,
        at: UnixMillis(1),
        function: FunctionId::new(function).unwrap(),
        version,
        call: context().call,
        consultation: 1,
        context: context(),
        event: Event::Incoming,
        plan: Some(Plan { steps: Vec::new(), state: Vec::new() }),
        failure: None,
        instead: None,
        trace: Trace::default(),
        log: String::new(),
        log_dropped_bytes: 0,
        micros: 20,
        cpu_micros: 15,
        memory_bytes: 1 << 20,
    }
}
