//! What somebody types at the terminal while `tandem call` runs.

use std::io::BufRead;

use tandem_switch::id::UserId;
use tandem_switch::limits;
use tokio::sync::mpsc;

/// Lines that wait for the call: more than anybody types ahead. When it is full the reader waits.
const LINES_MAX: usize = 8;

/// Most keys in one line or argument, pauses included: two of the longest entries that a gateway gathers.
const KEYS_MAX: usize = 2 * limits::GATHER_DIGITS_MAX;

/// What may be typed in a call.
pub(super) const WORDS: &str =
    "keys 0-9 * # A-D are sent; m mutes, h holds, r records, t USER transfers, p SLOT parks, q hangs up";

/// What a line means in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Press these keys.
    Keys(String),
    /// Mute this side, or not any more.
    Mute,
    /// Put the other side on hold, or not any more.
    Hold,
    /// Have the gateway record the call, or not any more.
    Record,
    /// Hand the other side over to this user.
    Transfer(UserId),
    /// Park the other side in this slot.
    Park(String),
    /// Hang up.
    HangUp,
}

impl Typed {
    /// Reads a line.
    ///
    /// # Errors
    /// Says what may be typed.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        match line.split_once(char::is_whitespace).map(|(word, rest)| (word, rest.trim())) {
            Some(("t", to)) => return UserId::new(to).map(Self::Transfer).map_err(|error| format!("t USER: {error}")),
            Some(("p", slot)) => return Ok(Self::Park(slot.to_owned())),
            _ => {}
        }
        match line {
            "m" => Ok(Self::Mute),
            "h" => Ok(Self::Hold),
            "r" => Ok(Self::Record),
            "q" => Ok(Self::HangUp),
            keys => digits(keys).map(Self::Keys).map_err(|_| format!("{WORDS}; got {keys:?}")),
        }
    }
}

/// Whether this is a key of a telephone.
fn is_key(key: char) -> bool {
    tandem_switch::audio::Digit::new(key).is_some()
}

/// Keys to press; a comma among them waits a second.
///
/// # Errors
/// Says which keys there are.
pub(super) fn digits(text: &str) -> Result<String, String> {
    let good = text.chars().any(is_key) && text.chars().all(|key| key == ',' || is_key(key));
    if !good {
        return Err(format!("keys are 0-9, *, #, A-D, and a comma for a pause of one second; got {text:?}"));
    }
    if text.len() > KEYS_MAX {
        return Err(format!("at most {KEYS_MAX} keys; got {}", text.len()));
    }
    Ok(text.to_owned())
}

/// Keys as they are pressed: what is between commas at once, or a second apart where it is more than a message may hold.
pub(super) fn presses(keys: &str) -> impl Iterator<Item = String> {
    keys.split(',').flat_map(|piece| {
        // Keys are ASCII, so bytes are keys.
        let chunks = piece.as_bytes().chunks(limits::DTMF_DIGITS_MAX);
        let pause = piece.is_empty().then(String::new);
        chunks.map(|chunk| String::from_utf8_lossy(chunk).into_owned()).chain(pause)
    })
}

/// The lines of a terminal, read on a thread of its own: reading cannot be cancelled, and must not keep the program from ending.
#[derive(Debug)]
pub(super) struct Lines {
    lines: mpsc::Receiver<String>,
    /// Taken when reading begins.
    reader: Option<mpsc::Sender<String>>,
}

impl Lines {
    pub(super) fn new() -> Self {
        let (reader, lines) = mpsc::channel(LINES_MAX);
        Self { lines, reader: Some(reader) }
    }

    /// Begins to read, unless it has begun.
    pub(super) fn begin(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if reader.blocking_send(line).is_err() {
                    return;
                }
            }
            // The end of the input answers a question, too. An error means that the call is over already.
            let _over = reader.blocking_send(String::new());
        });
    }

    /// The next line; waits for ever when none will come. Cancelling the wait loses no line.
    pub(super) async fn next(&mut self) -> String {
        match self.lines.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_pressed_in_pieces() {
        let pieces = |keys| presses(keys).collect::<Vec<_>>();
        assert_eq!(pieces("2,,34"), ["2", "", "34"]);
        assert_eq!(pieces(&"1".repeat(40)), ["1".repeat(32), "1".repeat(8)]);
    }

    #[test]
    fn a_line_is_keys_or_a_word() {
        let keys = |keys: &str| Ok(Typed::Keys(keys.to_owned()));
        let table = [
            ("1", keys("1")),
            (" 12*#AD,9 ", keys("12*#AD,9")),
            ("m", Ok(Typed::Mute)),
            ("h", Ok(Typed::Hold)),
            ("r\n", Ok(Typed::Record)),
            ("q", Ok(Typed::HangUp)),
            ("t carol", Ok(Typed::Transfer(UserId::new("carol").unwrap()))),
            (" p  7 ", Ok(Typed::Park("7".to_owned()))),
        ];
        for (line, means) in table {
            assert_eq!(Typed::parse(line), means, "{line:?}");
        }
        for wrong in ["", "E", "t", "p", "1a", ",", "hello", &"1".repeat(129)] {
            assert!(Typed::parse(wrong).unwrap_err().contains("keys 0-9 * # A-D are sent"), "{wrong:?}");
        }
        assert!(Typed::parse("t not a user").unwrap_err().starts_with("t USER: "));
        assert_eq!(digits(&"1".repeat(129)).unwrap_err(), "at most 128 keys; got 129");
    }
}
