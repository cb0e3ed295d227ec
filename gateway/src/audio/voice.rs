//! What a tap's far end says into a party's port: held until its turn comes, a packet each 20 ms.

use std::collections::VecDeque;

use bytes::Bytes;
use tandem_audio::opus::{self, Encoder, EncoderOptions, PACKET_BYTES_MAX, Rate};
use tandem_audio::pcm::FRAME_SAMPLES;
use tandem_switch::audio::TapId;

use super::limits;

/// One piece of what was said.
#[derive(Debug)]
enum Said {
    Packet(Bytes),
    /// A frame of 16-bit samples, little-endian as they came.
    Samples(Bytes),
    Mark(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Voice {
    /// Whose it is.
    pub(super) tap: TapId,
    /// `None`: what comes is Opus.
    pcm: Option<Pcm>,
    queue: VecDeque<Said>,
    frames: usize,
    marks: usize,
    /// The queue is being filled up to the cushion, ticks that this may still take.
    filling: Option<usize>,
    /// Marks that were reached.
    reached: Vec<String>,
    /// What did not find room.
    lost: u64,
}

#[derive(Debug)]
struct Pcm {
    rate: Rate,
    encoder: Encoder,
    /// Samples of less than a frame.
    rest: Vec<u8>,
}

impl Voice {
    /// The voice of a far end that sends Opus, or samples of this rate.
    pub(super) fn new(tap: TapId, rate: Option<Rate>) -> Result<Self, opus::CodecError> {
        let pcm = |rate| {
            let encoder = Encoder::new(EncoderOptions { rate, ..EncoderOptions::default() })?;
            Ok::<_, opus::CodecError>(Pcm { rate, encoder, rest: Vec::new() })
        };
        let pcm = rate.map(pcm).transpose()?;
        let filling = Some(limits::TAP_CUSHION_FRAMES);
        Ok(Self { tap, pcm, queue: VecDeque::new(), frames: 0, marks: 0, filling, reached: Vec::new(), lost: 0 })
    }

    /// The far end says something: one packet of 20 ms, or any number of samples.
    pub(super) fn say(&mut self, payload: &Bytes) {
        let Some(pcm) = &mut self.pcm else {
            return match opus::duration(payload) {
                Some(samples) if samples as usize == FRAME_SAMPLES => self.push(Said::Packet(payload.clone())),
                _ => self.lost += 1,
            };
        };
        let frame = pcm.rate.frame_samples() * 2;
        let mut left = payload.clone();
        if !pcm.rest.is_empty() {
            let missing = (frame - pcm.rest.len()).min(left.len());
            pcm.rest.extend_from_slice(&left.split_to(missing));
            if pcm.rest.len() < frame {
                return;
            }
            let whole = Bytes::from(std::mem::take(&mut pcm.rest));
            self.push(Said::Samples(whole));
        }
        while left.len() >= frame {
            self.push(Said::Samples(left.split_to(frame)));
        }
        if let Some(pcm) = &mut self.pcm {
            pcm.rest.extend_from_slice(&left);
        }
    }

    /// The far end wants to be told when what it said before this was heard.
    pub(super) fn mark(&mut self, name: String) {
        if self.marks >= limits::TAP_MARKS_MAX {
            self.lost += 1;
            return;
        }
        self.marks += 1;
        self.queue.push_back(Said::Mark(name));
    }

    /// What is not heard yet shall not be; its marks are reached.
    pub(super) fn clear(&mut self) {
        for said in self.queue.drain(..) {
            if let Said::Mark(name) = said {
                self.reached.push(name);
            }
        }
        (self.frames, self.marks) = (0, 0);
        if let Some(pcm) = &mut self.pcm {
            pcm.rest.clear();
        }
    }

    /// The packet that is due, if there is one.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if let Some(ticks) = &mut self.filling {
            if self.queue.is_empty() {
                *ticks = limits::TAP_CUSHION_FRAMES;
                return self.rest();
            }
            if self.frames < limits::TAP_CUSHION_FRAMES && *ticks > 0 {
                *ticks -= 1;
                return None;
            }
            self.filling = None;
        }
        loop {
            match self.queue.pop_front() {
                Some(Said::Mark(name)) => {
                    self.marks -= 1;
                    self.reached.push(name);
                }
                Some(Said::Packet(packet)) => {
                    self.frames -= 1;
                    return Some(packet);
                }
                Some(Said::Samples(samples)) => {
                    self.frames -= 1;
                    return self.encode(&samples);
                }
                None => {
                    self.filling = Some(limits::TAP_CUSHION_FRAMES);
                    return self.rest();
                }
            }
        }
    }

