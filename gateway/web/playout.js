// @ts-check
/**
 * Samples on their way to the loudspeaker: joins decoded frames without clicks, shortens or stretches them by a pitch period, and
 * covers what is missing by repeating the last period with falling loudness (in the manner of ITU-T G.711 Appendix I).
 *
 * Pure: runs in an AudioWorklet and under test alike. Mono, 48 kHz.
 *
 * @module
 */

/** Most samples that wait: 1 s. Beyond it the oldest are dropped. */
export const SAMPLES_MAX = 48_000;
/** Samples of the past that a pitch period is searched in: 40 ms. */
const PAST = 1920;
/** Shortest and longest pitch period: 300 Hz to 60 Hz. */
const PERIOD_MIN = 160;
const PERIOD_MAX = 800;
/** Shortest and longest period by which a 20 ms frame is shortened or stretched (two must fit into it). */
const STRETCH_MIN = 120;
const STRETCH_MAX = 480;
/** How alike two periods must be (normalised correlation) for one to be left out or repeated. */
const STRETCH_ALIKE = 0.8;
/** Below this mean power a frame counts as silence, where nobody hears a cut: −45 dBov. */
const SILENT_POWER = 3.2e-5;
/** Samples over which the invented blends into the real: 5 ms. */
const BLEND = 240;
/** Invented sound keeps its loudness for 10 ms and is gone after 80 ms. */
const FADE_START = 480;
const FADE_END = 3840;
/** Samples of an invented frame when there is nothing else to play: 5 ms. */
const INVENTED = 240;

/** The buffer between decoder and loudspeaker. */
export class PlayoutBuffer {
  #ring = new Float32Array(SAMPLES_MAX);
  #start = 0;
  #length = 0;
  /** The samples written last. */
  #past = new Float32Array(PAST);
  /** What is repeated while something is missing. @type {Float32Array | undefined} */
  #period;
  /** Samples invented since the last real one. */
  #invented = 0;
  /** Whether anything was ever written. */
  #started = false;
  /** Times that nothing was there to play. */
  underruns = 0;

  /** Samples that wait. */
  get length() {
    return this.#length;
  }

