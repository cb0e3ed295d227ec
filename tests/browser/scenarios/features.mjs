/**
 * What one can do in a call and around it: cancel, decline, hold, mute, keys, call waiting; and what is said when a call fails.
 */
import assert from 'node:assert/strict';
import { Person } from '../support/browser.mjs';
import { together } from './talk.mjs';

/** Hold, mute and keys reach the other side. */
export async function holdMuteAndKeys(gateway) {
  return together(gateway, {}, async (alice, bob) => {
    const status = (person, words) => person.page.locator('#calls .status', { hasText: words }).waitFor({ timeout: 5000 });
    await alice.press('mute');
    await status(bob, 'they are muted');
    await alice.press('mute');
    await alice.press('hold');
    await Promise.all([status(alice, 'On hold'), status(bob, 'You are on hold')]);
    const held = await bob.packets();
    await alice.press('hold');
    await status(bob, /^\d+:\d\d$/);
    await bob.waitForVoice(held / 50 + 2);
    const digits = bob.page.evaluate(
      () => new Promise((resolve) => [...globalThis.tandem.calls.values()][0].addEventListener('dtmf', ({ detail }) => resolve(detail.digits))),
    );
    await alice.press('keys');
    await alice.page.locator('#calls .keypad [data-key="5"]').click();
    assert.equal(await digits, '5');
    await bob.press('hangup');
    await alice.waitForCall('ended');
    return 'mute, hold, resume and keys reach the other side';
  });
}

/** Calls that nobody takes end with words that say why. */
export async function unansweredCalls(gateway) {
  const people = [];
  try {
    for (const user of ['alice', 'bob']) people.push(await Person.signIn(gateway, user));
    const [alice, bob] = people;
    await alice.dial('alice');
    assert.match(await alice.lastCall(1), /your own address/);
    await alice.dial('nobody');
    assert.doesNotMatch(await alice.lastCall(2), /your own address|Call ended/);
    await alice.callFromList('bob');
    await bob.press('decline');
    assert.match(await alice.lastCall(3), /Declined/);
    await alice.callFromList('bob');
    await bob.waitForCall('incoming');
    await alice.press('hangup');
    assert.match(await alice.lastCall(4), /Cancelled/);
    assert.match(await bob.lastCall(2), /Missed/);
    return 'own address, unknown, declined, cancelled: each said in words';
  } catch (error) {
    await Promise.all(people.map((person) => person.picture(`failed-${person.user}`)));
    throw error;
  } finally {
    await Promise.all(people.map((person) => person.leave()));
  }
}

/** A second call while talking: it rings, answering it holds the first, and the first can be taken up again. */
export async function callWaiting(gateway) {
  return together(gateway, {}, async (alice, bob) => {
    const second = await Person.signIn(gateway, 'alice');
    try {
      await second.callFromList('bob', 'talking');
      await bob.waitForCall('incoming');
      await bob.answer();
      await second.waitForCall('connected');
      const onHold = alice.page.locator('#calls .status', { hasText: 'You are on hold' });
      await onHold.waitFor({ timeout: 5000 });
      await second.waitForVoice(1);
      await second.press('hangup');
      await second.waitForCall('ended');
      await bob.page.locator('#calls .call[data-state="connected"] [data-action="hold"]').click();
      await onHold.waitFor({ state: 'detached', timeout: 5000 });
      await alice.waitForVoice((await alice.packets()) / 50 + 1);
      await alice.press('hangup');
      await bob.waitForCall('ended');
      return 'the second call rang, held the first, and the first went on';
    } finally {
      await second.leave();
    }
  });
}
