import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PlayoutBuffer, SAMPLES_MAX, findPeriod, shorten, stretch } from '../../../gateway/web/playout.js';

const sine = (count, hertz, from = 0) => Float32Array.from({ length: count }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hertz * (from + i)) / 48_000));
const largestStep = (samples) => samples.reduce((max, sample, i) => (i === 0 ? 0 : Math.max(max, Math.abs(sample - samples[i - 1]))), 0);
const power = (samples) => samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;

function read(buffer, count) {
  const out = new Float32Array(count);
  for (let at = 0; at < count; at += 128) buffer.read(out.subarray(at, Math.min(count, at + 128)));
  return out;
}

test('what goes in comes out', () => {
  const buffer = new PlayoutBuffer();
  const wave = sine(9600, 200);
  for (let at = 0; at < wave.length; at += 960) buffer.push(wave.subarray(at, at + 960));
  assert.deepEqual(read(buffer, 9600), wave);
  assert.equal(buffer.underruns, 0);
});

test('nothing is played and nothing counted before the first frame', () => {
  const buffer = new PlayoutBuffer();
  assert.equal(power(read(buffer, 1280)), 0);
  assert.equal(buffer.underruns, 0);
});

test('the period of a tone is found', () => {
  assert.ok(Math.abs((findPeriod(sine(1920, 200)) % 240) - 0) <= 2);
});

test('a lost frame is covered without clicks and at about the same loudness', () => {
  const buffer = new PlayoutBuffer();
  for (let frame = 0; frame < 10; frame++) {
    if (frame === 5) buffer.conceal(960);
    // From the gap on a quarter of a period off, so that going on by itself does not fit.
    else buffer.push(sine(960, 200, frame * 960 + (frame > 5 ? 60 : 0)));
  }
  const heard = read(buffer, 9600);
  assert.ok(largestStep(heard) < 0.03, `step ${largestStep(heard)}`);
  const covered = power(heard.subarray(4800, 5760));
  assert.ok(covered > 0.06 && covered < 0.14, `power ${covered}`);
});

test('when frames stay away the sound fades to silence', () => {
  const buffer = new PlayoutBuffer();
  for (let frame = 0; frame < 5; frame++) buffer.push(sine(960, 200, frame * 960));
  const heard = read(buffer, 4800 + 9600);
  assert.ok(largestStep(heard) < 0.03);
  const loudness = [0, 1, 2, 3].map((frame) => power(heard.subarray(4800 + frame * 960, 5760 + frame * 960)));
  assert.ok(loudness.every((here, at) => at === 0 || here < loudness[at - 1] * 0.8), `${loudness}`);
  assert.equal(power(heard.subarray(4800 + 4800)), 0);
  assert.ok(buffer.underruns > 0);
});

test('silence on purpose begins without a click', () => {
  const buffer = new PlayoutBuffer();
  for (let frame = 0; frame < 5; frame++) buffer.push(sine(960, 200, frame * 960));
  buffer.silence(960);
  buffer.silence(960);
  const heard = read(buffer, 4800 + 1920);
  assert.ok(largestStep(heard) < 0.03);
  assert.equal(power(heard.subarray(4800 + 960)), 0);
});

test('a frame is shortened and stretched by whole periods, without clicks', () => {
  const frame = sine(960, 200);
  for (const changed of [shorten(frame), stretch(frame)]) {
    const difference = Math.abs(changed.length - frame.length);
    assert.ok(difference > 0 && difference % 240 <= 2, `${difference} samples`);
    assert.ok(largestStep(changed) < 0.03);
  }
});

test('a frame without a period is left alone, a silent one is not', () => {
  let seed = 1;
  const noise = Float32Array.from({ length: 960 }, () => ((seed = (seed * 48271) % 2147483647) / 2147483647 - 0.5));
  assert.equal(shorten(noise).length, 960);
  assert.equal(shorten(new Float32Array(960)).length, 480);
  assert.equal(stretch(new Float32Array(960)).length, 1440);
});

test('a flood is bounded and keeps the newest', () => {
  const buffer = new PlayoutBuffer();
  for (let frame = 0; frame < 100; frame++) buffer.push(new Float32Array(960).fill(frame / 100));
  assert.equal(buffer.length, SAMPLES_MAX);
  assert.ok(Math.abs(read(buffer, SAMPLES_MAX).at(-1) - 0.99) < 1e-6);
});
