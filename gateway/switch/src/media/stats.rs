//! How well a flow is received: loss, jitter (RFC 3550), and what a listener would think of it (ITU-T G.107).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was received of one flow, and how well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reception {
    /// Packets received, duplicates not counted.
    pub packets: u64,
    /// Bytes of RTP received, headers included.
    pub bytes: u64,
    /// Packets that were sent and never came.
    pub lost: u64,
    /// Packets that came after a later one (at a jitter buffer: too late to be played).
    pub late: u64,
    /// Interarrival jitter, milliseconds (RFC 3550 section 6.4.1).
    pub jitter_ms: f32,
    /// Estimated mean opinion score, 1.0 to 4.5 (E-model of ITU-T G.107 with Opus's impairment values). 0 before the first packet.
    pub mos: f32,
}
