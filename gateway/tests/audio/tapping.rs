//! A far end hears what is said, and speaks.

use futures_util::{SinkExt as _, StreamExt as _};
use tandem::audio::taps::{FrameHead, HEAD_BYTES};
use tandem_switch::audio::{TapId, Track};
use tandem_switch::plan::{Legs, TapFormat, TapStep};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;

const TAP: TapId = TapId { call: CALL, number: 1 };

/// Taps the call; the far end.
async fn tap(kit: &mut Kit, format: TapFormat) -> WebSocketStream<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let step = TapStep { url: format!("ws://{address}/agent"), legs: Legs::Both, format, speaks: true };
    let allowed = vec![format!("http://{address}").parse().unwrap()];
    assert_eq!(kit.audio.tap(TAP, Box::new(step), Some(PORT), allowed), None);
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut far_end = tokio_tungstenite::accept_async(stream).await.unwrap();
    let start = text(&mut far_end).await;
    assert_eq!((&start["type"], &start["tap"]), (&"start".into(), &TAP.to_string().into()));
    far_end
}

async fn message(far_end: &mut WebSocketStream<TcpStream>) -> Message {
    timeout(PATIENCE, far_end.next()).await.expect("a message comes").expect("the tap stands").unwrap()
}

/// The next text message; frames before it are passed over.
async fn text(far_end: &mut WebSocketStream<TcpStream>) -> serde_json::Value {
    loop {
        if let Message::Text(text) = message(far_end).await {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn frame(far_end: &mut WebSocketStream<TcpStream>) -> (FrameHead, Vec<u8>) {
    loop {
        if let Message::Binary(bytes) = message(far_end).await {
            return (FrameHead::read(&bytes).unwrap(), bytes[HEAD_BYTES..].to_vec());
        }
    }
}

fn from_far_end(payload: &[u8]) -> Message {
    let mut bytes = BytesMut::new();
    FrameHead { track: 2, sequence: 0, timestamp: 0 }.write(&mut bytes);
    bytes.extend_from_slice(payload);
    Message::binary(bytes.freeze())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_far_end_hears_samples_and_is_heard() {
    let mut kit = Kit::with_port(Vec::new());
    let mut far_end = tap(&mut kit, TapFormat::Pcm16k).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut samples = Vec::new();
    let packets = tone_packets(440.0, 60);
    let (mut number, mut last) = (0, None::<FrameHead>);
    while samples.len() < 16_000 {
        tokio::select! {
            _ = ticks.tick(), if number < packets.len() => {
                say(&kit, Destination::Tap(TAP, Track::Callee), Instant::now(), voice(number, 1, &packets[number]));
                number += 1;
            }
            (head, payload) = frame(&mut far_end) => {
                assert_eq!((head.track, payload.len()), (1, 640));
                if let Some(last) = last {
                    assert_eq!(head.sequence, last.sequence + 1);
                    assert_eq!(head.timestamp, last.timestamp + 960);
                }
                last = Some(head);
                samples.extend(payload.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)));
            }
        }
    }
    assert!(share_at(&samples[6_400..12_800], 440.0, 16_000.0) > 0.8);

    // It speaks half a second at once, and wants to know when that was heard.
    let speech: Vec<u8> = (0..8_000)
        .map(|n| (8_000.0 * (std::f64::consts::TAU * 1_000.0 * f64::from(n) / 16_000.0).sin()) as i16)
        .flat_map(i16::to_le_bytes)
        .collect();
    far_end.send(from_far_end(&speech)).await.unwrap();
    far_end.send(Message::text(r#"{"type":"mark","name":"said"}"#)).await.unwrap();
    let mut decoder = Decoder::new(Rate::Hz48000).unwrap();
    let mut heard = Vec::new();
    for _ in 0..25 {
        let mut frame = [0; FRAME_SAMPLES];
        decoder.decode(&kit.packet().await.1, &mut frame).unwrap();
        heard.extend(frame);
    }
    assert!(share_at(&heard[4_800..19_200], 1_000.0, 48_000.0) > 0.9);
    assert_eq!(text(&mut far_end).await["name"], "said");

    // What it takes back is not heard.
    far_end.send(from_far_end(&speech.repeat(4))).await.unwrap();
    kit.packet().await;
    far_end.send(Message::text(r#"{"type":"clear"}"#)).await.unwrap();
    far_end.send(Message::text(r#"{"type":"mark","name":"cleared"}"#)).await.unwrap();
    assert_eq!(text(&mut far_end).await["name"], "cleared");
    assert!(kit.sent() < 95, "it was cut off");

    kit.command(AudioCommand::Untap { tap: TAP });
    assert_eq!(text(&mut far_end).await["type"], "stop");
    assert!(matches!(message(&mut far_end).await, Message::Close(_)));
    kit.audio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opus_is_passed_on_as_it_came_and_a_far_end_that_closes_ends_the_tap() {
    let mut kit = Kit::with_port(Vec::new());
    let mut far_end = tap(&mut kit, TapFormat::Opus).await;
    let (begun, packets) = (Instant::now(), tone_packets(440.0, 10));
    for (number, packet) in packets.iter().enumerate() {
        let at = begun + Duration::from_millis(20 * number as u64);
        say(&kit, Destination::Tap(TAP, Track::Caller), at, voice(number, 1, packet));
    }
    for (number, packet) in packets.iter().enumerate() {
        let (head, payload) = frame(&mut far_end).await;
        assert_eq!(head, FrameHead { track: 0, sequence: number as u16, timestamp: 960 * number as u32 });
        assert_eq!(payload, packet[..]);
    }
    far_end.send(from_far_end(&packets[0])).await.unwrap();
    assert_eq!(kit.packet().await.1, packets[0]);
    far_end.close(None).await.unwrap();
    assert_eq!(kit.event().await, AudioEvent::TapEnded { tap: TAP, failure: None });
    kit.audio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_end_that_refuses_is_not_allowed_or_talks_nonsense_is_told() {
    let mut kit = Kit::with_port(Vec::new());
    // Nobody listens on a port that was given back.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let step = |url: String| Box::new(TapStep { url, legs: Legs::Both, format: TapFormat::Opus, speaks: false });
    let allowed = vec![format!("http://{address}").parse().unwrap()];
    for (url, allowed, says) in [
        (format!("ws://{address}/"), allowed, "refused"),
        (format!("ws://{address}/"), Vec::new(), "the manifest does not allow"),
        ("nonsense".to_owned(), Vec::new(), "cannot be read"),
    ] {
        assert_eq!(kit.audio.tap(TAP, step(url), None, allowed), None);
        let AudioEvent::TapEnded { tap: TAP, failure: Some(failure) } = kit.event().await else { panic!("it failed") };
        assert!(failure.contains(says), "{failure}");
    }
    let mut far_end = tap(&mut kit, TapFormat::Opus).await;
    far_end.send(Message::text("hello?")).await.unwrap();
    let AudioEvent::TapEnded { tap: TAP, failure: Some(failure) } = kit.event().await else { panic!("it failed") };
    assert!(failure.contains("neither clear nor mark"), "{failure}");
    kit.audio.stop().await;
}
