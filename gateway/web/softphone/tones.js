// @ts-check
/**
 * Tones that the page makes by itself: ringing for the callee, ring-back for the caller, keys, call waiting, the end.
 *
 * @module
 */

/** Loudness of a tone, of 1. */
const GAIN = 0.12;
/** Shortest rise and fall: without it a tone clicks. */
const EDGE_SECONDS = 0.01;

/**
 * Frequencies in hertz, and when they sound: `[from, to]` in seconds of a cadence of `period` seconds.
 * @typedef {{ hertz: number[], bursts: [number, number][], period: number }} Cadence
 */

/** @type {Record<'ring' | 'ring-back' | 'waiting', Cadence>} */
const CADENCES = {
  ring: { hertz: [523.25, 659.25], bursts: [[0, 0.4], [0.6, 1.0]], period: 3 },
  // ITU-T E.180: 425 Hz, one second on, four off.
  'ring-back': { hertz: [425], bursts: [[0, 1]], period: 5 },
  waiting: { hertz: [440], bursts: [[0, 0.2], [0.4, 0.6]], period: 6 },
};

/** Frequencies of the keys (ITU-T Q.23): row and column. */
const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477];
const LAYOUT = '123456789*0#';

/** Plays tones. One cadence at a time. */
export class Tones {
  /** @type {AudioContext | undefined} */
  #context;
  /** @type {keyof typeof CADENCES | undefined} */
  #playing;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #repeat;
  /** @type {GainNode | undefined} */
  #bus;

  /**
   * Plays this cadence, or none.
   * @param {keyof typeof CADENCES | undefined} name
   */
  play(name) {
    if (name === this.#playing) return;
    this.#playing = name;
    clearInterval(this.#repeat);
    this.#bus?.disconnect();
    this.#bus = undefined;
    if (!name) return;
    const { hertz, bursts, period } = CADENCES[name];
    const once = () => bursts.forEach(([from, to]) => this.#burst(hertz, from, to));
    once();
    this.#repeat = setInterval(once, period * 1000);
  }

  /** @param {string} key */
  key(key) {
    const place = LAYOUT.indexOf(key);
    if (place >= 0) this.#burst([ROWS[Math.floor(place / 3)], COLUMNS[place % 3]], 0, 0.12);
  }

  /** The call is over. */
  ended() {
    this.#burst([480, 620], 0, 0.15);
    this.#burst([480, 620], 0.25, 0.4);
  }

  /**
   * @param {number[]} hertz
   * @param {number} from
   * @param {number} to
   */
  #burst(hertz, from, to) {
    this.#context ??= new AudioContext();
    const context = this.#context;
    // The clock of a page that may not sound stands still: all bursts would come at once with the first click.
    if (context.state === 'suspended' && navigator.userActivation?.hasBeenActive === false) return;
    if (context.state === 'suspended') void context.resume();
    if (!this.#bus) {
      this.#bus = context.createGain();
      this.#bus.connect(context.destination);
    }
    const start = context.currentTime + from;
    const end = context.currentTime + to;
    const gain = context.createGain();
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(GAIN, start + EDGE_SECONDS);
    gain.gain.setValueAtTime(GAIN, end - EDGE_SECONDS);
    gain.gain.linearRampToValueAtTime(0, end);
    gain.connect(this.#bus);
    for (const frequency of hertz) {
      const oscillator = new OscillatorNode(context, { frequency });
      oscillator.connect(gain);
      oscillator.start(start);
      oscillator.stop(end);
    }
  }
}
