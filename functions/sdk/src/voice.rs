//! Building the steps by which the gateway itself speaks and listens: `play`, `gather`, `voicemail`, `tap`.

use crate::{AudioSource, GatherStep, Legs, PlayStep, TapFormat, TapStep, Tone, VoicemailStep};

/// How long a caller may think before the first digit, unless told otherwise: a menu has been heard, a card has to be found.
const FIRST_DIGIT_MS: u32 = 8_000;

/// How long may pass between two digits, unless told otherwise.
const INTER_DIGIT_MS: u32 = 4_000;

/// The longest message, unless told otherwise: three minutes.
const MESSAGE_MS: u32 = 180_000;

/// After how much silence a message is over, unless told otherwise.
const MESSAGE_SILENCE_MS: u32 = 10_000;

/// A prompt of the tenant's, by name: `"welcome"` is `AudioSource::Prompt("welcome")`.
impl From<&str> for AudioSource {
    fn from(prompt: &str) -> Self {
        Self::Prompt(prompt.to_owned())
    }
}

/// A prompt of the tenant's, by name.
impl From<String> for AudioSource {
    fn from(prompt: String) -> Self {
        Self::Prompt(prompt)
    }
}

impl From<Tone> for AudioSource {
    fn from(tone: Tone) -> Self {
        Self::Tone(tone)
    }
}

impl<Source: Into<AudioSource>> From<Source> for PlayStep {
    fn from(source: Source) -> Self {
        Self { source: source.into(), times: 1 }
    }
}

impl PlayStep {
    /// Plays so many times, 1 to 1000.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }
}

/// Plays a prompt (by name), a [`Tone`], or any other [`AudioSource`], once.
///
/// ```
/// use tandem_function::{Plan, Tone, play};
/// let plan = Plan::new().play("welcome").play(play(Tone::Beep).times(3));
/// assert_eq!(plan.steps.len(), 2);
/// ```
pub fn play(source: impl Into<AudioSource>) -> PlayStep {
    PlayStep::from(source)
}

/// Collects so many digits. The first may take 8 s, each further one 4 s; a digit stops the prompt.
///
/// ```
/// use tandem_function::{Plan, gather};
/// let menu = Plan::new().gather(gather(1).asking("menu")).consult("chosen");
/// let pin = Plan::new().gather(gather(4).up_to(8).ended_by('#').asking("enter-pin")).consult("pin");
/// assert_eq!((menu.steps.len(), pin.steps.len()), (2, 2));
/// ```
pub fn gather(digits: u8) -> GatherStep {
    GatherStep {
        min_digits: digits,
        max_digits: digits,
        finish_key: None,
        first_digit_timeout: FIRST_DIGIT_MS,
        inter_digit_timeout: INTER_DIGIT_MS,
        prompt: None,
        barge_in: true,
    }
}

impl GatherStep {
    /// Takes up to so many digits, at most 64; those that were named first are the least.
    pub fn up_to(self, digits: u8) -> Self {
        Self { max_digits: digits, ..self }
    }

    /// This key ends the entry, and is no part of it.
    pub fn ended_by(self, key: char) -> Self {
        Self { finish_key: Some(key), ..self }
    }

    /// What is played meanwhile.
    pub fn asking(self, prompt: impl Into<AudioSource>) -> Self {
        Self { prompt: Some(prompt.into()), ..self }
    }

    /// The prompt is played to its end, whatever is pressed.
    pub fn without_barge_in(self) -> Self {
        Self { barge_in: false, ..self }
    }

    /// How long the caller may take for the first digit, from the prompt's end on, and for each further one.
    pub fn within_seconds(self, first: u32, further: u32) -> Self {
        let millis = |seconds: u32| seconds.saturating_mul(1000);
        Self { first_digit_timeout: millis(first), inter_digit_timeout: millis(further), ..self }
    }
}

/// Lets the caller leave a message in this mailbox, after its own greeting: of three minutes at most, ended by `#` or 10 s of silence.
///
/// ```
/// use tandem_function::{Plan, voicemail};
/// let plan = Plan::new().voicemail(voicemail("bob").greeted_by("closed").at_most_seconds(60)).consult("message");
/// assert_eq!(plan.steps.len(), 2);
/// ```
pub fn voicemail(mailbox: impl Into<String>) -> VoicemailStep {
    VoicemailStep {
        mailbox: mailbox.into(),
        greeting: None,
        max_duration: MESSAGE_MS,
        silence_timeout: Some(MESSAGE_SILENCE_MS),
        finish_key: Some('#'),
    }
}

