//! Where in a recording a packet belongs. All tracks of a recording have one clock, the gateway's; what is said in one go keeps the
//! distances that its sender gave it, and each talk spurt is set right by when it came.

use tandem_audio::pcm::MediaTime;
use tandem_switch::media::rtp::{FRAME_TICKS, Header};

/// A talk spurt begins when more than this is missing before a packet, samples: 60 ms.
const SPURT_GAP: i64 = 3 * FRAME_TICKS as i64;

/// By how much a talk spurt may come later than its timestamp says before its sender's clock is doubted, samples: 120 ms of jitter.
const SPURT_LATE: i64 = 6 * FRAME_TICKS as i64;

/// By how much a talk spurt may sound after it came, samples: 20 ms.
const SPURT_EARLY: i64 = FRAME_TICKS as i64;

/// The same within a talk spurt: beyond it, timestamps say nothing. 1 s late: a stalled network; 200 ms early.
const LATE: i64 = 48_000;
/// See [`LATE`].
const EARLY: i64 = 9_600;

/// One track's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeline {
    newest: Option<Newest>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    ssrc: u32,
    timestamp: u32,
    at: i64,
}

impl Timeline {
    /// The place of a packet that came at `arrived`.
    pub(super) fn place(&mut self, arrived: MediaTime, header: &Header) -> MediaTime {
        let arrived = i64::try_from(arrived.0).unwrap_or(i64::MAX);
        let at = match self.newest {
            Some(newest) if newest.ssrc == header.ssrc => {
                let step = i64::from(header.timestamp.wrapping_sub(newest.timestamp).cast_signed());
                let (at, early) = (newest.at + step, newest.at + step - arrived);
                let begins = header.marker || step > SPURT_GAP;
                let is_wrong = if begins {
                    !(-SPURT_LATE..=SPURT_EARLY).contains(&early)
                } else {
                    !(-LATE..=EARLY).contains(&early)
                };
                // Never back into what is said already, but for what comes out of order.
                if is_wrong { arrived.max(newest.at + i64::from(FRAME_TICKS)) } else { at }
            }
            Some(newest) => arrived.max(newest.at + i64::from(FRAME_TICKS)),
            None => arrived,
        };
        if self.newest.is_none_or(|newest| at > newest.at) {
            self.newest = Some(Newest { ssrc: header.ssrc, timestamp: header.timestamp, at });
        }
        MediaTime(at.max(0).cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 48;

    /// Packets as (ssrc, timestamp ms, arrived ms, marker) and the places they get, ms.
    fn places(packets: &[(u32, i64, i64, bool)]) -> Vec<i64> {
        let mut timeline = Timeline::default();
        let place = |&(ssrc, timestamp, arrived, marker): &(u32, i64, i64, bool)| {
            let timestamp = (u32::MAX - 1_000).wrapping_add((timestamp * MS) as u32);
            let header = Header { marker, payload_type: 111, sequence: 0, timestamp, ssrc };
            timeline.place(MediaTime((arrived * MS) as u64), &header).0 as i64 / MS
        };
        packets.iter().map(place).collect()
    }

    #[test]
    fn what_is_said_in_one_go_keeps_its_distances() {
        let jittery =
            [(1, 0, 100, true), (1, 20, 155, false), (1, 60, 156, false), (1, 40, 157, false), (1, 80, 180, false)];
        assert_eq!(places(&jittery), [100, 120, 160, 140, 180]);
    }

    #[test]
    fn a_talk_spurt_is_set_right_by_when_it_came() {
        type Row = (&'static [(u32, i64, i64, bool)], &'static [i64]);
        let table: [Row; 6] = [
            // A true pause, a little jitter: the timestamp is believed.
            (&[(1, 0, 0, true), (1, 1_000, 1_050, true)], &[0, 1_000]),
            // The first packet was delayed: the next spurt shows it.
            (&[(1, 0, 80, true), (1, 20, 80, false), (1, 1_000, 1_000, true)], &[80, 100, 1_000]),
            // A sender whose timestamps stand still while it is silent.
            (&[(1, 0, 0, true), (1, 20, 3_000, true)], &[0, 3_000]),
            // A sender whose timestamps run away.
            (&[(1, 0, 0, true), (1, 9_000, 20, false)], &[0, 20]),
            // A stalled network: what was held back comes at once, and keeps its place.
            (&[(1, 0, 0, true), (1, 20, 820, false), (1, 40, 820, false)], &[0, 20, 40]),
            // Another source, one after another.
            (&[(1, 0, 0, true), (2, 77_000, 10, true), (2, 77_020, 30, false)], &[0, 20, 40]),
        ];
        for (packets, expected) in table {
            assert_eq!(places(packets), expected, "{packets:?}");
        }
    }
}
