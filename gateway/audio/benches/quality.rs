//! What speech sounds like after a bad network: PESQ (ITU-T P.862.2) with error correction and concealment, with concealment alone, and
//! with neither.
//!
//! Real speech → Opus encoder → seeded network (bursty loss, 60 ms jitter) → [`LegDecoder`] → WAV → score. The same every time. Fails
//! when what the kit does against loss is not worth it by a clear margin.
//!
//! `cargo xtask bench quality`; needs what `cargo xtask setup --tests` installs.

mod network;

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use bytes::Bytes;
use network::Network;
use tandem_audio::dtmf::DtmfDetector;
use tandem_audio::fec::{FecController, Protection};
use tandem_audio::leg::{LegDecoder, OnLoss};
use tandem_audio::opus::{Encoder, EncoderOptions, PACKET_BYTES_MAX, Rate};
use tandem_audio::pcm::{FRAME_SAMPLES, Frame, SAMPLE_HZ, to_i16};
use tandem_audio::wav;
use tandem_switch::time::Instant;

const VOICES: [&str; 2] = ["alice", "bob"];
const LOSSES_PERCENT: [u32; 4] = [0, 5, 10, 20];
const SEED: u64 = 20_261_122;

/// Packets lost in a row, in the mean.
const BURST: f64 = 1.5;
const JITTER_US: u64 = 60_000;

/// Frames of a run: 60 s.
const FRAMES: usize = 3_000;

/// Frames between two reports of the receiver: 5 s, as clients report.
const REPORT_FRAMES: usize = 250;

/// Seconds at the beginning that are not scored: until the second report.
const SETTLE: &str = "11";

/// By how much error correction and concealment together are better than neither, at any loss.
const MARGIN: f64 = 0.5;

/// By how much error correction is better than concealment alone, at any loss.
const MARGIN_OF_CORRECTION: f64 = 0.3;

/// What is done against loss.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Both,
    Concealment,
    Neither,
}

