//! Every bound of the core in one place: what it limits, its unit, why this value, and what happens when it is reached.

use std::time::Duration;

/// Longest name of a tenant or user, bytes. 64 fits an E.164 number and any reasonable login. Longer: refused.
pub const NAME_BYTES_MAX: usize = 64;

/// Longest dialled address, bytes. RFC 3261 recommends no limit; 256 fits every SIP address in practice. Longer: refused.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// Longest `ref` of an invitation, bytes: kept as long as its call. 128 fits any identifier (a UUID has 36). Longer: refused.
pub const REFERENCE_BYTES_MAX: usize = 128;

/// Longest signalling line, bytes, without its newline (DESIGN: a line is at most 64 KiB). Longer: the link is closed.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Most headers in an invitation. More: the invitation is refused.
pub const HEADERS_MAX: usize = 32;

/// Longest header name, bytes. Longer: the invitation is refused.
pub const HEADER_NAME_BYTES_MAX: usize = 64;

/// Longest header value, bytes. Longer: the invitation is refused.
pub const HEADER_VALUE_BYTES_MAX: usize = 1024;

/// Most steps in a plan: more than any human-made call flow between two consultations. More: the plan is refused.
pub const PLAN_STEPS_MAX: usize = 32;

/// Most targets of one dial, twice what peers allow at most (jambonz: 10). More: the plan is refused.
pub const DIAL_TARGETS_MAX: usize = 64;

/// Most devices that one dial rings at once, after users are resolved to sessions. Further devices are not rung.
pub const DIAL_LEGS_MAX: usize = 64;

/// Largest state that a function may carry from plan to plan, bytes. Larger: the plan is refused.
pub const PLAN_STATE_BYTES_MAX: usize = 16 * 1024;

/// How much of a function's own words for its failure is kept, bytes (`error` of `wit/voice.wit`). The rest is dropped.
pub const FUNCTION_ERROR_BYTES_MAX: usize = 1024;

/// Longest tag of a consult step, bytes. Longer: the plan is refused.
pub const TAG_BYTES_MAX: usize = 128;

/// Longest human-readable reason of a rejection, bytes. Longer: the plan is refused.
pub const REASON_BYTES_MAX: usize = 256;

/// Most consultations in one call, `incoming` included: a function that always answers `consult` ends here. Further: the call ends
/// with `function-failed`.
pub const CONSULTATIONS_MAX: u32 = 64;

/// Shortest and longest pause step.
pub const PAUSE_MIN: Duration = Duration::from_millis(1);
/// See [`PAUSE_MIN`].
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Shortest and longest ring timeout of an attempt. Outside: the plan is refused.
pub const RING_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// See [`RING_TIMEOUT_MIN`].
pub const RING_TIMEOUT_MAX: Duration = Duration::from_mins(10);

/// Shortest and longest maximum length of a call. Outside: the plan is refused.
pub const CALL_DURATION_MIN: Duration = Duration::from_secs(1);
/// See [`CALL_DURATION_MIN`]; also the length of a call whose plan names none.
pub const CALL_DURATION_MAX: Duration = Duration::from_hours(24);

/// How long the gateway waits for a function's answer before the call goes on without it. The host's own deadline is shorter; this
/// one guards against a host that never answers.
pub const CONSULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a session without a link is kept, with its calls, until it is resumed. Then its calls end with `connection-lost`.
pub const RESUME_GRACE: Duration = Duration::from_secs(30);

/// Most call events kept for a session that may resume. Beyond it the oldest is dropped, and a client that resumes is told so.
pub const EVENT_LOG_MAX: usize = 256;

/// Most sessions of one user: devices and tabs. Further: refused with `overloaded`.
pub const SESSIONS_PER_USER_MAX: usize = 16;

/// Most sessions of one tenant on a node, unless configured. Further: refused with `overloaded`.
pub const SESSIONS_PER_TENANT_MAX: usize = 20_000;

