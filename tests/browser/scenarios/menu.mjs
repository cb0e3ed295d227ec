/**
 * A number that answers with a prompt and asks for a key: Chromium hears the prompt, the key pressed on the page says who is rung, and who
 * answers is heard.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Person } from '../support/browser.mjs';
import { insistOnQuality } from '../support/score.mjs';

/** How long the gateway may take to come up. */
const START_MS = 30_000;
/** Seconds of the answering person's voice. */
const SECONDS = 16;
/** The prompt: a beep (1000 Hz, 0.4 s), so many times. */
const BEEP_HZ = 1000;
const BEEPS = 6;

const gather = {
  'min-digits': 1,
  'max-digits': 1,
  'finish-key': null,
  'first-digit-timeout': 15_000,
  'inter-digit-timeout': 2000,
  prompt: null,
  'barge-in': true,
};
const dial = (user) => ({
  dial: { targets: [{ address: { user } }], strategy: 'at-once', 'ring-timeout': 20_000, 'after-answer': 'hang-up' },
});

/** What the number does, as a routing function says it. */
function plan({ event }) {
  if (event === 'incoming') return { steps: [{ play: { source: { tone: 'beep' }, times: BEEPS } }, { gather }, { consult: 'chosen' }] };
  const chosen = event.consulted?.outcome?.gathered?.digits;
  return { steps: [chosen === '2' ? dial('bob') : { hangup: 'no-route' }] };
}

/** A server that answers every question with {@link plan}. */
async function startRouter() {
  const asked = [];
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const question = JSON.parse(Buffer.concat(pieces).toString());
    asked.push(question.event);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(plan(question)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { asked, url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** A TCP port that nobody listens on. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A gateway of its own, routed by `router`. */
async function startGateway(binary, router) {
  const data = await mkdtemp(join(tmpdir(), 'tandem-menu-'));
  const listen = await freePort();
  const where = ['--listen', `127.0.0.1:${listen}`, '--media', '127.0.0.1:0', '--ops', '127.0.0.1:0', '--data-dir', data];
  const child = spawn(binary, ['dev', '--router', router, ...where], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const url = `http://localhost:${listen}`;
  const close = async () => {
    child.kill();
    if (child.exitCode === null) await once(child, 'exit');
    await rm(data, { recursive: true, force: true });
  };
  for (const deadline = Date.now() + START_MS; ; ) {
    const up = await fetch(`${url}/.well-known/tandem.json`).then(({ ok }) => ok, () => false);
    if (up) return { url, close, said: () => said };
    if (child.exitCode === null && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    await close();
    throw new Error(`tandem dev did not come up:\n${said}`);
  }
}

/** How many frames of 20 ms of a recording are a tone of `hertz` (Goertzel): at least three quarters of their power is at it. */
async function toneFrames(path, hertz) {
  const file = await readFile(path);
  const rate = file.readUInt32LE(24);
  const samples = new Int16Array(file.buffer, file.byteOffset + 44, (file.length - 44) >> 1);
  const frame = rate / 50;
  const turn = 2 * Math.cos((2 * Math.PI * hertz) / rate);
  let frames = 0;
  for (let at = 0; at + frame <= samples.length; at += frame) {
    let [last, before, power] = [0, 0, 0];
    for (const sample of samples.subarray(at, at + frame)) {
      [last, before] = [sample + turn * last - before, last];
      power += sample * sample;
    }
    const atTone = (2 * (last * last + before * before - turn * last * before)) / frame;
    if (power / frame > 100 ** 2 && atTone > 0.75 * power) frames += 1;
  }
  return frames;
}

/** A prompt is heard, keys of the page route the call, and the person who answers is heard. */
export async function menu(_gateway, binary) {
  const router = await startRouter();
  const people = [];
  let gateway;
  try {
    gateway = await startGateway(binary, router.url);
    for (const user of ['alice', 'bob']) people.push(await Person.signIn(gateway.url, user));
    const [alice, bob] = people;
    await alice.dial('menu');
    await alice.page.waitForFunction(() => globalThis.tandem.calls.size === 1);
    await alice.startRecording();
    await alice.waitForCall('answered');
    const key = alice.page.locator('#calls .keypad [data-key="2"]');
    await key.waitFor({ timeout: 5000 });
    await alice.waitForVoice(BEEPS * 0.4);
    // What has arrived is on its way through the jitter buffer.
    await alice.page.waitForTimeout(500);
    const beeps = await toneFrames(await alice.stopRecording('menu-prompt-heard'), BEEP_HZ);
    assert.ok(beeps >= (BEEPS * 0.4 * 50) / 2, `the prompt: only ${beeps} frames of ${BEEP_HZ} Hz were heard`);

    await key.click();
    await bob.waitForCall('incoming');
    await bob.answer();
    await Promise.all([alice.waitForCall('connected'), bob.waitForCall('connected')]);
    await Promise.all([alice.startRecording(), bob.startRecording()]);
    await alice.waitForVoice((await alice.packets()) / 50 + SECONDS);
    const heard = [await alice.stopRecording('menu-alice-heard'), await bob.stopRecording('menu-bob-heard')];
    await alice.press('hangup');
    await bob.waitForCall('ended');
    const [bobsVoice, alicesVoice] = [await insistOnQuality(heard[0], 'bob'), await insistOnQuality(heard[1], 'alice')];
    assert.equal(router.asked[1]?.consulted?.outcome?.gathered?.digits, '2');
    assert.deepEqual([...alice.complaints, ...bob.complaints], []);
    return `heard ${beeps} frames of the prompt, pressed 2, was put through; PESQ: alice hears ${bobsVoice.pesq}, bob hears ${alicesVoice.pesq}`;
  } catch (error) {
    await Promise.all(people.map((person) => person.picture(`failed-${person.user}`).catch(() => undefined)));
    const about = `${people.flatMap(({ complaints }) => complaints).join('\n')}\nasked: ${JSON.stringify(router.asked)}\n${gateway?.said() ?? ''}`;
    throw new Error(`${error.message}\n${about}`, { cause: error });
  } finally {
    await Promise.all(people.map((person) => person.leave()));
    await gateway?.close();
    router.close();
  }
}
