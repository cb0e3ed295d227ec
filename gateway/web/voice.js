// @ts-check
/**
 * Voice between the audio devices and the wire: one {@link VoiceSender} and one {@link VoiceReceiver} for each
 * call that talks.
 *
 * microphone → capture worklet → Opus encoder → RTP → datagram
 * datagram → RTP → jitter buffer → Opus decoder → playout worklet → loudspeaker
 *
 * @module
 */
import { DelayHistogram, SlidingMinimum } from './arrival.js';
import { SAMPLE_RATE } from './devices.js';
import { JitterBuffer } from './jitter.js';
import { EncoderLedger, FRAME_MICROS } from './ledger.js';
import { ReceptionMeter } from './reception.js';
import { FRAME_SAMPLES, audioLevel, decodeDatagram, encodeDatagram } from './rtp.js';

const FRAME_MS = 20;
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
/** Decoded sound that waits in the audio thread at least: one frame and the way there. */
const LEVEL_MIN_MS = 25;
const LEVEL_MAX_MS = 150;
/** How long the page takes to answer the audio thread, before anything is known. */
const ANSWER_EXPECTED_MS = 20;
/** Share of frames that should reach the audio thread in time. */
const ANSWERED_SHARE = 0.99;
/** How long a recording of the playout may become: 10 minutes. */
const RECORDING_SECONDS_MAX = 600;

/** @typedef {import('./devices.js').AudioDevices} AudioDevices */
/** @typedef {import('./devices.js').AudioOptions} AudioOptions */

/**
 * What was played, as recorded.
 * @typedef {{ samples: Float32Array, sampleRate: number }} Recording
 */

/** This side's voice on its way to the gateway. */
export class VoiceSender {
  /** Whether nothing is sent: this side is muted or the call is on hold. */
  paused = false;
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
   * @param {number} flow what the gateway allotted
   * @param {(datagram: Uint8Array) => void} send
   * @param {(error: Error) => void} fail
   */
  constructor(devices, flow, send, fail) {
    this.#send = (/** @type {EncodedAudioChunk} */ chunk) => send(encodeDatagram(flow, this.#packet(chunk)));
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

/** The other side's voice on its way to the loudspeaker. */
export class VoiceReceiver {
  /** Whether what arrives is not played. */
  paused = false;
  #jitter = new JitterBuffer();
  #meter = new ReceptionMeter();
  #decoder;
  #node;
  #fail;
  /** Whether the decoder has stumbled, which is told once. */
  #stumbled = false;
  /** Frames on their way through the decoder, and what must follow them. @type {Array<{ pace: string } | { filler: object }>} */
  #order = [];
  /** Frames that the audio thread was sent. */
  #sent = 0;
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
   * @param {NonNullable<ReturnType<typeof decodeDatagram>>} datagram
   */
  receive({ packet, size }) {
    const now = performance.now();
    if (!this.#meter.count(packet, size, now) || this.paused) return;
    if (this.#jitter.put(packet, now) === 'late') this.#meter.countLate();
  }

  /**
   * The audio thread reports.
   * @param {{ wanted?: true, level: number, underruns: number, received: number, time: number, tapped?: Float32Array }} report
   */
  #heard({ wanted, level, underruns, received, time, tapped }) {
    if (tapped) this.#record(tapped);
    if (!wanted) return;
    const now = performance.now();
    const quickest = this.#quickest.push(now, now - time * 1000);
    this.#answers.push(now - time * 1000 - quickest);
    const needed = Math.min(LEVEL_MAX_MS, LEVEL_MIN_MS + this.#answers.quantile(ANSWERED_SHARE));
    this.#neededMs = needed;
    this.#underruns = underruns;
    let waiting = level / (SAMPLE_RATE / 1000) + FRAME_MS * (this.#sent - received);
    // The audio thread's clock, not the page's: when the page is slow to answer, the next frame is not played later for it.
    const clock = quickest + time * 1000 - needed;
    while (waiting < needed && this.#next(clock + waiting)) waiting += FRAME_MS;
  }

  /**
   * Sends the audio thread one frame more, if there is one.
   * @param {number} now when the frame would be asked for if both threads kept perfect time
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
    this.#node.port.postMessage({ frame: samples, pace }, [samples.buffer]);
    this.#sendFillers();
  }

  /** Sends the fillers that no decoding precedes. */
  #sendFillers() {
    for (let next = this.#order[0]; next && 'filler' in next; next = this.#order[0]) {
      this.#node.port.postMessage(next.filler);
      this.#order.shift();
    }
  }

  /** Delay that this end adds, milliseconds: jitter buffer and decoded sound. */
  get bufferMs() {
    return Math.max(0, this.#jitter.delayMs + this.#neededMs);
  }

  /** What the listener may have noticed: frames made up for lost ones, packets left out, times that nothing was there to play. */
  get faults() {
    const { concealed, dropped } = this.#jitter;
    return { concealed, dropped, underruns: this.#underruns };
  }

  /** The delay that the jitter buffer steers towards, milliseconds. */
  get targetMs() {
    return this.#jitter.targetMs;
  }

  /**
   * The figures so far.
   * @param {number} networkMs one way
   */
  figures(networkMs) {
    return this.#meter.figures(networkMs + this.bufferMs);
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
    this.#node.port.onmessage = null;
    this.#node.port.postMessage({ stop: true });
    this.#node.disconnect();
    if (this.#decoder.state !== 'closed') this.#decoder.close();
  }
}
