// @ts-check
/// <reference path="./worklet.d.ts" />
/**
 * The audio thread's end of a call's playout: plays, and asks for more.
 *
 * To the page: `{ voices, underruns, time }` every few milliseconds, `voices` being `[{ voice, level, received }]`, and `{ tapped }` while
 * recording. From the page: `{ voice, frame, pace }`, `{ voice, conceal }`, `{ voice, silence }` (samples), `{ voice, close }`,
 * `{ tap: boolean }`, `{ stop }` at the end.
 *
 * @module
 */
import { PlayoutMix } from './mix.js';

/** Render quanta (128 samples) between two reports: about 5 ms. */
const QUANTA_PER_REPORT = 2;
/** Samples handed over at once while recording: 100 ms. */
const TAP_SAMPLES = 4800;

class Playout extends AudioWorkletProcessor {
  #mix = new PlayoutMix();
  #quanta = 0;
  #stopped = false;
  /** @type {Float32Array | undefined} */
  #tap;
  #tapped = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  /** @param {any} message */
  #take(message) {
    if ('stop' in message) {
      this.#stopped = true;
      return;
    }
    if ('tap' in message) {
      this.#tap = message.tap ? new Float32Array(TAP_SAMPLES) : undefined;
      this.#tapped = 0;
      return;
    }
    this.#mix.take(message);
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, outputs) {
    if (this.#stopped) return false;
    const [out, ...others] = outputs[0];
    this.#mix.read(out);
    for (const other of others) other.set(out);
    this.#record(out);
    this.#quanta += 1;
    if (this.#quanta % QUANTA_PER_REPORT === 0) {
      const { voices, underruns } = this.#mix;
      this.port.postMessage({ voices, underruns, time: currentTime });
    }
    return true;
  }

  /** @param {Float32Array} samples */
  #record(samples) {
    if (!this.#tap) return;
    const room = Math.min(samples.length, TAP_SAMPLES - this.#tapped);
    this.#tap.set(samples.subarray(0, room), this.#tapped);
    this.#tapped += room;
    if (this.#tapped < TAP_SAMPLES) return;
    this.port.postMessage({ tapped: this.#tap }, [this.#tap.buffer]);
    this.#tap = new Float32Array(TAP_SAMPLES);
    this.#tap.set(samples.subarray(room));
    this.#tapped = samples.length - room;
  }
}

registerProcessor('tandem-playout', Playout);
