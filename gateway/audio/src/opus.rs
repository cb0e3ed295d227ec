//! Opus (RFC 6716) over libopus: an encoder and a decoder of one mono voice, and what a packet says about itself.
//!
//! Nothing here allocates after construction: packets and samples go into the caller's buffers. A telephone leg runs both at 8 kHz,
//! which costs a third of 48 kHz and needs no resampler.

use ::opus::{Application as Coding, Bitrate, Channels};

use crate::fec::Protection;
use crate::pcm::SAMPLE_HZ;

/// Longest packet that the encoder writes, bytes: 20 ms at 510 kbit/s, the most that Opus has (RFC 6716 section 2.1.1).
pub const PACKET_BYTES_MAX: usize = 1275;

/// Longest packet that is sent, bytes: what fits a datagram on every path (QUIC's minimum of 1200 less headers).
pub const SENT_BYTES_MAX: usize = 1100;

/// Longest sound of one packet, samples at 48 kHz: 120 ms (RFC 6716 section 3.4).
pub const PACKET_SAMPLES_MAX: usize = 5760;

/// Samples at 48 kHz by which libopus' encoder at 48 kHz delays what it is given; a player leaves as many out at the start.
pub const ENCODER_DELAY: u16 = 312;

/// How much of the bitrate error correction gets on top, so that the voice keeps its share: a quarter.
const FEC_BITRATE_DIVISOR: u32 = 4;

/// A packet of at most this many bytes holds no speech: the sender is silent (libopus: discontinuous transmission).
const DTX_BYTES_MAX: usize = 2;

/// The codec refused.
#[derive(Debug, thiserror::Error)]
#[error("Opus: {0}")]
pub struct CodecError(#[from] ::opus::Error);

/// A rate that the coder can run at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// Telephone band.
    Hz8000,
    /// Medium band.
    Hz12000,
    /// Wide band.
    Hz16000,
    /// Super-wide band.
    Hz24000,
    /// Full band, of everything that is not said to be otherwise.
    #[default]
    Hz48000,
}

impl Rate {
    /// Samples a second.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz12000 => 12_000,
            Self::Hz16000 => 16_000,
            Self::Hz24000 => 24_000,
            Self::Hz48000 => 48_000,
        }
    }

    /// The rate of `hz` samples a second; `None` when Opus has none such.
    pub const fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 => Some(Self::Hz8000),
            12_000 => Some(Self::Hz12000),
            16_000 => Some(Self::Hz16000),
            24_000 => Some(Self::Hz24000),
            48_000 => Some(Self::Hz48000),
            _ => None,
        }
    }

    /// Samples of a frame of 20 ms.
    pub const fn frame_samples(self) -> usize {
        self.hz() as usize / 50
    }
}

/// What the encoder is tuned for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Application {
    /// Speech: intelligible at few bits, and able to correct errors.
    #[default]
    Voice,
    /// Music and tones: true to the original.
    Audio,
}

/// How voice is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Of the samples that are given.
    pub rate: Rate,
    /// What they are.
    pub application: Application,
    /// Bits a second of the voice alone, 6,000 to 510,000; error correction comes on top.
    pub bitrate: u32,
    /// libopus' complexity, 0 to 10: processor time for quality.
    pub complexity: u8,
    /// Against loss; [`crate::fec`] says when it is worth its bits.
    pub protection: Protection,
    /// Write packets that need not be sent while nobody speaks ([`is_dtx`]).
    pub discontinuous: bool,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            rate: Rate::Hz48000,
            application: Application::Voice,
            bitrate: 32_000,
            complexity: 5,
            protection: Protection::Off,
            discontinuous: false,
        }
    }
}

/// Encodes one voice.
#[derive(Debug)]
pub struct Encoder {
    inner: ::opus::Encoder,
    bitrate: u32,
    protection: Protection,
}

impl Encoder {
    /// An encoder that has heard nothing yet.
    ///
    /// # Errors
    /// When an option is out of its range.
    pub fn new(options: EncoderOptions) -> Result<Self, CodecError> {
        let coding = match options.application {
            Application::Voice => Coding::Voip,
            Application::Audio => Coding::Audio,
        };
        let mut inner = ::opus::Encoder::new(options.rate.hz(), Channels::Mono, coding)?;
        inner.set_complexity(options.complexity.into())?;
        inner.set_dtx(options.discontinuous)?;
        let mut encoder = Self { inner, bitrate: options.bitrate, protection: options.protection };
        encoder.apply()?;
        Ok(encoder)
    }