  /**
   * Takes a decoded frame.
   * @param {Float32Array} frame
   * @param {'keep' | 'faster' | 'slower'} pace
   */
  push(frame, pace = 'keep') {
    let samples = frame;
    if (pace === 'faster') samples = shorten(frame);
    else if (pace === 'slower') samples = stretch(frame);
    if (this.#invented > 0) samples = this.#blend(samples);
    this.#period = undefined;
    this.#invented = 0;
    this.#started = true;
    this.#write(samples);
  }

  /**
   * Covers a missing frame.
   * @param {number} count samples
   */
  conceal(count) {
    if (this.#started) this.#write(this.#invent(count));
  }

  /**
   * Fades to silence where the talker sent nothing on purpose.
   * @param {number} count samples
   */
  silence(count) {
    const samples = new Float32Array(count);
    const fading = Math.min(BLEND, count);
    if (this.#started && this.#invented < FADE_END) {
      const tail = this.#invent(fading);
      for (let i = 0; i < fading; i++) samples[i] = tail[i] * (1 - i / fading);
      this.#invented = FADE_END;
    }
    this.#write(samples);
  }

  /**
   * Fills `out` for the loudspeaker.
   * @param {Float32Array} out
   */
  read(out) {
    if (this.#length < out.length && this.#started) {
      this.underruns += 1;
      while (this.#length < out.length) this.#write(this.#invent(INVENTED));
    }
    const count = Math.min(out.length, this.#length);
    for (let i = 0; i < count; i++) out[i] = this.#ring[(this.#start + i) % SAMPLES_MAX];
    out.fill(0, count);
    this.#start = (this.#start + count) % SAMPLES_MAX;
    this.#length -= count;
  }

  /** @param {Float32Array} samples */
  #write(samples) {
    const excess = Math.max(0, this.#length + samples.length - SAMPLES_MAX);
    this.#start = (this.#start + excess) % SAMPLES_MAX;
    this.#length -= excess;
    let end = (this.#start + this.#length) % SAMPLES_MAX;
    for (const sample of samples) {
      this.#ring[end] = sample;
      end = end + 1 === SAMPLES_MAX ? 0 : end + 1;
    }
    this.#length += samples.length;
    const kept = Math.max(0, PAST - samples.length);
    this.#past.copyWithin(0, PAST - kept);
    this.#past.set(samples.subarray(Math.max(0, samples.length - PAST)), kept);
  }

  /**
   * Goes on with the last period.
   * @param {number} count samples
   */
  #invent(count) {
    const samples = new Float32Array(count);
    if (this.#invented >= FADE_END) return samples;
    this.#period ??= this.#past.slice(PAST - findPeriod(this.#past));
    for (let i = 0; i < count; i++) {
      const age = this.#invented + i;
      const gain = Math.min(1, Math.max(0, (FADE_END - age) / (FADE_END - FADE_START)));
      samples[i] = gain * this.#period[age % this.#period.length];
    }
    this.#invented += count;
    return samples;
  }

  /**
   * Blends the invented into the beginning of a real frame.
   * @param {Float32Array} frame
   */
  #blend(frame) {
    const samples = frame.slice();
    const count = Math.min(BLEND, samples.length);
    const invented = this.#invent(count);
    for (let i = 0; i < count; i++) samples[i] = invented[i] + (samples[i] - invented[i]) * (i / count);
    return samples;
  }
}

/**
 * The pitch period at the end of `past`, samples: the lag at which it resembles itself most.
 * @param {Float32Array} past
 */
export function findPeriod(past) {
  const window = 480;
  const at = past.length - window;
  const coarse = bestLag(past, at, window, PERIOD_MIN, PERIOD_MAX, 4);
  return bestLag(past, at, window, Math.max(PERIOD_MIN, coarse - 4), Math.min(PERIOD_MAX, coarse + 4), 1);
}

/**
 * @param {Float32Array} samples
 * @param {number} at
 * @param {number} window
 * @param {number} from
 * @param {number} to
 * @param {number} step
 */
function bestLag(samples, at, window, from, to, step) {
  let best = from;
  let likeness = -Infinity;
  for (let lag = from; lag <= to; lag += step) {
    const here = alike(samples, at, at - lag, window, step);
    if (here > likeness) {
      likeness = here;
      best = lag;
    }
  }
  return best;
}

/**
 * Normalised correlation of two stretches.
 * @param {Float32Array} samples
 * @param {number} one
 * @param {number} other
 * @param {number} count
 * @param {number} step
 */
function alike(samples, one, other, count, step) {
  let product = 0;
  let first = 1e-9;
  let second = 1e-9;
  for (let i = 0; i < count; i += step) {
    const a = samples[one + i];
    const b = samples[other + i];
    product += a * b;
    first += a * a;
    second += b * b;
  }
  return product / Math.sqrt(first * second);
}

/**
 * The period that a frame's beginning repeats with; nothing when it does not.
 * @param {Float32Array} frame
 */
function framePeriod(frame) {
  const longest = Math.min(STRETCH_MAX, frame.length >> 1);
  let power = 0;
  for (const sample of frame) power += sample * sample;
  if (power / frame.length < SILENT_POWER) return longest;
  let best = 0;
  let likeness = STRETCH_ALIKE;
  for (let lag = STRETCH_MIN; lag <= longest; lag += 2) {
    const here = alike(frame, 0, lag, lag, 2);
    if (here > likeness) {
      likeness = here;
      best = lag;
    }
  }
  return best === 0 ? undefined : best;
}

/**
 * Leaves out one period, when there is one.
 * @param {Float32Array} frame
 */
export function shorten(frame) {
  const period = framePeriod(frame);
  if (period === undefined) return frame;
  const shorter = frame.slice(period);
  for (let i = 0; i < period; i++) shorter[i] = frame[i] + (frame[period + i] - frame[i]) * (i / period);
  return shorter;
}

/**
 * Repeats one period, when there is one.
 * @param {Float32Array} frame
 */
export function stretch(frame) {
  const period = framePeriod(frame);
  if (period === undefined) return frame;
  const longer = new Float32Array(frame.length + period);
  longer.set(frame.subarray(0, period));
  for (let i = 0; i < period; i++) {
    longer[period + i] = frame[period + i] + (frame[i] - frame[period + i]) * (i / period);
  }
  longer.set(frame.subarray(period), 2 * period);
  return longer;
}
