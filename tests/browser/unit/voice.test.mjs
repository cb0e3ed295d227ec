import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { VOICES_MAX, VoiceReceiver } from '../../../gateway/web/receiver.js';
import { installBrowser, nodes } from '../support/scripted.mjs';

const BROKEN = 13;

/** Decodes at once; a packet of one byte {@link BROKEN} closes it. */
class ScriptedDecoder {
  state = 'unconfigured';
  constructor({ output, error }) {
    Object.assign(this, { output, error });
  }
  configure() {
    this.state = 'configured';
  }
  decode({ data }) {
    assert.equal(this.state, 'configured');
    if (data[0] !== BROKEN) return this.output({ numberOfFrames: 960, copyTo: () => undefined, close: () => undefined });
    this.state = 'closed';
    this.error(new Error('not Opus'));
  }
  close() {
    this.state = 'closed';
  }
}

test('a packet that cannot be decoded is concealed, told once, and what follows is heard', () => {
  installBrowser();
  Object.assign(globalThis, {
    AudioDecoder: ScriptedDecoder,
    EncodedAudioChunk: class {
      constructor({ data }) {
        this.data = data;
      }
    },
  });
  const errors = [];
  const receiver = new VoiceReceiver(new AudioContext(), (error) => errors.push(error));
  receiver.hear(new Set([1]));
  const [{ port, sent }] = nodes;
  let now = 1000;
  mock.method(performance, 'now', () => now);
  for (let index = 0; index < 200; index++, now += 20) {
    const payload = Uint8Array.of(index % 50 === 25 ? BROKEN : 1, 2, 3);
    const packet = { sequence: index, timestamp: index * 960, ssrc: 1, marker: false, payload };
    receiver.receive({ flow: 1, packet, size: 60 });
    port.onmessage({ data: { voices: [{ voice: 1, level: 0, received: sent.length }], underruns: 0, time: now / 1000 } });
  }
  assert.equal(errors.length, 1);
  const heard = sent.filter((message) => message.frame).length;
  const covered = sent.filter((message) => message.conceal).length;
  assert.ok(heard > 180, `${heard} frames heard`);
  assert.ok(covered >= 3, `${covered} covered`);
  receiver.close();
  assert.deepEqual(sent.at(-1), { stop: true });
  mock.restoreAll();
});

/** A receiver with a scripted clock and audio thread: says a packet of each flow a frame, and what the audio thread was sent. */
function listening(flows) {
  installBrowser();
  Object.assign(globalThis, {
    AudioDecoder: ScriptedDecoder,
    EncodedAudioChunk: class {
      constructor({ data }) {
        this.data = data;
      }
    },
  });
  const receiver = new VoiceReceiver(new AudioContext(), () => undefined);
  receiver.hear(new Set(flows));
  const [{ port, sent }] = nodes;
  let now = 1000;
  mock.method(performance, 'now', () => now);
  let index = 0;
  const turn = (talking) => {
    for (const flow of talking) {
      const packet = { sequence: index, timestamp: index * 960, ssrc: flow, marker: false, payload: Uint8Array.of(1, 2, 3) };
      receiver.receive({ flow, packet, size: 60 });
    }
    const names = [...new Set(sent.filter(({ voice }) => voice).map(({ voice }) => voice))];
    const received = (voice) => sent.filter((message) => message.voice === voice && !message.close).length;
    const voices = names.map((voice) => ({ voice, level: 0, received: received(voice) }));
    port.onmessage({ data: { voices, underruns: 0, time: now / 1000 } });
    index += 1;
    now += 20;
  };
  const frames = (voice) => sent.filter((message) => message.voice === voice && message.frame).length;
  return { receiver, sent, turn, frames };
}

test('voices are heard side by side, and one that is heard no more is closed and still counted', () => {
  const { receiver, sent, turn, frames } = listening([7, 8]);
  for (let i = 0; i < 100; i++) turn([7, 8, 9]);
  assert.ok(frames(1) > 90 && frames(2) > 90, `${frames(1)} and ${frames(2)} frames`);
  assert.ok(sent.every(({ voice = 1 }) => voice <= 2), 'nobody asked for flow 9');
  assert.equal(receiver.figures(0).packets, 200);
  receiver.hear(new Set([8]));
  assert.deepEqual(sent.at(-1), { voice: 1, close: true });
  const before = frames(1);
  for (let i = 0; i < 50; i++) turn([7, 8]);
  assert.equal(frames(1), before);
  assert.ok(frames(2) > 140);
  assert.equal(receiver.figures(0).packets, 250);
  mock.restoreAll();
});

test('voices are bounded, and a silent one makes room', () => {
  const flows = Array.from({ length: VOICES_MAX + 1 }, (_, flow) => flow);
  const { sent, turn } = listening(flows);
  const made = () => new Set(sent.map(({ voice }) => voice)).size;
  for (let i = 0; i < 20; i++) turn(flows);
  assert.equal(made(), VOICES_MAX);
  for (let i = 0; i < 100; i++) turn(flows.slice(1));
  assert.equal(made(), VOICES_MAX + 1);
  assert.deepEqual(sent.filter(({ close }) => close), [{ voice: 1, close: true }]);
  mock.restoreAll();
});
