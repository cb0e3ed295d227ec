//! Tones: what a telephone network says without words, beeps, and DTMF.
//!
//! | source | what |
//! |---|---|
//! | ITU-T E.180 (03/98), E.182 | what the tones mean, levels (-10 dBm0 ± 5), 425 Hz as the recommended frequency |
//! | ITU-T E.180 Supplement 2 | frequencies and cadences country by country |
//! | ETSI TR 101 041-2, TS 103 021 | 425 Hz with the cadences of [`Region::Europe`] |
//! | Telcordia GR-506, ANSI T1.401 | the precise tone plan of [`Region::NorthAmerica`] |
//! | BT SIN 350, BS 6305 | [`Region::UnitedKingdom`] |
//! | ITU-T Q.23, Q.24 | DTMF: frequencies; levels and durations |

use std::f64::consts::{PI, TAU};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::opus::{Application, CodecError, Encoder, EncoderOptions, SENT_BYTES_MAX};
use crate::pcm::{FRAME_SAMPLES, MediaTime, SAMPLE_HZ};

/// Whose tones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Region {
    /// Most of Europe: 425 Hz.
    #[default]
    Europe,
    /// The United Kingdom.
    UnitedKingdom,
    /// The United States and Canada.
    NorthAmerica,
}

/// What a tone tells the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Dial.
    Dial,
    /// The other side rings.
    RingBack,
    /// The other side is busy.
    Busy,
    /// The network, or a group, has no room.
    Congestion,
    /// In a call: another one waits.
    CallWaiting,
}

/// Where on a digital line full scale is: a sine of 3.17 dBm0 (ITU-T G.711, µ-law).
const FULL_SCALE_DBM0: f64 = 3.17;

/// Level of a tone, all its frequencies together, dBm0 (E.180).
const TONE_DBM0: f64 = -10.0;

/// Level of a beep, dBm0: as a tone.
const BEEP_DBM0: f64 = -10.0;

/// Frequency of the beep after which one speaks, Hz: heard on any telephone, and no network's tone.
const BEEP_HZ: u16 = 1_000;

/// How long a beep lasts, milliseconds.
const BEEP_MS: u16 = 400;

/// DTMF's groups of frequencies, Hz (Q.23 table 1).
pub const DTMF_LOW_HZ: [u16; 4] = [697, 770, 852, 941];
/// See [`DTMF_LOW_HZ`].
pub const DTMF_HIGH_HZ: [u16; 4] = [1209, 1336, 1477, 1633];

/// The digits, row by row (Q.23 figure 1).
pub const DTMF_DIGITS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Levels of the low and the high frequency of a digit, dBm0 (ETSI ES 201 235-2: the high one 2 dB louder, since lines damp it).
const DTMF_DBM0: [f64; 2] = [-9.0, -7.0];

/// How long a digit and the pause after it last, milliseconds (Q.24 wants 40 of each at least).
const DTMF_ON_MS: u16 = 100;
/// See [`DTMF_ON_MS`].
const DTMF_OFF_MS: u16 = 100;

/// A tone rises and falls within this many samples, so that it does not click: 5 ms.
const RAMP: usize = 240;

/// A tone that never pauses is made of this much, milliseconds: a second holds every whole frequency a whole number of times.
const STEADY_MS: u16 = 1_000;

/// Bits a second of a tone's packets.
const BITRATE: u32 = 32_000;

/// A part of a tone: frequencies with their levels, or a pause, for some time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    /// Hz and amplitude; 0 Hz is none.
    waves: [(u16, f64); 2],
    milliseconds: u16,
}

/// A tone: its parts one after the other, once or for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct Tone {
    parts: Vec<Part>,
    repeats: bool,
}

