//! What is recorded is in the files, where in time it belongs; what goes wrong is told once.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;

use tandem_audio::ogg_opus::{Reader, Sound};
use tandem_audio::pcm::to_i16;
use tandem_switch::audio::{Purpose, Track};

use super::*;

const RECORDING: RecordingId = RecordingId { call: CALL, number: 1 };

fn record(kit: &mut Kit, tracks: &[Track]) {
    let what = Recording {
        tenant: TenantId::new("acme").unwrap(),
        caller: UserId::new("carol").unwrap(),
        dialled: "100".into(),
        purpose: Purpose::Call,
        tracks: tracks.to_vec(),
    };
    kit.command(AudioCommand::Record { recording: RECORDING, what: Box::new(what) });
}

/// The whole sound of a file.
fn heard(path: &std::path::Path) -> Vec<i16> {
    let mut sound = Sound::new(Reader::open(File::open(path).unwrap()).unwrap()).unwrap();
    let mut samples = Vec::new();
    while sound.read(&mut samples).unwrap() {}
    assert!(sound.reader().is_ended() && !sound.reader().is_torn());
    samples.into_iter().map(to_i16).collect()
}

/// Where the first 20 ms are that are loud, milliseconds.
fn begins_ms(samples: &[i16]) -> usize {
    let is_loud =
        |frame: &[i16]| frame.iter().map(|&sample| i64::from(sample).pow(2)).sum::<i64>() > 960 * 1_000 * 1_000;
    20 * samples.chunks(FRAME_SAMPLES).position(is_loud).expect("a voice")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_voices_of_a_call_are_on_one_time_line() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["0.ogg", "1.ogg"].map(|name| folder.path().join(name));
    let mut kit = Kit::start(files.to_vec());
    let archive = Arc::clone(&kit.archive);
    let gate = archive.gate.lock().await;
    record(&mut kit, &[Track::Caller, Track::Callee]);
    // As it was 3 s ago: the caller speaks for 2.5 s, the callee from 0.7 s on for 1 s, after a pause for 0.4 s more.
    let begun = Instant::now() - Duration::from_secs(3);
    let (caller, callee) = (tone_packets(440.0, 125), tone_packets(1_000.0, 145));
    for (number, packet) in caller.iter().enumerate() {
        let at = begun + Duration::from_millis(20 * number as u64);
        say(&kit, Destination::Recording(RECORDING, Track::Caller), at, voice(number, 1, packet));
        if (35..85).contains(&number) || (105..125).contains(&number) {
            // With some jitter.
            let at = at + Duration::from_millis(3 * (number as u64 % 5));
            say(&kit, Destination::Recording(RECORDING, Track::Callee), at, voice(number, 2, &callee[number]));
        }
    }
    drop(gate);
    kit.command(AudioCommand::Finish { recording: RECORDING, keep: true });
    let ended = kit.ended().await;
    assert!(ended.is_whole && ended.keep, "{ended:?}");
    assert!((3_000..4_500).contains(&ended.duration_ms), "{ended:?}");
    let (caller, callee) = (heard(&files[0]), heard(&files[1]));
    for samples in [&caller, &callee] {
        let milliseconds = (samples.len() / 48) as u64;
        assert!(milliseconds.abs_diff(ended.duration_ms) <= 20, "{milliseconds} of {ended:?}");
    }
    assert_eq!(begins_ms(&caller), 0);
    assert!(begins_ms(&callee).abs_diff(700) <= 20, "{}", begins_ms(&callee));
    let second = |from_ms: usize, to_ms: usize| from_ms * 48..to_ms * 48;
    assert!(share_at(&caller[second(100, 2_400)], 440.0, 48_000.0) > 0.9);
    assert!(share_at(&callee[second(800, 1_650)], 1_000.0, 48_000.0) > 0.9);
    assert!(share_at(&callee[second(1_850, 2_050)], 1_000.0, 48_000.0) < 0.1, "a pause");
    assert!(begins_ms(&callee[second(1_850, 2_600)]).abs_diff(250) <= 20, "speech goes on where it did");
    assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o077, 0, "for nobody else");
    kit.audio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_that_says_nothing_has_no_file_and_what_is_not_kept_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["0.ogg", "1.ogg"].map(|name| folder.path().join(name));
    let mut kit = Kit::start(files.to_vec());
    record(&mut kit, &[Track::Caller, Track::Callee]);
    say(
        &kit,
        Destination::Recording(RECORDING, Track::Caller),
        Instant::now(),
        voice(0, 1, &tone_packets(440.0, 1)[0]),
    );
    kit.command(AudioCommand::Finish { recording: RECORDING, keep: false });
    let ended = kit.ended().await;
    assert!(!ended.keep && ended.is_whole && ended.duration_ms < 1_000, "{ended:?}");
    assert!(files[0].exists() && !files[1].exists());
    kit.audio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_the_node_ends_what_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut kit = Kit::start(vec![folder.path().join("0.ogg")]);
    record(&mut kit, &[Track::Caller]);
    for (number, packet) in tone_packets(440.0, 50).iter().enumerate() {
        say(&kit, Destination::Recording(RECORDING, Track::Caller), Instant::now(), voice(number, 1, packet));
    }
    kit.audio.stop().await;
    assert!(kit.ended.recv().await.is_some_and(|ended| ended.is_whole && ended.keep));
    assert_eq!(begins_ms(&heard(&folder.path().join("0.ogg"))), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_is_told_once_and_what_was_written_is_kept() {
    let gone = tempfile::tempdir().unwrap().path().join("gone").join("0.ogg");
    let table =
        [(vec![], "no budget"), (vec![gone], "No such file"), (vec![PathBuf::from("/dev/full")], "No space left")];
    for (files, says) in table {
        let has_begun = !files.is_empty();
        let mut kit = Kit::start(files);
        record(&mut kit, &[Track::Caller]);
        for (number, packet) in tone_packets(440.0, 5).iter().enumerate() {
            say(&kit, Destination::Recording(RECORDING, Track::Caller), Instant::now(), voice(number, 1, packet));
        }
        let event = kit.event().await;
        let AudioEvent::RecordingFailed { recording: RECORDING, failure } = event else { panic!("{event:?}") };
        assert!(failure.contains(says), "{failure}");
        say(&kit, Destination::Recording(RECORDING, Track::Caller), Instant::now(), voice(5, 1, &[0xf8, 0xff, 0xfe]));
        kit.command(AudioCommand::Finish { recording: RECORDING, keep: true });
        if has_begun {
            assert!(!kit.ended().await.is_whole);
        }
        kit.audio.stop().await;
        assert_eq!(kit.events.recv().await, None, "it is told once");
    }
}
