//! A recording's tracks as one file, and their picture. Pure: bytes in, bytes out; slow, and stopped when nobody waits for it.

use std::collections::VecDeque;
use std::io::Cursor;

use bytes::Bytes;
use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use tandem_audio::mix::Mixer;
use tandem_audio::ogg_opus::{Reader, Sound};
use tandem_audio::pcm::{FRAME_SAMPLES, Frame, SAMPLE_HZ, SILENCE, to_i16};

use super::{Result, TenantError};

/// Bits a second for each channel.
const BITRATE: i32 = 24_000;

/// libopus' complexity: half of what the best takes, and hardly to be told apart from it.
const COMPLEXITY: i32 = 3;

/// The largest Opus packet (RFC 6716, section 3.4: 1275 bytes) and then some.
const PACKET_BYTES_MAX: usize = 1500;

/// Packets of one page: a second.
const PAGE_PACKETS: u64 = 50;

/// The number of a file's only stream.
const SERIAL: u32 = 1;

/// Samples that the encoder is behind, at 48 kHz: what players leave out at the beginning (RFC 7845, section 4.2).
const PRE_SKIP: u16 = tandem_audio::opus::ENCODER_DELAY;

/// How a mixdown sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All tracks in the middle.
    Mono,
    /// The first track left, the others right.
    Stereo,
}

/// One track.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Ogg Opus.
    pub(super) ogg: Bytes,
    /// When it begins.
    pub(super) start_ms: u64,
}

/// Makes one file of all tracks, for as long as somebody waits for it.
pub(super) fn mixdown(parts: Vec<Part>, layout: Layout, is_wanted: impl Fn() -> bool) -> Result<Vec<u8>> {
    let mut tracks = open(parts)?;
    let mut file = File::begin(layout)?;
    let (mut left, mut right) = (Mixer::default(), Mixer::default());
    let mut frame = SILENCE;
    while is_wanted() {
        left.begin();
        right.begin();
        let mut any = false;
        for (number, track) in tracks.iter_mut().enumerate() {
            any |= track.next(&mut frame)?;
            let side = if layout == Layout::Stereo && number > 0 { &mut right } else { &mut left };
            side.add(&frame);
        }
        if !any {
            return file.finish();
        }
        file.frame(&left, &right)?;
    }
    Err(TenantError::Busy("the mixdown was given up, because nobody waited for it"))
}

/// The peaks of at most `most` equal parts of all tracks together, 0 to 255.
pub(super) fn peaks(parts: Vec<Part>, most: usize, is_wanted: impl Fn() -> bool) -> Result<Vec<u8>> {
    let mut tracks = open(parts)?;
    let mut mixer = Mixer::default();
    let (mut frame, mut mixed) = (SILENCE, SILENCE);
    let mut loudest = Vec::new();
    while is_wanted() {
        mixer.begin();
        let mut any = false;
        for track in &mut tracks {
            any |= track.next(&mut frame)?;
            mixer.add(&frame);
        }
        if !any {
            return Ok(reduced(&loudest, most));
        }
        mixer.everybody(&mut mixed);
        let peak = mixed.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        loudest.push(u8::try_from(peak >> 7).unwrap_or(u8::MAX));
    }
    Err(TenantError::Busy("the picture was given up, because nobody waited for it"))
}

/// The loudest of each of at most `most` equal parts.
fn reduced(all: &[u8], most: usize) -> Vec<u8> {
    let count = all.len().min(most);
    let part = |number: usize| &all[number * all.len() / count..(number + 1) * all.len() / count];
    (0..count).map(|number| part(number).iter().copied().max().unwrap_or(0)).collect()
}

/// A track while it is read, frame by frame.
struct Playing {
    number: usize,
    sound: Sound<Cursor<Bytes>>,
    /// Silence before it begins, samples.
    silence: u64,
    ready: VecDeque<f32>,
    piece: Vec<f32>,
    ended: bool,
}

fn open(parts: Vec<Part>) -> Result<Vec<Playing>> {
    let open = |(number, part): (usize, Part)| {
        let reader = Reader::open(Cursor::new(part.ogg)).map_err(|error| broken(number, &error))?;
        let sound = Sound::new(reader).map_err(|error| broken(number, &error))?;
        let silence = part.start_ms.saturating_mul(u64::from(SAMPLE_HZ) / 1000);
        Ok(Playing { number, sound, silence, ready: VecDeque::new(), piece: Vec::new(), ended: false })
    };
    parts.into_iter().enumerate().map(open).collect()
}

fn broken(number: usize, error: &dyn std::fmt::Display) -> TenantError {
    TenantError::Audio(format!("track {number} of the recording is damaged: {error}; download it as it is"))
}

