//! Recordings: begun, ended, found, marked, mixed, deleted, mended after a killed process, and let go of when they are old.

use std::io::Cursor;

use tandem::store::StoreError;
use tandem::tenants::model::*;
use tandem::tenants::{Ending, Layout, NewRecording, Notice, TenantError};
use tandem_audio::ogg_opus::{Reader, Writer, WriterOptions};
use tandem_audio::pcm::MediaTime;
use tandem_audio::prompt::Prompt as Sound;
use tandem_switch::id::{CallId, MailboxId, RecordingId};
use tandem_switch::time::UnixMillis;

use super::{call, left, recorded, samples, track, whole};
use crate::tenants::{Node, OPERATOR, acme};

#[tokio::test]
async fn a_recording_is_found_marked_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let mut notices = node.tenants.notices();
    let id = recorded(&node.tenants).await;
    let Ok(Notice::RecordingDone(done)) = notices.recv().await else { panic!("no notice") };
    assert_eq!((done.tenant, done.recording.id), (acme(), id));
    let message = left(&node.tenants, "alice").await.unwrap();
    let found = async |filter: RecordingFilter| {
        let page = node.tenants.recordings(&acme(), filter, None, 10).await.unwrap();
        page.items.into_iter().map(|recording| recording.id).collect::<Vec<_>>()
    };
    assert_eq!(found(RecordingFilter::default()).await, [message.recording, id], "newest first");
    let of_call = RecordingFilter { call: Some(CallId(7)), ..RecordingFilter::default() };
    assert_eq!(found(of_call).await, [id]);
    let voicemail = RecordingFilter { kind: Some(RecordingKind::Voicemail), ..RecordingFilter::default() };
    assert_eq!(found(voicemail).await, [message.recording]);
    let later = RecordingFilter { since: Some(UnixMillis(u64::MAX / 4)), ..RecordingFilter::default() };
    assert_eq!(found(later).await, []);

    let mark = async |at_ms: u64, label: &str| {
        node.tenants.bookmark(OPERATOR, &acme(), id, NewBookmark { at_ms, label: label.into() }).await
    };
    mark(900, "later").await.unwrap();
    let marks = mark(100, "earlier").await.unwrap();
    let marks: Vec<_> = marks.iter().map(|mark| (mark.at_ms, mark.label.as_str(), mark.by.as_str())).collect();
    assert_eq!(marks, [(100, "earlier", "operator"), (900, "later", "operator")]);
    assert!(mark(1501, "after the end").await.unwrap_err().to_string().contains("at most 1500"));
    assert!(mark(1, &"x".repeat(257)).await.is_err());

    let error = node.tenants.delete_recording(OPERATOR, &acme(), message.recording).await.unwrap_err();
    assert!(error.to_string().contains("a message in mailbox alice"), "{error}");
    node.tenants.delete_recording(OPERATOR, &acme(), id).await.unwrap();
    assert!(matches!(node.tenants.recording(&acme(), id).await, Err(TenantError::NotFound { .. })));
}

#[tokio::test]
async fn a_mixdown_lasts_as_long_as_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let id = recorded(&node.tenants).await;
    for layout in [Layout::Mono, Layout::Stereo] {
        let mixed = node.tenants.mixdown(&acme(), id, layout).await.unwrap();
        let mut reader = Reader::open(Cursor::new(&mixed[..])).unwrap();
        let mut end = 0;
        while let Some(packet) = reader.read().unwrap() {
            end = packet.at.0 + u64::from(packet.samples);
        }
        assert!(reader.is_ended());
        let heard_ms = (end - u64::from(reader.head().pre_skip)) / 48;
        assert!((1500..1530).contains(&heard_ms), "{layout:?}: {heard_ms} ms");
    }
}

