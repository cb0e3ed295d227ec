// @ts-check
/**
 * How late things arrive, measured without a common clock: against the quickest of the last seconds.
 *
 * @module
 */

/** Width of a histogram bucket, milliseconds: half a frame. */
const BUCKET_MS = 10;
/** Buckets: 500 ms in all; a voice packet that is later is of no use. */
const BUCKETS = 50;
/** How much of the histogram the next arrival leaves in place: a memory of about 12 s at 50 packets a second, as NetEQ. */
const MEMORY = 0.9983;

/** The smallest of the values of the last `windowMs`. */
export class SlidingMinimum {
  /** Values that may yet become the smallest: rising in time and in value. @type {{ at: number, value: number }[]} */
  #candidates = [];
  #windowMs;

  /** @param {number} windowMs */
  constructor(windowMs) {
    this.#windowMs = windowMs;
  }

  /**
   * Takes a value, gives the smallest.
   * @param {number} now milliseconds
   * @param {number} value
   */
  push(now, value) {
    const candidates = this.#candidates;
    while (candidates.length > 0 && candidates[candidates.length - 1].value >= value) candidates.pop();
    candidates.push({ at: now, value });
    while (candidates[0].at < now - this.#windowMs) candidates.shift();
    return candidates[0].value;
  }

  /** The smallest so far; nothing before the first. */
  get value() {
    return this.#candidates[0]?.value;
  }
}

/** Which share of arrivals was how late, the old ones fading. */
export class DelayHistogram {
  #shares = new Float64Array(BUCKETS);
  #count = 0;

  /** @param {number} expectedMs what to believe before anything arrived */
  constructor(expectedMs) {
    this.#shares[Math.min(BUCKETS - 1, Math.max(0, Math.ceil(expectedMs / BUCKET_MS) - 1))] = 1;
  }

  /** @param {number} delayMs */
  push(delayMs) {
    this.#count += 1;
    const kept = Math.min(MEMORY, 1 - 1 / (this.#count + 10));
    const bucket = Math.min(BUCKETS - 1, Math.max(0, Math.floor(delayMs / BUCKET_MS)));
    for (let i = 0; i < BUCKETS; i++) this.#shares[i] *= kept;
    this.#shares[bucket] += 1 - kept;
  }

  /**
   * The delay, milliseconds, that `share` of the arrivals stayed below.
   * @param {number} share
   */
  quantile(share) {
    let below = 0;
    for (let i = 0; i < BUCKETS; i++) {
      below += this.#shares[i];
      if (below >= share) return (i + 1) * BUCKET_MS;
    }
    return BUCKETS * BUCKET_MS;
  }
}
