// @ts-check
/**
 * What is heard of a call: a voice for each flow, mixed in the audio thread, and played.
 *
 * @module
 */
import { DelayHistogram, SlidingMinimum } from './arrival.js';
import { SAMPLE_RATE } from './devices.js';
import { Ear } from './ear.js';
import { NOTHING_RECEIVED, mergeReceptions } from './reception.js';

/** Decoded sound that waits in the audio thread at least: one frame and the way there. */
const LEVEL_MIN_MS = 25;
const LEVEL_MAX_MS = 150;
/** How long the page takes to answer the audio thread, before anything is known. */
const ANSWER_EXPECTED_MS = 20;
/** Share of frames that should reach the audio thread in time. */
const ANSWERED_SHARE = 0.99;
/** How long a recording of the playout may become: 10 minutes. */
const RECORDING_SECONDS_MAX = 600;
/**
 * Voices that are decoded at once. Rooms forward the loudest few, and nobody follows so many. A further one takes the place of one that is
 * silent; while none is, it is not heard.
 */
export const VOICES_MAX = 16;

/** @typedef {import('./ear.js').Datagram} Datagram */
/** @typedef {{ voice: number, level: number, received: number }} VoiceReport */

/**
 * What was played, as recorded.
 * @typedef {{ samples: Float32Array, sampleRate: number }} Recording
 */

/** See the module. */
export class VoiceReceiver {
  /** Whether what arrives is not played. */
  paused = false;
  /** By flow, made when its first packet comes. @type {Map<number, Ear>} */
  #ears = new Map();
  /** The flows that are heard. @type {ReadonlySet<number>} */
  #flows = new Set();
  #made = 0;
  /** What was received of flows that are heard no more. */
  #gone = { figures: NOTHING_RECEIVED, concealed: 0, dropped: 0 };
  #node;
  #fail;
  /** Decoded sound that should wait in the audio thread. */
  #neededMs = 0;
  #underruns = 0;
  #quickest = new SlidingMinimum(10_000);
  #answers = new DelayHistogram(ANSWER_EXPECTED_MS);
  /** @type {Float32Array[] | undefined} */
  #recording;

  /**
   * @param {AudioContext} context
   * @param {(error: Error) => void} fail
   */
  constructor(context, fail) {
    this.#node = new AudioWorkletNode(context, 'tandem-playout', { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.#heard(data);
    this.#node.connect(context.destination);
    this.#fail = fail;
  }

  /**
   * These flows are heard from here on, and no others.
   * @param {ReadonlySet<number>} flows
   */
  hear(flows) {
    this.#flows = flows;
    for (const [flow, ear] of this.#ears) if (!flows.has(flow)) this.#forget(flow, ear);
  }

  /**
   * @param {number} flow
   * @param {Ear} ear
   */
  #forget(flow, ear) {
    const { figures, concealed, dropped } = this.#gone;
    const { faults } = ear;
    const merged = mergeReceptions(figures, ear.figures(ear.delayMs + this.#neededMs));
    this.#gone = { figures: merged, concealed: concealed + faults.concealed, dropped: dropped + faults.dropped };
    ear.close();
    this.#ears.delete(flow);
  }

  /**
   * Takes a media datagram.
   * @param {Datagram} datagram
   */
  receive(datagram) {
    const now = performance.now();
    this.#earOf(datagram.flow, now)?.take(datagram, now, !this.paused);
  }

  /**
   * @param {number} flow
   * @param {number} now
   */
  #earOf(flow, now) {
    const known = this.#ears.get(flow);
    if (known || !this.#flows.has(flow)) return known;
    if (this.#ears.size >= VOICES_MAX) {
      const idle = [...this.#ears].find(([, ear]) => ear.isIdle(now));
      if (!idle) return undefined;
      this.#forget(...idle);
    }
    this.#made += 1;
    const ear = new Ear(this.#made, (message, transfer) => this.#node.port.postMessage(message, transfer), this.#fail);
    this.#ears.set(flow, ear);
    return ear;
  }

  /**
   * The audio thread reports.
   * @param {{ voices?: VoiceReport[], underruns: number, time: number, tapped?: Float32Array }} report
   */
  #heard({ voices, underruns, time, tapped }) {
    if (tapped) this.#record(tapped);
    if (!voices) return;
    const now = performance.now();
    const quickest = this.#quickest.push(now, now - time * 1000);
    this.#answers.push(now - time * 1000 - quickest);
    const needed = Math.min(LEVEL_MAX_MS, LEVEL_MIN_MS + this.#answers.quantile(ANSWERED_SHARE));
    this.#neededMs = needed;
    this.#underruns = underruns;
    // The audio thread's clock, not the page's: when the page is slow to answer, the next frame is not played later for it.
    const clock = quickest + time * 1000 - needed;
    for (const ear of this.#ears.values()) {
      const { level, received } = voices.find(({ voice }) => voice === ear.voice) ?? { level: 0, received: 0 };
      ear.fill(clock, needed, level, received);
    }
  }

  /** The voice that was heard last. */
  get #latest() {
    /** @type {Ear | undefined} */
    let latest;
    for (const ear of this.#ears.values()) if (!latest || ear.heardAt > latest.heardAt) latest = ear;
    return latest;
  }

  /** Delay that this end adds, milliseconds: jitter buffer and decoded sound. */
  get bufferMs() {
    return Math.max(0, (this.#latest?.delayMs ?? 0) + this.#neededMs);
  }

  /** What the listener may have noticed: frames made up for lost ones, packets left out, times that nothing was there to play. */
  get faults() {
    let { concealed, dropped } = this.#gone;
    for (const { faults } of this.#ears.values()) {
      concealed += faults.concealed;
      dropped += faults.dropped;
    }
    return { concealed, dropped, underruns: this.#underruns };
  }

  /** The delay that the jitter buffer steers towards, milliseconds. */
  get targetMs() {
    return this.#latest?.targetMs ?? 0;
  }

  /**
   * The figures so far, of all that was heard.
   * @param {number} networkMs one way
   */
  figures(networkMs) {
    const delayMs = networkMs + this.bufferMs;
    let figures = this.#gone.figures;
    for (const ear of this.#ears.values()) figures = mergeReceptions(figures, ear.figures(delayMs));
    return figures;
  }

  /** @param {Float32Array} samples */
  #record(samples) {
    const recorded = this.#recording;
    if (recorded && recorded.length * samples.length < RECORDING_SECONDS_MAX * SAMPLE_RATE) recorded.push(samples);
  }

  /** Starts to record what is played. */
  startRecording() {
    this.#recording = [];
    this.#node.port.postMessage({ tap: true });
  }

  /**
   * Ends the recording.
   * @returns {Recording} empty when none was started
   */
  stopRecording() {
    const parts = this.#recording ?? [];
    this.#recording = undefined;
    this.#node.port.postMessage({ tap: false });
    const samples = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (samples.set(part, at), at + part.length), 0);
    return { samples, sampleRate: SAMPLE_RATE };
  }

  /** Stops for good. */
  close() {
    this.hear(new Set());
    this.#node.port.onmessage = null;
    this.#node.port.postMessage({ stop: true });
    this.#node.disconnect();
  }
}