impl Playing {
    /// The next frame, silence where there is none; `false`: it is at its end.
    fn next(&mut self, frame: &mut Frame) -> Result<bool> {
        *frame = SILENCE;
        let silence = self.silence.min(FRAME_SAMPLES as u64);
        self.silence -= silence;
        let from = usize::try_from(silence).unwrap_or(FRAME_SAMPLES);
        if from == FRAME_SAMPLES {
            return Ok(true);
        }
        while !self.ended && self.ready.len() < FRAME_SAMPLES - from {
            self.piece.clear();
            let more = self.sound.read(&mut self.piece).map_err(|error| broken(self.number, &error))?;
            self.ended = !more;
            self.ready.extend(self.piece.iter());
        }
        let had = !self.ready.is_empty();
        for (sample, heard) in frame[from..].iter_mut().zip(std::iter::from_fn(|| self.ready.pop_front())) {
            *sample = to_i16(heard);
        }
        Ok(had)
    }
}

/// The file while it is written.
struct File {
    channels: usize,
    encoder: opus::Encoder,
    writer: PacketWriter<'static, Vec<u8>>,
    frames: u64,
    /// The packet that is not written before it is known whether it is the last.
    waiting: Option<Vec<u8>>,
    samples: Vec<i16>,
    side: Frame,
}

impl File {
    fn begin(layout: Layout) -> Result<Self> {
        let (channels, coding) = match layout {
            Layout::Mono => (1, opus::Channels::Mono),
            Layout::Stereo => (2, opus::Channels::Stereo),
        };
        let encoder = opus::Encoder::new(SAMPLE_HZ, coding, opus::Application::Audio).and_then(|mut encoder| {
            encoder.set_bitrate(opus::Bitrate::Bits(BITRATE * channels as i32))?;
            encoder.set_complexity(COMPLEXITY)?;
            Ok(encoder)
        });
        let mut writer = PacketWriter::new(Vec::new());
        let page = |writer: &mut PacketWriter<'static, Vec<u8>>, bytes: Vec<u8>| {
            writer.write_packet(bytes, SERIAL, PacketWriteEndInfo::EndPage, 0).map_err(|error| failed(&error))
        };
        page(&mut writer, head(channels as u8))?;
        page(&mut writer, tags())?;
        Ok(Self {
            channels,
            encoder: encoder.map_err(|error| failed(&error))?,
            writer,
            frames: 0,
            waiting: None,
            samples: vec![0; FRAME_SAMPLES * channels],
            side: SILENCE,
        })
    }

    fn frame(&mut self, left: &Mixer, right: &Mixer) -> Result<()> {
        for (channel, mixer) in [left, right].into_iter().take(self.channels).enumerate() {
            mixer.everybody(&mut self.side);
            let places = self.samples.iter_mut().skip(channel).step_by(self.channels);
            places.zip(self.side).for_each(|(place, sample)| *place = sample);
        }
        self.encode()
    }

    fn encode(&mut self) -> Result<()> {
        let mut packet = vec![0; PACKET_BYTES_MAX * self.channels];
        let bytes = self.encoder.encode(&self.samples, &mut packet).map_err(|error| failed(&error))?;
        packet.truncate(bytes);
        self.write(None)?;
        self.waiting = Some(packet);
        self.frames += 1;
        Ok(())
    }

    /// Writes the packet that waits; the last one with where the file ends, samples.
    fn write(&mut self, last: Option<u64>) -> Result<()> {
        let Some(packet) = self.waiting.take() else { return Ok(()) };
        let end = match last {
            Some(_) => PacketWriteEndInfo::EndStream,
            None if self.frames.is_multiple_of(PAGE_PACKETS) => PacketWriteEndInfo::EndPage,
            None => PacketWriteEndInfo::NormalPacket,
        };
        let granule = last.unwrap_or(self.frames * FRAME_SAMPLES as u64);
        self.writer.write_packet(packet, SERIAL, end, granule).map_err(|error| failed(&error))
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        // What the encoder still holds, and no more (RFC 7845, section 4.4).
        let end = self.frames * FRAME_SAMPLES as u64 + u64::from(PRE_SKIP);
        self.samples.fill(0);
        self.encode()?;
        self.write(Some(end))?;
        Ok(self.writer.into_inner())
    }
}

fn failed(error: &dyn std::fmt::Display) -> TenantError {
    TenantError::Audio(format!("the mixdown cannot be written: {error}"))
}

/// RFC 7845, section 5.1.
fn head(channels: u8) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(PRE_SKIP.to_le_bytes());
    head.extend(SAMPLE_HZ.to_le_bytes());
    head.extend([0, 0, 0]);
    head
}

/// RFC 7845, section 5.2: the vendor, and no comment.
fn tags() -> Vec<u8> {
    let mut tags = b"OpusTags".to_vec();
    tags.extend(6u32.to_le_bytes());
    tags.extend(b"tandem");
    tags.extend(0u32.to_le_bytes());
    tags
}

#[cfg(test)]
mod tests {
    use tandem_audio::prompt::Prompt;

    use super::*;

    /// A tone as a track: so loud, so long, from then on.
    fn tone(hz: f32, amplitude: f32, millis: usize, start_ms: u64) -> Part {
        let sample =
            |at: usize| amplitude * (at as f32 * hz * std::f32::consts::TAU / SAMPLE_HZ as f32).sin() * 32_767.0;
        let samples: Vec<_> = (0..millis * 48).map(|at| sample(at) as i16).collect();
        Part { ogg: Prompt::from_samples(&samples).unwrap().to_ogg().into(), start_ms }
    }

