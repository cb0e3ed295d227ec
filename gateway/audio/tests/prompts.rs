//! Prompts: made of any WAV or Ogg Opus file, at one loudness; anything else is refused with words.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use tandem_audio::ogg_opus::{Reader, Sound, Writer, WriterOptions};
use tandem_audio::opus::{Encoder, EncoderOptions, PACKET_BYTES_MAX};
use tandem_audio::pcm::{FRAME_SAMPLES, MediaTime, SAMPLE_HZ};
use tandem_audio::prompt::{Prompt, PromptError, PromptLimits};
use tandem_audio::{loudness, wav};

fn tone(amplitude: f64, hz: u32, samples: usize) -> Vec<i16> {
    let sample = |n: usize| amplitude * (std::f64::consts::TAU * 600.0 * n as f64 / f64::from(hz)).sin();
    (0..samples).map(|n| sample(n) as i16).collect()
}

fn wav(samples: &[i16], hz: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = wav::Writer::create(&mut file, hz).unwrap();
    writer.write(samples).unwrap();
    writer.finish().unwrap();
    file.into_inner()
}

/// Ogg Opus of packets of so many milliseconds.
fn ogg(samples: &[i16], packet_ms: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    let mut writer = Writer::create(Vec::new(), WriterOptions::default()).unwrap();
    let mut packet = [0; PACKET_BYTES_MAX];
    for (index, piece) in samples.chunks_exact(packet_ms * 48).enumerate() {
        let bytes = encoder.encode(piece, &mut packet).unwrap();
        writer.append(MediaTime((index * packet_ms * 48) as u64), Bytes::copy_from_slice(&packet[..bytes])).unwrap();
    }
    writer.finish().unwrap()
}

fn make(bytes: &[u8]) -> Result<Prompt, PromptError> {
    Prompt::from_bytes(bytes, PromptLimits::default())
}

fn listen(prompt: &Prompt) -> Vec<f32> {
    let ogg = prompt.to_ogg();
    let mut sound = Sound::new(Reader::open(&ogg[..]).unwrap()).unwrap();
    let mut out = Vec::new();
    while sound.read(&mut out).unwrap() {}
    out
}

fn level(samples: &[f32]) -> f32 {
    let mut level = loudness::SpeechLevel::default();
    level.push(samples);
    level.decibels().unwrap()
}

#[test]
fn files_of_every_kind_become_alike() {
    let files = [
        wav(&tone(600.0, 8_000, 14_400), 8_000),
        wav(&tone(30_000.0, 44_100, 79_380), 44_100),
        wav(&tone(5_000.0, 48_000, 86_400), 48_000),
        ogg(&tone(3_000.0, 48_000, 86_400), 20),
        ogg(&tone(3_000.0, 48_000, 86_400), 60),
        ogg(&tone(3_000.0, 48_000, 86_400), 10),
    ];
    let whole = Duration::from_millis(1800);
    for (index, file) in files.iter().enumerate() {
        let prompt = make(file).unwrap();
        let heard = listen(&prompt);
        assert!(prompt.duration.abs_diff(whole) < Duration::from_millis(8), "{index}: {:?}", prompt.duration);
        assert_eq!(prompt.packets.len(), 91 - usize::from(prompt.duration < whole), "{index}");
        assert!(MediaTime::after(prompt.duration).0.abs_diff(heard.len() as u64) <= 1);
        assert!((level(&heard) - loudness::TARGET_DB).abs() < 1.0, "{index}: {} dB", level(&heard));
        let power: f32 = heard.iter().map(|sample| sample * sample).sum();
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (n, sample) in heard.iter().enumerate() {
            let angle = std::f32::consts::TAU * 600.0 * (n % SAMPLE_HZ as usize) as f32 / SAMPLE_HZ as f32;
            real += sample * angle.cos();
            imaginary += sample * angle.sin();
        }
        let share = 2.0 * (real * real + imaginary * imaginary) / (power * heard.len() as f32);
        assert!(share > 0.97, "{index}: {share} of what is heard is the tone");
    }
}

