//! Every bound of the media shards: what it limits, its unit, why this value, and what happens when it is reached.

use std::time::Duration;

/// Most shards: more than any machine's cores that one UDP port can feed, and few enough that 256 first bytes of a connection
/// identifier spread evenly. More: refused at the start.
pub const SHARDS_MAX: usize = 64;

/// How long the QUIC handshake, SETTINGS, CONNECT and the signalling stream may take together. Firefox opens one connection that
/// never sends CONNECT. Longer: the connection is closed.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a link may take to say `hello`. Longer: closed with `not-welcome`.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a link that is told to close may take to read what was queued for it. Longer: the rest is thrown away.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a peer that was told goodbye may take to close by itself. Longer: the gateway closes.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long stopping may take after every link was told goodbye. Longer: connections are cut.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Most messages queued for one link; a client that reads gets thousands a second. Full: closed with `too-slow`.
pub const OUTBOX_MAX: usize = 256;

/// Most commands queued for one shard: minutes of set-up at full load. Full means that the shard hangs: the talker's link is closed,
/// so that nobody hears what they should not.
pub const COMMANDS_MAX: usize = 16_384;

/// Most links of one shard, those in handshake included; an idle one costs about 30 KiB. Further: refused.
pub const LINKS_PER_SHARD_MAX: usize = 20_000;

/// Links in handshake on one shard from which on clients must prove their address (RFC 9000 section 8.1.2), one more round trip:
/// floods come with forged addresses.
pub const HANDSHAKES_UNPROVEN_MAX: usize = 256;

/// Most links in handshake on one shard. Further: refused.
pub const HANDSHAKES_MAX: usize = 2048;

/// Links in handshake from which on WebSockets are refused: they must not take QUIC clients' places. Further: closed.
pub const WEBSOCKET_HANDSHAKES_MAX: usize = HANDSHAKES_MAX / 2;

/// How long a lost link's voice counters are kept for the record, beyond which the call is over for sure
/// (`RESUME_GRACE` and some).
pub const COUNTERS_GRACE: Duration = Duration::from_secs(60);

/// Datagrams queued towards one QUIC peer, bytes: about 100 packets of voice, under a second of the loudest room. Full: the oldest is
/// dropped, for voice that is late is worth nothing.
pub const DATAGRAM_SEND_BUFFER_BYTES: usize = 16 * 1024;

/// Datagrams received from one QUIC peer and not yet forwarded, bytes. Full: the oldest is dropped.
pub const DATAGRAM_RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// Datagrams queued towards one WebSocket: 640 ms of one talker. Full: the newest is dropped.
pub const WEBSOCKET_DATAGRAMS_MAX: usize = 32;

/// Largest datagram that is forwarded, bytes: what may fit a QUIC packet on any path (RFC 9000 section 14). Larger: dropped as
/// malformed.
pub const DATAGRAM_BYTES_MAX: usize = 1200;

/// What is asked of the system for each socket's receive and send buffer, bytes: some 10 ms at the most that a core can carry. The
/// system may give less (`net.core.rmem_max`).
pub const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Unsent bytes at which a WebSocket write waits. Voice that waits behind more would be late.
pub const WEBSOCKET_WRITE_BUFFER_BYTES: usize = 256 * 1024;

/// Silence after which a link counts as lost. Short enough that the other party learns of it while still listening.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Silence after which the gateway asks for a sign of life; a third of [`IDLE_TIMEOUT`], and shorter than the binding time of NATs.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Bidirectional streams that a client may have open: CONNECT, signalling, and slack for a browser's own. Further: it must wait.
pub const BIDIRECTIONAL_STREAMS_MAX: u32 = 4;

/// Unidirectional streams that a client may have open: control, two of QPACK, and slack. Further: it must wait.
pub const UNIDIRECTIONAL_STREAMS_MAX: u32 = 8;

/// Bytes a client may send on a stream before the gateway has read them: two of the longest lines. Further: it must wait.
pub const STREAM_WINDOW_BYTES: u32 = 128 * 1024;

/// Bytes a client may have under way on all its streams.
pub const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;

/// Bytes written and not yet acknowledged on one connection; beyond it writes wait, and the outbox fills.
pub const SEND_WINDOW_BYTES: u64 = 256 * 1024;

/// How much of a second's voice budget may come at once after a pause: jitter and talkers in step, but no second wave of a flood.
/// Beyond: dropped.
pub const VOICE_BURST: Duration = Duration::from_millis(250);

/// Most packets that a link draws from its tenant's allowance at once: a third of a second of a talker, so that a shared cache line is
/// written three times a second for each. Then it draws again.
pub const LEASE_PACKETS: u64 = 16;

/// Most bytes that a link draws at once: [`LEASE_PACKETS`] of the largest voice packets in use. Then it draws again.
pub const LEASE_BYTES: u64 = 16 * 512;

/// How long a link may hold what it drew: a little longer than a talker takes to use it up. Then the rest is void.
pub const LEASE_TIME: Duration = Duration::from_millis(400);

/// How long a link whose tenant is over its budget drops packets before it asks again: a flood must not make shards fight for a cache line.
pub const LEASE_RETRY: Duration = Duration::from_millis(5);

/// Packets of rooms that wait for one shard: a quarter of a second of a hundred talkers. Full: the newest is dropped.
pub const ROOM_HOPS_MAX: usize = 1024;

/// Packets of rooms that a shard takes before its links have their turn: with a thousand listeners each is a millisecond of work.
pub const ROOM_HOPS_AT_ONCE: usize = 16;

/// How often the driver is told who speaks in a room, at most: five times a second, as fast as an eye follows.
pub const ROOM_SPEAKERS_INTERVAL: Duration = Duration::from_millis(200);

/// How often a shard's own counters are added to the process's metrics.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(1);
