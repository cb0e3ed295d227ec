//! What runs once a frame allocates nothing after it was made.

#[path = "../../switch/tests/counting_allocator/mod.rs"]
mod counting_allocator;

use bytes::Bytes;
use counting_allocator::{CountingAllocator, allocations_of};
use tandem_audio::activity::ActivityDetector;
use tandem_audio::amd::AmdDetector;
use tandem_audio::beep::BeepDetector;
use tandem_audio::denoise::Denoiser;
use tandem_audio::dtmf::DtmfDetector;
use tandem_audio::fec::Protection;
use tandem_audio::g711::Law;
use tandem_audio::leg::{LegDecoder, OnLoss};
use tandem_audio::mix::{Heard, Mixer, Sets, mix};
use tandem_audio::noise::ComfortNoise;
use tandem_audio::opus::{Decoder, Encoder, EncoderOptions, PACKET_BYTES_MAX, PACKET_SAMPLES_MAX, Rate};
use tandem_audio::pcm::{FRAME_SAMPLES, Frame};
use tandem_audio::resample::Resampler;
use tandem_audio::{level, tone};
use tandem_switch::time::Instant;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A second of sound that wanders through everything: a tone, digits, noise, silence.
fn frames() -> Vec<Frame> {
    let mut noise = ComfortNoise::new(1);
    noise.hear(&[900; FRAME_SAMPLES]);
    let mut sound = tone::Tone::dtmf("12").expect("digits").samples();
    sound.extend(tone::Tone::beep().samples());
    let at = sound.len();
    sound.resize(at + 9_600, 0);
    noise.fill(&mut sound[at..]);
    sound.resize(48_000, 0);
    sound.as_chunks().0.to_vec()
}

#[test]
fn encoding_and_decoding_allocate_nothing() {
    let frames = frames();
    for protection in [Protection::Off, Protection::Loss { percent: 20 }] {
        let options = EncoderOptions { protection, ..EncoderOptions::default() };
        let mut encoder = Encoder::new(options).unwrap();
        let mut decoder = Decoder::new(Rate::Hz48000).unwrap();
        let (mut packet, mut out) = ([0; PACKET_BYTES_MAX], [0; PACKET_SAMPLES_MAX]);
        let allocations = allocations_of(|| {
            for (index, frame) in frames.iter().cycle().take(500).enumerate() {
                let bytes = encoder.encode(frame, &mut packet).unwrap();
                let samples = match index % 7 {
                    0 => decoder.conceal(&mut out[..FRAME_SAMPLES]).unwrap(),
                    1 => decoder.decode_lost(&packet[..bytes], &mut out[..FRAME_SAMPLES]).unwrap(),
                    _ => decoder.decode(&packet[..bytes], &mut out).unwrap(),
                };
                assert_eq!(samples, FRAME_SAMPLES);
                if index == 250 {
                    encoder.protect(Protection::Loss { percent: 5 }).unwrap();
                }
            }
        });
        assert_eq!(allocations, 0, "{protection:?}");
    }
}

#[test]
fn pulling_from_a_leg_allocates_nothing() {
    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    let mut leg = LegDecoder::new(Rate::Hz48000, OnLoss::Correct, 1).unwrap();
    let (mut allocations, mut shared) = (0, Vec::new());
    for (index, frame) in frames().iter().cycle().take(500).enumerate() {
        let now = Instant::from_micros(index as u64 * 20_000);
        let mut packet = [0; PACKET_BYTES_MAX];
        let bytes = encoder.encode(frame, &mut packet).unwrap();
        // Losses, and a stretch without anything.
        if index % 9 != 0 && !(200..260).contains(&index) {
            let payload = Bytes::copy_from_slice(&packet[..bytes]);
            // As packets from a network are: parts of a datagram that is shared already.
            shared.push(payload.clone());
            leg.push(now, index as u16, (index * FRAME_SAMPLES) as u32, payload);
        }
        let mut out = [0; FRAME_SAMPLES];
        allocations += allocations_of(|| {
            std::hint::black_box(leg.pull(now, &mut out));
        });
    }
    assert_eq!(allocations, 0);
}

#[test]
fn listening_and_mixing_allocate_nothing() {
    let frames = frames();
    let mut activity = ActivityDetector::default();
    let mut amd = AmdDetector::default();
    let mut beep = BeepDetector::default();
    let mut dtmf = DtmfDetector::default();
    let mut denoiser = Denoiser::default();
    let (mut mixer, mut sets) = (Mixer::default(), Sets::with_room(50));
    let (mut events, mut out) = (0, [0; FRAME_SAMPLES]);
    // RNNoise plans its transforms, once for a thread, when it meets its first frame.
    denoiser.clean(&mut frames[0].clone());
    let allocations = allocations_of(|| {
        for frame in frames.iter().cycle().take(200) {
            events += usize::from(activity.hear(frame).is_some());
            events += usize::from(amd.hear(frame).is_some());
            events += usize::from(beep.hear(frame).is_some());
            dtmf.hear(frame, |_| events += 1);
            denoiser.clean(&mut frame.clone());
            std::hint::black_box(level::audio_level(frame));
            let talkers = [Some(frame), None, Some(&frames[3])];
            sets.assign((0..50).map(|listener| Heard::all(3).without(listener)));
            for &heard in sets.distinct() {
                mix(&talkers, heard, &mut mixer, &mut out);
            }
            mixer.without(frame, &mut out);
        }
    });
    assert_eq!(allocations, 0);
    assert!(events > 20, "{events}: the detectors had something to hear");
}

#[test]
fn a_telephone_leg_allocates_nothing() {
    let frames = frames();
    let mut resampler = Resampler::new(48_000, 8_000).unwrap();
    let mut narrow = Vec::with_capacity(1_000);
    let (mut bytes, mut samples) = ([0; 160], [0; 160]);
    resampler.push_pcm(&frames[0], &mut narrow);
    let allocations = allocations_of(|| {
        for frame in frames.iter().cycle().take(200) {
            narrow.clear();
            resampler.push_pcm(frame, &mut narrow);
            for law in [Law::Mu, Law::A] {
                law.encode(&narrow, &mut bytes);
                law.decode(&bytes, &mut samples);
            }
        }
    });
    assert_eq!(allocations, 0);
}
