//! When error correction is worth its bits: follows the loss that the peer reports, with hysteresis.
//!
//! Pure. Opus' in-band FEC repeats each frame, coarsely, in the next packet; the encoder is told the loss to expect and spends
//! accordingly. Little loss is better concealed; beyond some loss more correction would starve the voice.

/// From this loss on, error correction begins, percent. Below it, what it takes from the voice costs more quality than the odd lost
/// frame does.
pub const WORTH_PERCENT: u8 = 3;

/// The most loss that the encoder is told of, percent; beyond it, correction would take most of the bits.
pub const PERCENT_MAX: u8 = 25;

/// Error correction ends below this loss, percent: so that a loss around [`WORTH_PERCENT`] does not switch it to and fro.
const WORTHLESS_PERCENT: f32 = 1.5;

/// A change of expected loss that is smaller than this is left alone, percent.
const STEP_PERCENT: f32 = 2.0;

/// Share of a new report when loss falls: it takes some reports (five seconds each) of less loss before less is expected. When loss
/// rises, the report counts at once.
const FALL_SHARE: f32 = 0.4;

/// What an encoder does against loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// Nothing.
    #[default]
    Off,
    /// Error correction made for this share of lost packets, percent.
    Loss {
        /// 1 to 100; beyond [`PERCENT_MAX`] is seldom wise.
        percent: u8,
    },
}

/// Follows the loss of one direction of a leg.
#[derive(Clone, Debug, Default)]
pub struct FecController {
    /// Expected loss, percent.
    expected: f32,
    protection: Protection,
    /// What was reported last, since the beginning.
    packets: u64,
    lost: u64,
}

impl FecController {
    /// Takes a report: packets received and lost since the beginning. Returns what to do from now on; most often the same as before.
    pub fn reported(&mut self, packets: u64, lost: u64) -> Protection {
        let came = packets.saturating_sub(self.packets);
        let gone = lost.saturating_sub(self.lost);
        // Counters that fall are of a peer that began anew: its report stands for itself.
        let anew = packets < self.packets;
        let (came, gone) = if anew { (packets, lost) } else { (came, gone) };
        (self.packets, self.lost) = (packets, lost);
        let sent = came.saturating_add(gone);
        if sent == 0 {
            return self.protection;
        }
        self.observed((gone as f64 / sent as f64) as f32)
    }

    /// Takes the share of packets that were lost since the last report, 0 to 1.
    pub fn observed(&mut self, share: f32) -> Protection {
        let percent = if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
        let rises = percent > self.expected;
        self.expected = if rises { percent } else { self.expected + FALL_SHARE * (percent - self.expected) };
        let wanted = Protection::Loss { percent: (self.expected.round() as u8).clamp(1, PERCENT_MAX) };
        self.protection = match self.protection {
            Protection::Off if self.expected >= f32::from(WORTH_PERCENT) => wanted,
            Protection::Off => Protection::Off,
            Protection::Loss { .. } if self.expected < WORTHLESS_PERCENT => Protection::Off,
            Protection::Loss { percent }
                if (f32::from(percent) - self.expected.min(f32::from(PERCENT_MAX))).abs() < STEP_PERCENT =>
            {
                self.protection
            }
            Protection::Loss { .. } => wanted,
        };
        self.protection
    }

    /// What to do at present.
    pub fn protection(&self) -> Protection {
        self.protection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(protection: Protection) -> u8 {
        match protection {
            Protection::Off => 0,
            Protection::Loss { percent } => percent,
        }
    }

    #[test]
    fn protection_follows_loss_up_at_once_and_down_slowly() {
        let mut controller = FecController::default();
        let shares = [0.0, 0.02, 0.10, 0.10, 0.09, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.6];
        let got: Vec<u8> = shares.into_iter().map(|share| percent(controller.observed(share))).collect();
        assert_eq!(got, [0, 0, 10, 10, 10, 6, 3, 3, 0, 0, 0, 25]);
    }

    #[test]
    fn a_loss_around_the_threshold_does_not_switch_to_and_fro() {
        let mut controller = FecController::default();
        let mut switches = 0;
        let mut before = Protection::Off;
        for report in 0..100 {
            let now = controller.observed(if report % 2 == 0 { 0.032 } else { 0.026 });
            switches += u32::from(now != before);
            before = now;
        }
        assert_eq!((switches, percent(before)), (1, 3));
    }

    #[test]
    fn loss_is_that_between_two_reports() {
        let mut controller = FecController::default();
        assert_eq!(controller.reported(0, 0), Protection::Off);
        assert_eq!(controller.reported(1000, 0), Protection::Off);
        assert_eq!(controller.reported(1225, 25), Protection::Loss { percent: 10 });
        // A peer that came back counts from zero.
        assert_eq!(controller.reported(80, 20), Protection::Loss { percent: 20 });
        assert_eq!(controller.reported(80, 20), Protection::Loss { percent: 20 }, "a report of nothing says nothing");
        assert_eq!(controller.reported(80, 70), Protection::Loss { percent: 25 });
    }
}
