// @ts-check
/**
 * Which frame of the microphone an encoded packet holds. A browser's encoder lets its timestamps run on without gaps, so that after a
 * pause (mute, hold) they no longer tell when a frame was captured; and it may keep a packet back.
 *
 * @module
 */

/** Time between two frames, microseconds. */
export const FRAME_MICROS = 20_000;
/** Frames that are remembered while the encoder has them: 1 s. */
const OWED_MAX = 50;
/** The level of a frame that is not known: silence (−dBov, RFC 6464). */
const SILENT = 127;

/** @typedef {{ index: number, level: number }} Frame number among the microphone's frames, and loudness */

/** See the module. */
export class EncoderLedger {
  #fed = 0;
  /** Frames that the encoder has, by their place in its input. @type {Map<number, Frame>} */
  #owed = new Map();
  #last = -1;

  /**
   * Notes a frame that goes to the encoder.
   * @param {number} index
   * @param {number} level
   * @returns {number} the timestamp to give it, microseconds
   */
  feed(index, level) {
    const place = this.#fed;
    this.#fed += 1;
    this.#owed.set(place, { index, level });
    this.#owed.delete(place - OWED_MAX);
    return place * FRAME_MICROS;
  }

  /**
   * The frame that a packet holds. Frames before it are forgotten: their packets were never made.
   * @param {number} timestamp of the packet, microseconds
   * @returns {Frame}
   */
  encoded(timestamp) {
    const place = Math.round(timestamp / FRAME_MICROS);
    const frame = this.#owed.get(place) ?? { index: this.#last + 1, level: SILENT };
    for (const known of this.#owed.keys()) if (known <= place) this.#owed.delete(known);
    this.#last = frame.index;
    return frame;
  }

  /** Frames that the encoder has. */
  get owed() {
    return this.#owed.size;
  }
}