    /// Encodes samples of 2.5 to 60 ms into `out`, and says how many bytes it took; [`PACKET_BYTES_MAX`] are always enough.
    ///
    /// # Errors
    /// When the samples are of another duration, or `out` has no room.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        Ok(self.inner.encode(samples, out)?)
    }

    /// As [`Self::encode`], of samples within ±1.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_float(&mut self, samples: &[f32], out: &mut [u8]) -> Result<usize, CodecError> {
        Ok(self.inner.encode_float(samples, out)?)
    }

    /// Protects from now on against this loss; error correction gets a quarter of the bitrate on top.
    ///
    /// # Errors
    /// When the codec refuses; the encoder goes on with some of the old setting.
    pub fn protect(&mut self, protection: Protection) -> Result<(), CodecError> {
        if protection != self.protection {
            self.protection = protection;
            self.apply()?;
        }
        Ok(())
    }

    /// Encodes with this many bits a second from now on.
    ///
    /// # Errors
    /// When the codec has no such bitrate.
    pub fn set_bitrate(&mut self, bitrate: u32) -> Result<(), CodecError> {
        self.bitrate = bitrate;
        self.apply()
    }

    /// Forgets what was heard; the options stay. For a voice that begins anew.
    ///
    /// # Errors
    /// When the codec refuses.
    pub fn reset(&mut self) -> Result<(), CodecError> {
        Ok(self.inner.reset_state()?)
    }

    fn apply(&mut self) -> Result<(), CodecError> {
        let (corrects, percent, extra) = match self.protection {
            Protection::Off => (false, 0, 0),
            Protection::Loss { percent } => (true, percent.min(100), self.bitrate / FEC_BITRATE_DIVISOR),
        };
        self.inner.set_inband_fec(corrects)?;
        self.inner.set_packet_loss_perc(percent.into())?;
        let bits = i32::try_from(self.bitrate.saturating_add(extra)).unwrap_or(i32::MAX);
        Ok(self.inner.set_bitrate(Bitrate::Bits(bits))?)
    }
}

/// Decodes one voice; two channels are mixed to one.
#[derive(Debug)]
pub struct Decoder {
    inner: ::opus::Decoder,
}

impl Decoder {
    /// A decoder that gives samples at `rate`, whatever the packets were made from.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(rate: Rate) -> Result<Self, CodecError> {
        Ok(Self { inner: ::opus::Decoder::new(rate.hz(), Channels::Mono)? })
    }

    /// Makes everything louder by `gain`, 1/256 dB (`OpusHead`'s output gain, RFC 7845 section 5.1).
    ///
    /// # Errors
    /// When the codec refuses.
    pub fn set_gain(&mut self, gain: i16) -> Result<(), CodecError> {
        Ok(self.inner.set_gain(gain.into())?)
    }

    /// Decodes a packet into `out` and says how many samples it gave. Room for 120 ms takes any packet. A packet without bytes is
    /// one that was lost: all of `out` is made up.
    ///
    /// # Errors
    /// When it is no Opus packet, or `out` has no room.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        Ok(self.inner.decode(packet, out, false)?)
    }

    /// As [`Self::decode`], to samples within ±1 (or a little beyond).
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_float(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        Ok(self.inner.decode_float(packet, out, false)?)
    }

    /// Fills `out` with the packet that was lost right before `next`, as `next` remembers it (in-band FEC), or made up if it does not.
    /// `next` itself is to be decoded after this. `out` is as long as what was lost.
    ///
    /// # Errors
    /// When `next` is no Opus packet, or `out` is no multiple of 2.5 ms.
    pub fn decode_lost(&mut self, next: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        Ok(self.inner.decode(next, out, true)?)
    }

    /// Makes up all of `out`, from what was heard before: a lost packet, or the noise of a silence.
    ///
    /// # Errors
    /// When `out` is no multiple of 2.5 ms.
    pub fn conceal(&mut self, out: &mut [i16]) -> Result<usize, CodecError> {
        Ok(self.inner.decode(&[], out, false)?)
    }

    /// Forgets what was heard. For a voice that begins anew.
    ///
    /// # Errors
    /// When the codec refuses.
    pub fn reset(&mut self) -> Result<(), CodecError> {
        Ok(self.inner.reset_state()?)
    }
}

/// How long a packet sounds, samples at 48 kHz, at most [`PACKET_SAMPLES_MAX`]. `None` when it is no Opus packet.
pub fn duration(packet: &[u8]) -> Option<u32> {
    let samples = ::opus::packet::get_nb_samples(packet, SAMPLE_HZ).ok()?;
    u32::try_from(samples).ok().filter(|&samples| samples > 0)
}

/// Whether a packet says that its sender is silent, and so needs not be sent.
pub fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= DTX_BYTES_MAX
}

