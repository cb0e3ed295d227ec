// @ts-check
/**
 * The voice of one call: what is said under one flow, what is heard under several, and how well.
 *
 * @module
 */
import { VoiceReceiver } from './receiver.js';
import { VoiceSender } from './voice.js';

/** @typedef {import('./signal.js').Reception} Reception */

/** Time between two reports to the gateway. */
const REPORT_MS = 5000;
/** Time between two measurements. */
const QUALITY_MS = 1000;

/**
 * How well the other party is heard, and this side by them.
 * @typedef {object} Quality
 * @property {Reception} local What this client receives.
 * @property {Reception | null} uplink What the gateway receives from this client.
 * @property {Reception | null} peer What the other party receives, as they reported.
 * @property {number} rttMs Round trip to the gateway.
 * @property {number} bufferMs Delay that this end adds to smooth the flow.
 * @property {number} targetMs The delay that the jitter buffer steers towards.
 * @property {{ concealed: number, dropped: number, underruns: number }} faults What the listener may have noticed.
 * @property {number} lossShare Share of packets of the last second that could not be played, 0 to 1.
 */

/** See the module. */
export class CallVoice {
  /** The flow identifier of this side's voice; −1 while nobody takes it. */
  sends = -1;
  /** The flow identifiers of what is heard. @type {ReadonlySet<number>} */
  hears = new Set();
  #host;
  #call;
  #tell;
  /** @type {VoiceSender | undefined} */
  #sender;
  /** @type {VoiceReceiver | undefined} */
  #receiver;
  /** Devices and codecs, once there is something to hear. @type {Promise<void> | undefined} */
  #opening;
  #closed = false;
  #paused = { said: false, heard: false };
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #reports;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #measuring;
  /** @type {{ uplink: Reception | null, peer: Reception | null }} */
  #remote = { uplink: null, peer: null };
  #before = { packets: 0, missing: 0 };
  #recording = false;
  /** What was recorded until the call's end. @type {import('./receiver.js').Recording} */
  #recorded = { samples: new Float32Array(0), sampleRate: 48_000 };

  /**
   * @param {import('./call.js').Host} host
   * @param {string} call
   * @param {(quality: Quality) => void} tell
   */
  constructor(host, call, tell) {
    this.#host = host;
    this.#call = call;
    this.#tell = tell;
  }

  /**
   * All that is sent and heard from here on.
   * @param {number} sends
   * @param {ReadonlySet<number>} hears
   */
  change(sends, hears) {
    this.sends = sends;
    this.hears = hears;
    this.#receiver?.hear(hears);
    if (this.#sender) this.#sender.flow = sends;
    this.#opening ??= this.#open().catch((error) => {
      this.#opening = undefined;
      this.#host.error(error);
    });
  }

  /**
   * Whether nothing is said, and nothing heard, for now.
   * @param {boolean} said
   * @param {boolean} heard
   */
  pause(said, heard) {
    this.#paused = { said, heard };
    this.#applyPause();
  }

  #applyPause() {
    if (this.#sender) this.#sender.paused = this.sends < 0 || this.#paused.said;
    if (this.#receiver) this.#receiver.paused = this.#paused.heard;
  }

  async #open() {
    const { devices, error } = this.#host;
    const context = await devices.context();
    if (this.#closed) return;
    if (!this.#receiver) this.#listen(new VoiceReceiver(context, error));
    await devices.openMicrophone();
    if (this.#closed) return;
    this.#sender = new VoiceSender(devices, this.sends, (datagram) => this.#host.sendDatagram(datagram), error);
    this.#applyPause();
  }

  /** @param {VoiceReceiver} receiver */
  #listen(receiver) {
    this.#receiver = receiver;
    receiver.hear(this.hears);
    if (this.#recording) receiver.startRecording();
    this.#measuring = setInterval(() => this.#measure(), QUALITY_MS);
    this.#reports = setInterval(() => this.report(), REPORT_MS);
    this.#applyPause();
  }

  /**
   * Voice came.
   * @param {import('./ear.js').Datagram} datagram
   */
  receive(datagram) {
    this.#receiver?.receive(datagram);
  }

  /**
   * The gateway told how this side is heard.
   * @param {Reception | null} uplink
   * @param {Reception | null} peer
   */
  heardAs(uplink, peer) {
    this.#remote = { uplink, peer };
    if (peer) this.#sender?.heardAs(peer);
  }

  #measure() {
    const receiver = this.#receiver;
    if (!receiver) return;
    const rttMs = this.#host.rttMs();
    // Two access networks lie between the parties; this side's is taken for both.
    const local = receiver.figures(rttMs);
    const packets = local.packets + local.lost;
    const missing = local.lost + local.late;
    const lossShare = Math.max(0, missing - this.#before.missing) / Math.max(1, packets - this.#before.packets);
    this.#before = { packets, missing };
    const { bufferMs, targetMs, faults } = receiver;
    this.#tell({ local, ...this.#remote, rttMs, bufferMs, targetMs, faults, lossShare: Math.min(1, lossShare) });
  }

  /** Tells the gateway how well the other party is heard. */
  report() {
    if (!this.#receiver) return;
    const reception = this.#receiver.figures(this.#host.rttMs());
    if (reception.packets > 0) this.#host.sendIfConnected({ type: 'report', call: this.#call, reception });
  }

  /** Records what is played. */
  startRecording() {
    this.#recording = true;
    this.#receiver?.startRecording();
  }

  /** Ends the recording and gives it. */
  stopRecording() {
    this.#recording = false;
    return this.#receiver?.stopRecording() ?? this.#recorded;
  }

  /** Stops for good. */
  close() {
    this.#closed = true;
    this.sends = -1;
    this.hears = new Set();
    clearInterval(this.#measuring);
    clearInterval(this.#reports);
    if (this.#receiver && this.#recording) this.#recorded = this.#receiver.stopRecording();
    this.#sender?.close();
    this.#receiver?.close();
    this.#sender = this.#receiver = undefined;
  }
}