#[tokio::test]
async fn while_it_is_made_a_recording_is_neither_heard_nor_deleted_and_a_silent_one_is_cut_short() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let begun = node.tenants.begin_recording(&acme(), call(vec![track("caller", 0)])).await.unwrap();
    let late = node.tenants.add_track(&acme(), begun.id, track("callee", 300)).await.unwrap();
    assert_ne!(late, begun.files[0]);
    assert!(matches!(node.tenants.track(&acme(), begun.id, 0).await, Err(TenantError::Conflict(_))));
    assert!(matches!(node.tenants.mixdown(&acme(), begun.id, Layout::Mono).await, Err(TenantError::Conflict(_))));
    let deleted = node.tenants.delete_recording(OPERATOR, &acme(), begun.id).await;
    assert!(matches!(deleted, Err(TenantError::Conflict(_))));
    node.tenants.bookmark(OPERATOR, &acme(), begun.id, NewBookmark { at_ms: 5, label: String::new() }).await.unwrap();
    let ending = Ending { duration_ms: 900, is_whole: true };
    let ended = node.tenants.end_recording(&acme(), begun.id, ending).await.unwrap();
    assert_eq!((ended.state, ended.duration_ms, ended.tracks.len()), (RecordingState::CutShort, 0, 0));
    assert_eq!(node.tenants.end_recording(&acme(), begun.id, ending).await.unwrap(), ended, "again is no error");

    let begun = node.tenants.begin_recording(&acme(), call(vec![track("caller", 0)])).await.unwrap();
    node.tenants.discard_recording(&acme(), begun.id).await.unwrap();
    assert!(matches!(node.tenants.recording(&acme(), begun.id).await, Err(TenantError::NotFound { .. })));
}

#[tokio::test]
async fn a_budget_that_is_used_up_lets_no_recording_begin() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let id = recorded(&node.tenants).await;
    for (limits, budget) in [
        (Limits { recordings: 1, ..Limits::default() }, "recordings"),
        (Limits { recording_bytes: 100, ..Limits::default() }, "recording-bytes"),
    ] {
        node.tenants
            .change_settings(OPERATOR, &acme(), None, Settings { limits, ..Settings::default() })
            .await
            .unwrap();
        let error = node.tenants.begin_recording(&acme(), call(vec![track("caller", 0)])).await.unwrap_err();
        assert!(matches!(&error, TenantError::OverLimit { budget: found, .. } if *found == budget), "{error}");
    }
    node.tenants.delete_recording(OPERATOR, &acme(), id).await.unwrap();
    node.tenants.begin_recording(&acme(), call(vec![track("caller", 0)])).await.unwrap();
    let many = (0..65).map(|_| track("member", 0)).collect();
    let error = node.tenants.begin_recording(&acme(), call(many)).await.unwrap_err();
    assert!(error.to_string().contains("64 tracks"), "{error}");
}

