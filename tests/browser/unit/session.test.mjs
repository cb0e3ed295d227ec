import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Session } from '../../../gateway/web/session.js';
import { gateway, installBrowser, links, settle } from '../support/scripted.mjs';

/** @type {{ states: string[], errors: Error[], tokens: number, session: Session }} */
let told;

async function begin(token = async () => 'token') {
  const session = new Session({
    gateway: new URL('http://gateway.test'),
    token: async () => ((told.tokens += 1), token()),
    transport: 'websocket',
    seen: () => [],
    message: () => undefined,
    datagram: () => undefined,
    state: (state) => told.states.push(state),
    welcome: () => undefined,
    forgotten: () => undefined,
    error: (error) => told.errors.push(error),
  });
  told = { states: [], errors: [], tokens: 0, session };
  await session.start();
  await settle();
}

/** Lets time pass in steps, as a page's timers would run. */
async function pass(ms, step = 500) {
  for (let at = 0; at < ms; at += step) {
    mock.timers.tick(step);
    await settle();
  }
}

beforeEach(() => {
  installBrowser();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
});
afterEach(async () => {
  await told.session.close();
  mock.timers.reset();
  mock.restoreAll();
});

test('a page whose timers run once a minute keeps its link', async () => {
  await begin();
  const real = performance.now.bind(performance);
  let minutes = 0;
  mock.method(performance, 'now', () => real() + minutes * 60_000);
  for (; minutes < 5; minutes++) await pass(3000, 3000);
  assert.deepEqual(told.states, ['connected']);
  assert.equal(links.length, 1);
});

test('a link on which two pings go unanswered is replaced', async () => {
  await begin();
  gateway.pongs = false;
  await pass(12_000);
  assert.deepEqual(told.states.slice(0, 3), ['connected', 'reconnecting', 'connected']);
});

test('a link that has lasted is replaced without a timer', async () => {
  await begin();
  const real = performance.now.bind(performance);
  mock.method(performance, 'now', () => real() + 60_000);
  told.session.dropLink();
  await settle();
  assert.deepEqual(told.states, ['connected', 'reconnecting', 'connected']);
});

test('a page that is looked at again does not wait for its next attempt', async () => {
  await begin();
  gateway.open = false;
  told.session.dropLink();
  await pass(8000);
  gateway.open = true;
  document.visibilityState = 'visible';
  document.dispatchEvent(new Event('visibilitychange'));
  await settle();
  assert.equal(told.states.at(-1), 'connected');
});

test('a token that could not be fetched is asked for again in time', async () => {
  let works = true;
  await begin(async () => {
    if (!works) throw new Error('no token today');
    return 'token';
  });
  works = false;
  await pass(3_600_000 * 0.85, 3000);
  assert.equal(told.errors.length, 1);
  works = true;
  await pass(3_600_000 * 0.14, 3000);
  assert.equal(links[0].count('renew'), 1);
});

test('a renewal that the gateway refuses is tried again', async () => {
  await begin();
  await pass(3_600_000 * 0.82, 3000);
  assert.equal(links[0].count('renew'), 1);
  links[0].tell({ type: 'error', code: 'bad-token', message: 'no' });
  await pass(3_600_000 * 0.17, 3000);
  assert.ok(links[0].count('renew') >= 2);
});
