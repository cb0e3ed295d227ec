import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JitterBuffer, PACKETS_MAX } from '../../../gateway/web/jitter.js';

const FRAME_MS = 20;

/** The packet that a talker sends at `index` frames. */
function packetAt(index, { ssrc = 1, timestamp = index * 960, sequence = index } = {}) {
  return { ssrc, sequence: sequence & 0xffff, timestamp: timestamp >>> 0, marker: false, payload: Uint8Array.of(index & 0xff), index };
}

/** A small reproducible random number generator (mulberry32), 0 to 1. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Plays `frames` frames that arrive `delayOf(index)` ms after they were sent (undefined: never). */
function simulate(frames, delayOf, { packet = packetAt } = {}) {
  const buffer = new JitterBuffer();
  const arrivals = [];
  for (let index = 0; index < frames; index++) {
    const delay = delayOf(index);
    if (delay !== undefined) arrivals.push({ at: index * FRAME_MS + delay, packet: packet(index) });
  }
  arrivals.sort((a, b) => a.at - b.at);
  const played = [];
  let surplus = 0;
  for (let now = 0; now < frames * FRAME_MS + 1000; now += FRAME_MS) {
    while (arrivals.length > 0 && arrivals[0].at <= now) buffer.put(arrivals[0].packet, arrivals.shift().at);
    // What pace does to the audio thread's clock: a shortened frame leaves room for another one.
    for (surplus += FRAME_MS; surplus >= FRAME_MS; ) {
      const frame = buffer.take(now);
      played.push(frame);
      const change = frame.pace === 'faster' ? -5 : frame.pace === 'slower' ? 5 : 0;
      surplus -= FRAME_MS + change;
    }
  }
  const indexes = played.filter((frame) => frame.kind === 'play').map((frame) => frame.packet.index);
  const count = (kind) => played.filter((frame) => frame.kind === kind).length;
  return { buffer, played, indexes, count };
}

const increasing = (numbers) => numbers.every((number, at) => at === 0 || number > numbers[at - 1]);

test('a steady flow is played whole, in order, with little delay', () => {
  const { buffer, indexes, count } = simulate(500, () => 30);
  assert.equal(indexes.length, 500);
  assert.ok(increasing(indexes));
  assert.equal(count('conceal'), 0);
  assert.ok(buffer.targetMs <= 40, `target ${buffer.targetMs} ms`);
});

test('packets that overtake each other are put in order', () => {
  const { indexes, buffer } = simulate(500, (index) => (index % 5 === 2 ? 35 : 10));
  assert.equal(indexes.length, 500);
  assert.ok(increasing(indexes));
  assert.equal(buffer.late, 0);
});

test('a packet that never comes is concealed exactly once and does not grow the delay', () => {
  const { indexes, buffer } = simulate(1000, (index) => (index % 10 === 9 ? undefined : 20));
  assert.equal(indexes.length, 900);
  assert.ok(buffer.concealed >= 90 && buffer.concealed <= 100, `concealed ${buffer.concealed}`);
  assert.ok(buffer.delayMs < 80, `delay ${buffer.delayMs} ms`);
});

test('the target follows the network: it rises with jitter and falls again', () => {
  const noise = random(7);
  const buffer = new JitterBuffer();
  let index = 0;
  const feed = (seconds, delayOf) => {
    const arrivals = Array.from({ length: seconds * 50 }, () => ({ at: index * FRAME_MS + delayOf(), packet: packetAt(index++) }));
    for (const { at, packet } of arrivals.sort((a, b) => a.at - b.at)) {
      buffer.put(packet, at);
      buffer.take(at);
    }
  };
  feed(20, () => 20);
  const calm = buffer.targetMs;
  feed(20, () => 20 + 120 * noise());
  const rough = buffer.targetMs;
  feed(90, () => 20);
  const calmAgain = buffer.targetMs;
  assert.ok(calm <= 40, `calm ${calm}`);
  assert.ok(rough >= 100 && rough <= 160, `rough ${rough}`);
  assert.ok(calmAgain <= 40, `calm again ${calmAgain}`);
});

test('with jitter below the target hardly anything is late', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const noise = random(seed);
    const { buffer, indexes } = simulate(3000, () => 20 + 60 * noise());
    assert.ok(increasing(indexes), `seed ${seed}`);
    assert.ok(buffer.late + buffer.dropped < 3000 * 0.03, `seed ${seed}: ${buffer.late} late, ${buffer.dropped} dropped`);
    assert.ok(buffer.delayMs < 130, `seed ${seed}: delay ${buffer.delayMs}`);
  }
});