/// Most calls of one tenant on a node, unless configured. Further invitations end with `overloaded`.
pub const CALLS_PER_TENANT_MAX: usize = 10_000;

/// Most calls that one session may be a party of at once, ringing ones included. Further: refused with `overloaded`.
pub const CALLS_PER_SESSION_MAX: usize = 8;

/// Signalling messages that a session may send in a burst, and how many a second it regains. Beyond it each is refused with
/// `too-many-messages`. A person with a keypad sends a few a second.
pub const MESSAGE_BURST: u32 = 100;
/// See [`MESSAGE_BURST`].
pub const MESSAGES_PER_SECOND: u32 = 20;

/// Most digits in one `dtmf` message. More: refused.
pub const DTMF_DIGITS_MAX: usize = 32;

/// Most users that one `watch` may name. More: refused.
pub const WATCHED_USERS_MAX: usize = 256;

/// Most flows that one link may talk on: one for each of its [`CALLS_PER_SESSION_MAX`] calls, and room for those that are just
/// being replaced. Further: no route is made.
pub const FLOWS_PER_LINK_MAX: usize = 16;

/// Most times that one step plays something. More: the plan is refused.
pub const PLAY_TIMES_MAX: u32 = 1000;

/// How long one step may play: the longest prompt (10 min) six times over. Then it is stopped and the plan goes on; it also guards against
/// codec threads that never answer.
pub const PLAY_MAX: Duration = Duration::from_hours(1);

/// Most digits that one gather collects (`wit/voice.wit`). More: the plan is refused.
pub const GATHER_DIGITS_MAX: usize = 64;

/// Most digits kept that were pressed before they were asked for. Further ones are dropped.
pub const TYPE_AHEAD_MAX: usize = 64;

/// Shortest and longest time to wait for a digit. Outside: the plan is refused.
pub const DIGIT_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// See [`DIGIT_TIMEOUT_MIN`].
pub const DIGIT_TIMEOUT_MAX: Duration = Duration::from_mins(5);

/// How long a callee has to press the confirm key after the whisper. Then the device counts as one that does not answer.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(15);

/// Shortest and longest message that a plan may ask for. Outside: the plan is refused.
pub const MESSAGE_MIN: Duration = Duration::from_secs(1);
/// See [`MESSAGE_MIN`].
pub const MESSAGE_MAX: Duration = Duration::from_mins(10);

/// A message that is shorter is not kept: somebody hung up at the beep.
pub const MESSAGE_KEPT_MIN: Duration = Duration::from_secs(1);

/// Shortest and longest silence that ends a message. Outside: the plan is refused.
pub const SILENCE_MIN: Duration = Duration::from_secs(1);
/// See [`SILENCE_MIN`].
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Longest address of a tap, bytes. Longer: the plan is refused.
pub const TAP_URL_BYTES_MAX: usize = 2048;

/// Most recordings of one call, messages included, and most taps of one call at once. Further: refused in the step's outcome.
pub const RECORDINGS_PER_CALL_MAX: u16 = 64;
/// See [`RECORDINGS_PER_CALL_MAX`].
pub const TAPS_PER_CALL_MAX: usize = 4;

/// Most queues of one tenant. Further: refused when they are set up.
pub const QUEUES_PER_TENANT_MAX: usize = 200;

/// Most agents that one queue names. More: its settings are refused.
pub const QUEUE_AGENTS_MAX: usize = 1000;

/// Most callers that may wait in one queue, whatever its settings say. Further callers leave at once with `full`.
pub const QUEUE_CALLERS_MAX: usize = 1000;

/// Most skills of one agent, and most that one caller needs. More: the settings, or the plan, are refused.
pub const SKILLS_MAX: usize = 16;

/// Shortest and longest time that a caller may wait in a queue. Outside: the settings, or the plan, are refused.
pub const QUEUE_WAIT_MIN: Duration = Duration::from_secs(1);
/// See [`QUEUE_WAIT_MIN`].
pub const QUEUE_WAIT_MAX: Duration = Duration::from_hours(4);

