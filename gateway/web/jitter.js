// @ts-check
/**
 * The jitter buffer: packets in as they come, frames out as they are due. Pure: it is told the time and touches no audio.
 *
 * A packet's playout delay is how long after the quickest possible packet of its time it is played. The buffer steers this delay
 * towards a target: the delay that all but a small share of the packets stay below. Each `take` stands for one frame's time.
 *
 * @module
 */
import { DelayHistogram, SlidingMinimum } from './arrival.js';
import { FRAME_SAMPLES, ahead } from './rtp.js';

/** RTP clock ticks in a millisecond. */
const TICKS_PER_MS = 48;
/** Most packets that wait: 2 s. Beyond it the oldest is dropped. */
export const PACKETS_MAX = 100;
/** How long the quickest packet is remembered: long enough to span a burst, short enough to follow drifting clocks (as NetEQ). */
const BASE_WINDOW_MS = 2000;
/** Share of packets that should come in time. */
const ON_TIME_SHARE = 0.98;
/** Target before anything is known. */
const TARGET_START_MS = 40;
const TARGET_MIN_MS = 20;
const TARGET_MAX_MS = 400;
/** Beyond this excess the delay is worn down, slowly, by shortening frames. */
const FASTER_ABOVE_MS = 20;
/** Below this shortfall frames are stretched. */
const SLOWER_BELOW_MS = 10;
/** A talker this quiet (−dBov, RFC 6464) pauses: time can be cut and stretched unheard. */
const QUIET_LEVEL = 45;
/** Beyond this distance from the target it is cut and stretched in the midst of speech too. */
const URGENT_MS = 50;
/** Frames between two changes of pace, so that rhythm is kept (NetEQ waits as long); and when it is urgent. */
const PACE_INTERVAL = 5;
const PACE_INTERVAL_URGENT = 2;
/** Beyond this excess whole frames are left out: a stall that is over must not stay as delay. */
const SKIP_ABOVE_MS = 150;
/** A timestamp or sequence that jumps further than this starts the flow anew. */
const JUMP_TICKS_MAX = 10 * 48_000;

/** @typedef {import('./rtp.js').Packet} Packet */
/** @typedef {{ packet: Packet, at: number, time: number, sequence: number }} Waiting */
/**
 * What to play next.
 * - `play`: this packet; `pace` says whether to shorten or stretch it
 * - `conceal`: a packet is missing
 * - `silence`: the talker sent nothing on purpose
 * - `wait`: there is nothing; ask again
 * @typedef {{ kind: 'play', packet: Packet, pace: 'keep' | 'faster' | 'slower' } | { kind: 'conceal' | 'silence' | 'wait' }} Frame
 */

/** The jitter buffer of one flow. */
export class JitterBuffer {
  /** In order of playing. @type {Waiting[]} */
  #queue = [];
  #histogram = new DelayHistogram(TARGET_START_MS);
  #base = new SlidingMinimum(BASE_WINDOW_MS);
  #ssrc = -1;
  /** Unwrapped timestamp that is played next. */
  #playhead = 0;
  /** Unwrapped sequence number of the packet played last. */
  #played = 0;
  /** Unwrapped timestamp and sequence of the packet that arrived last, to unwrap the next. */
  #lastTime = 0;
  #lastSequence = 0;
  #playing = false;
  #delayMs = 0;
  /** Frames played since the last change of pace. */
  #sincePace = 0;
  /** Packets that came too late to be played. */
  late = 0;
  /** Packets that came twice. */
  duplicates = 0;
  /** Frames concealed. */
  concealed = 0;
  /** Packets dropped because the buffer was full or far behind. */
  dropped = 0;