    /// Both channels of a mixdown, as RFC 7845 says that they are to be played.
    fn heard(file: &[u8], channels: usize) -> Vec<Vec<f32>> {
        let mut reader = ogg::PacketReader::new(Cursor::new(file));
        let head = reader.read_packet().unwrap().unwrap().data;
        assert_eq!((&head[..8], usize::from(head[9])), (&b"OpusHead"[..], channels));
        assert_eq!(&reader.read_packet().unwrap().unwrap().data[..8], b"OpusTags");
        let coding = if channels == 2 { opus::Channels::Stereo } else { opus::Channels::Mono };
        let mut decoder = opus::Decoder::new(SAMPLE_HZ, coding).unwrap();
        let mut sides = vec![Vec::new(); channels];
        let mut last = None;
        while let Some(packet) = reader.read_packet().unwrap() {
            let mut out = vec![0.0; FRAME_SAMPLES * channels];
            let samples = decoder.decode_float(&packet.data, &mut out, false).unwrap();
            assert_eq!(samples, FRAME_SAMPLES);
            for (at, sample) in out.into_iter().enumerate() {
                sides[at % channels].push(sample);
            }
            last = Some((packet.last_in_stream(), packet.absgp_page()));
        }
        let (is_last, granule) = last.unwrap();
        assert!(is_last && granule <= sides[0].len() as u64, "{granule}");
        sides.into_iter().map(|side| side[usize::from(PRE_SKIP)..granule as usize].to_vec()).collect()
    }

    /// How much of a tone is in a stretch, by Goertzel, 1 for a full-scale one.
    fn strength(samples: &[f32], hz: f32) -> f32 {
        let (mut re, mut im) = (0.0, 0.0);
        for (at, sample) in samples.iter().enumerate() {
            let angle = at as f32 * hz * std::f32::consts::TAU / SAMPLE_HZ as f32;
            re += sample * angle.cos();
            im += sample * angle.sin();
        }
        2.0 * (re * re + im * im).sqrt() / samples.len() as f32
    }

    #[test]
    fn a_mixdown_has_both_voices_where_they_were() {
        // The callee begins a second later.
        let parts = vec![tone(440.0, 0.4, 3000, 0), tone(1000.0, 0.3, 2000, 1000)];
        let mono = heard(&mixdown(parts.clone(), Layout::Mono, || true).unwrap(), 1).remove(0);
        assert!((mono.len() as f32 / 48_000.0 - 3.0).abs() < 0.05, "{} samples", mono.len());
        let (early, late) = (&mono[9_600..38_400], &mono[57_600..134_400]);
        assert!(strength(early, 440.0) > 0.3 && strength(early, 1000.0) < 0.01);
        assert!(strength(late, 440.0) > 0.3 && strength(late, 1000.0) > 0.2);
        let stereo = heard(&mixdown(parts, Layout::Stereo, || true).unwrap(), 2);
        let (left, right) = (&stereo[0][57_600..134_400], &stereo[1][57_600..134_400]);
        assert!(strength(left, 440.0) > 0.3 && strength(left, 1000.0) < 0.02);
        assert!(strength(right, 1000.0) > 0.2 && strength(right, 440.0) < 0.02);
    }

    #[test]
    fn a_picture_shows_where_it_is_loud() {
        let parts = vec![tone(440.0, 0.5, 1000, 1000)];
        let peaks = peaks(parts, 256, || true).unwrap();
        assert_eq!(peaks.len(), 100, "two seconds have a hundred frames");
        assert!(peaks[..48].iter().all(|peak| *peak == 0), "{peaks:?}");
        assert!(peaks[55..95].iter().all(|peak| (100..160).contains(peak)), "{peaks:?}");
    }

    #[test]
    fn a_picture_of_something_long_has_its_loudest_moments() {
        let mut all = vec![0; 10_000];
        all[5_000] = 200;
        let picture = reduced(&all, 256);
        assert_eq!((picture.len(), picture.iter().filter(|peak| **peak == 200).count()), (256, 1));
        assert_eq!(reduced(&[], 256), Vec::<u8>::new());
        assert_eq!(reduced(&[7], 256), [7]);
    }

    #[test]
    fn what_is_damaged_or_not_wanted_any_more_is_no_mixdown() {
        let damaged = Part { ogg: Bytes::from_static(b"no Ogg at all"), start_ms: 0 };
        let error = mixdown(vec![tone(440.0, 0.4, 100, 0), damaged], Layout::Mono, || true).unwrap_err();
        assert!(error.to_string().contains("track 1 of the recording is damaged"), "{error}");
        let error = mixdown(vec![tone(440.0, 0.4, 100, 0)], Layout::Mono, || false).unwrap_err();
        assert!(matches!(error, TenantError::Busy(_)));
    }
}
