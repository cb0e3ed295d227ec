//! Why calls end, in three languages: SIP's status codes, our [`Cause`] and Q.850's cause values.
//!
//! Statuses and Q.850 map to each other as RFC 3398 (§7.2.4.1, §8.2.6.1) says; RFC 4497 agrees where both have a row. Every direction is
//! total: a value without a row is taken as its class says. The header field that carries one beside the other is RFC 3326's `Reason`.

use std::fmt::Write as _;

use tandem_switch::cause::Cause;

/// What we say for a [`Cause`]: the status that refuses an INVITE, and the Q.850 value that goes with it (also with a BYE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// SIP status of a final answer, 300–699.
    pub status: u16,
    /// Q.850 cause value, 1–127.
    pub q850: u8,
}

/// What a far end is told. Statuses from 500 on invite it to try another gateway, so only our own failures have one.
pub fn spoken(cause: Cause) -> Spoken {
    let (status, q850) = match cause {
        Cause::Normal => (480, 16),
        Cause::Cancelled => (487, 16),
        Cause::Busy => (486, 17),
        Cause::NoAnswer => (480, 19),
        Cause::Declined => (603, 21),
        Cause::AnsweredElsewhere => (487, 26),
        Cause::NotFound => (404, 1),
        Cause::Unreachable => (480, 20),
        Cause::Forbidden => (403, 57),
        Cause::OwnAddress => (482, 25),
        Cause::Closed => (480, 31),
        Cause::Redirected => (302, 23),
        Cause::TimeLimit => (480, 102),
        Cause::ConnectionLost => (480, 27),
        Cause::FunctionFailed => (500, 41),
        Cause::NoRoute => (404, 3),
        Cause::Overloaded => (503, 42),
        Cause::Shutdown => (503, 41),
        Cause::InternalError => (500, 111),
    };
    Spoken { status, q850 }
}

/// SIP status, the cause it means to us, its Q.850 value (RFC 3398 §8.2.6.1).
const STATUSES: [(u16, Cause, u8); 44] = [
    (400, Cause::InternalError, 41),
    (401, Cause::Forbidden, 21),
    (402, Cause::Forbidden, 21),
    (403, Cause::Forbidden, 21),
    (404, Cause::NotFound, 1),
    (405, Cause::NoRoute, 63),
    (406, Cause::NoRoute, 79),
    (407, Cause::Forbidden, 21),
    (408, Cause::NoAnswer, 102),
    (410, Cause::NotFound, 22),
    (413, Cause::InternalError, 127),
    (414, Cause::NotFound, 127),
    (415, Cause::NoRoute, 79),
    (416, Cause::NotFound, 127),
    (420, Cause::NoRoute, 127),
    (421, Cause::NoRoute, 127),
    (422, Cause::NoRoute, 127),
    (423, Cause::InternalError, 127),
    (428, Cause::Forbidden, 21),
    (433, Cause::Forbidden, 21),
    (436, Cause::Forbidden, 21),
    (437, Cause::Forbidden, 21),
    (438, Cause::Forbidden, 21),
    (480, Cause::Unreachable, 18),
    (481, Cause::ConnectionLost, 41),
    (482, Cause::NoRoute, 25),
    (483, Cause::NoRoute, 25),
    (484, Cause::NotFound, 28),
    (485, Cause::NotFound, 1),
    (486, Cause::Busy, 17),
    (487, Cause::Cancelled, 16),
    (488, Cause::NoRoute, 65),
    (500, Cause::InternalError, 41),
    (501, Cause::NoRoute, 79),
    (502, Cause::ConnectionLost, 38),
    (503, Cause::Overloaded, 41),
    (504, Cause::NoAnswer, 102),
    (505, Cause::NoRoute, 127),
    (513, Cause::InternalError, 127),
    (600, Cause::Busy, 17),
    (603, Cause::Declined, 21),
    (604, Cause::NotFound, 1),
    (606, Cause::NoRoute, 88),
    (608, Cause::Declined, 21),
];

/// Q.850 value, the cause it means to us, its SIP status (RFC 3398 §7.2.4.1).
const VALUES: [(u8, Cause, u16); 38] = [
    (1, Cause::NotFound, 404),
    (2, Cause::NoRoute, 404),
    (3, Cause::NoRoute, 404),
    (16, Cause::Normal, 480),
    (17, Cause::Busy, 486),
    (18, Cause::Unreachable, 408),
    (19, Cause::NoAnswer, 480),
    (20, Cause::Unreachable, 480),
    (21, Cause::Declined, 403),
    (22, Cause::NotFound, 410),
    (23, Cause::Redirected, 410),
    (25, Cause::NoRoute, 482),
    (26, Cause::AnsweredElsewhere, 404),
    (27, Cause::ConnectionLost, 502),
    (28, Cause::NotFound, 484),
    (29, Cause::NoRoute, 501),
    (31, Cause::Normal, 480),
    (34, Cause::Overloaded, 503),
    (38, Cause::ConnectionLost, 503),
    (41, Cause::InternalError, 503),
    (42, Cause::Overloaded, 503),
    (44, Cause::Overloaded, 503),
    (47, Cause::Overloaded, 503),
    (50, Cause::Forbidden, 403),
    (55, Cause::Forbidden, 403),
    (57, Cause::Forbidden, 403),
    (58, Cause::NoRoute, 503),
    (63, Cause::NoRoute, 501),
    (65, Cause::NoRoute, 488),
    (69, Cause::NoRoute, 501),
    (70, Cause::NoRoute, 488),
    (79, Cause::NoRoute, 501),
    (87, Cause::Forbidden, 403),
    (88, Cause::NoRoute, 503),
    (98, Cause::InternalError, 500),
    (102, Cause::NoAnswer, 504),
    (111, Cause::InternalError, 500),
    (127, Cause::InternalError, 500),
];

