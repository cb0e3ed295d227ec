//! Every bound of this crate: what it limits, its unit, why this value, and what happens when it is reached.

use std::time::Duration;

/// Most reasons that are read of one `Reason` header field. Further ones are passed over.
pub const REASONS_MAX: usize = 8;

/// Longest start line, bytes: an address and its parameters many times over. Longer: 414.
pub const START_LINE_BYTES_MAX: usize = 2 * 1024;

/// Longest header field, folded lines included, bytes: room for a signed identity (RFC 8224, about 1 KiB) and a chain of routes. Longer:
/// refused with 513.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;

/// Most header fields of a message: RFC 4475's longest has 45. More: refused with 513.
pub const HEADERS_MAX: usize = 128;

/// Largest head of a message, bytes. Larger: refused with 513; a stream is closed.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Largest body of a message, bytes: an SDP with every codec and candidate has 8 KiB. Larger: refused with 413; a stream is closed.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Most values (hops, contacts) in the header fields of one name. More: refused with 513.
pub const VALUES_MAX: usize = 64;

/// Most parameters that are read of one challenge or its answer; RFC 7616 knows twelve. More: it cannot be read.
pub const DIGEST_PARAMETERS_MAX: usize = 32;

/// Most challenges that are read of one answer. Further ones are passed over.
pub const CHALLENGES_MAX: usize = 8;

/// How long a nonce is good. Then its user is asked again, which is one more round trip for each registration that takes longer.
pub const NONCE_LIFE: Duration = Duration::from_mins(5);

/// Most nonces whose use is remembered. When one more is used, the oldest is forgotten, and it and all that are older count as stale.
pub const NONCES_MAX: usize = 16 * 1024;

/// How far back among the counts of a nonce one may come late, requests.
pub const NONCE_WINDOW: u32 = 64;

/// Longest number as it is dialled or sent to a trunk, characters: E.164 has 15 digits; prefixes and access codes come before them.
/// Longer: it is no number.
pub const NUMBER_CHARACTERS_MAX: usize = 40;

/// Most digits of an E.164 number (ITU-T E.164 §6). More: it is none.
pub const E164_DIGITS_MAX: usize = 15;

/// Most rewriting rules of a trunk. More: its settings are refused.
pub const REWRITING_RULES_MAX: usize = 64;

/// Most gateways and trunks that one call is tried on. Then it ends with what the last of them said.
pub const ATTEMPTS_MAX: usize = 8;

/// How often a gateway is asked whether it is there (OPTIONS), while it is and while it is not.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
/// See [`HEALTH_INTERVAL`].
pub const HEALTH_INTERVAL_DOWN: Duration = Duration::from_secs(10);

/// Failures in a row after which a gateway counts as down: one may be a lost packet's, three are none.
pub const FAILURES_TO_DOWN: u32 = 3;

/// Answers in a row after which it counts as up again, so that one that comes and goes is left alone.
pub const ANSWERS_TO_UP: u32 = 2;

/// Longest time that a gateway is left alone because its 503 asked for it (`Retry-After`). Longer: shortened to this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// Shortest session interval that is agreed to (RFC 4028 §4: 90 s). Shorter: refused with 422.
pub const SESSION_INTERVAL_MIN: Duration = Duration::from_secs(90);

/// The session interval that is asked for (RFC 4028 §4 recommends 30 min).
pub const SESSION_INTERVAL: Duration = Duration::from_mins(30);

/// Longest session interval that is agreed to. Longer: shortened to this, which RFC 4028 §9 allows.
pub const SESSION_INTERVAL_MAX: Duration = Duration::from_hours(2);

/// How long before its end a session that was not refreshed is hung up, at most (RFC 4028 §10; it is a third of a short interval).
pub const SESSION_MARGIN_MAX: Duration = Duration::from_secs(32);

/// Longest display name that is sent, characters. The rest is dropped.
pub const DISPLAY_NAME_CHARACTERS_MAX: usize = 64;

/// Most source networks that are remembered. When one more comes, the one that was quiet the longest is forgotten.
pub const SOURCES_MAX: usize = 16 * 1024;

/// Most networks of an allow list. More: the settings are refused.
pub const ALLOWED_NETWORKS_MAX: usize = 256;

/// Most allowed and most forbidden prefixes of a tenant. More: its settings are refused.
pub const PREFIXES_MAX: usize = 256;

/// Most calls to telephones that one tenant may begin within a minute, or have at once, whatever its settings say: what is kept to count
/// them is bounded.
pub const TELEPHONE_CALLS_MAX: usize = 10_000;

/// Longest session description that is read, bytes: one with every codec and candidate has 8 KiB. Longer: refused with 413.
pub const SDP_BYTES_MAX: usize = 32 * 1024;

/// Most lines of a session description. More: refused with 413.
pub const SDP_LINES_MAX: usize = 1_024;

/// Most streams of a session description: each is answered. More: refused with 413.
pub const SDP_STREAMS_MAX: usize = 16;

/// Most formats that are read of one stream. Further ones are passed over; more than twice as many attributes of formats: refused with 413.
pub const SDP_FORMATS_MAX: usize = 64;

/// How much voice a packet to a telephone holds unless it asks for another, milliseconds: one frame.
pub const PTIME_MS: u32 = 20;

/// The most that a packet to a telephone holds, milliseconds: G.711 of as much fits a datagram on every path. A telephone that asks for
/// more gets this.
pub const PTIME_MS_MAX: u32 = 60;

/// How long after signalling named an address another one may be learned from packets: NAT and a slow answer in early media take less.
/// Then: only what was learned, or what was signalled.
pub const LATCH_WINDOW: Duration = Duration::from_secs(5);

/// How many packets of one talker have to come from an address before it is learned.
pub const LATCH_PACKETS: u32 = 4;

/// How many packets may be lost between two of these. More: it counts as another talker.
pub const LATCH_GAP_MAX: u16 = 3;

/// Addresses that are watched while one is learned. Further ones are not.
pub const LATCH_CANDIDATES_MAX: usize = 4;

/// Keys that wait to be sent to a telephone: 13 s. Further ones are refused.
pub const DIGITS_WAITING_MAX: usize = 64;
