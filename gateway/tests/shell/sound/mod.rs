//! Prompts, recordings, mailboxes and where their files go, over a store in a temporary directory and real object stores on this machine.

mod blobs;
mod mailboxes;
mod prompts;
mod recordings;

use std::time::Duration;

use futures_util::StreamExt as _;
use tandem::blobs::Reading;
use tandem::tenants::model::*;
use tandem::tenants::{Ending, MeantFor, NewRecording, NewTrack};
use tandem_audio::prompt::Prompt as Sound;
use tandem_switch::id::{CallId, MailboxId, RecordingId, UserId};

use super::tenants::{Node, acme};

/// A tone of so many milliseconds.
pub(crate) fn samples(millis: usize) -> Vec<i16> {
    let wave = |at: usize| (at as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin() * 8_000.0;
    (0..millis * 48).map(|at| wave(at) as i16).collect()
}

/// It as a WAV file.
pub(crate) fn wav(millis: usize) -> Vec<u8> {
    let data: Vec<u8> = samples(millis).iter().flat_map(|sample| sample.to_le_bytes()).collect();
    wav_of(48_000, 16, &data)
}

/// A mono WAV file of these bytes.
pub(crate) fn wav_of(hz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = bits / 8;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(hz.to_le_bytes());
    file.extend((hz * u32::from(block)).to_le_bytes());
    file.extend(block.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

/// It as Ogg Opus, as a recorder writes it.
pub(crate) fn ogg(millis: usize) -> Vec<u8> {
    Sound::from_samples(&samples(millis)).unwrap().to_ogg()
}

fn track(leg: &str, start_ms: u64) -> NewTrack {
    NewTrack { leg: leg.into(), user: UserId::new("alice").ok(), start_ms }
}

fn call(tracks: Vec<NewTrack>) -> NewRecording {
    NewRecording { call: Some(CallId(7)), kind: RecordingKind::Call, tracks, meant_for: None }
}

/// A recording of a call that has ended: two voices, the second half a second later.
pub(crate) async fn recorded(tenants: &tandem::tenants::Tenants) -> RecordingId {
    let begun = tenants.begin_recording(&acme(), call(vec![track("caller", 0), track("callee", 500)])).await.unwrap();
    for file in &begun.files {
        std::fs::write(file, ogg(1000)).unwrap();
    }
    let ended = tenants.end_recording(&acme(), begun.id, Ending { duration_ms: 1500, is_whole: true }).await.unwrap();
    assert_eq!((ended.state, ended.duration_ms, ended.tracks.len()), (RecordingState::Complete, 1500, 2));
    begun.id
}

/// A message that was left for `mailbox`.
pub(crate) async fn left(
    tenants: &tandem::tenants::Tenants,
    mailbox: &str,
) -> Result<Message, tandem::tenants::TenantError> {
    let meant_for = MeantFor { mailbox: MailboxId::new(mailbox).unwrap(), from: "bob".into(), to: mailbox.into() };
    let new = NewRecording {
        call: Some(CallId(8)),
        kind: RecordingKind::Voicemail,
        tracks: vec![track("caller", 0)],
        meant_for: Some(meant_for),
    };
    let begun = tenants.begin_recording(&acme(), new).await?;
    std::fs::write(&begun.files[0], ogg(1000)).unwrap();
    tenants.end_recording(&acme(), begun.id, Ending { duration_ms: 1000, is_whole: true }).await?;
    tenants.keep_message(&acme(), begun.id).await
}

async fn whole(mut reading: Reading) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = reading.pieces.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(bytes.len() as u64, reading.bytes);
    bytes
}

/// Waits, at most 30 s, until a recording is kept like this.
async fn until(node: &Node, id: RecordingId, state: StorageState) {
    let reached = async {
        while node.tenants.recording(&acme(), id).await.unwrap().storage != state {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap_or_else(|_| panic!("never {state:?}"));
}
