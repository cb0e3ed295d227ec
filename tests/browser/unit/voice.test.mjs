import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { VoiceReceiver } from '../../../gateway/web/voice.js';
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
  const [{ port, sent }] = nodes;
  let now = 1000;
  mock.method(performance, 'now', () => now);
  for (let index = 0; index < 200; index++, now += 20) {
    const payload = Uint8Array.of(index % 50 === 25 ? BROKEN : 1, 2, 3);
    const packet = { sequence: index, timestamp: index * 960, ssrc: 1, marker: false, payload };
    receiver.receive({ flow: 1, packet, size: 60 });
    port.onmessage({ data: { wanted: true, level: 0, underruns: 0, received: sent.length, time: now / 1000 } });
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
