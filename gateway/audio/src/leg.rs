//! One leg's receiving side: packets as the network brings them in, a frame of 20 ms out whenever one is wanted.
//!
//! `push → jitter buffer → Opus → pull`: lost packets come back from their successors' error correction or are made up, silence is
//! filled with comfort noise. Pure: it is told `now`. Pushing allocates what the jitter buffer holds; pulling allocates nothing.

use bytes::Bytes;
use tandem_switch::media::jitter::{Counters, JitterBuffer, Playout};
use tandem_switch::time::Instant;

use crate::noise::ComfortNoise;
use crate::opus::{CodecError, Decoder, PACKET_SAMPLES_MAX, Rate};
use crate::pcm;

/// What is done about packets that are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// They come back from their successor's error correction, else are made up: what sounds best.
    #[default]
    Correct,
    /// They are made up.
    Conceal,
    /// They are silence: what the others are measured against.
    Silence,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// What was sent.
    Voice,
    /// What was lost, from its successor's error correction.
    Corrected,
    /// Made up, for what was lost or is late.
    Concealed,
    /// The sender is silent: comfort noise.
    Silence,
    /// Nothing has come yet: silence.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub struct LegDecoder {
    buffer: JitterBuffer,
    decoder: Decoder,
    noise: ComfortNoise,
    rate: Rate,
    on_loss: OnLoss,
    /// Room for the longest packet.
    decoded: Box<[i16]>,
    was: Pulled,
    undecodable: u64,
}

impl LegDecoder {
    /// A leg that gives frames at `rate`. The seed is of its comfort noise; any will do.
    ///
    /// # Errors
    /// When there is no decoder.
    pub fn new(rate: Rate, on_loss: OnLoss, seed: u64) -> Result<Self, CodecError> {
        Ok(Self {
            buffer: JitterBuffer::default(),
            decoder: Decoder::new(rate)?,
            noise: ComfortNoise::new(seed),
            rate,
            on_loss,
            decoded: vec![0; PACKET_SAMPLES_MAX].into(),
            was: Pulled::Nothing,
            undecodable: 0,
        })
    }

    /// Takes the payload of an RTP packet that came at `now`.
    pub fn push(&mut self, now: Instant, sequence: u16, timestamp: u32, payload: Bytes) {
        self.buffer.push(now, sequence, timestamp, payload);
    }

    /// Gives the frame for the 20 ms from `now` on: [`Rate::frame_samples`] of `out`, which is as long. To be called every 20 ms.
    pub fn pull(&mut self, now: Instant, out: &mut [i16]) -> Pulled {
        let playout = self.due(now);
        self.play(playout, out)
    }

    /// What is due for the 20 ms from `now` on, undecoded: for who records packets as they came. To be called every 20 ms, instead of
    /// [`Self::pull`].
    pub fn due(&mut self, now: Instant) -> Playout {
        self.buffer.pull(now)
    }

    /// Gives the frame for what was due ([`Self::due`]).
    pub fn play(&mut self, playout: Playout, out: &mut [i16]) -> Pulled {
        debug_assert_eq!(out.len(), self.rate.frame_samples());
        let pulled = match (playout, self.on_loss) {
            (Playout::Packet(packet), _) => self.voice(&packet, out),
            (Playout::Accelerate(first, second), _) => self.two(&first, &second, out),
            (Playout::Wait, _) => {
                out.fill(0);
                Pulled::Nothing
            }
            (Playout::Silence, _) => self.silence(out),
            (Playout::Fec(next), OnLoss::Correct) => self.corrected(&next, out),
            (Playout::Fec(_) | Playout::Conceal, OnLoss::Silence) => {
                out.fill(0);
                Pulled::Concealed
            }
            (Playout::Fec(_) | Playout::Conceal | Playout::Expand, _) => self.concealed(out),
        };
        self.was = pulled;
        pulled
    }

    /// Forgets the flow so far and waits for a new one, of another peer or source.
    pub fn restart(&mut self) {
        self.buffer.restart();
    }

