//! Every bound of the client in one place: what it limits, its unit, why this value, and what happens when it is reached.

use std::time::Duration;

/// How long WebTransport may take to stand before WebSocket is tried: three round trips of a bad mobile network.
pub(crate) const WEB_TRANSPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long WebSocket may take to stand: TCP's first retransmissions of a lost SYN (1 s, 3 s) and some more.
pub(crate) const WEB_SOCKET_TIMEOUT: Duration = Duration::from_secs(8);

/// How long the gateway may take to answer `hello`.
pub(crate) const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a link may be silent before it is asked for a sign of life, and how often it is asked.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long a link may be silent before it counts as lost: three unanswered pings.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(16);

/// How long a `bye` may take, to be said and to be answered, before nobody waits for it any more.
pub(crate) const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an `invite` may take to be named a call.
pub(crate) const CALLING_TIMEOUT: Duration = Duration::from_secs(10);

/// First pause between attempts to come back; doubles up to [`RESUME_PAUSE_MAX`], each drawn from half to all of it.
pub(crate) const RESUME_PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`RESUME_PAUSE_MIN`].
pub(crate) const RESUME_PAUSE_MAX: Duration = Duration::from_secs(3);

/// Commands that wait for the link. When it is full the caller waits.
pub(crate) const COMMANDS_MAX: usize = 64;

/// Events that wait for the application. When it is full the session reads no further, and the gateway may close it as too slow.
pub(crate) const EVENTS_MAX: usize = 256;

/// Signalling lines between the session and its link, each way. When it is full the writer waits.
pub(crate) const LINES_MAX: usize = 64;

/// Media datagrams that wait for the socket of a WebSocket link: 0.5 s of one talker. When it is full the new one is dropped.
pub(crate) const MEDIA_MAX: usize = 25;

/// Voice packets that wait for a receiver: 2 s of four talkers. When it is full the new one is dropped.
pub(crate) const RECEIVER_PACKETS_MAX: usize = 400;

/// Flows received at once: the other parties of as many calls as a session may have, and the members of a room that one is shown. More are
/// refused.
pub(crate) const FLOWS_MAX: usize = 256;

/// Voices that one receiver decodes at once. Rooms forward the loudest few, and nobody follows so many. A further one takes the place of one
/// that is silent; while none is, it is not heard.
pub(crate) const VOICES_MAX: usize = 16;

/// Calls whose last event number is remembered, so that nothing is told twice after a resume: as many as the gateway may tell of
/// again, which are its log's events at worst of a call each, and the live ones. The one that has been over longest is forgotten.
pub(crate) const SEEN_CALLS_MAX: usize =
    tandem_switch::limits::EVENT_LOG_MAX + tandem_switch::limits::CALLS_PER_SESSION_MAX;

/// Invitations that wait for their call's name.
pub(crate) const INVITATIONS_MAX: usize = 16;

/// QUIC's send buffer for datagrams, bytes: 20 voice packets. The oldest is dropped, since stale voice is worse than none.
pub(crate) const DATAGRAM_SEND_BUFFER_BYTES: usize = 20 * 200;

/// Longest sound file that is played, 48 kHz samples: one hour, about 350 MB.
pub(crate) const SOUND_SAMPLES_MAX: usize = 48_000 * 3600;

/// Longest Opus packet that is sent, bytes: what fits a datagram on every path (QUIC's minimum of 1200 less headers).
pub(crate) const OPUS_PACKET_BYTES_MAX: usize = tandem_audio::opus::SENT_BYTES_MAX;