impl VoicemailStep {
    /// What the caller hears first, instead of the mailbox's own greeting.
    pub fn greeted_by(self, greeting: impl Into<AudioSource>) -> Self {
        Self { greeting: Some(greeting.into()), ..self }
    }

    /// The longest message, 1 s to 10 min.
    pub fn at_most_seconds(self, seconds: u32) -> Self {
        Self { max_duration: seconds.saturating_mul(1000), ..self }
    }

    /// The message is over when nobody spoke for so long, 1 to 60 s.
    pub fn ended_by_silence_of_seconds(self, seconds: u32) -> Self {
        Self { silence_timeout: Some(seconds.saturating_mul(1000)), ..self }
    }

    /// Silence does not end the message.
    pub fn whatever_silence(self) -> Self {
        Self { silence_timeout: None, ..self }
    }

    /// This key ends the message.
    pub fn ended_by(self, key: char) -> Self {
        Self { finish_key: Some(key), ..self }
    }
}

/// Sends a copy of both voices to this `wss:` address, as 16-bit PCM at 16 kHz: what transcribers take. The plan goes on at once.
///
/// ```
/// use tandem_function::{Plan, ring, tap};
/// let transcribed = Plan::new().tap(tap("wss://transcribe.example")).dial(ring(["bob"]));
/// let agent = Plan::new().tap(tap("wss://agent.example").speaking()).consult("agent-left");
/// assert_eq!((transcribed.steps.len(), agent.steps.len()), (2, 2));
/// ```
pub fn tap(url: impl Into<String>) -> TapStep {
    TapStep { url: url.into(), legs: Legs::Both, format: TapFormat::Pcm16k, speaks: false }
}

impl TapStep {
    /// Whose voice is sent.
    pub fn of(self, legs: Legs) -> Self {
        Self { legs, ..self }
    }

    /// In which form it is sent, and taken where the far end speaks.
    pub fn in_format(self, format: TapFormat) -> Self {
        Self { format, ..self }
    }

    /// The far end speaks into the call, as an AI agent does; the plan goes on when it leaves.
    pub fn speaking(self) -> Self {
        Self { speaks: true, ..self }
    }
}

/// A format's name as the contract writes it in JSON.
const FORMATS: [(TapFormat, &str); 5] = [
    (TapFormat::Opus, "opus"),
    (TapFormat::Pcm8k, "pcm-8k"),
    (TapFormat::Pcm16k, "pcm-16k"),
    (TapFormat::Pcm24k, "pcm-24k"),
    (TapFormat::Pcm48k, "pcm-48k"),
];

impl From<TapFormat> for String {
    fn from(format: TapFormat) -> Self {
        let name = FORMATS.iter().find(|(known, _)| *known == format).map_or("opus", |(_, name)| name);
        name.to_owned()
    }
}

impl TryFrom<String> for TapFormat {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let format = FORMATS.iter().find(|(_, known)| *known == name).map(|(format, _)| *format);
        format.ok_or_else(|| format!("a tap's format is opus, pcm-8k, pcm-16k, pcm-24k or pcm-48k; got {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_prompts_and_tones_are_tones() {
        assert_eq!(AudioSource::from("welcome"), AudioSource::Prompt("welcome".into()));
        assert_eq!(play(Tone::Busy).times(4), PlayStep { source: AudioSource::Tone(Tone::Busy), times: 4 });
    }

    #[test]
    fn an_entry_is_as_long_as_was_said_and_spans_do_not_overflow() {
        let pin = gather(4).up_to(6).ended_by('#').asking("pin").within_seconds(u32::MAX, 3).without_barge_in();
        assert_eq!((pin.min_digits, pin.max_digits, pin.finish_key), (4, 6, Some('#')));
        assert_eq!((pin.first_digit_timeout, pin.inter_digit_timeout), (u32::MAX, 3_000));
        assert_eq!((pin.prompt, pin.barge_in), (Some("pin".into()), false));
    }

    #[test]
    fn formats_are_written_as_the_contract_does() {
        for (format, name) in FORMATS {
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<TapFormat>(&format!("\"{name}\"")).unwrap(), format);
        }
        let error = serde_json::from_str::<TapFormat>("\"mp3\"").unwrap_err().to_string();
        assert!(error.contains("pcm-16k") && error.contains("mp3"), "{error}");
    }
}