    /// Marks that were reached since this was asked.
    pub(super) fn reached(&mut self) -> impl Iterator<Item = String> {
        self.reached.drain(..)
    }

    /// What did not find room since this was asked.
    pub(super) fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn push(&mut self, said: Said) {
        if self.frames >= limits::TAP_VOICE_FRAMES_MAX {
            self.lost += 1;
            return;
        }
        self.frames += 1;
        self.queue.push_back(said);
    }

    /// Samples that no frame was made of when nothing comes after them: filled up with silence.
    fn rest(&mut self) -> Option<Bytes> {
        let pcm = self.pcm.as_mut().filter(|pcm| !pcm.rest.is_empty())?;
        let mut frame = std::mem::take(&mut pcm.rest);
        frame.resize(pcm.rate.frame_samples() * 2, 0);
        self.encode(&frame)
    }

    fn encode(&mut self, samples: &[u8]) -> Option<Bytes> {
        let pcm = self.pcm.as_mut()?;
        let mut frame = [0; FRAME_SAMPLES];
        let frame = &mut frame[..pcm.rate.frame_samples()];
        for (sample, bytes) in frame.iter_mut().zip(samples.as_chunks::<2>().0) {
            *sample = i16::from_le_bytes(*bytes);
        }
        let mut packet = [0; PACKET_BYTES_MAX];
        let bytes = pcm.encoder.encode(frame, &mut packet).ok()?;
        Some(Bytes::copy_from_slice(&packet[..bytes]))
    }
}

#[cfg(test)]
mod tests {
    use tandem_switch::id::CallId;

    use super::*;

    fn voice(rate: Option<Rate>) -> Voice {
        Voice::new(TapId { call: CallId(1), number: 1 }, rate).unwrap()
    }

    #[test]
    fn samples_in_any_portions_are_played_frame_by_frame_after_a_cushion() {
        let mut voice = voice(Some(Rate::Hz8000));
        // Two and a half frames, in odd portions.
        for portion in [101, 1, 319, 379] {
            voice.say(&Bytes::from(vec![0; portion]));
        }
        let heard: Vec<_> = (0..8).map(|_| voice.next().is_some()).collect();
        assert_eq!(heard, [false, false, false, true, true, true, false, false], "the last one is filled up");
    }

    #[test]
    fn marks_are_reached_when_what_is_before_them_is_played_or_cleared() {
        let mut voice = voice(Some(Rate::Hz8000));
        let second = Bytes::from(vec![0; 16_000]);
        voice.say(&second);
        voice.mark("played".into());
        for _ in 0..50 {
            assert!(voice.next().is_some());
            assert_eq!(voice.reached().next(), None);
        }
        assert_eq!(voice.next(), None);
        assert_eq!(voice.reached().collect::<Vec<_>>(), ["played"]);
        voice.say(&second);
        voice.mark("cleared".into());
        voice.clear();
        assert_eq!((voice.next(), voice.reached().collect::<Vec<_>>()), (None, vec!["cleared".to_owned()]));
    }

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let mut voice = voice(Some(Rate::Hz8000));
        for _ in 0..limits::TAP_VOICE_FRAMES_MAX + 7 {
            voice.say(&Bytes::from(vec![0; 320]));
        }
        (0..limits::TAP_MARKS_MAX + 2).for_each(|_| voice.mark(String::new()));
        assert_eq!((voice.lost(), voice.lost()), (9, 0));
    }

    #[test]
    fn only_packets_of_20_ms_are_taken() {
        let mut voice = voice(None);
        for (packet, lost) in
            [(&[0xf8, 0xff, 0xfe][..], 0), (&[0xf0, 0xff, 0xfe][..], 1), (&[][..], 1), (&[0xff, 0xff][..], 1)]
        {
            voice.say(&Bytes::copy_from_slice(packet));
            assert_eq!(voice.lost(), lost, "{packet:02x?}");
        }
    }
}
