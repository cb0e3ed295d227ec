import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History, Metrics, quantile, since } from '../../../gateway/ops-page/figures.js';

const TEXT = `# HELP tandem_calls_started Calls that began.
# TYPE tandem_calls_started counter
tandem_calls_started_total 7
tandem_calls_ended_total{cause="busy"} 2
tandem_calls_ended_total{cause="normal"} 4
tandem_calls_ended_total{cause="declined"} 0
odd{word="a \\"b\\", {c}\\n",other="x"} 1.5
times_bucket{le="0.002"} 4
times_bucket{le="+Inf"} 10
times_bucket{le="0.001"} 2
# EOF
`;

test('metrics are read with their labels', () => {
  const metrics = new Metrics(TEXT);
  assert.equal(metrics.sum('tandem_calls_started_total'), 7);
  assert.equal(metrics.sum('tandem_calls_ended_total'), 6);
  assert.equal(metrics.sum('absent'), 0);
  assert.deepEqual([...metrics.by('tandem_calls_ended_total', 'cause')], [['normal', 4], ['busy', 2]]);
  assert.deepEqual([...metrics.by('odd', 'word')], [['a "b", {c}\n', 1.5]]);
});

test('quantiles are spread evenly within their bucket', () => {
  const buckets = new Metrics(TEXT).buckets('times');
  assert.deepEqual(buckets.map(({ bound }) => bound), [0.001, 0.002, Infinity]);
  for (const [q, value] of [[0.1, 0.0005], [0.2, 0.001], [0.3, 0.0015], [0.4, 0.002], [0.5, Infinity], [0.99, Infinity]]) {
    assert.equal(quantile(buckets, q), value, `q ${q}`);
  }
  assert.equal(quantile(since(buckets, buckets), 0.5), undefined, 'nothing new was observed');
  assert.equal(quantile([], 0.5), undefined);
});

test('an empty bucket below does not draw a quantile down', () => {
  const buckets = [{ bound: 1, count: 0 }, { bound: 2, count: 0 }, { bound: 4, count: 10 }, { bound: Infinity, count: 10 }];
  assert.equal(quantile(buckets, 0.5), 3);
});

/** @param {number} at seconds @param {number} packets */
const reading = (at, packets) => ({ at: at * 1000, metrics: new Metrics(`tandem_media_datagrams_forwarded_total ${packets}`) });
const packets = (/** @type {Metrics} */ metrics) => metrics.sum('tandem_media_datagrams_forwarded_total');

test('rates are taken over some seconds, so that uneven hand-ins do not show', () => {
  const history = new History();
  assert.equal(history.rate(packets), undefined);
  for (const [at, count] of [[0, 0], [1, 0], [2, 200], [3, 300], [4, 300], [5, 500], [6, 600]]) history.add(reading(at, count));
  assert.deepEqual(history.rates(packets).map(({ rate }) => Math.round(rate)), [0, 100, 100, 100, 100, 100]);
  history.add(reading(30, 3000));
  assert.equal(history.rate(packets), 100, 'after a pause over the whole pause');
});

test('two minutes are kept, and nothing of a node before it was started again', () => {
  const history = new History();
  for (let second = 0; second < 300; second += 1) history.add(reading(second, second * 50));
  assert.equal(history.readings.length, 121);
  history.add(reading(300, 10));
  assert.deepEqual([history.readings.length, history.rate(packets)], [1, undefined]);
});
