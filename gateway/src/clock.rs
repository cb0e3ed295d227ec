//! The wall clock, read in one place.

use tandem_switch::time::UnixMillis;

/// What it shows now.
pub(crate) fn unix_now() -> UnixMillis {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
