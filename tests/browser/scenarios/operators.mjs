/**
 * The operators' page counts a call while it lives and after it ended, in light and dark, on a desk and on a phone, and says when the
 * node cannot be reached.
 */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, OUT } from '../support/browser.mjs';
import { together } from './talk.mjs';

const SCREENS = {
  desktop: { width: 1100, height: 760 },
  phone: { width: 360, height: 740 },
};

/** Packets a second of two talkers, less what silence saves. */
const RATE_MIN = 40;

/** @param {import('playwright-core').Page} page @param {string} moment */
async function pictures(page, moment) {
  await mkdir(OUT, { recursive: true });
  for (const [screen, size] of Object.entries(SCREENS)) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(OUT, `operators-${moment}-${screen}-${colorScheme}.png`), fullPage: true });
      const overhang = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overhang <= 0, `${moment}, ${screen}: the page is ${overhang} px too wide`);
    }
  }
}

/** Waits until a number on the page is at least this. @param {import('playwright-core').Page} page */
async function waitForNumber(page, selector, least) {
  const reached = ([selector, least]) => Number(document.querySelector(selector)?.textContent.replaceAll(',', '')) >= least;
  await page.waitForFunction(reached, [selector, least], { timeout: 15_000, polling: 250 }).catch(async (error) => {
    throw new Error(`${selector} is ${await page.locator(selector).textContent({ timeout: 1000 })}, not ${least}: ${error.message}`);
  });
}

/** The live page during a call, after it, and without the node. @param {import('playwright-core').Page} page */
async function follow(page, alice, bob) {
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.stack));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await page.locator('#readiness[data-state="ready"]').waitFor({ timeout: 10_000 });
  await page.locator('#calls [data-state="talking"]').waitFor({ timeout: 10_000 });
  assert.equal(await page.locator('#live').textContent(), '1');
  assert.match(await page.locator('#calls tr').first().innerText(), /^[0-9a-z]{26}\s+demo\s+talking\s+\d+:\d\d$/);
  await waitForNumber(page, '#forwarded-rate', RATE_MIN);
  await waitForNumber(page, '#sessions', 2);
  await alice.waitForVoice(12);
  await pictures(page, 'talking');
  const normal = '#ended [data-key="normal"] .count';
  const before = (await page.locator(normal).count()) > 0 ? Number(await page.locator(normal).textContent()) : 0;
  await alice.press('hangup');
  await bob.waitForCall('ended');
  await waitForNumber(page, normal, before + 1);
  await page.locator('#calls-more', { hasText: 'No call is under way' }).waitFor({ timeout: 5000 });
  assert.deepEqual(complaints, []);

  await page.route('**/status.json', (route) => route.abort());
  await page.locator('#notice', { hasText: 'cannot be reached' }).waitFor({ timeout: 10_000 });
  await pictures(page, 'unreachable');
  await page.unroute('**/status.json');
  await page.locator('#notice').waitFor({ state: 'hidden', timeout: 10_000 });
}

/** @param {string} gateway @param {string} _binary @param {string} ops */
export async function operators(gateway, _binary, ops) {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    return await together(gateway, {}, async (alice, bob) => {
      await page.goto(ops);
      await follow(page, alice, bob);
      return 'the live call was counted and its end, too; pictures are in tests/browser/out';
    });
  } finally {
    await browser.close();
  }
}
