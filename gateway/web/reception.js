// @ts-check
/**
 * How well a flow is received: loss and jitter (RFC 3550), and what a listener would think of it (E-model, ITU-T G.107).
 *
 * @module
 */
/** @typedef {import('./signal.js').Reception} Reception */
import { ahead } from './rtp.js';

/** RTP clock ticks in a millisecond. */
const TICKS_PER_MS = 48;
/** Sequence numbers remembered to tell a duplicate from a late packet. */
const SEEN_MAX = 512;

/** E-model values as the gateway has them (`gateway/switch/src/media/stats.rs`, where their sources are named). */
const RATING_MAX = 93.2;
const CODEC_IMPAIRMENT = 2;
const LOSS_ROBUSTNESS = 16;
const CODEC_DELAY_MS = 26.5;

/**
 * Estimated mean opinion score of a call.
 * @param {number} lossShare 0 to 1
 * @param {number} delayMs on the way and in buffers, one way
 * @returns {number} 1.0 to 4.5
 */
export function meanOpinionScore(lossShare, delayMs) {
  const loss = 100 * Math.min(1, Math.max(0, lossShare));
  const impairment = CODEC_IMPAIRMENT + ((95 - CODEC_IMPAIRMENT) * loss) / (loss + LOSS_ROBUSTNESS);
  const whole = CODEC_DELAY_MS + delayMs;
  const delay = 0.024 * whole + 0.11 * Math.max(0, whole - 177.3);
  const rating = Math.min(100, Math.max(0, RATING_MAX - delay - impairment));
  const score = 1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating);
  return Math.min(4.5, Math.max(1, score));
}

/** What was received when nothing was. @type {Reception} */
export const NOTHING_RECEIVED = Object.freeze({ packets: 0, bytes: 0, lost: 0, late: 0, jitter_ms: 0, mos: 0 });

/**
 * Two flows taken together, as the gateway does it: counters add up, jitter and score are weighted by packets.
 * @param {Reception} one
 * @param {Reception} other
 * @returns {Reception}
 */
export function mergeReceptions(one, other) {
  const packets = one.packets + other.packets;
  const weighted = (/** @type {number} */ a, /** @type {number} */ b) => (packets === 0 ? 0 : (a * one.packets + b * other.packets) / packets);
  return {
    packets,
    bytes: one.bytes + other.bytes,
    lost: one.lost + other.lost,
    late: one.late + other.late,
    jitter_ms: weighted(one.jitter_ms, other.jitter_ms),
    mos: weighted(one.mos, other.mos),
  };
}

/** Counts what arrives of one flow. */
export class ReceptionMeter {
  #packets = 0;
  #bytes = 0;
  #late = 0;
  #jitter = 0;
  #first = 0;
  #highest = 0;
  #transit = 0;
  #ssrc = -1;
  /** Packets that earlier talkers of this flow (other SSRCs) sent. */
  #expectedBefore = 0;
  /** @type {Set<number>} */
  #seen = new Set();

  /**
   * Counts a packet.
   * @param {import('./rtp.js').Packet} packet
   * @param {number} size bytes of RTP
   * @param {number} now milliseconds
   * @returns {boolean} false for a duplicate
   */
  count(packet, size, now) {
    if (packet.ssrc !== this.#ssrc) this.#begin(packet, now);
    const sequence = this.#highest + ahead(packet.sequence, this.#highest & 0xffff, 16);
    if (this.#seen.has(sequence)) return false;
    this.#remember(sequence);
    this.#packets += 1;
    this.#bytes += size;
    const transit = now * TICKS_PER_MS - packet.timestamp;
    const change = (transit - this.#transit) | 0;
    this.#jitter += (Math.abs(change) - this.#jitter) / 16;
    this.#transit = transit;
    this.#highest = Math.max(this.#highest, sequence);
    this.#first = Math.min(this.#first, sequence);
    return true;
  }

  /** Counts a packet that came too late to be played. */
  countLate() {
    this.#late += 1;
  }

  /**
   * @param {import('./rtp.js').Packet} packet
   * @param {number} now
   */
  #begin(packet, now) {
    this.#expectedBefore = this.#expected();
    this.#ssrc = packet.ssrc;
    // One circle up, so that a packet from before the first one has a positive number too.
    this.#first = this.#highest = packet.sequence + 0x10000;
    this.#transit = now * TICKS_PER_MS - packet.timestamp;
    this.#seen.clear();
  }

  /** @param {number} sequence */
  #remember(sequence) {
    this.#seen.add(sequence);
    if (this.#seen.size <= SEEN_MAX) return;
    const [oldest] = this.#seen;
    this.#seen.delete(oldest);
  }

  #expected() {
    return this.#ssrc === -1 ? 0 : this.#expectedBefore + this.#highest - this.#first + 1;
  }

  /**
   * The figures so far.
   * @param {number} delayMs on the way and in buffers, for the score
   * @returns {Reception}
   */
  figures(delayMs) {
    const expected = this.#expected();
    const lost = Math.max(0, expected - this.#packets);
    const missing = Math.min(expected, lost + this.#late);
    return {
      packets: this.#packets,
      bytes: this.#bytes,
      lost,
      late: this.#late,
      jitter_ms: this.#jitter / TICKS_PER_MS,
      mos: this.#packets === 0 ? 0 : meanOpinionScore(missing / expected, delayMs),
    };
  }
}
