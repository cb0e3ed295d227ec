/**
 * Chromium with a voice: each person is a browser process of its own, with its own profile and a sound file for a microphone.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const HERE = fileURLToPath(new URL('..', import.meta.url));
/** Where recordings and screenshots go. */
export const OUT = join(HERE, 'out');
/** What a person says. */
export const speechOf = (user) => join(HERE, 'speech', `${user}.wav`);

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
];

/** A browser without anybody's voice, to look at other pages. */
export function launch() {
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args: ARGUMENTS });
}

/** Somebody at a softphone. */
export class Person {
  /**
   * Opens the softphone and signs in.
   * @param {string} gateway
   * @param {string} user
   * @param {{ query?: Record<string, string>, prepare?: (context: import('playwright-core').BrowserContext) => Promise<unknown>, options?: object }} [settings]
   */
  static async signIn(gateway, user, { query = {}, prepare, options = {} } = {}) {
    const profile = await mkdtemp(join(tmpdir(), `tandem-${user}-`));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: EXECUTABLE,
      headless: true,
      args: [...ARGUMENTS, `--use-file-for-fake-audio-capture=${speechOf(user)}`],
      ...options,
    });
    const page = context.pages()[0] ?? (await context.newPage());
    const person = new Person(user, context, page, profile);
    try {
      await prepare?.(context);
      await page.goto(`${gateway}/?${new URLSearchParams({ user, processing: 'off', ...query })}`);
      await page.locator('#phone').waitFor({ timeout: 20_000 });
      return person;
    } catch (error) {
      const said = await page.locator('#notice').textContent().catch(() => '');
      await person.leave();
      throw new Error(`${user} cannot sign in: ${said || error.message}\n${person.complaints.join('\n')}`, { cause: error });
    }
  }

  constructor(user, context, page, profile) {
    this.user = user;
    this.context = context;
    this.page = page;
    this.profile = profile;
    /** What the page complained about in its console. */
    this.complaints = [];
    page.on('pageerror', (error) => this.complaints.push(`${user}: ${error.stack}`));
    page.on('console', (message) => message.type() === 'error' && this.complaints.push(`${user}: ${message.text()}`));
  }

  /** The transport in use. */
  transport() {
    return this.page.evaluate(() => globalThis.tandem.transport);
  }

  /** Calls somebody from the list of people, once they are shown in this state. */
  async callFromList(user, state = 'available') {
    const row = this.page.locator(`#people li[data-presence="${state}"] [data-call="${user}"]`);
    await row.click({ timeout: 15_000 });
  }

  /** Calls what is typed into the field. */
  async dial(to) {
    await this.page.fill('#to', to);
    await this.page.click('#dial');
  }

  /** Presses a button of a call's card. */
  press(action) {
    return this.page.locator(`#calls [data-action="${action}"]`).first().click({ timeout: 15_000 });
  }

  /** Answers the call that rings. */
  answer() {
    return this.press('answer');
  }

  /** Waits until this person's call stands so. */
  async waitForCall(state, timeout = 15_000) {
    await this.page.locator(`#calls .call[data-state="${state}"]`).first().waitFor({ timeout });
  }

  /** Begins to record what this person hears in the only call. */
  startRecording() {
    return this.page.evaluate(() => [...globalThis.tandem.calls.values()][0].recordPlayout());
  }

  /** Waits until so many seconds of the other party's voice have arrived. */
  async waitForVoice(seconds) {
    const packets = seconds * 50;
    const arrived = (wanted) => ([...globalThis.tandem.calls.values()][0]?.quality?.local.packets ?? 0) >= wanted;
    await this.page.waitForFunction(arrived, packets, { timeout: (seconds + 20) * 1000, polling: 250 });
  }

  /** Packets of voice that arrived so far. */
  packets() {
    return this.page.evaluate(() => [...globalThis.tandem.calls.values()][0]?.quality?.local.packets ?? 0);
  }

  /** The figures of the only call. */
  quality() {
    return this.page.evaluate(() => [...globalThis.tandem.calls.values()][0]?.quality);
  }

  /**
   * Ends the recording and keeps it.
   * @param {string} name of the file
   * @returns {Promise<string>} its path
   */
  async stopRecording(name) {
    const { rate, base64 } = await this.page.evaluate(async () => {
      const { samples, sampleRate } = [...globalThis.tandem.calls.values()][0].stopRecording();
      const whole = Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
      const reader = new FileReader();
      const read = new Promise((resolve) => (reader.onload = resolve));
      reader.readAsDataURL(new Blob([whole.buffer]));
      await read;
      return { rate: sampleRate, base64: reader.result.split(',')[1] ?? '' };
    });
    await mkdir(OUT, { recursive: true });
    const path = join(OUT, `${name}.wav`);
    await writeFile(path, wave(Buffer.from(base64, 'base64'), rate));
    return path;
  }

  /** The newest line of this person's history, once there are `count`. */
  async lastCall(count = 1) {
    await this.page.locator('#history li').nth(count - 1).waitFor({ timeout: 10_000 });
    return this.page.locator('#history li').first().innerText();
  }

  /** Takes a picture of the page. */
  async picture(name) {
    await mkdir(OUT, { recursive: true });
    await this.page.screenshot({ path: join(OUT, `${name}.png`), fullPage: true });
  }

  /** Signs out, so that no session waits at the gateway for this person to come back, and closes the browser. */
  async leave() {
    const signOut = () => Promise.race([globalThis.tandem?.close(), new Promise((resolve) => setTimeout(resolve, 2000))]);
    await this.page.evaluate(signOut).catch(() => undefined);
    await this.context.close();
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A WAV file of 16-bit mono samples. */
function wave(samples, rate) {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}
