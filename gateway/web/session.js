// @ts-check
/**
 * A session with the gateway that outlives its links: it says hello, renews the token, notices a dead link, and resumes.
 *
 * @module
 */
import { TandemError } from './errors.js';
import { discover, openLink } from './link.js';
import { VERSION } from './signal.js';

/** @typedef {import('./signal.js').ClientMessage} ClientMessage */
/** @typedef {import('./signal.js').ServerMessage} ServerMessage */
/** @typedef {import('./signal.js').Welcome} Welcome */

/** The name that `hello` carries, for support. */
const CLIENT = 'tandem.js 0.1';
/** How long the gateway may take to answer `hello`. */
const WELCOME_PATIENCE_MS = 5000;
/** Time between two pings. */
const PING_MS = 3000;
/**
 * A link on which so many pings in a row went unanswered is dead. Counted, not timed: browsers let the timers of hidden pages run once a
 * minute, and a page that was asleep meets its timer before the answers that wait for it.
 */
const UNANSWERED_MAX = 2;
/** A link that broke sooner than this is not replaced at once. */
const STEADY_MS = 10_000;
/** First and longest wait before the next attempt; each wait doubles, and varies by half so that clients do not come back in step. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;
/** Messages that wait for a link. Beyond it the oldest is dropped. */
const WAITING_MAX = 64;
/** A token is renewed when this share of its life is left. */
const RENEWAL_SHARE = 0.2;
/** Longest delay that a timer of the browser takes. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** Errors that another attempt with the same token would meet again. */
const FINAL = new Set(['bad-version', 'not-granted']);

/** @typedef {'connecting' | 'connected' | 'reconnecting' | 'closed'} State */

/**
 * What a session needs and tells.
 * @typedef {object} Setup
 * @property {URL} gateway
 * @property {string | (() => string | Promise<string>)} token
 * @property {'auto' | import('./link.js').Kind} transport
 * @property {() => import('./signal.js').Seen[]} seen The last event seen of each call.
 * @property {(message: ServerMessage) => void} message
 * @property {(datagram: Uint8Array) => void} datagram
 * @property {(state: State) => void} state
 * @property {(welcome: Welcome) => void} welcome Before anything else of a link.
 * @property {() => void} forgotten The grace time is over: the session's calls are lost.
 * @property {(error: TandemError) => void} error
 */

/** See the module. */
export class Session {
  /** @type {State} */
  #state = 'connecting';
  #setup;
  /** @type {import('./link.js').Link | undefined} */
  #link;
  /** @type {Welcome | undefined} */
  #welcome;
  /** @type {ClientMessage[]} */
  #waiting = [];
  #token = '';
  #heardAt = 0;
  #welcomedAt = 0;
  /** Pings since the gateway was heard last. */
  #unanswered = 0;
  /** When the gateway lets go of this session unless its token is renewed, Unix milliseconds. */
  #expiresAt = 0;
  #rtt = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pings;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #grace;
  /** Ends the wait for the next attempt early. */
  #hurry = () => {};
  #onNetwork = () => this.#networkChanged();
  #onVisibility = () => document.visibilityState === 'visible' && this.#networkChanged();

  /** @param {Setup} setup */
  constructor(setup) {
    this.#setup = setup;
  }

  /** How the session stands. */
  get state() {
    return this.#state;
  }

  /** The transport of the link; nothing while there is none. */
  get transport() {
    return this.#link?.kind;
  }

  /** Round trip to the gateway, milliseconds; 0 before the first measurement. */
  get rttMs() {
    return this.#rtt;
  }

  /** The token in use: what fetches the user's own over HTTPS shows it. */
  get token() {
    return this.#token;
  }

  /** What the token grants, as it says itself: for what a page offers; the gateway judges. @returns {string[]} */
  get grants() {
    try {
      const payload = this.#token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
      return JSON.parse(atob(payload)).grants ?? [];
    } catch {
      return [];
    }
  }

