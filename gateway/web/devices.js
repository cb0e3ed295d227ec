// @ts-check
/**
 * Microphone and loudspeaker, shared by all calls of a client.
 *
 * @module
 */
import { TandemError, microphoneError } from './errors.js';

/** Of everything that is captured, encoded and played. */
export const SAMPLE_RATE = 48_000;

/**
 * How a voice is captured and encoded.
 * @typedef {object} AudioOptions
 * @property {boolean} [echoCancellation] Take the loudspeaker's sound out of the microphone's (default true).
 * @property {boolean} [noiseSuppression] Take steady noise out (default true).
 * @property {boolean} [autoGainControl] Even out loudness (default true).
 * @property {string} [microphone] Device id; else the system's choice.
 * @property {number} [bitrate] Of Opus, bit/s (default 32 000).
 * @property {boolean} [dtx] Send next to nothing in silence (default false).
 */

/** @typedef {{ close: () => void }} Microphone an open one */

/** See the module. */
export class AudioDevices {
  /** @type {AudioContext | undefined} */
  #context;
  /** @type {Promise<void> | undefined} */
  #worklets;
  /** @type {Promise<Microphone> | undefined} */
  #microphone;
  /** Who listens to the microphone. @type {Set<(frame: Float32Array, index: number) => void>} */
  #listeners = new Set();
  #frames = 0;
  #options;

  /** @param {AudioOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** The settings of this client's voice. */
  get options() {
    return this.#options;
  }

  /** The audio context, running if the page may play sound. */
  async context() {
    this.#context ??= new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: 'interactive' });
    const context = this.#context;
    this.#worklets ??= this.#loadWorklets(context);
    await this.#worklets;
    if (context.state === 'suspended') void context.resume();
    return context;
  }

  /**
   * A context remembers a module that could not be loaded, so the next attempt gets a new context.
   * @param {AudioContext} context
   */
  async #loadWorklets(context) {
    const load = (/** @type {string} */ file) => context.audioWorklet.addModule(new URL(file, import.meta.url));
    try {
      await Promise.all([load('./capture-worklet.js'), load('./playout-worklet.js')]);
    } catch (error) {
      if (this.#context === context) {
        this.#context = this.#worklets = undefined;
        void context.close();
      }
      throw error;
    }
  }

  /**
   * Opens the microphone; asks the person if need be.
   * @throws {TandemError} saying why it cannot be used
   */
  async openMicrophone() {
    if (!this.#microphone) {
      const opening = this.#open().catch((error) => {
        if (this.#microphone === opening) this.#microphone = undefined;
        throw error instanceof TandemError ? error : microphoneError(error);
      });
      this.#microphone = opening;
    }
    await this.#microphone;
  }

  /** @returns {Promise<Microphone>} */
  async #open() {
    const { echoCancellation = true, noiseSuppression = true, autoGainControl = true, microphone } = this.#options;
    const wanted = { echoCancellation, noiseSuppression, autoGainControl, channelCount: 1, sampleRate: SAMPLE_RATE };
    const audio = microphone ? { ...wanted, deviceId: { exact: microphone } } : wanted;
    // The context first: none may be made any more by the time the person has answered.
    const context = await this.context();
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    try {
      return this.#capture(context, stream);
    } catch (error) {
      stopTracks(stream);
      throw error;
    }
  }

  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream
   * @returns {Microphone}
   */
  #capture(context, stream) {
    const one = { channelCount: 1, channelCountMode: /** @type {const} */ ('explicit'), numberOfOutputs: 0 };
    const capture = new AudioWorkletNode(context, 'tandem-capture', one);
    capture.port.onmessage = ({ data }) => {
      for (const listener of this.#listeners) listener(data, this.#frames);
      this.#frames += 1;
    };
    const source = context.createMediaStreamSource(stream);
    source.connect(capture);
    const close = () => {
      // A source whose track has stopped feeds zeros for ever, and its end of the connection is the only one.
      source.disconnect();
      capture.port.onmessage = null;
      capture.port.postMessage('stop');
      stopTracks(stream);
    };
    return { close };
  }

  /**
   * Hands every frame of the microphone to `listener`, with its number.
   * @param {(frame: Float32Array, index: number) => void} listener
   * @returns {() => void} stops it
   */
  listen(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Lets go of the microphone, so that the browser's sign for it goes out; if the person is still being asked, after the answer. */
  closeMicrophone() {
    void this.#microphone?.then((microphone) => microphone.close(), () => undefined);
    this.#microphone = undefined;
  }

  /** Lets go of everything. */
  close() {
    this.closeMicrophone();
    void this.#context?.close();
    this.#context = undefined;
    this.#worklets = undefined;
  }
}

/** @param {MediaStream} stream */
function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}
