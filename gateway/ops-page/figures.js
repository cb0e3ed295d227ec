/**
 * Figures from a node's metrics: reads the OpenMetrics text, and makes rates and quantiles of what it counts. Knows nothing of the page.
 */

/** @typedef {{ labels: Record<string, string>, value: number }} Sample */
/** @typedef {{ at: number, metrics: Metrics }} Reading at: milliseconds */
/** @typedef {{ bound: number, count: number }[]} Buckets cumulative; bound: seconds, the last one Infinity */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** What one answer of `/metrics` says. */
export class Metrics {
  /** @type {Map<string, Sample[]>} */
  #samples = new Map();

  /** @param {string} text in the OpenMetrics format */
  constructor(text) {
    for (const line of text.split('\n')) {
      const [, name, labels = '', value] = LINE.exec(line) ?? [];
      if (name === undefined) continue;
      const pairs = [...labels.matchAll(LABEL)].map(([, label, text]) => [label, text.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))]);
      const samples = this.#samples.get(name) ?? [];
      samples.push({ labels: Object.fromEntries(pairs), value: value === '+Inf' ? Infinity : Number(value) });
      this.#samples.set(name, samples);
    }
  }

  /** The sum over all labels; 0 of what is not there. @param {string} name */
  sum(name) {
    return (this.#samples.get(name) ?? []).reduce((sum, { value }) => sum + value, 0);
  }

  /**
   * Values by a label's text, the largest first, without those that are 0.
   * @param {string} name
   * @param {string} label
   */
  by(name, label) {
    const samples = (this.#samples.get(name) ?? []).filter(({ value }) => value > 0);
    samples.sort((a, b) => b.value - a.value || (a.labels[label] < b.labels[label] ? -1 : 1));
    return new Map(samples.map(({ labels, value }) => [labels[label], value]));
  }

  /** A histogram's buckets, the smallest first. @param {string} name @returns {Buckets} */
  buckets(name) {
    const bound = (/** @type {string} */ le) => (le === '+Inf' ? Infinity : Number(le));
    const buckets = (this.#samples.get(`${name}_bucket`) ?? []).map(({ labels, value }) => ({ bound: bound(labels.le), count: value }));
    return buckets.sort((a, b) => a.bound - b.bound);
  }
}

/** What came into `now` since `before`. @param {Buckets} now @param {Buckets} before @returns {Buckets} */
export function since(now, before) {
  return now.map(({ bound, count }, index) => ({ bound, count: count - (before[index]?.count ?? 0) }));
}

/**
 * About which value the fraction `q` of all observations stays below: evenly spread within a bucket, as Prometheus does it. Infinity:
 * above the largest bound; undefined: nothing was observed.
 * @param {Buckets} buckets
 * @param {number} q
 */
export function quantile(buckets, q) {
  const all = buckets.at(-1)?.count ?? 0;
  if (all === 0) return undefined;
  const rank = q * all;
  const index = buckets.findIndex(({ count }) => count >= rank);
  const { bound, count } = buckets[index];
  const below = buckets[index - 1] ?? { bound: 0, count: 0 };
  if (bound === Infinity) return Infinity;
  return below.bound + ((bound - below.bound) * (rank - below.count)) / (count - below.count);
}

/**
 * The readings of the last two minutes. A node that was started again counts from 0: then what was before is forgotten.
 */
export class History {
  /** How far back it goes, in milliseconds. */
  static SPAN = 120_000;
  /** Over how long rates are taken, in milliseconds: shards hand in their counts once a second, so shorter spans would jump. */
  static RATE_SPAN = 3000;

  /** @type {Reading[]} */
  readings = [];

  /** @param {Reading} reading */
  add(reading) {
    const counted = (/** @type {Reading | undefined} */ { metrics } = { at: 0, metrics: new Metrics('') }) =>
      metrics.sum('tandem_calls_started_total') + metrics.sum('tandem_media_datagrams_forwarded_total');
    if (counted(reading) < counted(this.readings.at(-1))) this.readings = [];
    this.readings.push(reading);
    while (reading.at - this.readings[0].at > History.SPAN) this.readings.shift();
  }

  /**
   * A second's worth of what `count` tells of the readings; undefined before there are two.
   * @param {(metrics: Metrics) => number} count
   */
  rate(count) {
    return this.rates(count).at(-1)?.rate;
  }

  /**
   * The same at every reading but the first.
   * @param {(metrics: Metrics) => number} count
   */
  rates(count) {
    const counted = this.readings.map(({ at, metrics }) => ({ at, count: count(metrics) }));
    let first = 0;
    return counted.slice(1).map((now, index) => {
      // As much as the span, but at least back to the reading before.
      while (first < index && now.at - counted[first + 1].at >= History.RATE_SPAN) first += 1;
      const before = counted[first];
      return { at: now.at, rate: ((now.count - before.count) * 1000) / Math.max(1, now.at - before.at) };
    });
  }
}
