//! What a caller hears while they wait, in a queue or parked: a sound, over and over. One that cannot be played gives way to the ring-back
//! tone, and where not even that can be played there is silence: nobody loses a call by it.

use crate::audio::Sound;
use crate::call::Call;
use crate::limits;
use crate::plan::Tone;

/// The prompt that a tenant's waiting callers hear, where neither plan nor queue names another.
const MUSIC_ON_HOLD: &str = "music-on-hold";

/// What plays to a caller who waits.
#[derive(Debug)]
pub(super) struct Music {
    /// The playback that is under way; `None`: nothing can be played.
    playback: Option<u32>,
    sound: Sound,
}

impl Call {
    /// Begins to play; without a choice, the tenant's music on hold.
    pub(super) fn start_music(&mut self, choice: Option<Sound>) -> Music {
        let sound = choice.unwrap_or_else(|| Sound::Prompt(MUSIC_ON_HOLD.to_owned()));
        Music { playback: Some(self.play_music(&sound)), sound }
    }

    /// A playback is over: if it was this music, it begins again.
    pub(super) fn music_over(&mut self, mut music: Music, playback: u32, failure: Option<String>) -> Music {
        if music.playback != Some(playback) {
            return music;
        }
        let tone = Sound::Tone(Tone::RingBack);
        music.playback = match failure {
            Some(_) if music.sound == tone => None,
            Some(_) => {
                music.sound = tone;
                Some(self.play_music(&music.sound))
            }
            None => Some(self.play_music(&music.sound)),
        };
        music
    }

    fn play_music(&mut self, sound: &Sound) -> u32 {
        self.play_to(self.invitation.caller.session, sound.clone(), limits::PLAY_TIMES_MAX)
    }
}
