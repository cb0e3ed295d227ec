//! Times as people write them on a command line.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds of each unit.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];

/// Reads `90s`, `15m`, `12h`, `7d`, or plain seconds.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (&text[..at], unit),
        _ => (text, 's'),
    };
    let seconds = UNITS.iter().find(|(known, _)| *known == unit).map(|(_, seconds)| seconds);
    let number: Option<u64> = number.parse().ok();
    let total = number.zip(seconds).and_then(|(number, seconds)| number.checked_mul(*seconds));
    total.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is no span of time; write 90s, 15m, 12h or 7d"))
}

/// Reads a time: `2026-11-22`, `2026-11-22T14:00:00Z`, or a span before `now`. Gives Unix milliseconds.
pub(super) fn moment(text: &str, now: OffsetDateTime) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time; write 2026-11-22, 2026-11-22T14:00:00Z, or 2h for two hours ago");
    let at = match span(text) {
        Ok(ago) if text.ends_with(char::is_alphabetic) => {
            now.checked_sub(ago.try_into().map_err(|_| wrong())?).ok_or_else(wrong)?
        }
        _ if text.len() == "2026-11-22".len() => {
            OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339).map_err(|_| wrong())?
        }
        _ => OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?,
    };
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        let table = [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)];
        for (text, seconds) in table {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "1w", "-5m", "1.5h", "99999999999999999999d", "18446744073709551615d", "5é"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_read() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let table = [
            ("2h", 1_799_992_800_000),
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:00:01.5Z", 1_500),
            ("1970-01-01T02:00:00+02:00", 0),
        ];
        for (text, millis) in table {
            assert_eq!(moment(text, now), Ok(millis), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "1234567890", "1969-12-31", "12345"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }
}
