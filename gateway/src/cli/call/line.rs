//! What `tandem call` prints: the course of the call, in words or as JSON.

use std::fmt;

use serde::Serialize;
use tandem_switch::cause::Cause;
use tandem_switch::media::stats::Reception;

/// One line of output.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Line {
    SignedIn { tenant: String, user: String, transport: String },
    Waiting,
    Messages { waiting: u64, messages: u64 },
    Calling { to: String, call: String },
    Incoming { from: String, name: Option<String>, call: String },
    Ringing,
    Connected { peer: String },
    Answered,
    Hear { who: String },
    Recorded { on: bool },
    Offered { queue: String, waited_ms: u64 },
    Queued { queue: String, position: u32, estimate_ms: Option<u64> },
    Parked { slot: String },
    Redirected { to: String },
    Entered { room: String },
    Speakers { speakers: Vec<String> },
    Exited { room: String, cause: &'static str, reason: Option<String> },
    Disconnected,
    Held,
    Unheld,
    Muted,
    Unmuted,
    Dtmf { digits: String },
    PeerLost,
    PeerBack,
    LinkLost,
    LinkBack { resumed: bool, transport: String },
    Problem { message: String },
    Ended { cause: Cause, reason: Option<String> },
    Figures(Box<Figures>),
}

/// How the voice went.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) transport: String,
    pub(super) talked_ms: u64,
    pub(super) sent_packets: u64,
    pub(super) sent_bytes: u64,
    /// What this side received.
    pub(super) heard: Reception,
    /// What the other side reported last.
    pub(super) peer_heard: Option<Reception>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignedIn { tenant, user, transport } => {
                write!(f, "Signed in as {user} of {tenant} over {transport}.")
            }
            Self::Waiting => f.write_str("Waiting for a call."),
            Self::Messages { waiting, messages } => {
                write!(f, "Voice messages: {waiting} not heard yet, {messages} in all.")
            }
            Self::Calling { to, .. } => write!(f, "Calling {to}."),
            Self::Incoming { from, name: Some(name), .. } => write!(f, "{name} ({from}) is calling."),
            Self::Incoming { from, name: None, .. } => write!(f, "{from} is calling."),
            Self::Ringing => f.write_str("It rings."),
            Self::Connected { peer } => write!(f, "Connected with {peer}."),
            Self::Answered => f.write_str("Answered by the gateway."),
            Self::Hear { who } => write!(f, "You hear {who}, too."),
            Self::Recorded { on: true } => f.write_str("This call is being recorded."),
            Self::Recorded { on: false } => f.write_str("This call is no longer recorded."),
            Self::Offered { queue, waited_ms } => {
                write!(f, "The caller has waited in queue {queue} for {} s.", waited_ms / 1000)
            }
            Self::Queued { queue, position, estimate_ms: None } => write!(f, "Number {position} in queue {queue}."),
            Self::Queued { queue, position, estimate_ms: Some(estimate) } => {
                write!(f, "Number {position} in queue {queue}; about {} s to wait.", estimate.div_ceil(1000))
            }
            Self::Parked { slot } => write!(f, "Parked in slot {slot}."),
            Self::Redirected { to } => write!(f, "Call {to} instead."),
            Self::Entered { room } => write!(f, "In {room}."),
            Self::Speakers { speakers } if speakers.is_empty() => f.write_str("Nobody speaks."),
            Self::Speakers { speakers } => write!(f, "Speaking: {}.", speakers.join(", ")),
            Self::Exited { room, reason: Some(reason), .. } => write!(f, "Out of {room}: {reason}."),
            Self::Exited { room, cause, reason: None } => write!(f, "Out of {room}: {cause}."),
            Self::Disconnected => f.write_str("Disconnected; the call goes on."),
            Self::Held => f.write_str("The other side put you on hold."),
            Self::Unheld => f.write_str("Off hold."),
            Self::Muted => f.write_str("The other side is muted."),
            Self::Unmuted => f.write_str("The other side is no longer muted."),
            Self::Dtmf { digits } => write!(f, "The other side pressed {digits}."),
            Self::PeerLost => f.write_str("The other side's connection is lost; it may come back."),
            Self::PeerBack => f.write_str("The other side is back."),
            Self::LinkLost => f.write_str("The connection is lost; trying to come back."),
            Self::LinkBack { resumed: true, transport } => write!(f, "Back, over {transport}."),
            Self::LinkBack { resumed: false, .. } => f.write_str("Back, but too late: the call is over."),
            Self::Problem { message } => write!(f, "The gateway says: {message}"),
            Self::Ended { cause, reason: Some(reason) } => write!(f, "Ended: {} ({reason}).", words(*cause)),
            Self::Ended { cause, reason: None } => write!(f, "Ended: {}.", words(*cause)),
            Self::Figures(figures) => figures.fmt(f),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.talked_ms as f64 / 1000.0;
        writeln!(f, "Talked {seconds:.1} s over {}; sent {} packets.", self.transport, self.sent_packets)?;
        write!(f, "Heard {}.", quality(&self.heard))?;
        match &self.peer_heard {
            Some(peer) => write!(f, "\nThe other side heard {}.", quality(peer)),
            None => Ok(()),
        }
    }
}