#[test]
fn a_stored_prompt_comes_back_packet_by_packet() {
    let prompt = make(&wav(&tone(5_000.0, 48_000, 100_000), 48_000)).unwrap();
    let stored = prompt.to_ogg();
    let back = Prompt::from_ogg(&stored).unwrap();
    assert_eq!(back.packets, prompt.packets);
    assert!(back.duration.abs_diff(prompt.duration) < Duration::from_micros(50));
    for cut in [0, 10, 200, stored.len() - 1] {
        assert!(Prompt::from_ogg(&stored[..cut]).is_err(), "{cut}");
    }
    let foreign = ogg(&tone(3_000.0, 48_000, 48_000), 10);
    assert_eq!(
        Prompt::from_ogg(&foreign).unwrap_err().to_string(),
        "not a stored prompt: its packets are not of 20 ms"
    );
}

#[test]
fn samples_become_a_prompt_as_they_are() {
    let prompt = Prompt::from_samples(&tone(1_000.0, 48_000, 48_000)).unwrap();
    assert!((level(&listen(&prompt)) - (-33.3)).abs() < 1.0);
    assert!(Prompt::from_samples(&[0; FRAME_SAMPLES - 1]).is_err());
}

#[test]
fn what_is_no_prompt_is_refused_with_words() {
    let long = wav(&vec![0; 8_000 * 601], 8_000);
    let mut cut = wav(&tone(900.0, 8_000, 8_000), 8_000);
    cut.truncate(44 + 8_000);
    let mut torn = ogg(&tone(3_000.0, 48_000, 96_000), 20);
    torn.truncate(torn.len() - 100);
    let rows: [(&[u8], &str); 12] = [
        (b"", "the file is empty; a prompt is a WAV or Ogg Opus file"),
        (b"ID3\x04....", "the file looks like MP3; a prompt is a WAV or Ogg Opus file"),
        (b"....ftypM4A ", "the file looks like an MP4 or M4A file; a prompt is a WAV or Ogg Opus file"),
        (b"Good morning\n", "the file looks like text; a prompt is a WAV or Ogg Opus file"),
        (b"\0\x01\x02", "the file looks like no kind of file that is known here; a prompt is a WAV or Ogg Opus file"),
        (b"RIFF....AVI ", "the file looks like a RIFF file without sound; a prompt is a WAV or Ogg Opus file"),
        (&wav(&[], 8_000), "0 ms of sound; a prompt lasts 20 ms at least"),
        (&wav(&[1; 80], 8_000), "10 ms of sound; a prompt lasts 20 ms at least"),
        (&long, "more than 600 s of sound, the longest that a prompt may be"),
        (&cut, "the WAV file breaks off after 0.50 s of sound: "),
        (&torn, "the Ogg file is damaged at byte "),
        (b"OggS", "the Ogg file ends before its sound begins"),
    ];
    for (bytes, want) in rows {
        let error = make(bytes).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
}

#[test]
fn three_hours_are_refused_before_they_are_decoded() {
    // Packets that no decoder takes: had one been tried, the error would be another.
    let mut writer = Writer::create(Vec::new(), WriterOptions::default()).unwrap();
    let packet = Bytes::from_static(&[0x18, 0xff, 0x00, 0xff, 0x13]);
    for minute in 0..180u64 {
        writer.append(MediaTime(minute * 60 * 48_000), packet.clone()).unwrap();
    }
    let error = make(&writer.finish().unwrap()).unwrap_err();
    assert!(matches!(error, PromptError::TooLong { .. }), "{error}");
    // A WAV file whose head says so needs not even hold the sound.
    let mut head = wav(&[0; 800], 8_000);
    head[4..8].copy_from_slice(&(36u32 + 3 * 3600 * 16_000).to_le_bytes());
    head[40..44].copy_from_slice(&(3 * 3600 * 16_000u32).to_le_bytes());
    assert!(matches!(make(&head).unwrap_err(), PromptError::TooLong { .. }));
}
