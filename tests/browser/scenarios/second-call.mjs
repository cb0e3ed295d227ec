/**
 * The second call of a page is as good as the first: microphone and loudspeaker are taken up anew.
 */
import assert from 'node:assert/strict';
import { insistOnQuality } from '../support/score.mjs';
import { together } from './talk.mjs';

/** Seconds of voice in the second call, in each direction. */
const SECONDS = 20;
/** Packets of voice in a second, and how far a busy machine may be from it. */
const RATE = 50;
const RATE_TOLERANCE = 0.15;

export async function secondCall(gateway) {
  return together(gateway, {}, async (alice, bob) => {
    await Promise.all([alice.waitForVoice(2), bob.waitForVoice(2)]);
    await alice.press('hangup');
    await Promise.all([alice.lastCall(1), bob.lastCall(1)]);
    // The cards of ended calls stay in sight for a while.
    for (const { page } of [alice, bob]) await page.locator('#calls .call').waitFor({ state: 'detached' });

    await alice.callFromList('bob');
    await bob.waitForCall('incoming');
    await alice.startRecording();
    await bob.startRecording();
    await bob.answer();
    await Promise.all([alice.waitForVoice(1), bob.waitForVoice(1)]);
    const [started, before] = [performance.now(), await bob.packets()];
    await bob.waitForVoice(SECONDS);
    const rate = ((await bob.packets()) - before) / ((performance.now() - started) / 1000);
    assert.ok(Math.abs(rate / RATE - 1) < RATE_TOLERANCE, `bob is sent ${rate.toFixed(1)} packets a second`);
    const heard = await insistOnQuality(await bob.stopRecording('second-call-bob-heard'), 'alice');
    await bob.press('hangup');
    await alice.lastCall(2);
    assert.deepEqual([...alice.complaints, ...bob.complaints], []);
    return `${rate.toFixed(1)} packets a second, PESQ ${heard.pesq}`;
  });
}