fn quality(reception: &Reception) -> String {
    let Reception { packets, lost, late, jitter_ms, mos, .. } = *reception;
    let expected = packets + lost;
    if expected == 0 {
        return "nothing".to_owned();
    }
    let percent = 100.0 * lost as f64 / expected as f64;
    format!(
        "{packets} packets, {lost} lost ({percent:.1} %), {late} late, jitter {jitter_ms:.1} ms, quality {mos:.2} of 4.5"
    )
}

fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::Normal => "hung up",
        Cause::Cancelled => "the caller gave up",
        Cause::Busy => "busy",
        Cause::NoAnswer => "no answer",
        Cause::Declined => "declined",
        Cause::AnsweredElsewhere => "answered on another device",
        Cause::NotFound => "there is nobody of this name",
        Cause::Unreachable => "no device is connected",
        Cause::Forbidden => "you may not make this call",
        Cause::OwnAddress => "that is your own address",
        Cause::Closed => "closed at this hour",
        Cause::Redirected => "redirected to another address",
        Cause::TimeLimit => "the longest allowed time is over",
        Cause::ConnectionLost => "the connection was lost",
        Cause::FunctionFailed => "the routing function failed",
        Cause::NoRoute => "the call led nowhere",
        Cause::Overloaded => "the gateway is overloaded",
        Cause::Shutdown => "the gateway is shutting down",
        Cause::InternalError => "something broke in the gateway",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_well_and_as_json() {
        let line = Line::Ended { cause: Cause::NoAnswer, reason: None };
        assert_eq!(line.to_string(), "Ended: no answer.");
        assert_eq!(serde_json::to_string(&line).unwrap(), r#"{"event":"ended","cause":"no-answer","reason":null}"#);
        let ringing = serde_json::to_string(&Line::Ringing).unwrap();
        assert_eq!(ringing, r#"{"event":"ringing"}"#);
    }

    #[test]
    fn figures_tell_loss_and_jitter() {
        let heard = Reception { packets: 95, lost: 5, late: 1, jitter_ms: 2.25, mos: 4.0, bytes: 9_500 };
        let line = Line::Figures(Box::new(Figures {
            transport: "WebSocket".into(),
            talked_ms: 2_000,
            sent_packets: 100,
            sent_bytes: 10_000,
            heard,
            peer_heard: None,
        }));
        let words = line.to_string();
        assert!(words.contains("Talked 2.0 s over WebSocket; sent 100 packets."), "{words}");
        assert!(words.contains("95 packets, 5 lost (5.0 %), 1 late, jitter 2.2 ms"), "{words}");
        assert!(serde_json::to_string(&line).unwrap().contains(r#""event":"figures","transport":"WebSocket""#));
    }
}
