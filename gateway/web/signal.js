// @ts-check
/**
 * Signalling: the messages that this client and the gateway exchange, and how they travel as lines.
 *
 * The shapes mirror `gateway/switch/src/signal.rs`, which is the reference. Fields that are not known are ignored.
 *
 * @module
 */

/** The protocol version that `hello` carries. */
export const VERSION = 1;

/** Longest line, bytes, without its newline (`LINE_BYTES_MAX` of the gateway). */
export const LINE_BYTES_MAX = 64 * 1024;

/**
 * Why a call or an attempt ended.
 * @typedef {'normal' | 'cancelled' | 'busy' | 'no-answer' | 'declined' | 'answered-elsewhere' | 'not-found' | 'unreachable'
 *   | 'forbidden' | 'own-address' | 'closed' | 'redirected' | 'time-limit' | 'connection-lost' | 'function-failed' | 'no-route' | 'overloaded'
 *   | 'shutdown' | 'internal-error'} Cause
 */

/**
 * What was received of a flow of voice, and how well.
 * @typedef {object} Reception
 * @property {number} packets Packets received, duplicates not counted.
 * @property {number} bytes Bytes of RTP received, headers included.
 * @property {number} lost Packets that were sent and never came.
 * @property {number} late Packets that came too late to be played.
 * @property {number} jitter_ms Interarrival jitter, milliseconds (RFC 3550 section 6.4.1).
 * @property {number} mos Estimated mean opinion score, 1.0 to 4.5; 0 before the first packet.
 */

/** @typedef {{ name: string, value: string }} Header */
/** @typedef {{ call: string, n: number }} Seen */
/** @typedef {{ session: string, secret: string, seen: Seen[] }} ResumeSession */
/** @typedef {'offline' | 'available' | 'talking'} PresenceState */
/** @typedef {{ user: string, name?: string | null, state: PresenceState }} Presence */

/** @typedef {'start' | 'stop' | 'pause' | 'resume'} RecordAction */

/**
 * Who is in a room, as others are shown. What is missing is false.
 * @typedef {{ flow: number, user: string, name?: string | null, speaks?: boolean, muted?: boolean, silenced?: boolean, hand?: boolean,
 *   moderator?: boolean, waiting?: boolean, away?: boolean }} RoomMember
 */
/** @typedef {{ flow: number, user: string, name?: string | null }} RoomSpeaker */
/** @typedef {{ started: boolean, locked: boolean, lobby: boolean, present: number, speakers: number }} RoomState */
/** @typedef {'conference' | 'channel'} RoomKind */
/** @typedef {'left' | 'kicked' | 'ended' | 'locked' | 'full' | 'refused'} RoomCause */
/**
 * What is new in a room; what is missing has not changed.
 * @typedef {{ room: string, kind: RoomKind, whole?: boolean, you?: RoomMember, members?: RoomMember[], gone?: number[], state?: RoomState,
 *   speakers?: RoomSpeaker[], tone?: 'joined' | 'left' }} RoomNews
 */
/**
 * What a member may do; those with `member` name whom, and most of them are for moderators.
 * @typedef {'leave' | 'raise-hand' | 'lower-hand' | 'silence' | 'unsilence' | 'let-speak' | 'stop-speaking' | 'kick' | 'admit' | 'lock'
 *   | 'unlock' | 'lobby' | 'no-lobby' | 'end'} RoomAction
 */

/**
 * A voice message, as its owner sees it.
 * @typedef {{ id: string, from: string, to: string, received_at: number, duration_ms: number, heard: boolean,
 *   bookmarks: Array<{ at_ms: number, label: string }>, shared_from?: string | null }} VoiceMessage
 */

/**
 * What is asked of a mailbox.
 * @typedef {{ action: 'list', cursor?: string } | { action: 'mark', message: string, heard: boolean }
 *   | { action: 'share', message: string, with: string } | { action: 'delete', message: string }} MailboxRequest
 */

/** @typedef {'logged-off' | 'available' | 'occupied' | 'offered' | 'talking' | 'wrap-up' | 'resting' | 'paused' | 'set-aside'} AgentState */

/**
 * From this client to the gateway.
 * @typedef {{ type: 'hello', version: number, token: string, client: string, resume?: ResumeSession }
 *   | { type: 'renew', token: string }
 *   | { type: 'invite', ref: string, to: string, headers: Header[] }
 *   | { type: 'answer' | 'hangup' | 'hold' | 'resume' | 'mute' | 'unmute', call: string }
 *   | { type: 'decline', call: string, cause?: Cause }
 *   | { type: 'record', call: string, action: RecordAction }
 *   | { type: 'room', call: string, action: RoomAction, member?: number }
 *   | { type: 'transfer', call: string, to: string }
 *   | { type: 'attended-transfer', call: string, to_call: string }
 *   | { type: 'park', call: string, slot?: string }
 *   | { type: 'pickup', slot: string }
 *   | { type: 'agent', action: 'log-on' | 'log-off' | 'pause' | 'resume', queue?: string }
 *   | ({ type: 'mailbox', ref: string, mailbox?: string } & MailboxRequest)
 *   | { type: 'dtmf', call: string, digits: string }
 *   | { type: 'report', call: string, reception: Reception }
 *   | { type: 'watch', users: string[] }
 *   | { type: 'ping', data: number }
 *   | { type: 'bye' }} ClientMessage
 */

