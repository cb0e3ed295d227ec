//! Session timers (RFC 4028): a call is refreshed now and then, and one whose far end has vanished ends.
//!
//! Plain functions agree on an interval from what both sides say; [`SessionTimer`] keeps to it. Sending requests is the shell's.

use std::fmt;
use std::time::Duration;

use tandem_switch::time::Instant;

use crate::limits;

/// Which side of a request refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answered it.
    Uas,
}

/// `Session-Expires`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// After how long without a refresh the call is over.
    pub interval: Duration,
    /// Who refreshes, if that is settled.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads a header field's value.
    pub fn parse(value: &str) -> Option<Self> {
        let mut pieces = value.split(';').map(str::trim);
        let interval = seconds(pieces.next()?)?;
        let refresher = pieces.find_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim().to_ascii_lowercase())
        });
        let refresher = match refresher.as_deref() {
            Some("uac") => Some(Refresher::Uac),
            Some("uas") => Some(Refresher::Uas),
            _ => None,
        };
        Some(Self { interval, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval.as_secs())?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// Reads `Min-SE`.
pub fn min_se(value: &str) -> Option<Duration> {
    seconds(value.split(';').next()?.trim())
}

fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse::<u32>().ok()).flatten().map(|seconds| Duration::from_secs(seconds.into()))
}

/// What a request says of session timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its `Session-Expires`.
    pub expires: Option<SessionExpires>,
    /// Its `Min-SE`.
    pub min: Option<Duration>,
    /// Whether it supports them (`Supported: timer`).
    pub supported: bool,
}

/// What two sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// After how long without a refresh the call is over.
    pub interval: Duration,
    /// Whether it is us who refresh.
    pub we_refresh: bool,
}

/// Our answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// We keep the timer. With a `Session-Expires`, it goes into the 2xx, with `Require: timer` where the far end refreshes.
    Agreed(Agreed, Option<SessionExpires>),
    /// 422, with this `Min-SE`.
    TooSmall(Duration),
}

/// Answers a request (RFC 4028 §9). Where the far end knows no timers, we refresh by ourselves: a vanished one is noticed all the same.
pub fn answer(asked: Asked) -> Answered {
    let is_too_small = asked.expires.is_some_and(|expires| expires.interval < limits::SESSION_INTERVAL_MIN);
    // Whoever does not know timers cannot act on a 422: a proxy asked then, and ours is the larger.
    if is_too_small && asked.supported {
        return Answered::TooSmall(limits::SESSION_INTERVAL_MIN);
    }
    let least = asked.min.unwrap_or_default().max(limits::SESSION_INTERVAL_MIN);
    let wanted = asked.expires.map_or(limits::SESSION_INTERVAL, |expires| expires.interval);
    let interval = wanted.min(limits::SESSION_INTERVAL_MAX).max(least);
    let far_end_refreshes =
        asked.supported && asked.expires.and_then(|expires| expires.refresher) == Some(Refresher::Uac);
    let refresher = if far_end_refreshes { Refresher::Uac } else { Refresher::Uas };
    let header = asked.supported.then_some(SessionExpires { interval, refresher: Some(refresher) });
    Answered::Agreed(Agreed { interval, we_refresh: !far_end_refreshes }, header)
}

/// What we agreed on, by the 2xx to a request of ours that asked for `asked` (RFC 4028 §7.2).
pub fn agreed(asked: Duration, answer: Option<SessionExpires>) -> Agreed {
    let we_refresh = answer.is_none_or(|answer| answer.refresher != Some(Refresher::Uas));
    let interval = answer.map_or(asked, |answer| answer.interval);
    Agreed { interval: interval.clamp(limits::SESSION_INTERVAL_MIN, limits::SESSION_INTERVAL_MAX), we_refresh }
}

/// The interval to ask for anew after a 422 (RFC 4028 §7.3); none if it asks for more than we give.
pub fn after_422(min: Option<Duration>) -> Option<Duration> {
    min.filter(|min| (limits::SESSION_INTERVAL_MIN..=limits::SESSION_INTERVAL_MAX).contains(min))
}

/// What happens to a call that has a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A refresh succeeded, ours or theirs, and this was agreed on.
    Refreshed(Agreed),
    /// A refresh of ours was answered with this status; 408 stands for no answer.
    Failed(u16),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send UPDATE, or a re-INVITE with the same session.
    Refresh,
    /// Hang up: nobody is there any more. Nothing follows.
    End,
}

/// Why a timer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// It is time to refresh.
    Refresh,
    /// It is over.
    Expire,
}

/// One call's session timer.
#[derive(Clone, Debug)]
pub struct SessionTimer {
    agreed: Agreed,
    since: Instant,
    asking: bool,
    over: bool,
    output: Option<Output>,
}