/// A packet of one frame, of the same kind and duration as those of `packet`, in which nothing is said: decoders conceal it (RFC 6716
/// section 3.2.1, a frame length of zero). `None` when there are no bytes.
pub fn nothing_like(packet: &[u8]) -> Option<[u8; 1]> {
    packet.first().map(|toc| [toc & !0b11])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(rate: Rate, frame: usize) -> Vec<i16> {
        let hz = f64::from(rate.hz());
        let sample = |n: usize| {
            let at = (frame * rate.frame_samples() + n) as f64 / hz;
            let buzz: f64 =
                (1..12).map(|k| (std::f64::consts::TAU * 140.0 * f64::from(k) * at).sin() / f64::from(k)).sum();
            (buzz * 6_000.0) as i16
        };
        (0..rate.frame_samples()).map(sample).collect()
    }

    fn energy(samples: &[i16]) -> f64 {
        samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn every_rate_carries_voice_to_every_rate() {
        let rates = [Rate::Hz8000, Rate::Hz12000, Rate::Hz16000, Rate::Hz24000, Rate::Hz48000];
        for from in rates {
            for to in rates {
                let mut encoder = Encoder::new(EncoderOptions { rate: from, ..Default::default() }).unwrap();
                let mut decoder = Decoder::new(to).unwrap();
                let mut packet = [0; PACKET_BYTES_MAX];
                let mut out = vec![0; to.frame_samples()];
                for frame in 0..20 {
                    let bytes = encoder.encode(&voice(from, frame), &mut packet).unwrap();
                    assert_eq!(duration(&packet[..bytes]), Some(960));
                    assert_eq!(decoder.decode(&packet[..bytes], &mut out).unwrap(), to.frame_samples());
                }
                let ratio = energy(&out) / energy(&voice(from, 20));
                assert!((0.5..2.0).contains(&ratio), "{from:?} to {to:?}: {ratio}");
            }
        }
    }

    #[test]
    fn a_lost_packet_comes_back_from_the_next_one_only_with_protection() {
        let heard = |protection| {
            let mut encoder = Encoder::new(EncoderOptions { protection, ..Default::default() }).unwrap();
            let mut decoder = Decoder::new(Rate::Hz48000).unwrap();
            let (mut packet, mut out) = ([0; PACKET_BYTES_MAX], [0; 960]);
            // Silence up to the frame that is lost: what was heard before helps nobody to make it up.
            for frame in 0..40 {
                let samples = if frame < 30 { vec![0; 960] } else { voice(Rate::Hz48000, frame) };
                let bytes = encoder.encode(&samples, &mut packet).unwrap();
                match frame {
                    32 => {}
                    33 => {
                        decoder.decode_lost(&packet[..bytes], &mut out).unwrap();
                        return energy(&out);
                    }
                    31 => decoder.conceal(&mut out).map(drop).unwrap(),
                    _ => decoder.decode(&packet[..bytes], &mut out).map(drop).unwrap(),
                }
            }
            unreachable!("frame 33 returns")
        };
        let (with, without) = (heard(Protection::Loss { percent: 20 }), heard(Protection::Off));
        assert!(with > 3.0 * without, "with {with}, without {without}");
    }

    #[test]
    fn silence_is_not_sent_when_transmission_is_discontinuous() {
        let mut encoder = Encoder::new(EncoderOptions { discontinuous: true, ..Default::default() }).unwrap();
        let mut packet = [0; PACKET_BYTES_MAX];
        let silent = (0..100).filter(|_| {
            let bytes = encoder.encode(&[0; 960], &mut packet).unwrap();
            is_dtx(&packet[..bytes])
        });
        assert!(silent.count() > 60);
    }

    #[test]
    fn a_reset_encoder_says_the_same_again() {
        let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
        let mut run = || {
            let mut packet = [0; PACKET_BYTES_MAX];
            let packets: Vec<_> = (0..5)
                .map(|frame| {
                    let bytes = encoder.encode(&voice(Rate::Hz48000, frame), &mut packet).unwrap();
                    packet[..bytes].to_vec()
                })
                .collect();
            encoder.reset().unwrap();
            packets
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn what_is_no_packet_is_refused_without_panic() {
        let mut decoder = Decoder::new(Rate::Hz48000).unwrap();
        let mut out = [0; PACKET_SAMPLES_MAX];
        assert_eq!(duration(&[]), None);
        assert_eq!(duration(&[0xff, 0xff]), None);
        assert!(decoder.decode(&[0xff, 0xff, 1, 2], &mut out).is_err());
        assert!(Encoder::new(EncoderOptions { complexity: 11, ..Default::default() }).is_err());
        let error = Encoder::new(EncoderOptions { bitrate: 0, ..Default::default() }).unwrap_err().to_string();
        assert!(error.starts_with("Opus: "), "{error}");
    }

    #[test]
    fn nothing_like_a_packet_lasts_as_long_as_one_of_its_frames() {
        let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
        let mut packet = [0; PACKET_BYTES_MAX];
        for samples in [120, 240, 480, 960, 1920, 2880] {
            let bytes = encoder.encode(&vec![100; samples], &mut packet).unwrap();
            let nothing = nothing_like(&packet[..bytes]).unwrap();
            assert!((samples as u32).is_multiple_of(duration(&nothing).unwrap()));
        }
        assert_eq!(nothing_like(&[]), None);
    }
}
