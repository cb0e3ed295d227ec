/**
 * Browser tests: Chromium talks to a gateway and hears.
 *
 *     node run.mjs [--gateway http://localhost:8080] [--ops http://127.0.0.1:9090] [--tandem path/to/tandem] [--fake] [scenario …]
 *
 * The gateway must be running with its demo users (`tandem dev`); it may also be named by TANDEM_URL, its operators'
 * listener by TANDEM_OPS_URL, and the binary by TANDEM_BIN.
 * `--fake` starts the small WebSocket-only gateway of `support/` instead, to try the SDK alone. Run `setup.sh` before the first time.
 */
import { parseArgs } from 'node:util';
import { callWaiting, holdMuteAndKeys, unansweredCalls } from './scenarios/features.mjs';
import { looks } from './scenarios/looks.mjs';
import { menu } from './scenarios/menu.mjs';
import { browserCallsTelephone, telephoneCallsBrowser } from './scenarios/native.mjs';
import { operators } from './scenarios/operators.mjs';
import { resumeOverWebSocket, resumeOverWebTransport } from './scenarios/resume.mjs';
import { secondCall } from './scenarios/second-call.mjs';
import { talkOverWebSocket, talkOverWebTransport, talkWithUdpBlocked } from './scenarios/talk.mjs';
import { startFakeGateway } from './support/fake-gateway.mjs';
import { watchStolenTime } from './support/machine.mjs';
import { isPoorSound } from './support/score.mjs';

/**
 * Scenarios by name, and what they need: QUIC, the operators' listener, or the `tandem` binary. Those whose sound is scored come later:
 * where Chromium has never run before, its first starts stall whatever else the machine does.
 */
const SCENARIOS = {
  features: { run: holdMuteAndKeys },
  'call-waiting': { run: callWaiting },
  unanswered: { run: unansweredCalls },
  resume: { run: resumeOverWebTransport, needs: ['quic'] },
  'resume-websocket': { run: resumeOverWebSocket },
  talk: { run: talkOverWebTransport, needs: ['quic'] },
  'talk-websocket': { run: talkOverWebSocket },
  'talk-udp-blocked': { run: talkWithUdpBlocked },
  'second-call': { run: secondCall },
  'browser-calls-telephone': { run: browserCallsTelephone, needs: ['quic', 'binary'] },
  'telephone-calls-browser': { run: telephoneCallsBrowser, needs: ['quic', 'binary'] },
  menu: { run: menu, needs: ['quic', 'binary'] },
  looks: { run: looks },
  operators: { run: operators, needs: ['ops'] },
};

/**
 * Sound is scored in real time. A scenario whose sound was too poor while the machine's host withheld more than this share of the processors' time says
 * nothing about the product, and is played again; one on a machine of its own has failed, and so has one that failed in any
 * other way.
 */
const STOLEN_SHARE_MAX = 0.04;

/** How often a scenario is played at most. */
const TRIES = 4;

/**
 * @param {string} name
 * @param {() => Promise<string>} play
 */
async function tried(name, play) {
  for (let left = TRIES - 1; ; left--) {
    const stolenTime = watchStolenTime();
    try {
      return await play();
    } catch (error) {
      const stolen = stolenTime();
      if (!(isPoorSound(error) && stolen > STOLEN_SHARE_MAX) || left === 0) throw error;
      console.log(`again ${name}: the host withheld ${(100 * stolen).toFixed(0)} % of the processors' time; it failed so: ${error.message.split('\n')[0]}`);
    }
  }
}

/** @param {string[]} names @param {string[]} has @param {(run: Function) => Promise<string>} play */
async function runAll(names, has, play) {
  let failures = 0;
  for (const [name, { run, needs = [] }] of Object.entries(SCENARIOS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const lacks = needs.filter((need) => !has.includes(need));
    if (lacks.length > 0) {
      console.log(`skip ${name}: needs ${lacks.join(', ')}`);
      continue;
    }
    const started = Date.now();
    try {
      const told = await tried(name, () => play(run));
      console.log(`ok   ${name} (${((Date.now() - started) / 1000).toFixed(0)} s): ${told}`);
    } catch (error) {
      failures += 1;
      console.log(`FAIL ${name}: ${error.stack}`);
    }
  }
  return failures;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { gateway: { type: 'string' }, ops: { type: 'string' }, tandem: { type: 'string' }, fake: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !(name in SCENARIOS));
if (unknown.length > 0) {
  console.error(`no scenario ${unknown.join(', ')}; there are: ${Object.keys(SCENARIOS).join(', ')}`);
  process.exit(2);
}
const fake = values.fake ? await startFakeGateway() : undefined;
const gateway = fake?.url ?? values.gateway ?? process.env.TANDEM_URL ?? 'http://localhost:8080';
const tandem = values.tandem ?? process.env.TANDEM_BIN;
const ops = fake ? undefined : (values.ops ?? process.env.TANDEM_OPS_URL);
const has = [...(fake ? [] : ['quic']), ...(ops ? ['ops'] : []), ...(tandem ? ['binary'] : [])];
const failures = await runAll(positionals, has, (run) => run(gateway, tandem, ops));
await fake?.close();
process.exitCode = failures === 0 ? 0 : 1;