/// What a recorder has written when its process is killed: whole pages, a torn one, no end.
fn torn(millis: usize) -> Vec<u8> {
    let sound = Sound::from_samples(&samples(millis)).unwrap();
    let mut file = Vec::new();
    let mut writer = Writer::create(&mut file, WriterOptions::default()).unwrap();
    for (index, packet) in sound.packets.iter().enumerate() {
        writer.append(MediaTime(index as u64 * 960), packet.clone()).unwrap();
    }
    drop(writer);
    file.truncate(file.len() - 5);
    file
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_mended_and_messages_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let tracks = vec![track("caller", 0), track("callee", 1000), track("nobody", 0)];
    let cut = node.tenants.begin_recording(&acme(), call(tracks)).await.unwrap();
    std::fs::write(&cut.files[0], torn(5000)).unwrap();
    std::fs::write(&cut.files[1], torn(3000)).unwrap();
    std::fs::write(&cut.files[2], b"OggS").unwrap();
    let meant_for =
        tandem::tenants::MeantFor { mailbox: MailboxId::new("alice").unwrap(), from: "bob".into(), to: "alice".into() };
    let kind = RecordingKind::Voicemail;
    let new = NewRecording { kind, meant_for: Some(meant_for), ..call(vec![track("caller", 0)]) };
    let message = node.tenants.begin_recording(&acme(), new).await.unwrap();
    std::fs::write(&message.files[0], torn(4000)).unwrap();

    let node = node.restart(directory.path()).await;
    let housekeeping = node.tenants.housekeeping().await.unwrap();
    let begun_since = node.tenants.begin_recording(&acme(), call(vec![track("caller", 0)])).await.unwrap();
    let mut notices = node.tenants.notices();
    let working = tokio::spawn(housekeeping.run());
    let mut mended = Vec::new();
    while mended.len() < 2 {
        if let Notice::RecordingDone(done) = notices.recv().await.unwrap() {
            mended.push(done.recording);
        }
    }
    let call = mended.iter().find(|recording| recording.id == cut.id).unwrap();
    assert_eq!((call.state, call.tracks.len()), (RecordingState::CutShort, 2), "{call:?}");
    assert!((4000..=5000).contains(&call.duration_ms), "{} of 5000 ms", call.duration_ms);
    for number in [0, 1] {
        let bytes = whole(node.tenants.track(&acme(), cut.id, number).await.unwrap()).await;
        let mut reader = Reader::open(Cursor::new(bytes)).unwrap();
        while reader.read().unwrap().is_some() {}
        assert!(reader.is_ended() && !reader.is_torn());
    }
    let mailbox = MailboxId::new("alice").unwrap();
    let arrived = async {
        loop {
            if let Ok(found) = node.tenants.messages(OPERATOR, &acme(), &mailbox, None, 10).await {
                return found.items;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let arrived = tokio::time::timeout(std::time::Duration::from_secs(20), arrived).await.unwrap();
    assert_eq!(arrived.iter().map(|message| message.recording).collect::<Vec<_>>(), [message.id]);
    assert!((3000..=4000).contains(&arrived[0].duration_ms), "{} of 4000 ms", arrived[0].duration_ms);
    let since = node.tenants.recording(&acme(), begun_since.id).await.unwrap();
    assert_eq!(since.state, RecordingState::Recording, "what this process began is left alone");
    working.abort();
}

#[tokio::test]
async fn old_recordings_go_and_messages_stay() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let (old, fresh) = (recorded(&node.tenants).await, recorded(&node.tenants).await);
    let message = left(&node.tenants, "alice").await.unwrap();
    let age = async |days: i64, ids: Vec<RecordingId>| {
        let change = move |connection: &rusqlite::Connection| {
            for id in ids {
                let sql = "UPDATE recording SET started_at = started_at - ?1 WHERE id = ?2";
                connection.execute(sql, rusqlite::params![days * 86_400_000, id.to_string()])?;
            }
            Ok::<_, StoreError>(())
        };
        node.store.change(change).await.unwrap();
    };
    age(31, vec![old, message.recording]).await;
    assert_eq!(node.tenants.sweep_recordings().await.unwrap(), 0, "90 days is usual");
    let keep = async |recording_days: u64| {
        let limits = Limits { recording_days, ..Limits::default() };
        node.tenants
            .change_settings(OPERATOR, &acme(), None, Settings { limits, ..Settings::default() })
            .await
            .unwrap();
    };
    keep(0).await;
    assert_eq!(node.tenants.sweep_recordings().await.unwrap(), 0, "0: until they are deleted");
    keep(30).await;
    assert_eq!(node.tenants.sweep_recordings().await.unwrap(), 1);
    let left = node.tenants.recordings(&acme(), RecordingFilter::default(), None, 10).await.unwrap().items;
    assert_eq!(left.iter().map(|recording| recording.id).collect::<Vec<_>>(), [message.recording, fresh]);
    let lines = node.tenants.audit(Some(&acme()), None, 1).await.unwrap().items;
    assert_eq!((lines[0].action.as_str(), lines[0].target.as_str()), ("recording.expire", "1 recordings"));
}
