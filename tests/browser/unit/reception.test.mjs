import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DelayHistogram, SlidingMinimum } from '../../../gateway/web/arrival.js';
import { ReceptionMeter, meanOpinionScore } from '../../../gateway/web/reception.js';

const packet = (index, ssrc = 1) => ({ ssrc, sequence: index & 0xffff, timestamp: (index * 960) >>> 0, marker: false, payload: new Uint8Array(60) });

test('losses, duplicates and order are counted across the wrap of sequence numbers', () => {
  const meter = new ReceptionMeter();
  let repeated = 0;
  for (let index = 65_000; index < 66_000; index++) {
    if (index % 10 === 3) continue;
    meter.count(packet(index), 72, index * 20);
    if (index % 50 === 0 && !meter.count(packet(index), 72, index * 20)) repeated += 1;
  }
  const figures = meter.figures(50);
  assert.deepEqual([figures.packets, figures.lost, figures.bytes, repeated], [900, 100, 64_800, 20]);
  assert.ok(figures.jitter_ms < 0.01);
  assert.ok(figures.mos > 1.5 && figures.mos < 3.5, `mos ${figures.mos}`);
});

test('jitter is that of RFC 3550', () => {
  const meter = new ReceptionMeter();
  for (let index = 0; index < 2000; index++) meter.count(packet(index), 72, index * 20 + (index % 2) * 8);
  assert.ok(Math.abs(meter.figures(0).jitter_ms - 8) < 0.1);
});

test('another talker goes on with the counts', () => {
  const meter = new ReceptionMeter();
  for (let index = 0; index < 100; index++) meter.count(packet(index), 72, index * 20);
  for (let index = 5000; index < 5100; index++) if (index !== 5050) meter.count(packet(index, 2), 72, index * 20);
  const { packets, lost } = meter.figures(0);
  assert.deepEqual([packets, lost], [199, 1]);
});

test('nothing received has no score', () => {
  assert.equal(new ReceptionMeter().figures(0).mos, 0);
});

test('the score falls with loss and with delay and keeps its bounds', () => {
  // Reckoned by hand: R = 93.2 - 0.024 * 100 - 2 = 88.8.
  assert.ok(Math.abs(meanOpinionScore(0, 73.5) - 4.31) < 0.01);
  assert.ok(meanOpinionScore(0.05, 50) < meanOpinionScore(0.01, 50));
  assert.ok(meanOpinionScore(0, 400) < meanOpinionScore(0, 150));
  assert.equal(meanOpinionScore(1, 10_000), 1);
});

test('the smallest of a window is found as it slides', () => {
  const minimum = new SlidingMinimum(100);
  assert.deepEqual([5, 3, 4, 6].map((value, at) => minimum.push(at * 50, value)), [5, 3, 3, 3]);
  assert.equal(minimum.push(210, 7), 6);
});

test('the quantile of delays follows what arrives', () => {
  const histogram = new DelayHistogram(40);
  assert.equal(histogram.quantile(0.98), 40);
  for (let i = 0; i < 1000; i++) histogram.push(i % 20 === 0 ? 95 : 5);
  assert.equal(histogram.quantile(0.9), 10);
  assert.equal(histogram.quantile(0.98), 100);
  histogram.push(1e9);
  histogram.push(-5);
});
