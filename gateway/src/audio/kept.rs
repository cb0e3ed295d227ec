//! The archive of a node: what tenants have.

use async_trait::async_trait;
use tandem_switch::audio::{Purpose, Recording, RecordingId, Track};
use tandem_switch::id::{self, MailboxId, PromptId, TenantId, UserId};

use super::archive::{Archive, Begun, Ended, Fetched};
use crate::tenants::model::RecordingKind;
use crate::tenants::{Ending, MeantFor, NewRecording, NewTrack, TenantError, Tenants};

#[async_trait]
impl Archive for Tenants {
    async fn prompt(&self, tenant: &TenantId, name: &str, known: Option<u64>) -> Result<Fetched, String> {
        let id = PromptId::new(name).map_err(|_| no_prompt(name))?;
        if let Some(known) = known {
            match Tenants::prompt(self, tenant, &id).await {
                Ok(found) if found.revision == known => return Ok(Fetched::Same),
                Ok(_) | Err(_) => {}
            }
        }
        match self.prompt_audio(tenant, &id).await {
            Ok((found, ogg)) => Ok(Fetched::New { revision: found.revision, ogg }),
            Err(TenantError::NotFound { .. }) => Err(no_prompt(name)),
            Err(error) => Err(format!("the prompt `{name}` cannot be read: {error}")),
        }
    }

    async fn greeting(&self, tenant: &TenantId, mailbox: &UserId) -> Result<Option<String>, String> {
        let name = mailbox_id(mailbox)?;
        let door = self.mailbox_door(tenant, &name).await.map_err(|error| error.to_string())?;
        Ok(door.greeting.map(|greeting| greeting.to_string()))
    }

    async fn begin(&self, recording: RecordingId, what: &Recording) -> Result<Begun, String> {
        let (kind, meant_for) = match &what.purpose {
            Purpose::Call => (RecordingKind::Call, None),
            Purpose::Message { mailbox } => {
                let (from, to) = (what.caller.to_string(), what.dialled.clone());
                (RecordingKind::Voicemail, Some(MeantFor { mailbox: mailbox_id(mailbox)?, from, to }))
            }
        };
        let track = |track: &Track| match track {
            Track::Caller => NewTrack { leg: "caller".to_owned(), user: Some(what.caller.clone()), start_ms: 0 },
            // Of whoever answers, one after another.
            Track::Callee => NewTrack { leg: "callee".to_owned(), user: None, start_ms: 0 },
        };
        let tracks = what.tracks.iter().map(track).collect();
        let new = NewRecording { call: Some(recording.call), kind, tracks, meant_for };
        let begun = self.begin_recording(&what.tenant, new).await.map_err(|error| error.to_string())?;
        Ok(Begun { kept_as: begun.id.0, files: begun.files })
    }

    async fn end(&self, what: &Recording, kept_as: u128, ended: Ended) -> Result<(), String> {
        let id = id::RecordingId(kept_as);
        let plain = |error: TenantError| error.to_string();
        if !ended.keep {
            return self.discard_recording(&what.tenant, id).await.map_err(plain);
        }
        let ending = Ending { duration_ms: ended.duration_ms, is_whole: ended.is_whole };
        let recording = self.end_recording(&what.tenant, id, ending).await.map_err(plain)?;
        match what.purpose {
            Purpose::Call => Ok(()),
            // Nothing could be written, or nothing was said.
            Purpose::Message { .. } if recording.tracks.is_empty() => {
                Err("nothing of the message could be kept".to_owned())
            }
            Purpose::Message { .. } => self.keep_message(&what.tenant, id).await.map(drop).map_err(plain),
        }
    }
}

fn no_prompt(name: &str) -> String {
    format!("there is no prompt `{name}`; upload it with `tandem prompts put`")
}

fn mailbox_id(user: &UserId) -> Result<MailboxId, String> {
    MailboxId::new(user.as_str()).map_err(|error| error.to_string())
}
