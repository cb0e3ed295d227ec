// @ts-check
/**
 * What the softphone says, in plain words.
 *
 * @module
 */

/** @typedef {import('../call.js').Call} Call */

/** @type {Record<import('../signal.js').Cause, string>} */
const CAUSES = {
  normal: 'Call ended',
  cancelled: 'Cancelled',
  busy: 'Busy',
  'no-answer': 'Nobody answered',
  declined: 'Declined',
  'answered-elsewhere': 'Answered on another device',
  'not-found': 'Nobody by that name or number',
  unreachable: 'Not signed in anywhere',
  forbidden: 'This call is not allowed',
  'own-address': 'That is your own address',
  closed: 'Closed at this hour',
  redirected: 'Redirected',
  'time-limit': 'The longest call time was reached',
  'connection-lost': 'The connection was lost',
  'function-failed': 'The call routing failed',
  'no-route': 'Nobody could be reached',
  overloaded: 'The gateway is full, try again later',
  shutdown: 'The gateway is restarting',
  'internal-error': 'Something went wrong in the gateway',
};

/** @type {Record<string, string>} */
const TRANSPORTS = { webtransport: 'WebTransport', websocket: 'WebSocket' };
/** @type {Record<string, string>} */
const PRESENCE = { available: 'Available', talking: 'In a call', offline: 'Offline' };

/**
 * Whether voice flows: with somebody, or with the gateway.
 * @param {Call} call
 */
export function isTalking(call) {
  return call.state === 'connected' || call.state === 'answered';
}

/** @param {Call} call an ended one */
export function causeWords(call) {
  if (call.redirectedTo) return `Call ${call.redirectedTo} instead`;
  if (call.reason) return call.reason;
  if (call.direction === 'incoming' && !call.connectedAt && (call.cause === 'cancelled' || call.cause === 'no-answer')) return 'Missed';
  return CAUSES[call.cause ?? 'normal'] ?? `Ended (${call.cause})`;
}

/** @param {Call} call */
export function statusWords(call) {
  if (call.state === 'ended') return causeWords(call);
  if (call.parkedIn) return `Parked in ${call.parkedIn}`;
  if (call.queued) return queueWords(call.queued);
  if (call.isPeerLost) return 'Their connection is lost; waiting for it to come back…';
  if (call.isPeerHolding) return 'You are on hold';
  if (call.isHeld) return 'On hold';
  switch (call.state) {
    case 'calling':
      return 'Calling…';
    case 'ringing':
      if (call.offeredBy) return `waits in the queue ${call.offeredBy}`;
      return call.direction === 'incoming' ? 'is calling you' : 'Ringing…';
    case 'waiting':
      return 'One moment…';
    case 'answered':
      // A called party whose voice is not taken in yet has something to hear before.
      return call.speaks ? clock(secondsOf(call)) : 'Listen…';
    default:
      return clock(secondsOf(call)) + (call.isPeerMuted ? ' · they are muted' : '');
  }
}

/** @param {import('../tandem.js').Tandem} client */
export function connectionWords(client) {
  if (client.state === 'connected') return TRANSPORTS[client.transport ?? ''] ?? '';
  return client.state === 'closed' ? 'Signed out' : 'Reconnecting…';
}

/** @param {import('../signal.js').PresenceState} state */
export function presenceWords(state) {
  return PRESENCE[state] ?? state;
}

/** @param {NonNullable<Call['queued']>} queued */
function queueWords({ queue, position, estimate_ms: estimate }) {
  const minutes = Math.max(1, Math.round((estimate ?? 0) / 60_000));
  return `Number ${position} in the queue ${queue}` + (estimate ? ` · about ${minutes} min` : '');
}

/** @param {Call} call */
export function nameOf(call) {
  return call.room?.name ?? call.peerName ?? call.peer;
}

/** @param {Call} call */
export function secondsOf(call) {
  if (!call.connectedAt) return 0;
  return Math.max(0, Math.floor(((call.endedAt ?? new Date()).getTime() - call.connectedAt.getTime()) / 1000));
}

/**
 * 75 → 1:15
 * @param {number} seconds
 */
export function clock(seconds) {
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/**
 * What a score means to a listener (ITU-T G.107 Annex B).
 * @param {number} mos
 */
export function scoreWords(mos) {
  if (mos >= 4.03) return 'Very good';
  if (mos >= 3.6) return 'Good';
  if (mos >= 3.1) return 'Fair';
  return 'Poor';
}
