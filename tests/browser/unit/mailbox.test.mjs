import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mailbox } from '../../../gateway/web/mailbox.js';
import { peaks } from '../../../gateway/web/softphone/voicemail.js';

const message = { id: 'm-1', from: 'bob', to: 'alice', received_at: 0, duration_ms: 3000, heard: false, bookmarks: [] };

function open() {
  const sent = [];
  const mailbox = new Mailbox({ send: (said) => sent.push(said), token: () => 'the-token', gateway: new URL('https://gateway.test') });
  return { mailbox, sent };
}

test('each answer meets its question', async () => {
  const { mailbox, sent } = open();
  const [listed, marked, deleted] = [mailbox.list(), mailbox.mark(message, true), mailbox.delete(message, 'team')];
  assert.deepEqual(sent, [
    { type: 'mailbox', ref: 'm1', mailbox: undefined, action: 'list', cursor: undefined },
    { type: 'mailbox', ref: 'm2', mailbox: undefined, action: 'mark', message: 'm-1', heard: true },
    { type: 'mailbox', ref: 'm3', mailbox: 'team', action: 'delete', message: 'm-1' },
  ]);
  mailbox.answered({ ref: 'm3' });
  mailbox.answered({ ref: 'm2', message: { ...message, heard: true } });
  mailbox.answered({ ref: 'm1', mailbox: 'alice', messages: [message], next: null });
  mailbox.answered({ ref: 'm1', mailbox: 'alice', messages: [] });
  assert.deepEqual(await listed, { mailbox: 'alice', messages: [message], next: undefined });
  assert.equal((await marked).heard, true);
  await deleted;
});

test('what is refused or lost with the link is told, once', async () => {
  const { mailbox } = open();
  const [refused, lost] = [mailbox.share(message, 'nobody'), mailbox.list()];
  assert.equal(mailbox.refused('m1', new Error('no such mailbox')), true);
  assert.equal(mailbox.refused('m1', new Error('again')), false);
  assert.equal(mailbox.refused('i1', new Error('an invitation’s')), false);
  await assert.rejects(refused, /no such mailbox/);
  mailbox.lost();
  await assert.rejects(lost, { code: 'link-lost' });
});

test('questions are bounded', async () => {
  const { mailbox } = open();
  const asked = Array.from({ length: 32 }, () => mailbox.list().catch(() => undefined));
  await assert.rejects(mailbox.list(), { code: 'overloaded' });
  mailbox.lost();
  await Promise.all(asked);
});

test('a sound is fetched with the token, and a refusal says why', async () => {
  const { mailbox } = open();
  const asked = [];
  const answer = { ok: true, status: 200, headers: new Headers({ 'content-length': '3' }), blob: async () => 'sound', text: async () => 'there is no such message\n' };
  globalThis.fetch = async (url, { headers }) => (asked.push([url.href, headers.authorization]), answer);
  assert.equal(await mailbox.sound(message, 'alice'), 'sound');
  assert.deepEqual(asked, [['https://gateway.test/v1/mailboxes/alice/messages/m-1/audio', 'Bearer the-token']]);
  answer.headers = new Headers({ 'content-length': String(2 ** 30) });
  await assert.rejects(mailbox.sound(message, 'alice'), /too long/);
  answer.ok = false;
  await assert.rejects(mailbox.sound(message, 'alice'), /^TandemError: there is no such message$/);
});

test('a waveform shows where it is loud', () => {
  const samples = Float32Array.from({ length: 1000 }, (_, at) => (at >= 500 ? -0.5 : 0.1));
  assert.deepEqual(peaks(samples, 4).map((peak) => Math.round(peak * 10)), [2, 2, 10, 10]);
  assert.deepEqual(peaks(new Float32Array(10), 2), [0, 0]);
  assert.equal(peaks(new Float32Array(3), 64).length, 64);
});