/// What a final answer means; 2xx and provisional ones are no causes and are taken as [`Cause::Normal`].
pub fn of_status(status: u16) -> Cause {
    if let Ok(row) = STATUSES.binary_search_by_key(&status, |row| row.0) {
        return STATUSES[row].1;
    }
    match status {
        0..300 => Cause::Normal,
        300..400 => Cause::Redirected,
        400..500 => Cause::NoRoute,
        500..600 => Cause::InternalError,
        _ => Cause::Declined,
    }
}

/// What a Q.850 value means; those without a row mean what the last of their class does.
pub fn of_q850(value: u8) -> Cause {
    VALUES[row_of_value(value)].1
}

/// The Q.850 value of a SIP status.
pub fn q850_of_status(status: u16) -> u8 {
    if let Ok(row) = STATUSES.binary_search_by_key(&status, |row| row.0) {
        return STATUSES[row].2;
    }
    match status {
        0..300 => 16,
        300..400 => 23,
        400..500 => 127,
        500..600 => 41,
        _ => 21,
    }
}

/// The SIP status of a Q.850 value.
pub fn status_of_q850(value: u8) -> u16 {
    VALUES[row_of_value(value)].2
}

fn row_of_value(value: u8) -> usize {
    let row = |value: u8| VALUES.binary_search_by_key(&value, |row| row.0);
    let class = match value {
        0..32 => 31,
        32..48 => 47,
        48..64 => 63,
        64..80 => 79,
        80..96 => 88,
        96..112 => 111,
        _ => 127,
    };
    row(value).or_else(|_| row(class)).unwrap_or(VALUES.len() - 1)
}

/// Whether an answer says that another gateway may succeed where this one failed: the server's own failures and timeouts. What the
/// callee decided (busy, declined, no such number) is final.
pub fn is_worth_another_gateway(status: u16) -> bool {
    matches!(status, 408 | 500..600)
}

/// The values of a message's `Reason` header fields (RFC 3326) that mean something here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// `SIP;cause=…`.
    pub status: Option<u16>,
    /// `Q.850;cause=…`.
    pub q850: Option<u8>,
}

impl Reason {
    /// Reads one header field's value; protocols that are not known here and values that are no numbers are passed over.
    pub fn parse(value: &str) -> Self {
        let mut reason = Self::default();
        for part in split_outside_quotes(value, ',').take(crate::limits::REASONS_MAX) {
            let mut pieces = split_outside_quotes(part, ';').map(str::trim);
            let protocol = pieces.next().unwrap_or_default();
            let cause = pieces.find_map(|piece| {
                let (name, value) = piece.split_once('=')?;
                name.trim().eq_ignore_ascii_case("cause").then(|| value.trim())
            });
            let Some(cause) = cause else { continue };
            if protocol.eq_ignore_ascii_case("SIP") {
                reason.status = reason.status.or(cause.parse().ok().filter(|status| (100..700).contains(status)));
            } else if protocol.eq_ignore_ascii_case("Q.850") {
                reason.q850 = reason.q850.or(cause.parse().ok().filter(|value| *value < 128));
            }
        }
        reason
    }
}

fn split_outside_quotes(text: &str, at: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |char: char| {
        let plain = !escaped;
        escaped = quoted && plain && char == '\\';
        quoted ^= plain && char == '"';
        !quoted && char == at
    })
}

/// What refused an INVITE. A Q.850 value is what the telephone network itself said: where the status is one that many reasons share, it
/// says more.
pub fn of_answer(status: u16, reason: Reason) -> Cause {
    match (status, reason.q850) {
        (480 | 500 | 502 | 503, Some(value)) => of_q850(value),
        _ => of_status(status),
    }
}

/// Why a CANCEL took an invitation back.
pub fn of_cancel(reason: Reason) -> Cause {
    match (reason.status, reason.q850) {
        // RFC 3326 §3.1: "Call completed elsewhere".
        (Some(200), _) | (_, Some(26)) => Cause::AnsweredElsewhere,
        _ => Cause::Cancelled,
    }
}