/** @typedef {'bad-message' | 'too-long' | 'wrong-state' | 'no-such-call' | 'no-such-message' | 'bad-token' | 'not-granted' | 'bad-version' | 'overloaded'
 *   | 'too-many-messages' | 'shutting-down'} ErrorCode */
/** @typedef {'bye' | 'token-expired' | 'replaced' | 'not-welcome' | 'protocol-violation' | 'too-slow' | 'shutdown'} GoodbyeReason */

/**
 * What happened to a call.
 * @typedef {{ event: 'incoming', from: string, name?: string | null, to: string, continues?: string | null }
 *   | { event: 'ringing' | 'disconnected' | 'held' | 'unheld' | 'muted' | 'unmuted' | 'peer-lost' | 'peer-back' }
 *   | { event: 'connected', peer: string, send: number, receive: number }
 *   | { event: 'answered', send: number, receive: number }
 *   | { event: 'hear', receive: number, who: string }
 *   | { event: 'unhear', receive: number }
 *   | { event: 'entered', room: string, kind: RoomKind, send: number }
 *   | { event: 'exited', room: string, cause: RoomCause, reason?: string | null }
 *   | { event: 'offered', queue: string, waited_ms: number }
 *   | { event: 'queued', queue: string, position: number, estimate_ms?: number | null }
 *   | { event: 'parked', slot: string }
 *   | { event: 'recorded', on: boolean }
 *   | { event: 'redirected', to: string }
 *   | { event: 'dtmf', digits: string }
 *   | { event: 'ended', cause: Cause, reason?: string | null }} Happening
 */

/** @typedef {{ type: 'event', call: string, n: number } & Happening} CallEvent */
/** @typedef {{ type: 'welcome', version: number, session: string, secret: string, tenant: string, user: string, resumed: boolean,
 *   grace_ms: number, expires_at: number }} Welcome */
/** @typedef {{ type: 'error', code: ErrorCode, message: string, ref?: string | null, call?: string | null }} ErrorMessage */

/**
 * From the gateway to this client.
 * @typedef {Welcome | CallEvent | ErrorMessage
 *   | { type: 'calling', ref: string, call: string }
 *   | { type: 'presence', users: Presence[] }
 *   | { type: 'quality', call: string, uplink?: Reception | null, peer?: Reception | null }
 *   | ({ type: 'room-news', call: string } & RoomNews)
 *   | { type: 'messages', ref: string, mailbox: string, messages: VoiceMessage[], next?: string | null }
 *   | { type: 'message', ref: string, mailbox: string, message: VoiceMessage }
 *   | { type: 'message-deleted', ref: string }
 *   | { type: 'waiting', waiting: number, messages: number }
 *   | { type: 'agent-state', state: AgentState, queues: string[] }
 *   | { type: 'parked-in', call: string, slot: string }
 *   | { type: 'pong', data: number }
 *   | { type: 'renewed', expires_at: number }
 *   | { type: 'goodbye', reason: GoodbyeReason }} ServerMessage
 */

/**
 * Writes a message as one line, with its newline.
 * @param {ClientMessage} message
 * @returns {Uint8Array}
 */
export function encodeLine(message) {
  return new TextEncoder().encode(`${JSON.stringify(message)}\n`);
}

/**
 * Reads one line. A line that is no message gives nothing: an old client skips what a newer gateway says.
 * @param {string} line
 * @returns {ServerMessage | undefined}
 */
export function decodeLine(line) {
  try {
    const message = JSON.parse(line);
    return typeof message?.type === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}

/** Cuts a stream of bytes into lines. */
export class LineSplitter {
  #decoder = new TextDecoder();
  #rest = '';

  /**
   * Takes the next bytes of the stream, gives the lines that are complete.
   * @param {Uint8Array} bytes
   * @returns {string[]}
   * @throws {RangeError} when a line grows beyond {@link LINE_BYTES_MAX}
   */
  push(bytes) {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n');
    this.#rest = /** @type {string} */ (lines.pop());
    if (this.#rest.length > LINE_BYTES_MAX) throw new RangeError(`the gateway sent a line of more than ${LINE_BYTES_MAX} bytes`);
    return lines.filter((line) => line.trim() !== '');
  }
}