const MODES: [(Mode, &str); 3] =
    [(Mode::Both, "FEC and PLC"), (Mode::Concealment, "PLC alone"), (Mode::Neither, "neither")];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser");
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    println!("PESQ wide-band; 60 s of speech, bursts of {BURST} packets, {} ms jitter, seed {SEED}", JITTER_US / 1000);
    println!("{:<8} {:>6} {:>9} {:>14} {:>14} {:>14}", "voice", "loss", "measured", MODES[0].1, MODES[1].1, MODES[2].1);
    let mut failures = Vec::new();
    for voice in VOICES {
        let original = tests.join("speech").join(format!("{voice}.wav"));
        let speech = read(&original)?;
        talks_nothing_off(voice, &speech)?;
        for loss in LOSSES_PERCENT {
            let network = Network {
                loss: f64::from(loss) / 100.0,
                burst: BURST,
                jitter_us: JITTER_US,
                seed: SEED + u64::from(loss),
            };
            let arrivals = network.deliver(FRAMES);
            let measured = 100.0 * (1.0 - arrivals.len() as f64 / FRAMES as f64);
            let mut scores = [0.0; 3];
            for (score, (mode, name)) in scores.iter_mut().zip(MODES) {
                let heard = out.join(format!("{voice}-{loss}-{}.wav", name.replace(' ', "-")));
                write(&heard, &send(&speech, &arrivals, mode)?)?;
                *score = judge(&tests, &original, &heard)?;
            }
            let [both, concealment, neither] = scores;
            println!("{voice:<8} {loss:>5}% {measured:>8.1}% {both:>14.2} {concealment:>14.2} {neither:>14.2}");
            if loss > 0 && (both < neither + MARGIN || both < concealment + MARGIN_OF_CORRECTION) {
                failures.push(format!("{voice} at {loss} %: {both:.2}, {concealment:.2}, {neither:.2}"));
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(format!(
        "what is done against loss is not worth {MARGIN} of PESQ, or correction {MARGIN_OF_CORRECTION}: {}",
        failures.join("; ")
    ))
}

/// Real speech holds no DTMF digit.
fn talks_nothing_off(voice: &str, speech: &[i16]) -> Result<(), String> {
    let mut detector = DtmfDetector::default();
    let mut heard = Vec::new();
    for frame in speech.as_chunks().0 {
        detector.hear(frame, |event| heard.push(event));
    }
    if heard.is_empty() { Ok(()) } else { Err(format!("{voice} is heard to dial: {heard:?}")) }
}

/// Sends the speech, again and again, over the network; returns what is heard.
fn send(speech: &[i16], arrivals: &[(u64, usize)], mode: Mode) -> Result<Vec<Frame>, String> {
    let failed = |error: tandem_audio::opus::CodecError| error.to_string();
    let on_loss = match mode {
        Mode::Both => OnLoss::Correct,
        Mode::Concealment => OnLoss::Conceal,
        Mode::Neither => OnLoss::Silence,
    };
    let mut encoder = Encoder::new(EncoderOptions::default()).map_err(failed)?;
    let mut leg = LegDecoder::new(Rate::Hz48000, on_loss, SEED).map_err(failed)?;
    let mut controller = FecController::default();
    let frames = speech.as_chunks::<FRAME_SAMPLES>().0;
    let mut packets: Vec<Bytes> = Vec::new();
    let (mut heard, mut arrived) = (Vec::new(), 0);
    for index in 0..FRAMES {
        let mut packet = [0; PACKET_BYTES_MAX];
        let bytes = encoder.encode(&frames[index % frames.len()], &mut packet).map_err(failed)?;
        packets.push(Bytes::copy_from_slice(&packet[..bytes]));
        let now = index as u64 * 20_000;
        while let Some(&(at, number)) = arrivals.get(arrived).filter(|&&(at, _)| at <= now) {
            let timestamp = (number * FRAME_SAMPLES) as u32;
            leg.push(Instant::from_micros(at), number as u16, timestamp, packets[number].clone());
            arrived += 1;
        }
        let mut frame = [0; FRAME_SAMPLES];
        leg.pull(Instant::from_micros(now), &mut frame);
        heard.push(frame);
        if index % REPORT_FRAMES == REPORT_FRAMES - 1 && mode == Mode::Both {
            let counters = leg.counters();
            let protection = controller.reported(counters.received, counters.lost.saturating_sub(counters.late));
            encoder.protect(protection).map_err(failed)?;
        }
    }
    debug_assert!(mode == Mode::Both || controller.protection() == Protection::Off);
    Ok(heard)
}

fn read(path: &Path) -> Result<Vec<i16>, String> {
    let hint = |error: &dyn std::fmt::Display| format!("{}: {error}; run `cargo xtask setup --tests`", path.display());
    let file = File::open(path).map_err(|error| hint(&error))?;
    let mut reader = wav::Reader::open(BufReader::new(file)).map_err(|error| hint(&error))?;
    let mut samples = Vec::new();
    while reader.read(&mut samples).map_err(|error| hint(&error))? {}
    Ok(samples.into_iter().map(to_i16).collect())
}

fn write(path: &Path, frames: &[Frame]) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::create(path).map_err(|error| failed(&error))?;
    let mut writer = wav::Writer::create(BufWriter::new(file), SAMPLE_HZ).map_err(|error| failed(&error))?;
    frames.iter().try_for_each(|frame| writer.write(frame)).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))
}

/// The median score of stretches of a few seconds, by the browser tests' judge.
fn judge(tests: &Path, original: &Path, heard: &Path) -> Result<f64, String> {
    let mut python = Command::new(tests.join(".venv/bin/python"));
    python.arg(tests.join("score.py")).args([original, heard]).args(["--settle", SETTLE]);
    let output = python.output().map_err(|error| format!("{error}; run `cargo xtask setup --tests`"))?;
    let line = String::from_utf8_lossy(&output.stdout);
    let score = line.split_once("\"pesq\": ").and_then(|(_, rest)| rest.split([',', '}']).next()?.parse().ok());
    score.ok_or_else(|| format!("no score for {}: {line}{}", heard.display(), String::from_utf8_lossy(&output.stderr)))
}
