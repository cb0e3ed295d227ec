//! Every bound of the codec threads: what it limits, its unit, why this value, and what happens when it is reached.

use std::time::Duration;

/// Commands and answers queued for one codec thread: minutes of set-up at full load. What begins something is refused when more than half
/// is taken, so that what ends something always finds room.
pub const INPUTS_MAX: usize = 16_384;

/// Copies of voice queued for one codec thread, which takes them every 20 ms: room for 8,000 voices. Full: the copy is lost, and counted.
pub const HEARD_MAX: usize = 8_192;

/// Events that wait for the driver. Full: they wait at their thread, up to as many again; further ones are lost, and counted.
pub const EVENTS_MAX: usize = 16_384;

/// How many ticks a thread that was held up makes good at once: what is played arrives late, and jitter buffers take up this much. Ticks
/// beyond are left out, and counted.
pub const CATCH_UP_TICKS_MAX: u32 = 5;

/// Sounds being looked up for one codec thread. Further: they cannot be played.
pub const LOADING_MAX: usize = 1_024;

/// Prompts of one tenant held in memory, and their bytes: an hour of announcements. Further: the one unused for longest goes.
pub const CACHED_PROMPTS_PER_TENANT_MAX: usize = 64;
/// See [`CACHED_PROMPTS_PER_TENANT_MAX`].
pub const CACHED_BYTES_PER_TENANT_MAX: usize = 16 * 1024 * 1024;

/// Bytes of all tenants' prompts held in memory. Further: the one unused for longest goes.
pub const CACHED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// For how long a party may be unheard before that counts as a pause, when its silence is watched: jitter is shorter.
pub const UNHEARD_TICKS_MAX: u32 = 3;

/// Packets of a recording that wait for its files: 5 s of two voices. Further: the recording fails.
pub const PACKETS_BEFORE_FILES_MAX: usize = 512;

/// Orders queued for the thread that writes recordings: 8 s of 1,000 voices. Full: the recordings concerned break off.
pub const DISK_ORDERS_MAX: usize = 1 << 19;

/// How often what was written is made to stay on the disk.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How often a recording's silent tracks are brought up to the present.
pub const ADVANCE_TICKS: u64 = 25;

/// How much later than it was said a packet may come and still be recorded, beyond what networks reorder: 500 ms in all.
pub const ADVANCE_LAG: Duration = Duration::from_millis(300);

/// How long a tap's far end may take to accept: name, TCP, TLS and WebSocket together. Longer: the tap fails.
pub const TAP_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Frames that wait for a tap's far end: 2 s of two voices. Full: the newest is dropped, and counted.
pub const TAP_FRAMES_MAX: usize = 200;

/// How long one message to a tap's far end may take. Longer: the tap ends.
pub const TAP_SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest message of a tap's far end, bytes: a second of 16-bit samples at 48 kHz, and some. Larger: the tap ends.
pub const TAP_MESSAGE_BYTES_MAX: usize = 128 * 1024;

/// Messages of a tap's far end that wait for the codec thread. Full: the far end is read no further.
pub const TAP_MESSAGES_MAX: usize = 64;

/// What a tap's far end says and is not heard yet, frames of 20 ms: a minute, since machines speak faster than time. Further: dropped, and
/// counted.
pub const TAP_VOICE_FRAMES_MAX: usize = 3_000;

/// Marks of a tap's far end among what it says. Further: dropped, and counted.
pub const TAP_MARKS_MAX: usize = 256;

/// Longest name of a mark, bytes. Longer: the tap ends.
pub const TAP_MARK_BYTES_MAX: usize = 256;

/// How much of the far end's voice is held before it begins to play, frames: 60 ms of jitter.
pub const TAP_CUSHION_FRAMES: usize = 3;

/// How long the recordings may take to be closed and kept when the node stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(8);
