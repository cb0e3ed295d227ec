import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Call } from '../../../gateway/web/call.js';
import { AudioDevices } from '../../../gateway/web/devices.js';
import { installBrowser, settle } from '../support/scripted.mjs';

class Codec {
  state = 'unconfigured';
  encodeQueueSize = 0;
  configure() {
    this.state = 'configured';
  }
  close() {
    this.state = 'closed';
  }
}

/** @type {any[]} */
let sent;
/** @type {any[]} */
let told;
/** @type {Call} */
let call;

/** A call whose gateway is the test. */
function make(direction) {
  const made = new Call(
    { send: (message) => sent.push(message), sendIfConnected: () => undefined, sendDatagram: () => undefined, devices: new AudioDevices({}), rttMs: () => 0, error: (error) => assert.fail(error) },
    { id: 'c1', direction, peer: 'bob', to: 'bob' },
  );
  for (const event of ['answered', 'hear', 'unhear', 'recorded', 'redirected', 'entered', 'exited', 'room']) {
    made.addEventListener(event, ({ detail }) => told.push([event, detail]));
  }
  return made;
}

beforeEach(() => {
  installBrowser();
  Object.assign(globalThis, { AudioEncoder: Codec, AudioDecoder: Codec });
  sent = [];
  told = [];
  call = make('outgoing');
});
afterEach(() => call.end('normal'));

const heard = () => [1, 2, 3, 4, 5].filter((flow) => call.hears(flow));

test('voices come and go: the gateway, a further one, and who was dialled', async () => {
  call.handle({ event: 'answered', send: 9, receive: 1 });
  assert.equal(call.state, 'answered');
  assert.ok(call.speaks);
  assert.deepEqual(heard(), [1]);
  call.handle({ event: 'hear', receive: 2, who: 'carol' });
  assert.deepEqual(heard(), [1, 2]);
  call.handle({ event: 'unhear', receive: 1 });
  assert.deepEqual(heard(), [2]);
  call.handle({ event: 'connected', peer: 'bob', send: 9, receive: 3 });
  assert.deepEqual([call.state, heard()], ['connected', [3]]);
  call.handle({ event: 'disconnected' });
  assert.deepEqual([call.state, heard(), call.speaks], ['waiting', [], false]);
  call.handle({ event: 'answered', send: 10, receive: 4 });
  assert.deepEqual(heard(), [4]);
  await settle();
  call.handle({ event: 'ended', cause: 'normal' });
  assert.deepEqual([call.state, heard()], ['ended', []]);
});

test('who is whispered to before being connected hears, presses keys, and does not speak yet', () => {
  call = make('incoming');
  call.handle({ event: 'incoming', from: 'bob', to: 'alice' });
  call.handle({ event: 'hear', receive: 5, who: 'gateway' });
  assert.deepEqual([call.state, heard(), call.speaks], ['answered', [5], false]);
  call.sendDigits('1');
  assert.deepEqual(sent, [{ type: 'dtmf', call: 'c1', digits: '1' }]);
  call.handle({ event: 'connected', peer: 'bob', send: 9, receive: 1 });
  assert.deepEqual([call.state, heard(), call.speaks], ['connected', [1], true]);
});

test('recordings and redirections are told', () => {
  call.handle({ event: 'answered', send: 9, receive: 1 });
  call.record();
  call.handle({ event: 'recorded', on: true });
  assert.ok(call.isRecorded);
  call.record('stop');
  call.handle({ event: 'recorded', on: false });
  assert.ok(!call.isRecorded);
  assert.deepEqual(sent, [{ type: 'record', call: 'c1', action: 'start' }, { type: 'record', call: 'c1', action: 'stop' }]);
  call.handle({ event: 'redirected', to: 'carol' });
  call.handle({ event: 'ended', cause: 'redirected' });
  assert.equal(call.redirectedTo, 'carol');
  assert.deepEqual(told.at(-1), ['redirected', { to: 'carol' }]);
});

test('in a room all who may talk are heard, and nobody else', () => {
  call.handle({ event: 'entered', room: 'all-hands', kind: 'conference', send: 9 });
  assert.deepEqual([call.state, call.room?.name, heard()], ['answered', 'all-hands', []]);
  const member = (flow, more = {}) => ({ flow, user: `user${flow}`, ...more });
  const state = { started: true, locked: false, lobby: false, present: 4, speakers: 3 };
  const you = member(9, { speaks: true, moderator: true });
  call.roomNews({ room: 'all-hands', kind: 'conference', whole: true, you, members: [member(1, { speaks: true }), member(2), you], state, speakers: [] });
  assert.deepEqual([heard(), call.hears(9)], [[1], false]);
  // One who is not in the list speaks; somebody who listened may talk now; somebody leaves.
  call.roomNews({ room: 'all-hands', kind: 'conference', members: [member(2, { speaks: true })], gone: [1], speakers: [member(4)] });
  assert.deepEqual(heard(), [2, 4]);
  call.handle({ event: 'hear', receive: 5, who: 'gateway' });
  call.roomNews({ room: 'all-hands', kind: 'conference', speakers: [] });
  assert.deepEqual(heard(), [2, 5], 'what the gateway says is heard beside the members');
  call.inRoom('silence', call.room?.members.get(2));
  call.inRoom('lock');
  assert.deepEqual(sent, [{ type: 'room', call: 'c1', action: 'silence', member: 2 }, { type: 'room', call: 'c1', action: 'lock' }]);
  call.roomNews({ room: 'all-hands', kind: 'conference', whole: true, you, members: [member(3, { speaks: true })] });
  assert.deepEqual(heard(), [3, 5]);
  call.handle({ event: 'exited', room: 'all-hands', cause: 'kicked' });
  assert.deepEqual([call.state, call.room, heard(), call.speaks], ['waiting', undefined, [], false]);
});