impl SessionTimer {
    /// From the 2xx on.
    pub fn new(now: Instant, agreed: Agreed) -> Self {
        Self { agreed, since: now, asking: false, over: false, output: None }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            _ if self.over => {}
            Input::Refreshed(agreed) => (self.agreed, self.since, self.asking) = (agreed, now, false),
            // RFC 4028 §10: these two say that there is no call any more.
            Input::Failed(408 | 481) => self.end(),
            // It is there, and did not want that: so long as it answers, the call goes on.
            Input::Failed(_) => (self.since, self.asking) = (now, false),
        }
    }

    /// When something is to be done next, and what.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        if self.over {
            return None;
        }
        let interval = self.agreed.interval;
        if self.agreed.we_refresh && !self.asking {
            return Some((self.since + interval / 2, Timer::Refresh));
        }
        Some((self.since + (interval - limits::SESSION_MARGIN_MAX.min(interval / 3)), Timer::Expire))
    }

    /// The time has come, or has not.
    pub fn timeout(&mut self, now: Instant) {
        match self.poll_timeout() {
            Some((at, Timer::Refresh)) if at <= now => {
                self.asking = true;
                self.output = Some(Output::Refresh);
            }
            Some((at, Timer::Expire)) if at <= now => self.end(),
            _ => {}
        }
    }

    fn end(&mut self) {
        self.over = true;
        self.output = Some(Output::End);
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.output.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn headers() {
        let expires = |seconds, refresher| Some(SessionExpires { interval: secs(seconds), refresher });
        for (value, read) in [
            ("1800", expires(1800, None)),
            ("1800;refresher=uac", expires(1800, Some(Refresher::Uac))),
            ("90 ; x ; Refresher = UAS", expires(90, Some(Refresher::Uas))),
            ("90;refresher=me", expires(90, None)),
            ("", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            assert_eq!(SessionExpires::parse(value), read, "{value}");
            if let Some(read) = read {
                assert_eq!(SessionExpires::parse(&read.to_string()), Some(read));
            }
        }
        assert_eq!(min_se("120;x=y"), Some(secs(120)));
    }

    #[test]
    fn answers() {
        let expires = |seconds, refresher| Some(SessionExpires { interval: secs(seconds), refresher });
        let asked = |expires, supported| Asked { expires, min: None, supported };
        let ours =
            |seconds, we_refresh, header| Answered::Agreed(Agreed { interval: secs(seconds), we_refresh }, header);
        let (uac, uas) = (Some(Refresher::Uac), Some(Refresher::Uas));
        for (asked, answered) in [
            (asked(expires(600, uac), true), ours(600, false, expires(600, uac))),
            (asked(expires(600, uas), true), ours(600, true, expires(600, uas))),
            (asked(expires(600, None), true), ours(600, true, expires(600, uas))),
            (asked(expires(86_400, uac), true), ours(7200, false, expires(7200, uac))),
            (asked(expires(30, uac), true), Answered::TooSmall(limits::SESSION_INTERVAL_MIN)),
            (asked(expires(30, uac), false), ours(90, true, None)),
            (asked(None, true), ours(1800, true, expires(1800, uas))),
            (asked(None, false), ours(1800, true, None)),
            (Asked { min: Some(secs(3000)), ..asked(None, true) }, ours(3000, true, expires(3000, uas))),
        ] {
            assert_eq!(answer(asked), answered, "{asked:?}");
        }
        assert_eq!(agreed(secs(1800), None), Agreed { interval: secs(1800), we_refresh: true });
        assert_eq!(agreed(secs(1800), expires(600, uas)), Agreed { interval: secs(600), we_refresh: false });
        assert_eq!(agreed(secs(1800), expires(1, uac)), Agreed { interval: secs(90), we_refresh: true });
        for (min, again) in
            [(Some(secs(3600)), Some(secs(3600))), (Some(secs(90_000)), None), (Some(secs(1)), None), (None, None)]
        {
            assert_eq!(after_422(min), again);
        }
    }

    fn timer(interval: u64, we_refresh: bool) -> SessionTimer {
        SessionTimer::new(at(0), Agreed { interval: secs(interval), we_refresh })
    }

    #[test]
    fn we_refresh_at_half_time_and_go_on_when_it_succeeds() {
        let mut timer = timer(600, true);
        assert_eq!(timer.poll_timeout(), Some((at(300), Timer::Refresh)));
        timer.timeout(at(299));
        assert_eq!(timer.poll(), None);
        timer.timeout(at(300));
        assert_eq!((timer.poll(), timer.poll()), (Some(Output::Refresh), None));
        assert_eq!(timer.poll_timeout(), Some((at(568), Timer::Expire)));
        timer.handle(at(301), Input::Refreshed(Agreed { interval: secs(90), we_refresh: true }));
        assert_eq!(timer.poll_timeout(), Some((at(346), Timer::Refresh)));
    }

    #[test]
    fn a_refresh_that_meets_nobody_ends_the_call_one_that_is_refused_does_not() {
        for (status, over) in [(408, true), (481, true), (500, false), (491, false), (405, false)] {
            let mut timer = timer(600, true);
            timer.timeout(at(300));
            assert_eq!(timer.poll(), Some(Output::Refresh));
            timer.handle(at(301), Input::Failed(status));
            assert_eq!(timer.poll() == Some(Output::End), over, "{status}");
            assert_eq!(timer.poll_timeout().is_none(), over, "{status}");
        }
    }

    #[test]
    fn a_far_end_that_stops_refreshing_is_gone() {
        for (interval, end) in [(600, 568), (90, 60)] {
            let mut timer = timer(interval, false);
            timer.timeout(at(end - 1));
            assert_eq!(timer.poll(), None);
            timer.timeout(at(end));
            assert_eq!((timer.poll(), timer.poll_timeout()), (Some(Output::End), None));
            timer.handle(at(end), Input::Failed(408));
            timer.timeout(at(end + 1000));
            assert_eq!(timer.poll(), None, "it ends once");
        }
    }
}