/// Why a BYE ended a call: a party that hung up, unless it says otherwise.
pub fn of_bye(reason: Reason) -> Cause {
    match reason.q850 {
        None | Some(16 | 31) => Cause::Normal,
        Some(value) => of_q850(value),
    }
}

/// The `Reason` value that goes with a BYE, a CANCEL or a refusal.
pub fn reason_header(cause: Cause) -> String {
    let mut value = String::new();
    if cause == Cause::AnsweredElsewhere {
        value.push_str("SIP;cause=200;text=\"Call completed elsewhere\", ");
    }
    let _ = write!(value, "Q.850;cause={};text=\"{cause}\"", spoken(cause).q850);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_total() {
        assert!(STATUSES.is_sorted_by(|one, two| one.0 < two.0));
        assert!(VALUES.is_sorted_by(|one, two| one.0 < two.0));
        for status in 0..=u16::MAX {
            let _ = (of_status(status), status_of_q850(q850_of_status(status)));
        }
        for value in 0..=u8::MAX {
            let status = status_of_q850(value);
            assert!((400..700).contains(&status), "{value}");
            let _ = of_q850(value);
        }
        for cause in Cause::ALL {
            let Spoken { status, q850 } = spoken(cause);
            assert!((300..700).contains(&status) && (1..128).contains(&q850), "{cause}");
        }
    }

    #[test]
    fn what_we_say_is_understood_by_another_gateway_of_ours() {
        let heard = |cause| {
            let Spoken { status, q850 } = spoken(cause);
            of_answer(status, Reason { status: None, q850: Some(q850) })
        };
        for (said, understood) in [
            (Cause::Busy, Cause::Busy),
            (Cause::NoAnswer, Cause::NoAnswer),
            (Cause::Declined, Cause::Declined),
            (Cause::NotFound, Cause::NotFound),
            (Cause::Unreachable, Cause::Unreachable),
            (Cause::Forbidden, Cause::Forbidden),
            (Cause::Cancelled, Cause::Cancelled),
            (Cause::Redirected, Cause::Redirected),
            (Cause::Overloaded, Cause::Overloaded),
            (Cause::ConnectionLost, Cause::ConnectionLost),
            (Cause::InternalError, Cause::InternalError),
            // Words that SIP does not have come as the nearest that it has.
            (Cause::OwnAddress, Cause::NoRoute),
            (Cause::NoRoute, Cause::NotFound),
            (Cause::Closed, Cause::Normal),
            (Cause::TimeLimit, Cause::NoAnswer),
        ] {
            assert_eq!(heard(said), understood, "{said}");
        }
    }

    #[test]
    fn rows_of_rfc_3398() {
        for (status, q850) in [(404, 1), (408, 102), (410, 22), (480, 18), (484, 28), (486, 17), (503, 41), (603, 21)] {
            assert_eq!(q850_of_status(status), q850, "{status}");
        }
        for (q850, status) in [(1, 404), (17, 486), (18, 408), (19, 480), (22, 410), (28, 484), (34, 503), (102, 504)] {
            assert_eq!(status_of_q850(q850), status, "{q850}");
        }
        // Without a row: as its class.
        for (q850, status) in [(30, 480), (33, 503), (52, 501), (66, 501), (81, 503), (97, 500), (120, 500)] {
            assert_eq!(status_of_q850(q850), status, "{q850}");
        }
        for (status, cause) in
            [(399, Cause::Redirected), (499, Cause::NoRoute), (599, Cause::InternalError), (699, Cause::Declined)]
        {
            assert_eq!(of_status(status), cause, "{status}");
        }
    }

    #[test]
    fn reasons() {
        let both = Reason { status: Some(200), q850: Some(26) };
        for (value, reason) in [
            ("SIP ;cause=200 ;text=\"Call completed; elsewhere, cause=3\", Q.850;cause=26", both),
            ("q.850 ; text=\"a \\\" b\" ; CAUSE = 26, sip;cause=200", both),
            ("Q.850;cause=1600", Reason::default()),
            ("Q.850;cause=128, SIP;cause=99", Reason::default()),
            ("preemption;cause=1", Reason::default()),
            ("", Reason::default()),
            (";;,,\"", Reason::default()),
        ] {
            assert_eq!(Reason::parse(value), reason, "{value}");
        }
        for cause in Cause::ALL {
            let reason = Reason::parse(&reason_header(cause));
            assert_eq!(reason.q850, Some(spoken(cause).q850));
            assert_eq!(of_cancel(reason) == Cause::AnsweredElsewhere, cause == Cause::AnsweredElsewhere);
        }
        assert_eq!(of_bye(Reason::default()), Cause::Normal);
        assert_eq!(of_bye(Reason { status: None, q850: Some(102) }), Cause::NoAnswer);
    }

    #[test]
    fn only_what_failed_on_the_way_is_tried_elsewhere() {
        for (status, worth) in
            [(408, true), (503, true), (500, true), (486, false), (404, false), (603, false), (403, false)]
        {
            assert_eq!(is_worth_another_gateway(status), worth, "{status}");
        }
    }
}
