import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LINE_BYTES_MAX, LineSplitter, decodeLine, encodeLine } from '../../../gateway/web/signal.js';

const bytes = (text) => new TextEncoder().encode(text);

test('a message is one line', () => {
  const line = encodeLine({ type: 'invite', ref: 'i1', to: 'bob\n', headers: [] });
  assert.equal(new TextDecoder().decode(line), '{"type":"invite","ref":"i1","to":"bob\\n","headers":[]}\n');
});

test('lines are found however the stream is cut', () => {
  const stream = bytes('{"type":"pong","data":1}\n{"type":"calling","ref":"ü","call":"x"}\n\n{"type":"pong","data":2}\n');
  for (let size = 1; size <= stream.length; size++) {
    const splitter = new LineSplitter();
    const lines = [];
    for (let at = 0; at < stream.length; at += size) lines.push(...splitter.push(stream.subarray(at, at + size)));
    assert.deepEqual(lines.map((line) => decodeLine(line)?.type), ['pong', 'calling', 'pong'], `pieces of ${size}`);
    assert.equal(decodeLine(lines[1]).ref, 'ü');
  }
});

test('what is no message is skipped', () => {
  for (const line of ['', '{', 'null', '3', '[]', '{"type":7}', '"hello"']) assert.equal(decodeLine(line), undefined, line);
});

test('a line without end is an error', () => {
  const splitter = new LineSplitter();
  assert.throws(() => {
    for (let at = 0; at <= LINE_BYTES_MAX; at += 1024) splitter.push(bytes('x'.repeat(1024)));
  }, RangeError);
});
