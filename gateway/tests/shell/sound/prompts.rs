//! Prompts: taken, refused with a reason, replaced without disturbing who plays them, bounded.

use tandem::tenants::TenantError;
use tandem::tenants::model::*;
use tandem_switch::id::PromptId;

use super::{ogg, wav, wav_of};
use crate::tenants::{Node, OPERATOR, acme};

fn welcome() -> PromptId {
    PromptId::new("welcome").unwrap()
}

async fn put(node: &Node, name: &str, upload: Vec<u8>) -> Result<Prompt, TenantError> {
    node.tenants.put_prompt(OPERATOR, &acme(), &PromptId::new(name).unwrap(), None, upload.into()).await
}

#[tokio::test]
async fn a_prompt_is_kept_as_it_is_played_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let made = put(&node, "welcome", wav(1000)).await.unwrap();
    assert_eq!((made.duration_ms, made.revision), (1000, 1));
    let again = put(&node, "hold-music", ogg(400)).await.unwrap();
    let node = node.restart(directory.path()).await;
    assert_eq!(node.tenants.prompts(&acme(), None, 10).await.unwrap().items, [again, made.clone()]);
    let (revision, sound) = node.tenants.playable_prompt(&acme(), &welcome()).await.unwrap();
    assert_eq!((revision, sound.duration.as_millis()), (1, 1000));
    assert!((50..=52).contains(&sound.packets.len()), "{} packets of 20 ms", sound.packets.len());
    let lines = node.tenants.audit(Some(&acme()), None, 10).await.unwrap().items;
    let line = lines.iter().find(|line| line.target == "welcome").unwrap();
    assert_eq!((line.action.as_str(), line.detail.starts_with("1000 ms, ")), ("prompt.put", true));
}

#[tokio::test]
async fn what_is_no_prompt_is_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let eleven_minutes = wav_of(8_000, 8, &vec![128; 11 * 60 * 8_000]);
    let mut torn = wav(1000);
    torn.truncate(30);
    let table: [(Vec<u8>, &str); 6] = [
        (Vec::new(), "the file is empty"),
        (b"<html>no such page</html>".to_vec(), "a prompt is a WAV or Ogg Opus file"),
        (vec![0; 4096], "a prompt is a WAV or Ogg Opus file"),
        (wav(10), "a prompt lasts 20 ms at least"),
        (eleven_minutes, "more than 600 s of sound"),
        (torn, ""),
    ];
    for (upload, said) in table {
        let error = put(&node, "welcome", upload).await.unwrap_err();
        assert!(matches!(&error, TenantError::Audio(_)) && error.to_string().contains(said), "{said}: {error}");
    }
    assert!(node.tenants.prompts(&acme(), None, 10).await.unwrap().items.is_empty(), "nothing has changed");
}

#[tokio::test]
async fn who_plays_a_prompt_plays_on_when_it_is_replaced_or_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    put(&node, "welcome", wav(1000)).await.unwrap();
    let (_, playing) = node.tenants.playable_prompt(&acme(), &welcome()).await.unwrap();
    let before = playing.clone();
    assert_eq!(put(&node, "welcome", wav(2000)).await.unwrap().revision, 2);
    let (revision, after) = node.tenants.playable_prompt(&acme(), &welcome()).await.unwrap();
    assert_eq!((revision, after.duration.as_millis()), (2, 2000));
    let stale = node.tenants.delete_prompt(OPERATOR, &acme(), &welcome(), Some(1)).await.unwrap_err();
    assert!(matches!(stale, TenantError::Changed { expected: 1, found: 2 }));
    node.tenants.delete_prompt(OPERATOR, &acme(), &welcome(), Some(2)).await.unwrap();
    assert!(matches!(node.tenants.prompt(&acme(), &welcome()).await, Err(TenantError::NotFound { .. })));
    assert_eq!(playing, before);
}

#[tokio::test]
async fn prompts_are_bounded_by_count_and_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_acme(directory.path()).await;
    let bytes = put(&node, "a", wav(1000)).await.unwrap().bytes;
    let limited = |prompts, prompt_bytes| Settings {
        limits: Limits { prompts, prompt_bytes, ..Limits::default() },
        ..Settings::default()
    };
    for (settings, budget) in [(limited(1, bytes * 10), "prompts"), (limited(10, bytes + 1), "prompt-bytes")] {
        node.tenants.change_settings(OPERATOR, &acme(), None, settings).await.unwrap();
        let error = put(&node, "b", wav(1000)).await.unwrap_err();
        assert!(matches!(&error, TenantError::OverLimit { budget: found, .. } if *found == budget), "{error}");
        put(&node, "a", wav(1000)).await.unwrap();
        let usage = node.tenants.usage(&acme()).await.unwrap();
        let usage = usage.iter().find(|usage| usage.budget == budget).unwrap();
        assert_eq!((usage.used > 0, usage.refused), (true, 1), "{usage:?}");
    }
}
