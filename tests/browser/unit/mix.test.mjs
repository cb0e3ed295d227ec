import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PlayoutMix, bend } from '../../../gateway/web/mix.js';

const sine = (count, hertz, from = 0) => Float32Array.from({ length: count }, (_, i) => 0.3 * Math.sin((2 * Math.PI * hertz * (from + i)) / 48_000));

function read(mix, count) {
  const out = new Float32Array(count);
  for (let at = 0; at < count; at += 128) mix.read(out.subarray(at, Math.min(count, at + 128)));
  return out;
}

test('one voice is untouched, two are summed', () => {
  const mix = new PlayoutMix();
  for (let frame = 0; frame < 5; frame++) mix.take({ voice: 1, frame: sine(960, 200, frame * 960), pace: 'keep' });
  assert.deepEqual(read(mix, 1920), sine(1920, 200));
  for (let frame = 0; frame < 3; frame++) mix.take({ voice: 2, frame: sine(960, 900, frame * 960), pace: 'keep' });
  const both = read(mix, 2816);
  const [one, other] = [sine(2816, 200, 1920), sine(2816, 900)];
  assert.ok(both.every((sample, i) => Math.abs(sample - (one[i] + other[i])) < 1e-6));
  assert.equal(mix.underruns, 0);
  assert.deepEqual(mix.voices.map(({ voice, received }) => [voice, received]), [[1, 5], [2, 3]]);
});

test('a voice that is closed is gone, and what it lacked still counts', () => {
  const mix = new PlayoutMix();
  mix.take({ voice: 1, frame: sine(960, 200), pace: 'keep' });
  read(mix, 1920);
  const { underruns } = mix;
  assert.ok(underruns > 0);
  mix.take({ voice: 1, close: true });
  assert.deepEqual(mix.voices, []);
  assert.ok(read(mix, 256).every((sample) => sample === 0));
  assert.equal(mix.underruns, underruns);
});

test('a sum is bent smoothly and never clips', () => {
  assert.equal(bend(0.5), 0.5);
  assert.equal(bend(-0.75), -0.75);
  let last = bend(-20);
  assert.ok(last > -1);
  for (let sum = -20; sum <= 20; sum += 0.01) {
    const here = bend(sum);
    assert.ok(here >= last && here - last < 0.0101 && Math.abs(here) < 1);
    last = here;
  }
});