/// Frequencies (0: none) and a cadence of on and off in turn, milliseconds; an empty one is a tone that never pauses.
type Row = ([u16; 2], &'static [u16]);

const fn row(region: Region, meaning: Meaning) -> Row {
    match (region, meaning) {
        (Region::Europe, Meaning::Dial) => ([425, 0], &[]),
        (Region::Europe, Meaning::RingBack) => ([425, 0], &[1000, 4000]),
        (Region::Europe, Meaning::Busy) => ([425, 0], &[500, 500]),
        (Region::Europe, Meaning::Congestion) => ([425, 0], &[200, 200]),
        (Region::Europe, Meaning::CallWaiting) => ([425, 0], &[200, 600, 200, 3000]),
        (Region::UnitedKingdom, Meaning::Dial) => ([350, 440], &[]),
        (Region::UnitedKingdom, Meaning::RingBack) => ([400, 450], &[400, 200, 400, 2000]),
        (Region::UnitedKingdom, Meaning::Busy) => ([400, 0], &[375, 375]),
        (Region::UnitedKingdom, Meaning::Congestion) => ([400, 0], &[400, 350, 225, 525]),
        (Region::UnitedKingdom, Meaning::CallWaiting) => ([400, 0], &[100, 2000]),
        (Region::NorthAmerica, Meaning::Dial) => ([350, 440], &[]),
        (Region::NorthAmerica, Meaning::RingBack) => ([440, 480], &[2000, 4000]),
        (Region::NorthAmerica, Meaning::Busy) => ([480, 620], &[500, 500]),
        (Region::NorthAmerica, Meaning::Congestion) => ([480, 620], &[250, 250]),
        (Region::NorthAmerica, Meaning::CallWaiting) => ([440, 0], &[300, 9700]),
    }
}

fn amplitude(dbm0: f64) -> f64 {
    f64::from(i16::MAX) * 10f64.powf((dbm0 - FULL_SCALE_DBM0) / 20.0)
}

impl Tone {
    /// The tone with which a region says something; it goes on for ever.
    pub fn network(meaning: Meaning, region: Region) -> Self {
        let (hz, cadence) = row(region, meaning);
        // Two frequencies share the power.
        let level = if hz[1] == 0 { TONE_DBM0 } else { TONE_DBM0 - 10.0 * 2f64.log10() };
        let waves = hz.map(|hz| (hz, amplitude(level)));
        let parts = match cadence {
            [] => vec![Part { waves, milliseconds: STEADY_MS }],
            _ => {
                let part = |(index, &milliseconds)| match index % 2 {
                    0 => Part { waves, milliseconds },
                    _ => Part { waves: [(0, 0.0); 2], milliseconds },
                };
                cadence.iter().enumerate().map(part).collect()
            }
        };
        Self { parts, repeats: true }
    }

    /// The beep after which one speaks: 1,000 Hz, 0.4 s.
    pub fn beep() -> Self {
        let waves = [(BEEP_HZ, amplitude(BEEP_DBM0)), (0, 0.0)];
        Self { parts: vec![Part { waves, milliseconds: BEEP_MS }], repeats: false }
    }

    /// DTMF digits, 100 ms each, with 100 ms between and after them. `None` when there is none, or one that is no digit: `0` to `9`,
    /// `*`, `#`, `A` to `D`.
    pub fn dtmf(digits: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for digit in digits.chars() {
            let place = |row: &[char; 4]| row.iter().position(|&known| known == digit.to_ascii_uppercase());
            let (row, column) =
                DTMF_DIGITS.iter().enumerate().find_map(|(index, row)| place(row).map(|column| (index, column)))?;
            let waves = [(DTMF_LOW_HZ[row], amplitude(DTMF_DBM0[0])), (DTMF_HIGH_HZ[column], amplitude(DTMF_DBM0[1]))];
            parts.push(Part { waves, milliseconds: DTMF_ON_MS });
            parts.push(Part { waves: [(0, 0.0); 2], milliseconds: DTMF_OFF_MS });
        }
        if parts.is_empty() { None } else { Some(Self { parts, repeats: false }) }
    }

    /// Whether it goes on for ever.
    pub fn repeats(&self) -> bool {
        self.repeats
    }

    /// How long [`Self::samples`] are: whole frames.
    pub fn duration(&self) -> Duration {
        MediaTime((self.frames() * FRAME_SAMPLES) as u64).since_start()
    }

    /// The tone once, in whole frames of 48 kHz; of one that repeats, as many rounds as make whole frames.
    pub fn samples(&self) -> Vec<i16> {
        let wanted = self.frames() * FRAME_SAMPLES;
        let mut samples = Vec::with_capacity(wanted);
        while samples.len() < wanted {
            for part in &self.parts {
                samples.extend(self.part(part));
            }
            if !self.repeats {
                samples.resize(wanted.max(samples.len()), 0);
            }
        }
        samples
    }

    /// [`Self::samples`] as Opus packets of 20 ms. Those of a tone that repeats may be played round and round: they were encoded as if
    /// another round had come before.
    ///
    /// # Errors
    /// When there is no encoder.
    pub fn packets(&self) -> Result<Arc<[Bytes]>, CodecError> {
        let options = EncoderOptions {
            application: Application::Audio,
            bitrate: BITRATE,
            complexity: 10,
            ..EncoderOptions::default()
        };
        let mut encoder = Encoder::new(options)?;
        let samples = self.samples();
        let frames = samples.as_chunks::<FRAME_SAMPLES>().0;
        if self.repeats {
            for frame in frames {
                encode(&mut encoder, frame)?;
            }
        }
        let mut packets = frames.iter().map(|frame| encode(&mut encoder, frame)).collect::<Result<Vec<_>, _>>()?;
        if !self.repeats {
            // The encoder holds the end back.
            packets.push(encode(&mut encoder, &[0; FRAME_SAMPLES])?);
        }
        Ok(packets.into())
    }

    fn frames(&self) -> usize {
        let once: usize = self.parts.iter().map(|part| part.samples()).sum();
        if !self.repeats {
            return once.div_ceil(FRAME_SAMPLES);
        }
        let rounds = (1..).find(|rounds| (rounds * once).is_multiple_of(FRAME_SAMPLES)).unwrap_or(1);
        rounds * once / FRAME_SAMPLES
    }

    fn part(&self, part: &Part) -> impl Iterator<Item = i16> {
        let length = part.samples();
        let waves = part.waves;
        let steady = self.repeats && self.parts.len() == 1;
        (0..length).map(move |n| {
            let at = n as f64 / f64::from(SAMPLE_HZ);
            let sum: f64 = waves.iter().map(|&(hz, amplitude)| amplitude * (TAU * f64::from(hz) * at).sin()).sum();
            let edge = n.min(length - 1 - n) as f64 / RAMP as f64;
            let ramp = if steady || edge >= 1.0 { 1.0 } else { 0.5 - 0.5 * (PI * edge).cos() };
            (sum * ramp).round() as i16
        })
    }
}

impl Part {
    fn samples(&self) -> usize {
        usize::from(self.milliseconds) * SAMPLE_HZ as usize / 1000
    }
}

fn encode(encoder: &mut Encoder, frame: &[i16]) -> Result<Bytes, CodecError> {
    let mut packet = [0; SENT_BYTES_MAX];
    let bytes = encoder.encode(frame, &mut packet)?;
    Ok(Bytes::copy_from_slice(&packet[..bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;
    use crate::opus::{Decoder, Rate};

    /// The share of the power that is at `hz`.
    fn share(samples: &[i16], hz: u16) -> f64 {
        let (mut real, mut imaginary, mut power) = (0.0, 0.0, 0.0);
        for (n, &sample) in samples.iter().enumerate() {
            let angle = TAU * f64::from(hz) * n as f64 / f64::from(SAMPLE_HZ);
            real += f64::from(sample) * angle.cos();
            imaginary += f64::from(sample) * angle.sin();
            power += f64::from(sample).powi(2);
        }
        2.0 * (real * real + imaginary * imaginary) / (samples.len() as f64 * power)
    }

    #[test]
    fn every_tone_has_its_frequencies_level_and_cadence() {
        for region in [Region::Europe, Region::UnitedKingdom, Region::NorthAmerica] {
            for meaning in [Meaning::Dial, Meaning::RingBack, Meaning::Busy, Meaning::Congestion, Meaning::CallWaiting]
            {
                let (hz, cadence) = row(region, meaning);
                let tone = Tone::network(meaning, region);
                let samples = tone.samples();
                assert_eq!(samples.len() % FRAME_SAMPLES, 0);
                let on = cadence.first().map_or(STEADY_MS, |&on| on);
                let first = &samples[..usize::from(on) * 48];
                let there: f64 = hz.iter().filter(|&&hz| hz > 0).map(|&hz| share(first, hz)).sum();
                assert!(there > 0.9, "{region:?} {meaning:?}: {there}");
                // -10 dBm0 of a sine: 13.17 dB below that of full scale, itself 3 dB below a full square wave.
                let loud = level::decibels(&first[RAMP..first.len() - RAMP]);
                assert!((loud + 16.2).abs() < 0.7, "{region:?} {meaning:?}: {loud} dB");
                let mut at = 0;
                for (index, &milliseconds) in cadence.iter().enumerate() {
                    let part = &samples[at..at + usize::from(milliseconds) * 48];
                    assert_eq!(level::decibels(part) < -100.0, index % 2 == 1, "{region:?} {meaning:?} {index}");
                    at += part.len();
                }
            }
        }
    }

    #[test]
    fn packets_may_be_played_round_and_round() {
        let tone = Tone::network(Meaning::Dial, Region::Europe);
        let packets = tone.packets().unwrap();
        assert_eq!(packets.len(), 50);
        let mut decoder = Decoder::new(Rate::Hz48000).unwrap();
        let mut heard = Vec::new();
        for packet in packets.iter().chain(packets.iter()).chain(packets.iter()) {
            let mut frame = [0; FRAME_SAMPLES];
            decoder.decode(packet, &mut frame).unwrap();
            heard.extend_from_slice(&frame);
        }
        // Over the seams, as everywhere: a steady tone.
        for at in [46_000, 47_500, 94_000, 95_500, 120_000] {
            let piece = &heard[at..at + 2400];
            assert!(share(piece, 425) > 0.98, "at {at}: {}", share(piece, 425));
            assert!((level::decibels(piece) + 16.2).abs() < 0.7, "at {at}");
        }
    }

    #[test]
    fn digits_have_two_frequencies_and_pauses() {
        let tone = Tone::dtmf("5#a").unwrap();
        assert_eq!(tone.duration(), Duration::from_millis(600));
        let samples = tone.samples();
        for (index, (low, high)) in [(770, 1336), (941, 1477), (697, 1633)].into_iter().enumerate() {
            let digit = &samples[index * 9600..index * 9600 + 4800];
            assert!(share(digit, low) + share(digit, high) > 0.9);
            assert!(share(digit, high) > share(digit, low));
            assert!(samples[index * 9600 + 4800..(index + 1) * 9600].iter().all(|&sample| sample == 0));
        }
        assert_eq!((Tone::dtmf(""), Tone::dtmf("12x")), (None, None));
    }

    #[test]
    fn a_beep_is_heard_once() {
        let beep = Tone::beep();
        assert!(!beep.repeats() && beep.duration() == Duration::from_millis(400));
        assert_eq!(beep.packets().unwrap().len(), 21);
        assert!(share(&beep.samples(), 1000) > 0.95);
    }
}
