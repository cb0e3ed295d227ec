// @ts-check
/// <reference path="./worklet.d.ts" />
/**
 * Cuts what the microphone hears into frames of 20 ms and hands them to the page.
 *
 * From the page: anything, which ends it.
 *
 * @module
 */

/** 20 ms at 48 kHz. */
const FRAME_SAMPLES = 960;

class Capture extends AudioWorkletProcessor {
  #frame = new Float32Array(FRAME_SAMPLES);
  #filled = 0;
  #stopped = false;

  constructor() {
    super();
    this.port.onmessage = () => (this.#stopped = true);
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    if (this.#stopped) return false;
    const samples = inputs[0]?.[0];
    if (!samples) return true;
    const room = Math.min(samples.length, FRAME_SAMPLES - this.#filled);
    this.#frame.set(samples.subarray(0, room), this.#filled);
    this.#filled += room;
    if (this.#filled === FRAME_SAMPLES) {
      this.port.postMessage(this.#frame, [this.#frame.buffer]);
      this.#frame = new Float32Array(FRAME_SAMPLES);
      this.#frame.set(samples.subarray(room));
      this.#filled = samples.length - room;
    }
    return true;
  }
}

registerProcessor('tandem-capture', Capture);
