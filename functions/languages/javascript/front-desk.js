// The front desk of `functions/front-desk`, in JavaScript: the same questions get the same plans. World `blocking-router` of
// wit/voice.wit; its records are objects with camelCase fields, its variants `{ tag, val }`, its enums strings.

/** The address that callers dial to reach the desk. */
const DESK = 'front-desk';

/** Who sits at the desk: all ring at once. */
const STAFF = ['alice', 'bob'];

/** How long the desk rings, and how long a person who is dialled directly, milliseconds. */
const DESK_RINGS_MS = 20_000;
const PERSON_RINGS_MS = 30_000;

/** Where the desk is, minutes east of Greenwich: 60 is Central European (winter) time. */
const UTC_OFFSET_MINUTES = 60;

/** When the desk is open, Monday to Friday: from the full hour, until before the full hour. */
const HOURS = { from: 9, until: 17 };

/** Keeps the desk open around the clock, so that the demonstration works at night too. */
const OPEN_ALL_HOURS = true;

/** Asked when a call comes in, when a plan consults, and when the call has ended. */
export function route(context, event) {
  // No plan of this function consults, and the answer to `ended` is ignored.
  if (event.tag !== 'incoming') return plan([]);
  if (context.to !== DESK) return plan([{ tag: 'ring-back' }, ring([context.to], PERSON_RINGS_MS)]);
  if (OPEN_ALL_HOURS || isOpen(context.now)) {
    const refusal = reject('no-answer', 'Everybody at the front desk is busy');
    return plan([{ tag: 'ring-back' }, ring(STAFF, DESK_RINGS_MS), refusal]);
  }
  return plan([reject('closed', `We are open Monday to Friday, ${HOURS.from} to ${HOURS.until}`)]);
}

function plan(steps) {
  return { steps, state: new Uint8Array() };
}

function ring(users, ringTimeout) {
  const targets = users.map((user) => ({ address: { tag: 'user', val: user }, round: 0, weight: 0 }));
  return { tag: 'dial', val: { targets, strategy: 'at-once', ringTimeout, afterAnswer: 'hang-up' } };
}

function reject(cause, reason) {
  return { tag: 'reject', val: { cause, reason } };
}

/** `now` is the call's own time, a BigInt of milliseconds: the same question gets the same answer, in a test as on a node. */
function isOpen(now) {
  const local = new Date(Number(now) + UTC_OFFSET_MINUTES * 60_000);
  const isWeekend = local.getUTCDay() === 0 || local.getUTCDay() === 6;
  return !isWeekend && local.getUTCHours() >= HOURS.from && local.getUTCHours() < HOURS.until;
}
