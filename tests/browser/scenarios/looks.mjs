/**
 * Pictures of the softphone on a desk and on a phone, in light and dark, and that nothing sticks out of a narrow screen.
 */
import assert from 'node:assert/strict';
import { together } from './talk.mjs';

const SCREENS = {
  desktop: { width: 1100, height: 760 },
  phone: { width: 360, height: 740 },
};

/** @param {import('../support/browser.mjs').Person} person @param {string} moment */
async function pictures(person, moment) {
  for (const [screen, size] of Object.entries(SCREENS)) {
    for (const colorScheme of ['light', 'dark']) {
      await person.page.setViewportSize(size);
      await person.page.emulateMedia({ colorScheme });
      await person.picture(`look-${moment}-${screen}-${colorScheme}`);
      const overhang = await person.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overhang <= 0, `${moment}, ${screen}: the page is ${overhang} px too wide`);
    }
  }
}

/** Every button, field and list has a name that a screen reader can say. */
async function namesOfControls(person) {
  const nameless = await person.page.evaluate(() =>
    [...document.querySelectorAll('button, input, textarea')]
      .filter((control) => !(control.getAttribute('aria-label') || control.textContent?.trim() || control.labels?.length))
      .map((control) => control.outerHTML),
  );
  assert.deepEqual(nameless, []);
}

export async function looks(gateway) {
  return together(gateway, {}, async (alice, bob) => {
    await alice.waitForVoice(2);
    await pictures(alice, 'talking');
    await alice.press('keys');
    await namesOfControls(alice);
    await pictures(alice, 'keys');
    await alice.press('hangup');
    await bob.waitForCall('ended');
    await alice.page.locator('#calls .call').waitFor({ state: 'detached', timeout: 10_000 });
    await bob.page.locator('#calls .call').waitFor({ state: 'detached', timeout: 10_000 });
    await pictures(alice, 'idle');
    await bob.callFromList('alice');
    await alice.waitForCall('incoming');
    await pictures(alice, 'incoming');
    await bob.press('hangup');
    await alice.page.click('#sign-out');
    await alice.page.locator('#sign-in').waitFor();
    await pictures(alice, 'sign-in');
    return 'pictures are in tests/browser/out';
  });
}
