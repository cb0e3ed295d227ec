//! Local time, from the moment that the gateway names and an offset that the function knows. No time zone database: a
//! function that has to follow daylight saving chooses its offset itself.

const MILLIS_PER_MINUTE: i64 = 60_000;
const MINUTES_PER_DAY: i64 = 24 * 60;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    const ALL: [Self; 7] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    /// Whether it is Saturday or Sunday.
    pub fn is_weekend(self) -> bool {
        matches!(self, Self::Saturday | Self::Sunday)
    }
}

/// What a clock on the wall shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime {
    /// The day of the week.
    pub weekday: Weekday,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl LocalTime {
    /// What the clock shows `unix_millis` after the Unix epoch, `utc_offset_minutes` east of Greenwich (90 is UTC+01:30).
    pub fn at(unix_millis: u64, utc_offset_minutes: i32) -> Self {
        let utc_minutes = i64::try_from(unix_millis).unwrap_or(i64::MAX) / MILLIS_PER_MINUTE;
        let minutes = utc_minutes + i64::from(utc_offset_minutes);
        let of_day = minutes.rem_euclid(MINUTES_PER_DAY);
        // The epoch was a Thursday: three days into a week that begins on Monday.
        let weekday = (minutes.div_euclid(MINUTES_PER_DAY) + 3).rem_euclid(7);
        Self { weekday: Weekday::ALL[weekday as usize], hour: (of_day / 60) as u8, minute: (of_day % 60) as u8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 was a Sunday.
    const SUNDAY_NOON: u64 = 1_795_348_800_000;

    #[test]
    fn a_moment_reads_differently_around_the_world() {
        let table = [
            (0, 0, Weekday::Thursday, 0, 0),
            (0, -1, Weekday::Wednesday, 23, 59),
            (SUNDAY_NOON, 0, Weekday::Sunday, 12, 0),
            (SUNDAY_NOON, 60, Weekday::Sunday, 13, 0),
            (SUNDAY_NOON, 13 * 60, Weekday::Monday, 1, 0),
            (SUNDAY_NOON, 5 * 60 + 45, Weekday::Sunday, 17, 45),
            (SUNDAY_NOON, -12 * 60 - 1, Weekday::Saturday, 23, 59),
        ];
        for (millis, offset, weekday, hour, minute) in table {
            assert_eq!(LocalTime::at(millis, offset), LocalTime { weekday, hour, minute }, "{millis} {offset}");
        }
    }
}