/// Shortest and longest time between two announcements of a caller's position. Outside: the settings are refused.
pub const QUEUE_ANNOUNCE_MIN: Duration = Duration::from_secs(5);
/// See [`QUEUE_ANNOUNCE_MIN`].
pub const QUEUE_ANNOUNCE_MAX: Duration = Duration::from_mins(10);

/// Longest wrap-up time of an agent. Longer: the settings are refused.
pub const QUEUE_WRAP_UP_MAX: Duration = Duration::from_mins(30);

/// How long an agent who missed or declined a call is offered none: without it a device that refuses by itself would be offered the same
/// call again and again, without end.
pub const AGENT_REST: Duration = Duration::from_secs(5);

/// Most talkers of a room that are heard at once, whatever is configured: each is a packet to every listener every 20 ms.
pub const ROOM_SPEAKERS_MAX: usize = 16;

/// How many talkers of a room are heard at once, unless configured: more than three who speak together nobody understands.
pub const ROOM_SPEAKERS: usize = 3;

/// Most members of a room, those who wait included, unless configured. Further: not let in, with `full`.
pub const ROOM_MEMBERS_MAX: usize = 10_000;

/// Most rooms of one tenant on a node. Whoever would begin a further one is not let in, with `full`.
pub const ROOMS_PER_TENANT_MAX: usize = 1_000;

/// Most members that everybody in a room is told of by name: more than a screen shows. Of further ones it is told how many there are.
pub const ROOM_VISIBLE_MAX: usize = 200;

/// Most who wait in a room's lobby; moderators see them all. Further: not let in, with `full`.
pub const ROOM_LOBBY_MAX: usize = 200;

/// Most raised hands in a room; moderators see them all. Further: refused.
pub const ROOM_HANDS_MAX: usize = 200;

/// Most members in a room whose coming and going is announced by a tone: in a larger one it would never be quiet.
pub const ROOM_TONES_MEMBERS_MAX: usize = 50;

/// Members in one message: 64 of the longest fit [`LINE_BYTES_MAX`] twice. Further: in the next message.
pub const ROOM_PAGE_MEMBERS: usize = 64;

/// Flows of members who are gone in one message: 12 bytes each. Further: in the next message.
pub const ROOM_PAGE_GONE: usize = 1_000;

/// Longest name shown of a member, characters. The rest is cut.
pub const ROOM_NAME_SHOWN_CHARS_MAX: usize = 64;

/// How often a room tells its members what is new, at most: five times a second, as fast as an eye follows. What happens in between is told
/// together.
pub const ROOM_NEWS_INTERVAL_MIN: Duration = Duration::from_millis(200);

/// How many messages about what is new a room makes in a second: with more than 400 members it tells less often.
pub const ROOM_MESSAGES_PER_SECOND: u32 = 2_000;

/// Most questions about mailboxes that one session may have open. Further: refused with `overloaded`.
pub const MAILBOX_REQUESTS_MAX: usize = 4;

/// Most messages on one page of a mailbox: what fits in a line, with room to spare.
pub const MESSAGES_PAGE_MAX: usize = 50;

/// How long the new party of a transfer rings, and then the one who transferred.
pub const TRANSFER_RING_TIMEOUT: Duration = Duration::from_secs(30);

/// Most calls of one tenant that are parked at once. Further: refused.
pub const PARKED_PER_TENANT_MAX: usize = 1000;

/// Shortest and longest time that a call may be parked. Outside: the plan, or the message, is refused.
pub const PARK_MIN: Duration = Duration::from_secs(1);
/// See [`PARK_MIN`].
pub const PARK_MAX: Duration = Duration::from_hours(1);

/// How long a call is parked when a client says nothing.
pub const PARK_TIMEOUT: Duration = Duration::from_mins(2);
