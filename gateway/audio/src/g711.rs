//! G.711: telephone voice of 8 kHz, eight bits a sample, in µ-law (North America, Japan) or A-law (elsewhere).
//!
//! Both by table; the tables are computed at compile time from ITU-T G.711 tables 1 and 2, to 16-bit samples (13 and 14 bits, left
//! aligned).

/// Samples of a frame of 20 ms.
pub const FRAME_SAMPLES: usize = 160;

/// How a byte stands for a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// µ-law: RTP payload type 0 (`PCMU`).
    Mu,
    /// A-law: RTP payload type 8 (`PCMA`).
    A,
}

impl Law {
    /// The byte of silence.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xff,
            Self::A => 0xd5,
        }
    }

    /// Decodes bytes into as many samples, as far as `out` goes; says how many.
    pub fn decode(self, bytes: &[u8], out: &mut [i16]) -> usize {
        let table = match self {
            Self::Mu => &MU_SAMPLES,
            Self::A => &A_SAMPLES,
        };
        for (sample, &byte) in out.iter_mut().zip(bytes) {
            *sample = table[usize::from(byte)];
        }
        bytes.len().min(out.len())
    }

    /// Encodes samples into as many bytes, as far as `out` goes; says how many.
    pub fn encode(self, samples: &[i16], out: &mut [u8]) -> usize {
        let encode = match self {
            Self::Mu => mu_byte,
            Self::A => a_byte,
        };
        for (byte, &sample) in out.iter_mut().zip(samples) {
            *byte = encode(sample);
        }
        samples.len().min(out.len())
    }
}

/// What is added to a magnitude of 16 bits so that µ-law's segments begin at powers of two: 33 of 14 bits.
const MU_BIAS: i32 = 33 << 2;

/// The loudest that µ-law says.
const MU_CLIP: i32 = 8158 << 2;

static MU_SAMPLES: [i16; 256] = table(Law::Mu);
static A_SAMPLES: [i16; 256] = table(Law::A);

const fn table(law: Law) -> [i16; 256] {
    let mut samples = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        samples[byte] = match law {
            Law::Mu => mu_sample(byte as u8),
            Law::A => a_sample(byte as u8),
        };
        byte += 1;
    }
    samples
}

const fn mu_sample(byte: u8) -> i16 {
    // Sent inverted: sign (1 is negative, once inverted back), three bits of segment, four of step.
    let bits = !byte as i32;
    let magnitude = ((((bits & 0x0f) << 3) + MU_BIAS) << ((bits & 0x70) >> 4)) - MU_BIAS;
    (if bits & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

const fn a_sample(byte: u8) -> i16 {
    // Sent with every other bit inverted; a set sign is positive.
    let bits = (byte ^ 0x55) as i32;
    let (segment, step) = ((bits & 0x70) >> 4, (bits & 0x0f) << 4);
    let magnitude = match segment {
        0 => step + 8,
        _ => (step + 0x108) << (segment - 1),
    };
    (if bits & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

fn mu_byte(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = i32::from(sample).abs().min(MU_CLIP) + MU_BIAS;
    // The segment is where the highest bit is: bit 7 for the first.
    let segment = (24 - magnitude.leading_zeros() as i32).clamp(0, 7);
    let step = (magnitude >> (segment + 3)) & 0x0f;
    let bits = (segment << 4 | step) as u8 | if negative { 0x80 } else { 0 };
    !bits
}

fn a_byte(sample: i16) -> u8 {
    // Negative samples are mirrored about -1/2, so that -1 and 0 are the smallest of either sign.
    let (sign, magnitude) = if sample < 0 { (0, !i32::from(sample)) } else { (0x80, i32::from(sample)) };
    let segment = (24 - magnitude.leading_zeros() as i32).clamp(0, 7);
    let step = if segment == 0 { magnitude >> 4 } else { (magnitude >> (segment + 3)) & 0x0f };
    ((segment << 4 | step) as u8 | sign) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decode_to_the_values_of_the_standard() {
        // G.711 tables 1 and 2, decoder output values, left aligned to 16 bits.
        let mu = [
            (0xff, 0),
            (0x7f, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xf0, 120),
            (0xef, 132),
            (0x8f, 16_764),
            (0xfe, 8),
        ];
        let a = [
            (0xd5, 8),
            (0x55, -8),
            (0xaa, 32_256),
            (0x2a, -32_256),
            (0xd4, 24),
            (0xc5, 264),
            (0x85, 4_224),
            (0xda, 248),
        ];
        for (law, rows) in [(Law::Mu, mu), (Law::A, a)] {
            for (byte, want) in rows {
                let mut out = [0];
                law.decode(&[byte], &mut out);
                assert_eq!(out[0], want, "{law:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn every_byte_comes_back_from_its_sample() {
        for law in [Law::Mu, Law::A] {
            for byte in 0..=255 {
                let (mut sample, mut back) = ([0], [0]);
                law.decode(&[byte], &mut sample);
                law.encode(&sample, &mut back);
                // µ-law has two zeros.
                let want = if law == Law::Mu && byte == 0x7f { 0xff } else { byte };
                assert_eq!(back[0], want, "{law:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn every_sample_becomes_the_byte_of_the_nearest_value_or_its_neighbour() {
        for law in [Law::Mu, Law::A] {
            let mut values = [0; 256];
            law.decode(&std::array::from_fn::<u8, 256, _>(|byte| byte as u8), &mut values);
            for sample in i16::MIN..=i16::MAX {
                let (mut byte, mut back) = ([0], [0]);
                law.encode(&[sample], &mut byte);
                law.decode(&byte, &mut back);
                let off = back[0].abs_diff(sample);
                // Half of a step of the segment, and half of the step that 14 or 13 bits have; the last is clipped.
                let size = (u32::from(sample.unsigned_abs()) + 133).next_power_of_two() / 64 + 16;
                let clipped = sample.unsigned_abs() >= 32_124;
                assert!(u32::from(off) <= size || clipped, "{law:?} {sample}: {}", back[0]);
            }
        }
    }

    #[test]
    fn silence_is_silent() {
        for law in [Law::Mu, Law::A] {
            let mut out = [1; 4];
            assert_eq!(law.decode(&[law.silence(); 9], &mut out), 4);
            assert!(out.iter().all(|sample| sample.abs() <= 8));
        }
    }
}
