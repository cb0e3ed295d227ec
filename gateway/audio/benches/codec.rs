//! What the kit costs, per frame of 20 ms: codecs against bare libopus, telephone legs, mixing, listening, noise suppression, recording.
//!
//! `cargo bench -p tandem-audio --bench codec`

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::Criterion;
use opus::{Application, Bitrate, Channels};
use tandem_audio::activity::ActivityDetector;
use tandem_audio::beep::BeepDetector;
use tandem_audio::denoise::Denoiser;
use tandem_audio::dtmf::DtmfDetector;
use tandem_audio::g711::Law;
use tandem_audio::leg::{LegDecoder, OnLoss};
use tandem_audio::level;
use tandem_audio::mix::{Heard, Mixer, Sets, mix};
use tandem_audio::noise::ComfortNoise;
use tandem_audio::ogg_opus::{Writer, WriterOptions};
use tandem_audio::opus::{Decoder, Encoder, EncoderOptions, PACKET_BYTES_MAX, PACKET_SAMPLES_MAX, Rate};
use tandem_audio::pcm::{FRAME_SAMPLES, Frame, MediaTime};
use tandem_audio::resample::Resampler;

/// Bits a second of all that is encoded here.
const BITRATE: u32 = 24_000;

/// Frames of the sound that is encoded round and round: 4 s.
const FRAMES: usize = 200;

/// Something that costs a codec what speech does: a buzz of changing pitch and loudness in a little noise, with pauses.
fn speech(rate: Rate) -> Vec<Vec<i16>> {
    let mut noise = ComfortNoise::new(3);
    noise.hear(&[60; 960]);
    let frame = |index: usize| {
        let mut out = vec![0; rate.frame_samples()];
        noise.fill(&mut out);
        let at = index as f32;
        let pitch = 140.0 + 40.0 * (at * 0.13).sin();
        let loud = if index % 50 < 38 { 2_500.0 + 2_000.0 * (at * 0.41).sin() } else { 0.0 };
        for (n, sample) in out.iter_mut().enumerate() {
            let seconds = (index * rate.frame_samples() + n) as f32 / rate.hz() as f32;
            let voice: f32 =
                (1..20).map(|k| (k as f32 * pitch * seconds * std::f32::consts::TAU).sin() / k as f32).sum();
            *sample = sample.saturating_add((loud * voice) as i16);
        }
        out
    };
    (0..FRAMES).map(frame).collect()
}

fn options(rate: Rate, complexity: u8) -> EncoderOptions {
    EncoderOptions { rate, bitrate: BITRATE, complexity, ..EncoderOptions::default() }
}

fn bare_encoder(rate: Rate, complexity: u8) -> opus::Encoder {
    let mut encoder = opus::Encoder::new(rate.hz(), Channels::Mono, Application::Voip).expect("an encoder");
    encoder.set_bitrate(Bitrate::Bits(BITRATE as i32)).expect("a bitrate");
    encoder.set_complexity(complexity.into()).expect("a complexity");
    encoder
}

fn packets(rate: Rate) -> Vec<Bytes> {
    let mut encoder = Encoder::new(options(rate, 5)).expect("an encoder");
    let mut packet = [0; PACKET_BYTES_MAX];
    let encode = |frame: Vec<i16>| {
        let bytes = encoder.encode(&frame, &mut packet).expect("a packet");
        Bytes::copy_from_slice(&packet[..bytes])
    };
    speech(rate).into_iter().map(encode).collect()
}

/// Runs `work` for one frame after another, round and round.
fn each<T>(criterion: &mut Criterion, name: &str, frames: &[T], mut work: impl FnMut(&T)) {
    let mut frames = frames.iter().cycle();
    criterion.bench_function(name, |bencher| bencher.iter(|| work(frames.next().expect("a frame"))));
}

fn encode(criterion: &mut Criterion) {
    let mut packet = [0; PACKET_BYTES_MAX];
    for (rate, complexity) in [(Rate::Hz48000, 5), (Rate::Hz48000, 10), (Rate::Hz8000, 5)] {
        let frames = speech(rate);
        let name = format!("{} Hz, complexity {complexity}", rate.hz());
        let mut encoder = Encoder::new(options(rate, complexity)).expect("an encoder");
        each(criterion, &format!("encode: {name}"), &frames, |frame| {
            black_box(encoder.encode(frame, &mut packet)).expect("a packet");
        });
        let mut bare = bare_encoder(rate, complexity);
        each(criterion, &format!("encode, libopus alone: {name}"), &frames, |frame| {
            black_box(bare.encode(frame, &mut packet)).expect("a packet");
        });
    }
}

fn decode(criterion: &mut Criterion) {
    let mut out = vec![0; PACKET_SAMPLES_MAX];
    for rate in [Rate::Hz48000, Rate::Hz8000] {
        let packets = packets(rate);
        let mut decoder = Decoder::new(rate).expect("a decoder");
        each(criterion, &format!("decode: {} Hz", rate.hz()), &packets, |packet| {
            black_box(decoder.decode(packet, &mut out)).expect("a frame");
        });
        let mut bare = opus::Decoder::new(rate.hz(), Channels::Mono).expect("a decoder");
        each(criterion, &format!("decode, libopus alone: {} Hz", rate.hz()), &packets, |packet| {
            black_box(bare.decode(packet, &mut out, false)).expect("a frame");
        });
    }
    let packets = packets(Rate::Hz48000);
    let mut leg = LegDecoder::new(Rate::Hz48000, OnLoss::Correct, 1).expect("a leg");
    let (mut sent, mut frame) = (0u32, [0; FRAME_SAMPLES]);
    each(criterion, "a leg: push, jitter buffer, decode", &packets, |packet| {
        let now = tandem_switch::time::Instant::from_micros(u64::from(sent) * 20_000);
        leg.push(now, sent as u16, sent.wrapping_mul(960), packet.clone());
        black_box(leg.pull(now, &mut frame));
        sent = sent.wrapping_add(1);
    });
}

