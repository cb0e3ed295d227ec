// @ts-check
/**
 * The softphone: an application of the SDK, and its example.
 *
 * The address may carry `?user=alice` (sign in as this demo user), `?transport=websocket` (or `webtransport`) and
 * `?processing=off` (the microphone as it is: no echo, noise or loudness processing).
 *
 * @module
 */
import { Tandem } from '../tandem.js';
import { CallCard } from './card.js';
import { Desk } from './desk.js';
import { byId, face, fillKeypad, make } from './dom.js';
import { History } from './history.js';
import { demoToken, offerSignIn } from './sign-in.js';
import { Tones } from './tones.js';
import { Voicemail } from './voicemail.js';
import { connectionWords, isTalking, presenceWords } from './words.js';

/** @typedef {import('../call.js').Call} Call */

/** How long an ended call stays in sight. */
const FAREWELL_MS = 4000;

const query = new URLSearchParams(location.search);
const tones = new Tones();
const notice = byId('notice');
/** @type {HTMLInputElement} */
const dialled = byId('to');

/** @param {string} words none hides it */
function say(words) {
  notice.textContent = words;
  notice.hidden = words === '';
}

/** @param {unknown} error */
function complain(error) {
  say(error instanceof Error ? error.message : String(error));
}

/** Whether this call would speak over another. @param {Call} call */
function isOpen(call) {
  return call.state === 'connected' && !call.isHeld;
}

/** The phone of the signed-in user. */
class Softphone {
  client;
  #history;
  /** @type {Map<Call, CallCard>} */
  #cards = new Map();
  #voicemail;
  #ticking;

