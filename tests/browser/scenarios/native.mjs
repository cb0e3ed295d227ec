/**
 * Chromium and the command line's telephone, `tandem call`, call each other and both hear.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OUT, Person, speechOf } from '../support/browser.mjs';
import { insistOnQuality } from '../support/score.mjs';

/** Seconds of voice in each direction: the telephone says its speech once, in 18 s. */
const SECONDS = 16;

/** `tandem call` as this user, saying this user's speech. */
class Telephone {
  /**
   * @param {string} gateway
   * @param {string} binary
   * @param {string} user
   * @param {string[]} more arguments
   */
  static async start(gateway, binary, user, more) {
    const response = await fetch(`${gateway}/demo/token?user=${user}`, { method: 'POST' });
    const { token } = await response.json();
    const address = await (await fetch(`${gateway}/.well-known/tandem.json`)).json();
    const [hash] = address.certificate_hashes;
    await mkdir(OUT, { recursive: true });
    const heard = join(OUT, `telephone-${user}-heard.wav`);
    const where = ['--gateway', new URL(address.webtransport).origin, ...(hash ? ['--certificate-hash', hash] : [])];
    const sound = ['--play', speechOf(user), '--record', heard];
    const child = spawn(binary, ['call', ...where, ...sound, '--json', ...more], { env: { ...process.env, TANDEM_TOKEN: token } });
    return new Telephone(child, heard);
  }

  constructor(child, heard) {
    this.child = child;
    this.heard = heard;
    this.said = '';
    child.stdout.on('data', (text) => (this.said += text));
    child.stderr.on('data', (text) => (this.said += text));
    this.ended = once(child, 'exit').then(([code]) => code);
  }

  /** Waits for its end, which must come soon and be a good one. */
  async insistOnGoodEnd() {
    const bound = setTimeout(() => this.child.kill(), 10_000);
    const code = await this.ended;
    clearTimeout(bound);
    assert.equal(code, 0, `tandem call ended with ${code}:\n${this.said}`);
  }
}

/**
 * Lets both talk, hangs up in the browser, and scores what each heard.
 * @param {Person} person in the browser
 * @param {Telephone} telephone
 * @param {string} other who is at the telephone
 */
async function talk(person, telephone, other) {
  await person.waitForCall('connected');
  await person.waitForVoice(SECONDS);
  const heard = await person.stopRecording(`native-${person.user}-heard`);
  await person.press('hangup');
  await person.waitForCall('ended');
  await telephone.insistOnGoodEnd();
  const [inBrowser, onTelephone] = [await insistOnQuality(heard, other), await insistOnQuality(telephone.heard, person.user)];
  return `PESQ: Chromium hears ${inBrowser.pesq}, tandem call hears ${onTelephone.pesq}`;
}

/** The browser calls the telephone. */
export async function browserCallsTelephone(gateway, binary) {
  const telephone = await Telephone.start(gateway, binary, 'bob', ['--wait', '--answer', 'auto']);
  const alice = await Person.signIn(gateway, 'alice');
  try {
    await alice.callFromList('bob');
    await alice.waitForCall('connected');
    await alice.startRecording();
    return await talk(alice, telephone, 'bob');
  } catch (error) {
    error.message += `\n${telephone.said}\n${alice.complaints.join('\n')}`;
    throw error;
  } finally {
    telephone.child.kill();
    await alice.leave();
  }
}

/** The telephone calls the browser. */
export async function telephoneCallsBrowser(gateway, binary) {
  const bob = await Person.signIn(gateway, 'bob');
  const telephone = await Telephone.start(gateway, binary, 'alice', ['--to', 'bob']);
  try {
    await bob.waitForCall('incoming');
    await bob.startRecording();
    await bob.answer();
    return await talk(bob, telephone, 'alice');
  } catch (error) {
    error.message += `\n${telephone.said}\n${bob.complaints.join('\n')}`;
    throw error;
  } finally {
    telephone.child.kill();
    await bob.leave();
  }
}
