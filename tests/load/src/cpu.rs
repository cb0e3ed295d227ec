//! The CPU time of a process, from Linux's `/proc`.

use std::time::Duration;

use anyhow::Context;

/// Clock ticks a second in `/proc/<pid>/stat`: USER_HZ, which is 100 on every Linux architecture that Rust builds for.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time that `pid` has spent so far.
pub(crate) fn time_of(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat =
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}; is the gateway running?"))?;
    parse(&stat).with_context(|| format!("{path} looks different than expected"))
}

fn parse(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses and may hold anything; fields 14 and 15 are user and system ticks.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_confuse() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(parse(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse("42 (x) S 1"), None);
    }

    #[test]
    fn this_process_has_a_time() {
        assert!(time_of(std::process::id()).is_ok());
    }
}
