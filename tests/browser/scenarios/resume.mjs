/**
 * A broken link comes back by itself, and the call goes on without anybody doing anything.
 */
import assert from 'node:assert/strict';
import { together } from './talk.mjs';

/** Seconds of voice before and after the break. */
const SECONDS = 3;

/** @param {string} gateway @param {string} transport */
async function resume(gateway, transport) {
  return together(gateway, { query: { transport } }, async (alice, bob) => {
    await Promise.all([alice.waitForVoice(SECONDS), bob.waitForVoice(SECONDS)]);
    const states = alice.page.evaluate(
      () =>
        new Promise((resolve) => {
          const seen = [];
          globalThis.tandem.addEventListener('state', ({ detail }) => {
            seen.push(detail);
            if (detail === 'connected') resolve(seen);
          });
          globalThis.tandem.dropLink();
        }),
    );
    assert.deepEqual(await states, ['reconnecting', 'connected']);
    const [before, beforeAtBob] = [await alice.packets(), await bob.packets()];
    await Promise.all([alice.waitForVoice(before / 50 + SECONDS), bob.waitForVoice(beforeAtBob / 50 + SECONDS)]);
    const calls = (person) => person.page.evaluate(() => [...globalThis.tandem.calls.values()].map(({ state }) => state));
    assert.deepEqual([await calls(alice), await calls(bob)], [['connected'], ['connected']]);
    await bob.press('hangup');
    await Promise.all([alice.waitForCall('ended'), bob.waitForCall('ended')]);
    assert.match(await alice.lastCall(), /Call ended/);
    return `${transport}: the call went on after the link broke`;
  });
}

export const resumeOverWebTransport = (gateway) => resume(gateway, 'webtransport');
export const resumeOverWebSocket = (gateway) => resume(gateway, 'websocket');
