import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ahead, audioLevel, decodeDatagram, decodeRtp, encodeDatagram, readVarint, writeVarint } from '../../../gateway/web/rtp.js';

const packet = { sequence: 65535, timestamp: 0xffff_fff0, ssrc: 0xdead_beef, marker: true, payload: Uint8Array.of(1, 2, 3), level: 33, speech: true };

test('a flow identifier survives being written and read, in every length', () => {
  for (const [value, bytes] of [[0, 1], [63, 1], [64, 2], [16383, 2], [16384, 4], [0x3fff_ffff, 4], [0x4000_0000, 8], [0xffff_ffff, 8]]) {
    const view = new DataView(new ArrayBuffer(8));
    assert.equal(writeVarint(view, 0, value), bytes);
    assert.deepEqual(readVarint(view), { value, bytes });
  }
});

test('the examples of RFC 9000 A.1 are read', () => {
  const read = (...bytes) => readVarint(new DataView(Uint8Array.from(bytes).buffer))?.value;
  assert.equal(read(0x9d, 0x7f, 0x3e, 0x7d), 494_878_333);
  assert.equal(read(0x7b, 0xbd), 15_293);
  assert.equal(read(0x40, 0x25), 37);
  assert.equal(read(0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c), undefined, 'beyond 32 bits');
});

test('a datagram survives being written and read', () => {
  for (const flow of [1, 300, 70_000]) {
    assert.deepEqual(decodeDatagram(encodeDatagram(flow, packet)), { flow, packet, size: 23 });
  }
});

test('the bytes are those of RFC 3550 and RFC 6464', () => {
  const hex = Buffer.from(encodeDatagram(5, packet)).toString('hex');
  assert.equal(hex, '05' + '90ef' + 'ffff' + 'fffffff0' + 'deadbeef' + 'bede0001' + '10a10000' + '010203');
});

test('a datagram that is cut short anywhere is refused or loses payload only, and never throws', () => {
  const whole = encodeDatagram(70_000, packet);
  for (let length = 0; length < whole.length - packet.payload.length + 1; length++) {
    assert.equal(decodeDatagram(whole.subarray(0, length)), undefined, `${length} bytes`);
  }
});

test('what is not RTP version 2 with Opus is refused', () => {
  const rtp = encodeDatagram(1, packet).slice(1);
  assert.ok(decodeRtp(rtp));
  assert.equal(decodeRtp(Uint8Array.from(rtp, (byte, at) => (at === 0 ? 0x50 : byte))), undefined, 'version 1');
  assert.equal(decodeRtp(Uint8Array.from(rtp, (byte, at) => (at === 1 ? 0 : byte))), undefined, 'PCMU');
});

test('contributing sources, padding and other extensions are skipped', () => {
  const head = [0x80 | 0x20 | 0x10 | 1, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9, 9];
  const extension = [0xbe, 0xde, 0, 2, 0x21, 7, 7, 0, 0x10, 0x85, 0, 0];
  const decoded = decodeRtp(Uint8Array.from([...head, ...extension, 42, 43, 0, 2]));
  assert.deepEqual([...decoded.payload], [42, 43]);
  assert.deepEqual([decoded.level, decoded.speech, decoded.sequence], [5, true, 1]);
});

test('padding that is longer than the packet is refused', () => {
  assert.equal(decodeRtp(Uint8Array.from([0xa0, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 200])), undefined);
});

test('numbers are compared on their circle', () => {
  assert.equal(ahead(2, 65535, 16), 3);
  assert.equal(ahead(65535, 2, 16), -3);
  assert.equal(ahead(0x10, 0xffff_fff0, 32), 0x20);
  assert.equal(ahead(0xffff_fff0, 0x10, 32), -0x20);
});

test('level of silence, of a full-scale square wave and of half of it', () => {
  assert.equal(audioLevel(new Float32Array(960)), 127);
  assert.equal(audioLevel(new Float32Array(960).fill(1)), 0);
  assert.equal(audioLevel(new Float32Array(960).fill(0.5)), 6);
});