    /// What became of the packets so far, and how long they wait.
    pub fn buffer(&self) -> &JitterBuffer {
        &self.buffer
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> Counters {
        self.buffer.counters()
    }

    /// Packets that came and could not be decoded; they were concealed.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Decodes a packet. What the decoder refuses came from the network: it is made up as if lost.
    fn voice(&mut self, packet: &[u8], out: &mut [i16]) -> Pulled {
        let frame = self.rate.frame_samples();
        if packet.is_empty() || self.decoder.decode(packet, &mut self.decoded).is_err() {
            self.undecodable += 1;
            return self.concealed(out);
        }
        out.copy_from_slice(&self.decoded[..frame]);
        self.noise.hear(out);
        Pulled::Voice
    }

    fn two(&mut self, first: &[u8], second: &[u8], out: &mut [i16]) -> Pulled {
        let frame = self.rate.frame_samples();
        let mut before = [0; pcm::FRAME_SAMPLES];
        self.voice(first, &mut before[..frame]);
        let pulled = self.voice(second, out);
        pcm::blend(&before[..frame], out);
        pulled
    }

    fn corrected(&mut self, next: &[u8], out: &mut [i16]) -> Pulled {
        match self.decoder.decode_lost(next, out) {
            Ok(_) => Pulled::Corrected,
            Err(_) => self.concealed(out),
        }
    }

    fn concealed(&mut self, out: &mut [i16]) -> Pulled {
        if self.decoder.conceal(out).is_err() {
            out.fill(0);
        }
        Pulled::Concealed
    }

    /// The noise of a silence; the first frame of it fades over from what the decoder would go on with.
    fn silence(&mut self, out: &mut [i16]) -> Pulled {
        self.noise.fill(out);
        if self.was != Pulled::Silence && self.on_loss != OnLoss::Silence {
            let frame = self.rate.frame_samples();
            let mut before = [0; pcm::FRAME_SAMPLES];
            if self.decoder.conceal(&mut before[..frame]).is_ok() {
                pcm::blend(&before[..frame], out);
            }
        }
        Pulled::Silence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::Protection;
    use crate::level;
    use crate::opus::{self, Encoder, EncoderOptions, PACKET_BYTES_MAX};

    const FRAMES: usize = 600;

    fn at(frame: usize) -> Instant {
        Instant::from_micros(frame as u64 * 20_000)
    }

    /// A voice: a buzz of 150 Hz, three quarters of the time.
    fn voice(frame: usize) -> [i16; 960] {
        let sample = |n: usize| {
            let at = (frame * 960 + n) as f64 / 48_000.0;
            let buzz: f64 =
                (1..20).map(|k| (std::f64::consts::TAU * 150.0 * f64::from(k) * at).sin() / f64::from(k)).sum();
            (buzz * 5_000.0) as i16
        };
        std::array::from_fn(sample)
    }

    /// Sends frames of a sound through a leg, without those that `lost` names.
    fn run(
        discontinuous: bool,
        on_loss: OnLoss,
        sound: impl Fn(usize) -> [i16; 960],
        lost: impl Fn(usize) -> bool,
    ) -> Vec<(Pulled, f32)> {
        let protection = Protection::Loss { percent: 20 };
        let options = EncoderOptions { protection, discontinuous, ..EncoderOptions::default() };
        let mut encoder = Encoder::new(options).unwrap();
        let mut leg = LegDecoder::new(Rate::Hz48000, on_loss, 1).unwrap();
        let (mut sequence, mut heard) = (0, Vec::new());
        for frame in 0..FRAMES {
            let mut packet = [0; PACKET_BYTES_MAX];
            let bytes = encoder.encode(&sound(frame), &mut packet).unwrap();
            if !opus::is_dtx(&packet[..bytes]) {
                if !lost(frame) {
                    let payload = Bytes::copy_from_slice(&packet[..bytes]);
                    leg.push(at(frame), sequence, (frame * 960) as u32, payload);
                }
                sequence = sequence.wrapping_add(1);
            }
            let mut out = [0; 960];
            let pulled = leg.pull(at(frame), &mut out);
            heard.push((pulled, level::decibels(&out)));
        }
        heard
    }

    #[test]
    fn voice_comes_through_and_lost_packets_come_back() {
        let heard = run(false, OnLoss::Correct, voice, |frame| frame % 10 == 5);
        let count = |kind| heard.iter().filter(|(pulled, _)| *pulled == kind).count();
        assert!(
            count(Pulled::Voice) >= 170 && count(Pulled::Corrected) >= 15,
            "{} {}",
            count(Pulled::Voice),
            count(Pulled::Corrected)
        );
        let loud = heard[20..].iter().filter(|(_, level)| *level > -25.0).count();
        assert_eq!(loud, FRAMES - 20, "no frame is missing");
    }

    #[test]
    fn without_concealment_lost_packets_are_silence() {
        let heard = run(false, OnLoss::Silence, voice, |frame| frame % 10 == 5);
        let silent = heard[20..].iter().filter(|(_, level)| *level < -100.0).count();
        assert!((50..=60).contains(&silent), "{silent}");
    }

    #[test]
    fn a_silence_sounds_like_the_background_before_it() {
        // Speech over a background of -58 dB for 2 s, then the background alone: the encoder stops sending.
        let background = |frame: usize| {
            let mut noise = ComfortNoise::new(frame as u64 * 77 + 1);
            noise.hear(&[41; 960]);
            let mut out = [0; 960];
            noise.fill(&mut out);
            out
        };
        let sound = |frame: usize| match frame % 100 {
            0..50 => {
                let (voice, background) = (voice(frame), background(frame));
                std::array::from_fn(|n| voice[n].saturating_add(background[n]))
            }
            _ => background(frame),
        };
        let heard = run(true, OnLoss::Correct, sound, |_| false);
        let silences: Vec<f32> =
            heard[150..].iter().filter(|(pulled, _)| *pulled == Pulled::Silence).map(|(_, level)| *level).collect();
        assert!(silences.len() > 50, "{} frames of silence", silences.len());
        let mean = silences.iter().sum::<f32>() / silences.len() as f32;
        assert!((mean + 58.0).abs() < 5.0, "{mean} dB");
    }

    #[test]
    fn rubbish_is_concealed_and_counted() {
        let mut leg = LegDecoder::new(Rate::Hz8000, OnLoss::Correct, 1).unwrap();
        let mut out = [7; 160];
        assert_eq!((leg.pull(at(0), &mut out), out), (Pulled::Nothing, [0; 160]));
        for frame in 0..20 {
            leg.push(at(frame), frame as u16, (frame * 960) as u32, Bytes::from_static(&[0xff, 0xff, 0, 9]));
            leg.pull(at(frame), &mut out);
        }
        assert!(leg.undecodable() > 10);
        assert_eq!(leg.counters().received, 20);
        leg.restart();
        assert_eq!(leg.pull(at(21), &mut out), Pulled::Nothing);
    }
}
