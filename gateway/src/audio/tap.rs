//! A tap as its codec thread knows it: frames of what is said to the far end, and what the far end says.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use tandem_audio::leg::{LegDecoder, OnLoss};
use tandem_audio::opus::Rate;
use tandem_audio::pcm::{FRAME_SAMPLES, MediaTime};
use tandem_switch::audio::{PortId, Track};
use tandem_switch::media::rtp::{FRAME_TICKS, Packet};
use tandem_switch::plan::TapFormat;
use tandem_switch::time;
use tokio::sync::mpsc;

use super::far_end::{FromFarEnd, ToFarEnd};
use super::taps::{self, FrameHead};
use super::timeline::Timeline;

/// The rate of a format's samples; none: Opus.
pub(super) fn rate(format: TapFormat) -> Option<Rate> {
    match format {
        TapFormat::Opus => None,
        TapFormat::Pcm8k => Some(Rate::Hz8000),
        TapFormat::Pcm16k => Some(Rate::Hz16000),
        TapFormat::Pcm24k => Some(Rate::Hz24000),
        TapFormat::Pcm48k => Some(Rate::Hz48000),
    }
}

/// One voice on its way to the far end.
#[derive(Debug)]
struct TapTrack {
    track: Track,
    sequence: u16,
    timeline: Timeline,
    /// Makes samples; `None`: its packets go as they are.
    leg: Option<LegDecoder>,
    ssrc: u32,
    /// Samples at 48 kHz since the tap's beginning, where the next frame of samples belongs.
    next: Option<u64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tap {
    rate: Option<Rate>,
    to: mpsc::Sender<ToFarEnd>,
    pub(super) from: mpsc::Receiver<FromFarEnd>,
    pub(super) port: Option<PortId>,
    tracks: Vec<TapTrack>,
    /// When the first packet came.
    began: Option<Instant>,
    buffer: BytesMut,
    /// Frames that the far end was too slow for.
    lost: u64,
}

impl Tap {
    pub(super) fn new(
        format: TapFormat,
        to: mpsc::Sender<ToFarEnd>,
        from: mpsc::Receiver<FromFarEnd>,
        port: Option<PortId>,
    ) -> Self {
        let (rate, buffer) = (rate(format), BytesMut::new());
        Self { rate, to, from, port, tracks: Vec::new(), began: None, buffer, lost: 0 }
    }

    /// A packet came. Without a decoder for it, it is not heard at the far end.
    pub(super) fn hear(&mut self, at: Instant, now: time::Instant, track: Track, packet: &Packet<'_>, payload: Bytes) {
        let began = *self.began.get_or_insert(at);
        let arrived = MediaTime::after(at.saturating_duration_since(began));
        let rate = self.rate;
        let index = self.tracks.iter().position(|known| known.track == track).unwrap_or_else(|| {
            let leg = rate.and_then(|rate| LegDecoder::new(rate, OnLoss::Correct, rand::random()).ok());
            let ssrc = packet.header.ssrc;
            self.tracks.push(TapTrack { track, sequence: 0, timeline: Timeline::default(), leg, ssrc, next: None });
            self.tracks.len() - 1
        });
        let known = &mut self.tracks[index];
        if let Some(leg) = &mut known.leg {
            // One callee after another, or the same with another link.
            if known.ssrc != packet.header.ssrc {
                known.ssrc = packet.header.ssrc;
                leg.restart();
            }
            leg.push(now, packet.header.sequence, packet.header.timestamp, payload);
            known.next.get_or_insert(arrived.0);
        } else if rate.is_none() {
            let place = known.timeline.place(arrived, &packet.header);
            let head = FrameHead { track: taps::number(track), sequence: known.sequence, timestamp: place.0 as u32 };
            known.sequence = known.sequence.wrapping_add(1);
            self.send(head, |buffer| buffer.extend_from_slice(&payload));
        }
    }

    /// 20 ms: a frame of samples for each voice that was heard already.
    pub(super) fn tick(&mut self, now: time::Instant) {
        let Some(rate) = self.rate else { return };
        for index in 0..self.tracks.len() {
            let known = &mut self.tracks[index];
            let (Some(leg), Some(next)) = (&mut known.leg, &mut known.next) else { continue };
            let mut samples = [0; FRAME_SAMPLES];
            let samples = &mut samples[..rate.frame_samples()];
            leg.pull(now, samples);
            let head =
                FrameHead { track: taps::number(known.track), sequence: known.sequence, timestamp: *next as u32 };
            *next += u64::from(FRAME_TICKS);
            known.sequence = known.sequence.wrapping_add(1);
            self.send(head, |buffer| samples.iter().for_each(|sample| buffer.put_i16_le(*sample)));
        }
    }

    /// What the far end marked was heard.
    pub(super) fn reached(&mut self, mark: String) {
        self.give(ToFarEnd::Mark(mark));
    }

    /// Frames that the far end was too slow for since this was asked.
    pub(super) fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn send(&mut self, head: FrameHead, payload: impl FnOnce(&mut BytesMut)) {
        head.write(&mut self.buffer);
        payload(&mut self.buffer);
        let frame = self.buffer.split().freeze();
        self.give(ToFarEnd::Frame(frame));
    }

    fn give(&mut self, what: ToFarEnd) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.to.try_send(what) {
            self.lost += 1;
        }
    }
}
