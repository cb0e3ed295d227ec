import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { AudioDevices } from '../../../gateway/web/devices.js';
import { Session } from '../../../gateway/web/session.js';
import { Tandem } from '../../../gateway/web/tandem.js';
import { audio, gateway, installBrowser, links, microphones, nodes, settle } from '../support/scripted.mjs';

/** @type {Tandem} */
let client;

beforeEach(async () => {
  installBrowser();
  // What Tandem.connect checks is a real browser's.
  const start = Session.prototype.start;
  /** @type {Promise<unknown> | undefined} */
  let started;
  Session.prototype.start = function () {
    return (started = start.call(this));
  };
  Object.assign(globalThis, { isSecureContext: true });
  const codec = { isConfigSupported: async () => ({ supported: true }) };
  Object.assign(globalThis, { AudioEncoder: codec, AudioDecoder: codec });
  client = await Tandem.connect({ gateway: 'http://gateway.test', token: async () => 'token', transport: 'websocket' });
  Session.prototype.start = start;
  await started;
  await settle();
});
afterEach(() => client.close());

const said = (type) => links.at(-1).said.filter((message) => message.type === type);
const call = async () => {
  const calling = client.call('bob');
  await settle();
  links.at(-1).tell({ type: 'calling', ref: said('invite').at(-1).ref, call: 'c1' });
  return calling;
};
const ring = async (id, n = 1) => {
  links.at(-1).tell({ type: 'event', call: id, n, event: 'incoming', from: 'bob', name: 'Bob', to: 'alice' });
  await settle();
};

test('a gateway that repeats `calling` does not have the call hung up', async () => {
  await call();
  links[0].tell({ type: 'calling', ref: 'i1', call: 'c1' });
  await settle();
  assert.equal(said('hangup').length, 0);
});

test('events of a hundred ended calls that are told again ring nobody', async () => {
  let rung = 0;
  client.addEventListener('incoming', () => (rung += 1));
  for (let i = 0; i < 100; i++) {
    await ring(`c${i}`);
    links[0].tell({ type: 'event', call: `c${i}`, n: 2, event: 'ended', cause: 'cancelled' });
  }
  await settle();
  await ring('c0');
  assert.equal(rung, 100);
});

test('who dials without a connection is told so, and nobody is rung later', async () => {
  gateway.open = false;
  client.dropLink();
  await assert.rejects(client.call('bob'), { code: 'link-lost' });
  gateway.open = true;
  globalThis.document.visibilityState = 'visible';
  for (let i = 0; client.state !== 'connected' && i < 100; i++) {
    globalThis.document.dispatchEvent(new Event('visibilitychange'));
    await settle();
  }
  assert.equal(client.state, 'connected');
  assert.equal(said('invite').length, 0);
  assert.deepEqual(microphones.map(({ on }) => on), [false]);
});

test('a call that goes on from another one rings nobody, keeps the microphone, and stays muted', async () => {
  const first = await call();
  const tell = (/** @type {object} */ event) => links[0].tell({ type: 'event', ...event });
  tell({ call: 'c1', n: 1, event: 'connected', peer: 'bob', send: 1, receive: 2 });
  first.mute();
  let rings = false;
  client.addEventListener('incoming', ({ detail }) => detail.addEventListener('change', () => (rings ||= detail.state === 'ringing')));
  tell({ call: 'c2', n: 1, event: 'incoming', from: 'carol', to: 'bob', continues: 'c1' });
  tell({ call: 'c2', n: 2, event: 'connected', peer: 'carol', send: 3, receive: 4 });
  tell({ call: 'c1', n: 2, event: 'ended', cause: 'normal' });
  await settle();
  const next = client.calls.get('c2');
  assert.deepEqual([next?.state, next?.peer, next?.isMuted, rings], ['connected', 'carol', true, false]);
  assert.equal(microphones.at(-1)?.on, true);
});

test('an attended transfer names both calls', async () => {
  const first = await call();
  await ring('c2');
  first.transferInto(/** @type {import('../../../gateway/web/call.js').Call} */ (client.calls.get('c2')));
  assert.deepEqual(said('attended-transfer'), [{ type: 'attended-transfer', call: 'c1', to_call: 'c2' }]);
});

test('a refused dial lets go of the microphone', async () => {
  const calling = client.call('bob');
  await settle();
  assert.equal(microphones[0].on, true);
  links[0].tell({ type: 'error', code: 'not-granted', message: 'no', ref: said('invite')[0].ref });
  await assert.rejects(calling, { code: 'not-granted' });
  await settle();
  assert.equal(microphones[0].on, false);
});

test('answering twice sends one answer', async () => {
  await ring('c1');
  const ringing = client.calls.get('c1');
  await Promise.all([ringing.answer(), ringing.answer()]);
  await ringing.answer();
  assert.equal(said('answer').length, 1);
});

test('presence is forgotten with the session', async () => {
  links[0].tell({ type: 'presence', users: [{ user: 'bob', name: 'Bob', state: 'available' }] });
  await settle();
  assert.equal(client.presence.size, 1);
  await client.close();
  assert.equal(client.presence.size, 0);
});

test('a microphone that was let go of feeds nobody', async () => {
  const devices = new AudioDevices({});
  let frames = 0;
  devices.listen(() => (frames += 1));
  for (let i = 0; i < 3; i++) {
    await devices.openMicrophone();
    devices.closeMicrophone();
    await settle();
  }
  for (const { port } of nodes) port.onmessage?.({ data: new Float32Array(960) });
  assert.equal(frames, 0);
  assert.deepEqual(nodes.map(({ sent }) => sent), [['stop'], ['stop'], ['stop']]);
  assert.deepEqual(microphones.map(({ on, source }) => [on, source.connected.length]), [[false, 0], [false, 0], [false, 0]]);
});

test('a microphone that comes after the call has ended is let go of', async () => {
  const devices = new AudioDevices({});
  const { mediaDevices } = navigator;
  const open = mediaDevices.getUserMedia;
  let allow;
  mediaDevices.getUserMedia = () => new Promise((resolve) => (allow = resolve)).then(open);
  const opened = devices.openMicrophone();
  await settle();
  devices.closeMicrophone();
  allow();
  await opened;
  await settle();
  assert.deepEqual([microphones.at(-1).on, microphones.at(-1).source.connected.length], [false, 0]);
});

test('worklets that could not be loaded are loaded again', async () => {
  const devices = new AudioDevices({});
  audio.loads = false;
  await assert.rejects(devices.context());
  audio.loads = true;
  assert.equal((await devices.context()).state, 'running');
});