/// A call between an Opus leg and a telephone: both directions, the Opus coder at 8 kHz.
struct TelephoneCall {
    encoder: Encoder,
    decoder: Decoder,
}

impl TelephoneCall {
    fn new() -> Self {
        let encoder = Encoder::new(options(Rate::Hz8000, 5)).expect("an encoder");
        Self { encoder, decoder: Decoder::new(Rate::Hz8000).expect("a decoder") }
    }

    /// 20 ms of it.
    fn step(&mut self, from_telephone: &[u8], from_opus: &[u8]) {
        let (mut samples, mut packet) = ([0; PACKET_SAMPLES_MAX / 6], [0; PACKET_BYTES_MAX]);
        let taken = Law::Mu.decode(from_telephone, &mut samples);
        black_box(self.encoder.encode(&samples[..taken], &mut packet)).expect("a packet");
        let given = self.decoder.decode(from_opus, &mut samples).expect("a frame");
        black_box(Law::Mu.encode(&samples[..given], &mut packet));
    }
}

fn telephone(criterion: &mut Criterion) {
    let law = |frame: Vec<i16>| {
        let mut bytes = vec![0; frame.len()];
        Law::Mu.encode(&frame, &mut bytes);
        bytes
    };
    let telephone: Vec<Vec<u8>> = speech(Rate::Hz8000).into_iter().map(law).collect();
    let both: Vec<_> = telephone.into_iter().zip(packets(Rate::Hz8000)).collect();
    let mut call = TelephoneCall::new();
    each(criterion, "PCMU and Opus, both ways of a call, coder at 8 kHz", &both, |(bytes, packet)| {
        call.step(bytes, packet)
    });
    let started = Instant::now();
    let mut steps = 0u32;
    while started.elapsed() < Duration::from_secs(3) {
        both.iter().for_each(|(bytes, packet)| call.step(bytes, packet));
        steps += both.len() as u32;
    }
    let each = started.elapsed() / steps;
    println!("PCMU and Opus: {each:?} for 20 ms of a call; {:.0} calls a core", 0.02 / each.as_secs_f64());
}

fn others(criterion: &mut Criterion) {
    let frames: Vec<Frame> =
        speech(Rate::Hz48000).into_iter().map(|frame| frame.try_into().expect("a frame")).collect();
    let (mut mixer, mut sets, mut out) = (Mixer::default(), Sets::with_room(50), [0; FRAME_SAMPLES]);
    for talkers in [3, 10, 50] {
        let talking: Vec<_> = frames[..talkers].iter().map(Some).collect();
        criterion.bench_function(&format!("mix for one listener, {talkers} talkers"), |bencher| {
            bencher.iter(|| mix(black_box(&talking), Heard::all(talkers), &mut mixer, &mut out));
        });
        criterion.bench_function(&format!("mix for everybody, each of {talkers} without himself"), |bencher| {
            bencher.iter(|| {
                mixer.begin();
                frames[..talkers].iter().for_each(|frame| mixer.add(frame));
                frames[..talkers].iter().for_each(|own| mixer.without(own, &mut out));
                black_box(&out);
            });
        });
    }
    criterion.bench_function("who shares a mix: 50 listeners, 3 talkers", |bencher| {
        bencher.iter(|| {
            sets.assign((0..50).map(|listener| Heard::all(3).without(listener)));
            black_box(sets.distinct().len())
        });
    });
    let mut denoiser = Denoiser::default();
    each(criterion, "noise suppression", &frames, |frame| {
        black_box(denoiser.clean(&mut frame.clone()));
    });
    let mut activity = ActivityDetector::default();
    each(criterion, "activity", &frames, |frame| {
        black_box(activity.hear(frame));
    });
    each(criterion, "level", &frames, |frame| {
        black_box(level::audio_level(frame));
    });
    let mut dtmf = DtmfDetector::default();
    each(criterion, "DTMF", &frames, |frame| {
        dtmf.hear(frame, |heard| {
            black_box(heard);
        });
    });
    let mut beep = BeepDetector::default();
    each(criterion, "beep", &frames, |frame| {
        black_box(beep.hear(frame));
    });
    let (mut resampler, mut narrow) = (Resampler::new(48_000, 8_000).expect("rates"), Vec::with_capacity(1_000));
    each(criterion, "48 kHz to 8 kHz", &frames, |frame| {
        narrow.clear();
        resampler.push_pcm(frame, &mut narrow);
        black_box(&narrow);
    });
    let mut writer = Writer::create(std::io::sink(), WriterOptions::default()).expect("a sink takes all");
    let mut at = 0;
    each(criterion, "recording: a packet", &packets(Rate::Hz48000), |packet| {
        writer.append(MediaTime(at), packet.clone()).expect("a sink takes all");
        at += FRAME_SAMPLES as u64;
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    encode(&mut criterion);
    decode(&mut criterion);
    telephone(&mut criterion);
    others(&mut criterion);
    criterion.final_summary();
}
