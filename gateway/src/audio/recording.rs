//! A recording as its codec thread knows it: where each packet belongs, and how far it is. Writing is [`super::disk`]'s part.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tandem_audio::pcm::MediaTime;
use tandem_switch::audio::{Recording as What, RecordingId, Track};
use tandem_switch::media::rtp::Packet;
use tokio::sync::oneshot;

use super::archive::{Begun, Ended};
use super::disk::Order;
use super::limits;
use super::timeline::Timeline;

/// A packet that waits for its file: which track, where.
type Waiting = Vec<(usize, MediaTime, Bytes)>;

/// How far a recording is.
#[derive(Debug)]
enum Stage {
    /// Its files are being made known.
    Beginning { waiting: Waiting, ending: Option<bool>, is_broken: bool },
    /// Its packets are written.
    Writing { kept_as: u128 },
    /// It broke off; what was written is kept.
    Broken { kept_as: Option<u128> },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Recording {
    id: RecordingId,
    pub(super) what: Arc<What>,
    timelines: Vec<Timeline>,
    /// When its first packet came: zero of its time.
    began: Option<Instant>,
    stage: Stage,
}

/// What is to be done when a recording ends: this order, and when it is answered, this for the archive.
pub(super) struct Ending {
    pub(super) order: Order,
    pub(super) closed: oneshot::Receiver<bool>,
    pub(super) kept_as: u128,
    pub(super) ended: Ended,
}

/// What becomes of a recording that is told to end.
pub(super) enum Finished {
    /// It ends when its files are known.
    Later,
    /// It never began.
    Nothing,
    /// It ends.
    Now(Box<Ending>),
}

impl Recording {
    pub(super) fn new(id: RecordingId, what: What) -> Self {
        let timelines = vec![Timeline::default(); what.tracks.len()];
        let stage = Stage::Beginning { waiting: Vec::new(), ending: None, is_broken: false };
        Self { id, what: Arc::new(what), timelines, began: None, stage }
    }

    /// A packet came. The order to write it, or why the recording breaks off.
    pub(super) fn hear(
        &mut self,
        at: Instant,
        track: Track,
        packet: &Packet<'_>,
        payload: Bytes,
    ) -> Result<Option<Order>, String> {
        let Some(index) = self.what.tracks.iter().position(|known| *known == track) else { return Ok(None) };
        let began = *self.began.get_or_insert(at);
        let arrived = MediaTime::after(at.saturating_duration_since(began));
        let at = self.timelines[index].place(arrived, &packet.header);
        match &mut self.stage {
            Stage::Broken { .. } | Stage::Beginning { is_broken: true, .. } => Ok(None),
            Stage::Beginning { waiting, .. } if waiting.len() >= limits::PACKETS_BEFORE_FILES_MAX => {
                Err("the store takes too long to begin a recording".to_owned())
            }
            Stage::Beginning { waiting, .. } => {
                waiting.push((index, at, payload));
                Ok(None)
            }
            Stage::Writing { .. } => Ok(Some(Order::Packet { recording: self.id, track: index, at, packet: payload })),
        }
    }

    /// The order to bring silent tracks up to the present, but for what may still come late.
    pub(super) fn advance(&self, now: Instant) -> Option<Order> {
        let now = self.length(now.checked_sub(limits::ADVANCE_LAG)?)?;
        matches!(self.stage, Stage::Writing { .. }).then_some(Order::Advance { recording: self.id, now })
    }

    /// Its files are known: the orders for what came until now, and whether it is to end at once.
    pub(super) fn begun(&mut self, begun: Begun, failed: super::disk::Failed) -> (Vec<Order>, Option<bool>) {
        let Begun { kept_as, files } = begun;
        match std::mem::replace(&mut self.stage, Stage::Writing { kept_as }) {
            Stage::Beginning { waiting, ending, is_broken: false } => {
                let recording = self.id;
                let packet = |(track, at, packet)| Order::Packet { recording, track, at, packet };
                let begin = Order::Begin { recording, files, failed };
                (std::iter::once(begin).chain(waiting.into_iter().map(packet)).collect(), ending)
            }
            // It broke off while it waited for its files, which are empty.
            Stage::Beginning { ending, is_broken: true, .. } => {
                self.stage = Stage::Broken { kept_as: Some(kept_as) };
                (Vec::new(), ending)
            }
            before @ (Stage::Writing { .. } | Stage::Broken { .. }) => {
                self.stage = before;
                (Vec::new(), None)
            }
        }
    }

    /// There are no files for it. Whether it is to end at once.
    pub(super) fn not_begun(&mut self) -> Option<bool> {
        match std::mem::replace(&mut self.stage, Stage::Broken { kept_as: None }) {
            Stage::Beginning { ending, .. } => ending,
            before @ (Stage::Writing { .. } | Stage::Broken { .. }) => {
                self.stage = before;
                None
            }
        }
    }

    /// It breaks off. Whether that is news.
    pub(super) fn fail(&mut self) -> bool {
        match &mut self.stage {
            Stage::Broken { .. } => false,
            Stage::Beginning { waiting, is_broken, .. } => {
                *waiting = Vec::new();
                !std::mem::replace(is_broken, true)
            }
            Stage::Writing { kept_as } => {
                self.stage = Stage::Broken { kept_as: Some(*kept_as) };
                true
            }
        }
    }

    /// It is to end.
    pub(super) fn finish(&mut self, now: Instant, keep: bool) -> Finished {
        let (kept_as, is_broken) = match &mut self.stage {
            Stage::Beginning { ending, .. } => {
                *ending = Some(keep);
                return Finished::Later;
            }
            Stage::Broken { kept_as: None } => return Finished::Nothing,
            Stage::Broken { kept_as: Some(kept_as) } => (*kept_as, true),
            Stage::Writing { kept_as } => (*kept_as, false),
        };
        let end = self.length(now).unwrap_or_default();
        let (done, closed) = oneshot::channel();
        let duration_ms = u64::try_from(end.since_start().as_millis()).unwrap_or(u64::MAX);
        Finished::Now(Box::new(Ending {
            order: Order::Finish { recording: self.id, end, done },
            closed,
            kept_as,
            ended: Ended { duration_ms, is_whole: !is_broken, keep },
        }))
    }

    fn length(&self, now: Instant) -> Option<MediaTime> {
        self.began.map(|began| MediaTime::after(now.saturating_duration_since(began)))
    }
}
