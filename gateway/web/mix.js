// @ts-check
/**
 * Several voices on their way to one loudspeaker: a playout buffer for each, and their sum, bent where it would be too loud.
 *
 * Pure: runs in an AudioWorklet and under test alike. Mono, 48 kHz.
 *
 * @module
 */
import { PlayoutBuffer } from './playout.js';

/** From here on a sum is bent, so that it never exceeds full scale: −2.5 dB (as the native client and the gateway do). */
const KNEE = 0.75;
/** Samples of a render quantum. */
const QUANTUM = 128;

/** See the module. */
export class PlayoutMix {
  /** By the page's name for it. @type {Map<number, { buffer: PlayoutBuffer, received: number }>} */
  #voices = new Map();
  #one = new Float32Array(QUANTUM);
  /** Of voices that are gone. */
  #underrunsBefore = 0;

  /**
   * Takes a message of the page about a voice; the first makes it.
   * @param {{ voice: number, frame?: Float32Array, pace?: 'keep' | 'faster' | 'slower', conceal?: number, silence?: number, close?: true }} message
   */
  take({ voice, frame, pace, conceal, silence, close }) {
    if (close) {
      this.#underrunsBefore += this.#voices.get(voice)?.buffer.underruns ?? 0;
      this.#voices.delete(voice);
      return;
    }
    const known = this.#voices.get(voice) ?? { buffer: new PlayoutBuffer(), received: 0 };
    this.#voices.set(voice, known);
    known.received += 1;
    if (frame) known.buffer.push(frame, pace);
    else if (conceal) known.buffer.conceal(conceal);
    else if (silence) known.buffer.silence(silence);
  }

  /**
   * Fills `out` for the loudspeaker.
   * @param {Float32Array} out
   */
  read(out) {
    if (this.#voices.size === 0) return void out.fill(0);
    if (this.#one.length !== out.length) this.#one = new Float32Array(out.length);
    let first = true;
    for (const { buffer } of this.#voices.values()) {
      if (first) buffer.read(out);
      else {
        buffer.read(this.#one);
        for (let i = 0; i < out.length; i++) out[i] += this.#one[i];
      }
      first = false;
    }
    if (this.#voices.size > 1) for (let i = 0; i < out.length; i++) out[i] = bend(out[i]);
  }

  /** Times that nothing was there to play. */
  get underruns() {
    let sum = this.#underrunsBefore;
    for (const { buffer } of this.#voices.values()) sum += buffer.underruns;
    return sum;
  }

  /** How each voice stands: samples that wait, and frames that came. */
  get voices() {
    return Array.from(this.#voices, ([voice, { buffer, received }]) => ({ voice, level: buffer.length, received }));
  }
}

/**
 * A sum as a sample: as it is up to the knee, then ever less of it, so that two who shout together do not crackle.
 * @param {number} sum
 */
export function bend(sum) {
  const over = Math.abs(sum) - KNEE;
  if (over <= 0) return sum;
  const room = 1 - KNEE;
  return Math.sign(sum) * (KNEE + (room * over) / (room + over));
}
