// @ts-check
/**
 * One voice being heard: datagram → RTP → jitter buffer → Opus decoder → the audio thread.
 *
 * @module
 */
import { SAMPLE_RATE } from './devices.js';
import { JitterBuffer } from './jitter.js';
import { FRAME_MICROS } from './ledger.js';
import { ReceptionMeter } from './reception.js';
import { FRAME_SAMPLES } from './rtp.js';

/** How long a frame sounds. */
const FRAME_MS = 20;
/** A voice that brought nothing for so long is idle. */
const IDLE_MS = 1000;

/** @typedef {NonNullable<ReturnType<typeof import('./rtp.js').decodeDatagram>>} Datagram */

/** See the module. */
export class Ear {
  /** What the audio thread calls this voice. */
  voice;
  #jitter = new JitterBuffer();
  #meter = new ReceptionMeter();
  #decoder;
  #post;
  #fail;
  /** Whether the decoder has stumbled, which is told once. */
  #stumbled = false;
  /** Frames on their way through the decoder, and what must follow them. @type {Array<{ pace: string } | { filler: object }>} */
  #order = [];
  /** Frames that the audio thread was sent. */
  #sent = 0;
  #heardAt = 0;

  /**
   * @param {number} voice
   * @param {(message: object, transfer: Transferable[]) => void} post to the audio thread
   * @param {(error: Error) => void} fail
   */
  constructor(voice, post, fail) {
    this.voice = voice;
    this.#post = post;
    this.#fail = fail;
    this.#decoder = this.#openDecoder();
  }

  #openDecoder() {
    const decoder = new AudioDecoder({ output: (data) => this.#decoded(data), error: (error) => this.#undecodable(error) });
    decoder.configure({ codec: 'opus', sampleRate: SAMPLE_RATE, numberOfChannels: 1 });
    return decoder;
  }

  /**
   * A packet closed the decoder. What it still had is concealed; the next packet gets a new decoder, so that one peer's nonsense does
   * not silence the rest of the call.
   * @param {Error} error
   */
  #undecodable(error) {
    this.#order = this.#order.map((next) => ('pace' in next ? { filler: { conceal: FRAME_SAMPLES } } : next));
    this.#sendFillers();
    if (!this.#stumbled) this.#fail(error);
    this.#stumbled = true;
  }

  /**
   * Takes a media datagram of this flow.
   * @param {Datagram} datagram
   * @param {number} now
   * @param {boolean} plays whether it is to be heard, or only counted
   */
  take({ packet, size }, now, plays) {
    this.#heardAt = now;
    if (!this.#meter.count(packet, size, now) || !plays) return;
    if (this.#jitter.put(packet, now) === 'late') this.#meter.countLate();
  }

  /**
   * Sends the audio thread frames, as far as there are any, until as much waits there as is needed.
   * @param {number} clock when what waits there last would be asked for, if both threads kept perfect time
   * @param {number} neededMs
   * @param {number} level samples that wait there
   * @param {number} received frames that have arrived there
   */
  fill(clock, neededMs, level, received) {
    let waiting = level / (SAMPLE_RATE / 1000) + FRAME_MS * (this.#sent - received);
    while (waiting < neededMs && this.#next(clock + waiting)) waiting += FRAME_MS;
  }

  /**
   * Sends the audio thread one frame more, if there is one.
   * @param {number} now when the frame would be asked for
   */
  #next(now) {
    const frame = this.#jitter.take(now);
    if (frame.kind === 'wait') return false;
    if (this.#decoder.state === 'closed') this.#decoder = this.#openDecoder();
    this.#sent += 1;
    if (frame.kind === 'play') {
      this.#order.push({ pace: frame.pace });
      const { payload: data } = frame.packet;
      const timestamp = this.#sent * FRAME_MICROS;
      this.#decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp, data: /** @type {any} */ (data) }));
    } else {
      this.#order.push({ filler: { [frame.kind]: FRAME_SAMPLES } });
      this.#sendFillers();
    }
    return true;
  }

  /** @param {AudioData} data */
  #decoded(data) {
    const samples = new Float32Array(data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
    data.close();
    const next = this.#order.shift();
    const pace = next && 'pace' in next ? next.pace : 'keep';
    this.#post({ voice: this.voice, frame: samples, pace }, [samples.buffer]);
    this.#sendFillers();
  }

  /** Sends the fillers that no decoding precedes. */
  #sendFillers() {
    for (let next = this.#order[0]; next && 'filler' in next; next = this.#order[0]) {
      this.#post({ voice: this.voice, ...next.filler }, []);
      this.#order.shift();
    }
  }

  /** @param {number} now */
  isIdle(now) {
    return now - this.#heardAt > IDLE_MS;
  }

  /** When something came last. */
  get heardAt() {
    return this.#heardAt;
  }

  /** Delay that the jitter buffer adds, and steers towards, milliseconds. */
  get delayMs() {
    return this.#jitter.delayMs;
  }

  /** See {@link Ear.delayMs}. */
  get targetMs() {
    return this.#jitter.targetMs;
  }

  /** Frames made up for lost ones, and packets left out. */
  get faults() {
    const { concealed, dropped } = this.#jitter;
    return { concealed, dropped };
  }

  /**
   * The figures so far.
   * @param {number} delayMs on the way and in buffers, one way
   */
  figures(delayMs) {
    return this.#meter.figures(delayMs);
  }

  /** Stops for good. */
  close() {
    this.#post({ voice: this.voice, close: true }, []);
    this.#order = [];
    if (this.#decoder.state !== 'closed') this.#decoder.close();
  }
}
