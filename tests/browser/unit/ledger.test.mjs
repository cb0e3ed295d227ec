import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EncoderLedger } from '../../../gateway/web/ledger.js';

test('after a pause packets carry the number and loudness of the frame that they hold', () => {
  const ledger = new EncoderLedger();
  const captured = [0, 1, 2, 500, 501, 502];
  const timestamps = captured.map((index) => ledger.feed(index, index % 100));
  assert.deepEqual(timestamps, [0, 20_000, 40_000, 60_000, 80_000, 100_000], 'the encoder sees no gap');
  assert.deepEqual(timestamps.map((timestamp) => ledger.encoded(timestamp).index), captured);
  assert.equal(ledger.owed, 0);
});

test('a packet that was never made is forgotten, and what is owed is bounded', () => {
  const ledger = new EncoderLedger();
  for (let index = 0; index < 10_000; index++) ledger.feed(index, 30);
  assert.ok(ledger.owed <= 50, `${ledger.owed} owed`);
  assert.deepEqual(ledger.encoded(9_990 * 20_000), { index: 9_990, level: 30 });
  assert.equal(ledger.owed, 9);
  assert.deepEqual(ledger.encoded(5), { index: 9_991, level: 127 }, 'an unknown packet follows the last');
});
