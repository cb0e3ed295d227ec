// @ts-check
/**
 * This side's voice on its way to the wire: microphone → capture worklet → Opus encoder → RTP → datagram.
 *
 * @module
 */
import { SAMPLE_RATE } from './devices.js';
import { EncoderLedger, FRAME_MICROS } from './ledger.js';
import { FRAME_SAMPLES, audioLevel, encodeDatagram } from './rtp.js';

/** Louder than this (−dBov, RFC 6464) counts as speech. */
const SPEECH_LEVEL = 50;
/** Frames that the encoder may owe before new ones are dropped: 200 ms. */
const ENCODER_BACKLOG_MAX = 10;
/** From this share of lost packets on a voice is protected. */
const LOSSY_SHARE = 0.03;
/** Fewer packets than this say nothing about loss: 2 s. */
const REPORT_PACKETS_MIN = 100;
/** What a protected voice takes, of the ordinary bitrate. */
const LOSSY_BITRATE = 1.25;
/** @typedef {import('./devices.js').AudioDevices} AudioDevices */
/** @typedef {import('./devices.js').AudioOptions} AudioOptions */

/** This side's voice on its way to the gateway. */
export class VoiceSender {
  /** Whether nothing is sent: this side is muted or the call is on hold. */
  paused = false;
  /** The flow identifier that it goes out under: what the gateway allotted. */
  flow;
  #encoder;
  #stop;
  #send;
  #ledger = new EncoderLedger();
  #sequence = crypto.getRandomValues(new Uint16Array(1))[0];
  #timestamp = crypto.getRandomValues(new Uint32Array(1))[0];
  #ssrc = crypto.getRandomValues(new Uint32Array(1))[0];
  #marker = true;
  #options;
  #lossy = false;
  /** What the other party had reported before. */
  #reported = { packets: 0, lost: 0 };

  /**
   * @param {AudioDevices} devices
   * @param {number} flow
   * @param {(datagram: Uint8Array) => void} send
   * @param {(error: Error) => void} fail
   */
  constructor(devices, flow, send, fail) {
    this.flow = flow;
    this.#send = (/** @type {EncodedAudioChunk} */ chunk) => send(encodeDatagram(this.flow, this.#packet(chunk)));
    this.#encoder = new AudioEncoder({ output: this.#send, error: fail });
    this.#options = devices.options;
    this.#encoder.configure(encoderConfig(this.#options, false));
    this.#stop = devices.listen((frame, index) => this.#encode(frame, index));
  }

  /**
   * @param {Float32Array} frame
   * @param {number} index
   */
  #encode(frame, index) {
    const backlog = this.#encoder.state === 'configured' ? this.#encoder.encodeQueueSize : Infinity;
    if (this.paused || backlog > ENCODER_BACKLOG_MAX) {
      this.#marker = true;
      return;
    }
    const data = new AudioData({
      format: 'f32-planar',
      sampleRate: SAMPLE_RATE,
      numberOfFrames: frame.length,
      numberOfChannels: 1,
      timestamp: this.#ledger.feed(index, audioLevel(frame)),
      data: /** @type {Float32Array<ArrayBuffer>} */ (frame),
    });
    this.#encoder.encode(data);
    data.close();
  }

  /**
   * @param {EncodedAudioChunk} chunk
   * @returns {import('./rtp.js').Packet}
   */
  #packet(chunk) {
    const { index, level } = this.#ledger.encoded(chunk.timestamp);
    const payload = new Uint8Array(chunk.byteLength);
    chunk.copyTo(payload);
    const marker = this.#marker;
    this.#marker = false;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const timestamp = (this.#timestamp + index * FRAME_SAMPLES) >>> 0;
    return { sequence: this.#sequence, timestamp, ssrc: this.#ssrc, marker, payload, level, speech: level < SPEECH_LEVEL };
  }

  /**
   * The other party reports what they receive: protects the voice from loss once there is some.
   * @param {import('./signal.js').Reception} reception
   */
  heardAs({ packets, lost }) {
    const before = this.#reported;
    this.#reported = { packets, lost };
    const expected = packets + lost - before.packets - before.lost;
    if (this.#lossy || expected < REPORT_PACKETS_MIN || this.#encoder.state !== 'configured') return;
    if ((lost - before.lost) / expected < LOSSY_SHARE) return;
    this.#lossy = true;
    this.#encoder.configure(encoderConfig(this.#options, true));
  }

  /** Stops for good. */
  close() {
    this.#stop();
    if (this.#encoder.state !== 'closed') this.#encoder.close();
  }
}

/**
 * Forward error correction takes bits from the sound itself: measured, 0.75 of PESQ at 32 kbit/s. So it is on only where it is needed.
 * @param {AudioOptions} options
 * @param {boolean} lossy
 * @returns {AudioEncoderConfig}
 */
function encoderConfig({ bitrate = 32_000, dtx = false }, lossy) {
  /** @type {Record<string, unknown>} */
  const opus = { application: 'voip', signal: 'voice', frameDuration: FRAME_MICROS, usedtx: dtx };
  const protection = lossy ? { useinbandfec: true, packetlossperc: 10 } : {};
  const rate = lossy ? bitrate * LOSSY_BITRATE : bitrate;
  return { codec: 'opus', sampleRate: SAMPLE_RATE, numberOfChannels: 1, bitrate: rate, opus: { ...opus, ...protection } };
}