test('after a stall of a second the delay comes back down', () => {
  const { buffer, played } = simulate(1500, (index) => (index >= 500 && index < 550 ? 20 + (550 - index) * FRAME_MS : 20));
  assert.ok(played.some((frame) => frame.kind === 'wait'), 'the stall is heard');
  assert.ok(buffer.dropped > 20, `the stall must not be played out late: ${buffer.dropped} left out`);
  assert.ok(buffer.delayMs < buffer.targetMs + 40, `delay ${buffer.delayMs}, target ${buffer.targetMs}`);
});

test('a pause of the talker is silence, not loss', () => {
  const packet = (index) => packetAt(index, { timestamp: (index < 100 ? index : index + 10) * 960 });
  const buffer = new JitterBuffer();
  const kinds = [];
  for (let frame = 0; frame < 200; frame++) {
    const now = frame * FRAME_MS;
    if (frame < 100) buffer.put(packet(frame), now);
    else if (frame >= 110) buffer.put(packet(frame - 10), now);
    kinds.push(buffer.take(now).kind);
  }
  assert.equal(buffer.concealed, 0);
  assert.equal(buffer.late, 0);
  assert.ok(kinds.includes('silence') || kinds.includes('wait'));
});

test('a duplicate is played once', () => {
  const buffer = new JitterBuffer();
  const played = [];
  for (let index = 0; index < 100; index++) {
    buffer.put(packetAt(index), index * FRAME_MS);
    buffer.put(packetAt(index), index * FRAME_MS + 1);
    const frame = buffer.take(index * FRAME_MS + 2);
    if (frame.kind === 'play') played.push(frame.packet.index);
  }
  assert.ok(increasing(played));
  assert.equal(buffer.duplicates, 100);
});

test('numbers may wrap around', () => {
  const packet = (index) => packetAt(index, { sequence: index + 65_500, timestamp: 2 ** 32 - 50 * 960 + index * 960 });
  const { indexes, buffer } = simulate(300, () => 20, { packet });
  assert.equal(indexes.length, 300);
  assert.equal(buffer.late, 0);
});

test('another talker on the flow starts anew', () => {
  const packet = (index) => (index < 100 ? packetAt(index) : packetAt(index, { ssrc: 2, timestamp: 77 + index * 960, sequence: 9000 + index }));
  const { indexes } = simulate(200, () => 20, { packet });
  assert.ok(indexes.length >= 195, `${indexes.length} played`);
  assert.ok(increasing(indexes));
});

test('a flood is bounded', () => {
  const buffer = new JitterBuffer();
  for (let index = 0; index < 10_000; index++) buffer.put(packetAt(index), 0);
  assert.equal(buffer.length, PACKETS_MAX);
});

test('random packets never break the order or the bound', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const noise = random(seed);
    const buffer = new JitterBuffer();
    let last = -Infinity;
    for (let step = 0; step < 2000; step++) {
      const now = step * 7;
      const index = Math.floor(step / 3 + noise() * 40 - 20);
      if (index >= 0) buffer.put(packetAt(index), now);
      const frame = noise() < 0.4 ? buffer.take(now) : undefined;
      if (frame?.kind !== 'play') continue;
      assert.ok(frame.packet.index > last, `seed ${seed}, step ${step}`);
      last = frame.packet.index;
    }
    assert.ok(buffer.length <= PACKETS_MAX);
  }
});

test('in the midst of speech the pace is kept unless it is urgent; in a pause it is adapted', () => {
  const pacesAfterStall = (level, stallMs) => {
    const packet = (index) => ({ ...packetAt(index), level });
    const delayOf = (index) => (index >= 200 && index < 200 + stallMs / FRAME_MS ? 20 + stallMs - (index - 200) * FRAME_MS : 20);
    return new Set(simulate(240, delayOf, { packet }).played.map((frame) => frame.pace));
  };
  assert.ok(!pacesAfterStall(20, 80).has('faster'), 'speech, a little late');
  assert.ok(pacesAfterStall(80, 80).has('faster'), 'a pause, a little late');
  assert.ok(pacesAfterStall(20, 160).has('faster'), 'speech, far too late');
});
