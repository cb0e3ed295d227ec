// @ts-check
/// <reference path="./worklet.d.ts" />
/**
 * The audio thread's end of a call's playout: plays, and asks for more.
 *
 * To the page: `{ wanted: true, level, received, time }` every few milliseconds, and `{ tapped }` while recording.
 * From the page: `{ frame, pace }`, `{ conceal }`, `{ silence }` (samples), `{ tap: boolean }`, `{ stop }`
 * at the end.
 *
 * @module
 */
import { PlayoutBuffer } from './playout.js';

/** Render quanta (128 samples) between two reports: about 5 ms. */
const QUANTA_PER_REPORT = 2;
/** Samples handed over at once while recording: 100 ms. */
const TAP_SAMPLES = 4800;

class Playout extends AudioWorkletProcessor {
  #buffer = new PlayoutBuffer();
  #received = 0;
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
    this.#received += 1;
    if (message.frame) this.#buffer.push(message.frame, message.pace);
    else if (message.conceal) this.#buffer.conceal(message.conceal);
    else if (message.silence) this.#buffer.silence(message.silence);
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, outputs) {
    if (this.#stopped) return false;
    const [out, ...others] = outputs[0];
    this.#buffer.read(out);
    for (const other of others) other.set(out);
    this.#record(out);
    this.#quanta += 1;
    if (this.#quanta % QUANTA_PER_REPORT === 0) {
      const { length: level, underruns } = this.#buffer;
      this.port.postMessage({ wanted: true, level, underruns, received: this.#received, time: currentTime });
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
