import assert from 'node:assert/strict';
import { before, test } from 'node:test';

/** @type {Record<string, any>} */
const processors = {};
before(async () => {
  Object.assign(globalThis, {
    AudioWorkletProcessor: class {
      port = { onmessage: null, postMessage: () => undefined };
    },
    registerProcessor: (name, processor) => (processors[name] = processor),
    currentTime: 0,
  });
  await import('../../../gateway/web/capture-worklet.js');
  await import('../../../gateway/web/playout-worklet.js');
});

for (const [name, stop] of [['tandem-capture', 'stop'], ['tandem-playout', { stop: true }]]) {
  test(`${name} ends when the page says so`, () => {
    const processor = new processors[name]();
    const turn = () => processor.process([[new Float32Array(128)]], [[new Float32Array(128)]]);
    assert.equal(turn(), true);
    processor.port.onmessage({ data: stop });
    assert.equal(turn(), false);
  });
}