  /** The playout delay that the buffer steers towards, milliseconds. */
  get targetMs() {
    return Math.min(TARGET_MAX_MS, Math.max(TARGET_MIN_MS, this.#histogram.quantile(ON_TIME_SHARE)));
  }

  /** The playout delay of the frame played last, milliseconds. */
  get delayMs() {
    return this.#delayMs;
  }

  /** Packets that wait. */
  get length() {
    return this.#queue.length;
  }

  /**
   * Takes a packet that arrived.
   * @param {Packet} packet
   * @param {number} now milliseconds
   * @returns {'queued' | 'late' | 'duplicate'}
   */
  put(packet, now) {
    const jump = Math.abs(ahead(packet.timestamp, this.#lastTime >>> 0, 32));
    if (packet.ssrc !== this.#ssrc || jump > JUMP_TICKS_MAX) this.#begin(packet);
    const time = this.#lastTime + ahead(packet.timestamp, this.#lastTime >>> 0, 32);
    const sequence = this.#lastSequence + ahead(packet.sequence, this.#lastSequence & 0xffff, 16);
    this.#lastTime = Math.max(this.#lastTime, time);
    this.#lastSequence = Math.max(this.#lastSequence, sequence);
    const transit = now - time / TICKS_PER_MS;
    this.#histogram.push(transit - this.#base.push(now, transit));
    return this.#insert({ packet, at: now, time, sequence });
  }

  /** @param {Packet} packet */
  #begin(packet) {
    this.#ssrc = packet.ssrc;
    this.#queue = [];
    this.#playing = false;
    this.#base = new SlidingMinimum(BASE_WINDOW_MS);
    // One circle up, so that a packet from before the first one has a positive time too.
    this.#lastTime = packet.timestamp + 2 ** 32;
    this.#lastSequence = packet.sequence + 2 ** 16;
  }

  /**
   * @param {Waiting} waiting
   * @returns {'queued' | 'late' | 'duplicate'}
   */
  #insert(waiting) {
    if (this.#playing && waiting.time < this.#playhead) {
      if (waiting.sequence === this.#played) {
        this.duplicates += 1;
        return 'duplicate';
      }
      this.late += 1;
      return 'late';
    }
    let place = this.#queue.length;
    while (place > 0 && this.#queue[place - 1].sequence > waiting.sequence) place -= 1;
    if (place > 0 && this.#queue[place - 1].sequence === waiting.sequence) {
      this.duplicates += 1;
      return 'duplicate';
    }
    this.#queue.splice(place, 0, waiting);
    if (this.#queue.length > PACKETS_MAX) this.#drop();
    return 'queued';
  }

  #drop() {
    this.#queue.shift();
    this.dropped += 1;
  }

  /**
   * Gives what to play next.
   * @param {number} now milliseconds
   * @returns {Frame}
   */
  take(now) {
    if (this.#queue.length === 0) return { kind: 'wait' };
    const target = this.targetMs;
    this.#skip(now, target);
    const next = this.#queue[0];
    const delay = this.#delayOf(next, now);
    if (!this.#playing && delay < target) return { kind: 'wait' };
    const early = next.time > this.#playhead && delay < target - SLOWER_BELOW_MS;
    if (this.#playing && early) return this.#bridge(next);
    this.#queue.shift();
    this.#playing = true;
    this.#playhead = next.time + FRAME_SAMPLES;
    this.#played = next.sequence;
    this.#delayMs = delay;
    return { kind: 'play', packet: next.packet, pace: this.#pace(delay - target, next.packet.level) };
  }

  /**
   * Whether to shorten or stretch a frame.
   * @param {number} excess of the delay over its target, milliseconds
   * @param {number | undefined} level
   * @returns {'keep' | 'faster' | 'slower'}
   */
  #pace(excess, level = QUIET_LEVEL) {
    this.#sincePace += 1;
    const urgent = Math.abs(excess) >= URGENT_MS;
    if (this.#sincePace < (urgent ? PACE_INTERVAL_URGENT : PACE_INTERVAL)) return 'keep';
    if (level < QUIET_LEVEL && !urgent) return 'keep';
    if (excess <= FASTER_ABOVE_MS && excess >= -SLOWER_BELOW_MS) return 'keep';
    this.#sincePace = 0;
    return excess > 0 ? 'faster' : 'slower';
  }

  /**
   * Fills the time until `next` is due.
   * @param {Waiting} next
   * @returns {Frame}
   */
  #bridge(next) {
    if (next.sequence === this.#played + 1) return { kind: 'silence' };
    this.concealed += 1;
    return { kind: 'conceal' };
  }

  /**
   * Leaves frames out when playing is far behind.
   * @param {number} now
   * @param {number} target
   */
  #skip(now, target) {
    if (this.#delayOf(this.#queue[0], now) < target + SKIP_ABOVE_MS) return;
    while (this.#queue.length > 1 && this.#delayOf(this.#queue[0], now) > target) this.#drop();
  }

  /**
   * The playout delay that a packet has if it is played now.
   * @param {Waiting} waiting
   * @param {number} now
   */
  #delayOf(waiting, now) {
    return now - waiting.time / TICKS_PER_MS - (this.#base.value ?? 0);
  }
}