  /**
   * Connects for the first time.
   * @returns {Promise<Welcome>}
   */
  async start() {
    const welcome = await this.#connect();
    globalThis.addEventListener?.('online', this.#onNetwork);
    globalThis.document?.addEventListener('visibilitychange', this.#onVisibility);
    return welcome;
  }

  /**
   * Sends a message, now or when the link is back.
   * @param {ClientMessage} message
   */
  send(message) {
    if (this.#state === 'closed') throw new TandemError('closed', 'This client is signed out.');
    if (this.#state === 'connected') return this.#link?.send(message);
    this.#waiting.push(message);
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
  }

  /**
   * Sends a message if there is a link; what it says is of no use later.
   * @param {ClientMessage} message
   */
  sendIfConnected(message) {
    if (this.#state === 'connected') this.#link?.send(message);
  }

  /** @param {Uint8Array} datagram */
  sendDatagram(datagram) {
    if (this.#state === 'connected') this.#link?.sendDatagram(datagram);
  }

  /** Ends the session and its calls. Resolves when the gateway has been sent word of it. */
  async close() {
    if (this.#state === 'closed') return;
    const link = this.#link;
    link?.send({ type: 'bye' });
    this.#link = undefined;
    this.#finish();
    await link?.close();
  }

  /** Cuts the link as a broken network would; the session comes back by itself. For tests of an application. */
  dropLink() {
    this.#link?.close();
    this.#lost();
  }

  async #connect() {
    const { gateway, transport } = this.#setup;
    const [address, token] = await Promise.all([discover(gateway), this.#freshToken()]);
    this.#token = token;
    let heard = (/** @type {ServerMessage} */ _message) => {};
    let ended = (/** @type {string} */ _reason) => {};
    const link = await openLink(address, transport, {
      message: (message) => heard(message),
      datagram: (datagram) => this.#heardDatagram(link, datagram),
      closed: (reason) => ended(reason),
    });
    const welcome = await new Promise((resolve, reject) => {
      const late = new TandemError('unreachable', 'The gateway took the connection and then said nothing.');
      const timer = setTimeout(() => reject(late), WELCOME_PATIENCE_MS);
      ended = (reason) => reject(new TandemError('unreachable', `The gateway closed the connection: ${reason}`));
      heard = (message) => {
        if (message.type === 'error') reject(new TandemError(message.code, message.message));
        if (message.type !== 'welcome') return;
        clearTimeout(timer);
        // From here on messages may follow at once, in the same turn of the event loop.
        heard = (next) => this.#heard(link, next);
        ended = () => link === this.#link && this.#lost();
        this.#welcomed(link, message);
        resolve(message);
      };
      link.send(this.#hello());
    }).catch((error) => {
      link.close();
      throw error;
    });
    return welcome;
  }

  async #freshToken() {
    const { token } = this.#setup;
    return typeof token === 'function' ? token() : token;
  }

  /** @returns {ClientMessage} */
  #hello() {
    const hello = { type: /** @type {const} */ ('hello'), version: VERSION, token: this.#token, client: CLIENT };
    if (!this.#welcome) return hello;
    const { session, secret } = this.#welcome;
    return { ...hello, resume: { session, secret, seen: this.#setup.seen() } };
  }

  /**
   * @param {import('./link.js').Link} link
   * @param {Welcome} welcome
   */
  #welcomed(link, welcome) {
    if (this.#state === 'closed') return link.close();
    const before = this.#welcome;
    clearTimeout(this.#grace);
    this.#link = link;
    this.#welcome = welcome;
    this.#heardAt = this.#welcomedAt = performance.now();
    this.#unanswered = 0;
    if (before && !welcome.resumed) {
      this.#waiting = [];
      this.#setup.forgotten();
    }
    this.#plan(welcome.expires_at);
    this.#setup.welcome(welcome);
    this.#become('connected');
    for (const message of this.#waiting.splice(0)) link.send(message);
    clearInterval(this.#pings);
    this.#pings = setInterval(() => this.#judge(), PING_MS);
    this.#ping();
  }

  /** @param {State} state */
  #become(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#setup.state(state);
  }

  #judge() {
    if (this.#unanswered >= UNANSWERED_MAX) return this.dropLink();
    this.#unanswered += 1;
    this.#ping();
  }

  #ping() {
    this.sendIfConnected({ type: 'ping', data: Math.round(performance.now() * 1000) });
  }

  /** The network came back or changed, or the page is looked at again: an old link may be dead without a word. */
  #networkChanged() {
    this.#hurry();
    if (this.#state !== 'connected') return;
    const link = this.#link;
    const asked = performance.now();
    this.#ping();
    setTimeout(() => {
      // So late that the page itself was asleep: the regular pings judge.
      if (performance.now() - asked > PING_MS) return;
      if (link === this.#link && this.#state === 'connected' && this.#heardAt < asked) this.dropLink();
    }, PING_MS / 2);
  }

  /**
   * @param {import('./link.js').Link} link
   * @param {Uint8Array} datagram
   */
  #heardDatagram(link, datagram) {
    if (link !== this.#link) return;
    this.#heardAt = performance.now();
    this.#unanswered = 0;
    this.#setup.datagram(datagram);
  }

  /**
   * @param {import('./link.js').Link} link
   * @param {ServerMessage} message
   */
  #heard(link, message) {
    if (link !== this.#link) return;
    const now = performance.now();
    this.#heardAt = now;
    this.#unanswered = 0;
    if (message.type === 'pong') {
      const rtt = Math.max(0, now - message.data / 1000);
      this.#rtt = this.#rtt === 0 ? rtt : this.#rtt + (rtt - this.#rtt) / 4;
    } else if (message.type === 'renewed') this.#plan(message.expires_at);
    else if (message.type === 'goodbye') this.#goodbye(message.reason);
    else {
      // The renewal was refused.
      if (message.type === 'error' && message.code === 'bad-token') this.#plan(this.#expiresAt);
      this.#setup.message(message);
    }
  }

  /** @param {import('./signal.js').GoodbyeReason} reason */
  #goodbye(reason) {
    const renewable = typeof this.#setup.token === 'function';
    if (reason === 'bye') return this.#finish();
    if (reason === 'replaced') return this.#fail('wrong-state', 'This session goes on elsewhere.');
    if (reason === 'token-expired' && !renewable) return this.#fail('bad-token', 'The sign-in has expired. Sign in again.');
    this.#link?.close();
    this.#lost();
  }

  /** Renews the token in time; after a failure, again within the time that is left. @param {number} expiresAt Unix milliseconds */
  #plan(expiresAt) {
    this.#expiresAt = expiresAt;
    clearTimeout(this.#renewal);
    if (this.#state === 'closed' || typeof this.#setup.token !== 'function') return;
    const life = expiresAt - Date.now();
    const wait = Math.min(TIMER_MAX_MS, Math.max(1000, life * (1 - RENEWAL_SHARE)));
    this.#renewal = setTimeout(() => void this.#renew(), wait);
  }

  async #renew() {
    try {
      this.#token = await this.#freshToken();
      this.sendIfConnected({ type: 'renew', token: this.#token });
    } catch (error) {
      this.#setup.error(new TandemError('bad-token', 'The sign-in could not be renewed.', error));
      this.#plan(this.#expiresAt);
    }
  }

  /** The link is gone. */
  #lost() {
    if (this.#state !== 'connected') return;
    this.#link = undefined;
    clearInterval(this.#pings);
    this.#become('reconnecting');
    this.#grace = setTimeout(() => this.#graceOver(), this.#welcome?.grace_ms ?? 0);
    void this.#reconnect();
  }

  #graceOver() {
    this.#welcome = undefined;
    this.#waiting = [];
    this.#setup.forgotten();
  }

  async #reconnect() {
    // At once, without a timer: those of a hidden page may be a minute late.
    const first = performance.now() - this.#welcomedAt > STEADY_MS ? 0 : 1;
    for (let attempt = first; this.#state === 'reconnecting'; attempt++) {
      if (attempt > 0) await this.#pause(attempt);
      if (this.#state !== 'reconnecting') return;
      try {
        await this.#connect();
        return;
      } catch (error) {
        const code = error instanceof TandemError ? error.code : 'unreachable';
        const hopeless = FINAL.has(code) || (code === 'bad-token' && typeof this.#setup.token !== 'function');
        if (hopeless) return this.#fail(code, /** @type {Error} */ (error).message);
      }
    }
  }

  /** @param {number} attempt from 1 on */
  #pause(attempt) {
    const wait = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#hurry = () => (clearTimeout(timer), resolve(undefined));
    });
  }

  /**
   * @param {import('./errors.js').Code} code
   * @param {string} message
   */
  #fail(code, message) {
    this.#setup.error(new TandemError(code, message));
    this.#finish();
  }

  #finish() {
    clearInterval(this.#pings);
    clearTimeout(this.#renewal);
    clearTimeout(this.#grace);
    globalThis.removeEventListener?.('online', this.#onNetwork);
    globalThis.document?.removeEventListener('visibilitychange', this.#onVisibility);
    this.#link?.close();
    this.#link = undefined;
    this.#waiting = [];
    this.#become('closed');
    this.#hurry();
    this.#setup.forgotten();
  }
}