  /** @param {Tandem} client */
  constructor(client) {
    this.client = client;
    this.#history = new History(client.user, (to) => this.dial(to));
    client.addEventListener('state', () => this.#showConnection());
    client.addEventListener('presence', () => this.#showPeople());
    client.addEventListener('incoming', (event) => this.#add(/** @type {CustomEvent<Call>} */ (event).detail));
    client.addEventListener('error', (event) => complain(/** @type {CustomEvent<Error>} */ (event).detail));
    this.#ticking = setInterval(() => this.#cards.forEach((card) => card.tick()), 500);
    this.#voicemail = new Voicemail(client, complain);
    new Desk(client, complain);
    client.watch();
    byId('who').textContent = client.user;
    this.#showConnection();
  }

  /** @param {string} to */
  async dial(to) {
    if (to === '') return;
    say('');
    try {
      const call = await this.client.call(to);
      dialled.value = '';
      this.#add(call);
      if (call.state === 'ended') return;
      const held = this.#holdOthers(call);
      call.addEventListener('ended', () => call.connectedAt ?? this.#takeUp(held));
    } catch (error) {
      complain(error);
    }
  }

  /** @param {Call} call */
  async #answer(call) {
    say('');
    try {
      await call.answer();
      if (call.state !== 'ended') this.#holdOthers(call);
    } catch (error) {
      complain(error);
    }
  }

  /** @param {Call} call */
  #resume(call) {
    this.#holdOthers(call);
    call.resume();
  }

  /**
   * Only one conversation at a time.
   * @param {Call} except
   * @returns {Call[]} those that were put on hold
   */
  #holdOthers(except) {
    const talking = [...this.#cards.keys()].filter((call) => call !== except && isOpen(call));
    for (const call of talking) call.hold();
    return talking;
  }

  /** Nobody took the call that these were put on hold for. @param {Call[]} held */
  #takeUp(held) {
    const call = held.find(({ state, isHeld }) => state === 'connected' && isHeld);
    if (call && ![...this.#cards.keys()].some(isOpen)) call.resume();
  }

  /** @param {Call} call */
  #add(call) {
    const actions = {
      answer: (/** @type {Call} */ one) => void this.#answer(one),
      resume: (/** @type {Call} */ one) => this.#resume(one),
      key: (/** @type {string} */ key) => tones.key(key),
      mayRecord: this.client.may('record'),
      others: (/** @type {Call} */ than) => [...this.#cards.keys()].filter((other) => other !== than && other.state === 'connected'),
    };
    const card = new CallCard(call, actions);
    this.#cards.set(call, card);
    byId('calls').prepend(card.element);
    call.addEventListener('change', () => this.#changed(call, card));
    call.addEventListener('redirected', () => (dialled.value = call.redirectedTo ?? ''));
    this.#changed(call, card);
    if (call.direction === 'incoming' && document.hidden) document.title = `☎ ${call.peerName ?? call.peer}`;
  }

  /**
   * @param {Call} call
   * @param {CallCard} card
   */
  #changed(call, card) {
    card.show();
    // What can be done with a call depends on the others.
    for (const other of this.#cards.values()) if (other !== card) other.show();
    if (call.state === 'ended' && this.#cards.delete(call)) {
      this.#history.add(call);
      if (call.connectedAt) tones.ended();
      setTimeout(() => card.element.remove(), FAREWELL_MS);
    }
    this.#ring();
  }

  /** Plays what fits the calls. */
  #ring() {
    const calls = [...this.#cards.keys()];
    const incoming = calls.some((call) => call.direction === 'incoming' && call.state === 'ringing');
    const talking = calls.some(isTalking);
    const ringBack = calls.some((call) => call.direction === 'outgoing' && call.state === 'ringing');
    tones.play(incoming ? (talking ? 'waiting' : 'ring') : ringBack ? 'ring-back' : undefined);
    if (!incoming) document.title = 'Tandem';
  }

  #showConnection() {
    const badge = byId('transport');
    badge.dataset.state = this.client.state;
    badge.textContent = connectionWords(this.client);
    if (this.client.state === 'closed') this.#leave();
  }

  #showPeople() {
    const people = [...this.client.presence.values()].filter(({ user }) => user !== this.client.user);
    people.sort((a, b) => a.user.localeCompare(b.user));
    byId('people-empty').hidden = people.length > 0;
    byId('people').replaceChildren(...people.map((person) => this.#person(person)));
  }

  /** @param {import('../signal.js').Presence} person */
  #person({ user, name, state }) {
    const shown = name ?? user;
    const text = make('span', { className: 'grow' }, shown, make('small', {}, presenceWords(state)));
    const properties = { type: 'button', 'aria-label': `Call ${shown}`, 'data-call': user, onclick: () => void this.dial(user) };
    return make('li', { 'data-presence': state }, face(shown), text, make('button', properties, 'Call'));
  }

  #leave() {
    clearInterval(this.#ticking);
    this.#voicemail.close();
    tones.play(undefined);
    byId('phone').hidden = byId('account').hidden = true;
    byId('sign-in').hidden = false;
  }
}

/** @param {boolean} enabled */
function enableChoices(enabled) {
  for (const choice of byId('sign-in').querySelectorAll('button')) choice.disabled = !enabled;
}

/** @type {Softphone | undefined} */
let phone;
let signingIn = false;

/** @param {string | (() => Promise<string>)} token */
async function signIn(token) {
  if (signingIn) return;
  signingIn = true;
  enableChoices(false);
  say('');
  const raw = query.get('processing') === 'off';
  const audio = raw ? { echoCancellation: false, noiseSuppression: false, autoGainControl: false } : {};
  const wanted = query.get('transport');
  const transport = wanted === 'websocket' || wanted === 'webtransport' ? wanted : 'auto';
  try {
    const client = await Tandem.connect({ token, transport, audio });
    byId('sign-in').hidden = true;
    byId('phone').hidden = byId('account').hidden = false;
    phone = new Softphone(client);
    // For the browser's console.
    Object.assign(globalThis, { tandem: client });
    dialled.focus({ preventScroll: true });
  } catch (error) {
    complain(error);
  } finally {
    signingIn = false;
    enableChoices(true);
  }
}

byId('dial-form').onsubmit = (event) => {
  event.preventDefault();
  void phone?.dial(dialled.value.trim());
};
byId('sign-out').onclick = () => {
  say('');
  phone?.client.close();
};
globalThis.addEventListener('pagehide', () => phone?.client.close());
fillKeypad(byId('dial-keypad'), (key) => {
  dialled.value += key;
  tones.key(key);
});

await offerSignIn((token) => void signIn(token));
const user = query.get('user');
if (user) await signIn(() => demoToken(user));
