/**
 * Two people call each other and both hear; over WebTransport, over WebSocket, and over WebSocket because UDP is blocked.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { Person } from '../support/browser.mjs';
import { insistOnQuality } from '../support/score.mjs';

/** Seconds of voice in each direction. */
const SECONDS = 20;

/**
 * Two browsers in which alice calls bob; `meet` gets both once they talk.
 * @param {string} gateway
 * @param {object} settings of {@link Person.signIn}
 * @param {(alice: Person, bob: Person) => Promise<unknown>} meet
 */
export async function together(gateway, settings, meet) {
  const people = [];
  try {
    for (const user of ['alice', 'bob']) people.push(await Person.signIn(gateway, user, settings));
    const [alice, bob] = people;
    await alice.callFromList('bob');
    await bob.waitForCall('incoming');
    await Promise.all([alice.startRecording(), bob.startRecording()]);
    await bob.answer();
    await Promise.all([alice.waitForCall('connected'), bob.waitForCall('connected')]);
    return await meet(alice, bob);
  } catch (error) {
    await Promise.all(people.map((person) => person.picture(`failed-${person.user}`).catch(() => undefined)));
    error.message += people.flatMap(({ complaints }) => complaints).map((line) => `\n  ${line}`).join('');
    throw error;
  } finally {
    await Promise.all(people.map((person) => person.leave()));
  }
}

/** Lets both talk, hangs up, and scores what each heard. Complaints of the pages that match `expected` are no faults. */
async function talk(name, gateway, transport, settings, expected = /^$/) {
  return together(gateway, settings, async (alice, bob) => {
    assert.deepEqual([await alice.transport(), await bob.transport()], [transport, transport]);
    await Promise.all([alice.waitForVoice(SECONDS), bob.waitForVoice(SECONDS)]);
    const quality = await alice.quality();
    if (process.env.DEBUG) console.log(quality, await bob.quality());
    const heardByAlice = await alice.stopRecording(`${name}-alice-heard`);
    const heardByBob = await bob.stopRecording(`${name}-bob-heard`);
    await alice.press('hangup');
    await Promise.all([alice.waitForCall('ended'), bob.waitForCall('ended')]);
    assert.match(await alice.lastCall(), /Call ended/);
    assert.match(await bob.lastCall(), /Call ended/);

    const [bobsVoice, alicesVoice] = [await insistOnQuality(heardByAlice, 'bob'), await insistOnQuality(heardByBob, 'alice')];
    assert.deepEqual([...alice.complaints, ...bob.complaints].filter((line) => !expected.test(line)), []);
    const { local, bufferMs, targetMs, rttMs, faults } = quality;
    const figures = `loss ${local.lost}+${local.late} of ${local.packets}, jitter ${local.jitter_ms.toFixed(1)} ms, buffer ${bufferMs.toFixed(0)} (target ${targetMs}) ms, ${JSON.stringify(faults)}, rtt ${rttMs.toFixed(0)} ms`;
    return `${transport}; PESQ (worst): alice hears ${bobsVoice.pesq} (${bobsVoice.worst}), bob hears ${alicesVoice.pesq} (${alicesVoice.worst}); ${figures}`;
  });
}

export const talkOverWebTransport = (gateway) => talk('webtransport', gateway, 'webtransport', { query: { transport: 'webtransport' } });
export const talkOverWebSocket = (gateway) => talk('websocket', gateway, 'websocket', { query: { transport: 'websocket' } });

/** The gateway's UDP port is made to look blocked: its address leads to a port that takes packets and never answers. */
export async function talkWithUdpBlocked(gateway) {
  const hole = createSocket('udp4').bind(0, '127.0.0.1');
  await once(hole, 'listening');
  const prepare = (context) =>
    context.route('**/.well-known/tandem.json', async (route) => {
      const answer = await (await route.fetch()).json();
      await route.fulfill({ json: { ...answer, webtransport: `https://127.0.0.1:${hole.address().port}/v1/connect` } });
    });
  try {
    return await talk('udp-blocked', gateway, 'websocket', { prepare }, /Failed to establish a connection .*QUIC/);
  } finally {
    hole.close();
  }
}
