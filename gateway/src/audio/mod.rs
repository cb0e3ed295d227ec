//! The gateway's own voice and ears: what plays to parties, listens to them, records and taps calls.
//!
//! A few OS threads, `codec-0…`, away from the shards: all ports, recordings and taps of one call are on one of them, so that nothing is
//! shared. Every 20 ms a thread takes what came (commands, copies of voice, what tasks found out) and sends what is due.
//!
//! - A prompt: `archive → sounds → port → link`, packets that were encoded once.
//! - A recording: `talker's shard → sink → timeline → disk → archive`, packets as they came.
//! - A tap: `talker's shard → sink → frames → far end`, and back into a port.
//!
//! In: the driver's [`AudioCommand`](tandem_switch::audio::AudioCommand)s, copies of voice at [`Sink`](crate::media::Sink)s. Out: packets to
//! links, [`AudioEvent`](tandem_switch::audio::AudioEvent)s, files, frames to far ends. Deliberately absent: when to play, record or tap;
//! that is the call's business.
//!
//! - [`Audio`]: the driver's handle;
//! - `thread`: a thread, its loop and what it holds;
//! - `port`, `ear`, `voice`: a party that is spoken to, listened to, and spoken to by a tap's far end;
//! - `sounds`: prompts and tones as packets;
//! - `recording`, `timeline`, `disk`: what is recorded, where in time it belongs, and how it is written;
//! - `tap`, [`taps`], `far_end`: what is tapped, how it is said, and to whom;
//! - [`Archive`]: what is needed of what tenants have; `kept`: how they give it.

mod archive;
mod disk;
mod ear;
mod far_end;
mod handle;
mod kept;
pub mod limits;
mod metrics;
mod port;
mod recording;
mod sounds;
mod tap;
pub mod taps;
mod thread;
mod timeline;
mod voice;

use std::sync::Arc;

use tandem_switch::id::LinkId;
use tokio::sync::mpsc;

pub use self::archive::{Archive, Begun, Ended, Fetched};
pub use self::handle::{Audio, Parts};
pub use self::metrics::AudioMetrics;
use self::metrics::OutcomeLabel;
use self::sounds::Sounds;
use crate::media::Egress;
use crate::outgoing::websocket::WebSockets;

/// Finds the way to a link; none when it is lost.
pub type Links = Arc<dyn Fn(LinkId) -> Option<Egress> + Send + Sync>;

/// Held by whoever has something to end in order; never sent through.
type Task = mpsc::Sender<std::convert::Infallible>;

/// What all codec threads share.
struct Shared {
    links: Links,
    archive: Arc<dyn Archive>,
    sounds: Sounds,
    sockets: WebSockets,
    /// Where sounds are looked up, recordings kept and taps connected.
    runtime: tokio::runtime::Handle,
    metrics: AudioMetrics,
}

impl Shared {
    fn count_recording(&self, outcome: &'static str) {
        self.metrics.recordings_ended.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
