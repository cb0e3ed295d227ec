// @ts-check
/**
 * Tandem's browser SDK: calls from a web page.
 *
 * ```js
 * import { Tandem } from 'https://gateway.example/tandem.js';
 *
 * const client = await Tandem.connect({ gateway: 'https://gateway.example', token: () => fetchToken() });
 * client.addEventListener('incoming', ({ detail: call }) => call.answer());
 * const call = await client.call('bob');
 * call.addEventListener('ended', () => console.log(call.cause));
 * ```
 *
 * @module
 */
import { Call } from './call.js';
import { AudioDevices } from './devices.js';
import { TandemError, checkSupport } from './errors.js';
import { Mailbox } from './mailbox.js';
import { decodeDatagram } from './rtp.js';
import { Session } from './session.js';

export { Call, TandemError };

/** Ended calls whose last event number is remembered: as many as events that a gateway keeps to repeat them. */
const ENDED_MAX = 256;

/**
 * What {@link Tandem.connect} takes.
 * @typedef {object} Options
 * @property {string | URL} [gateway] Where the gateway's pages are (default: where this page is).
 * @property {string | (() => string | Promise<string>)} token A token, or what gets a new one; only then is it renewed.
 * @property {'auto' | import('./link.js').Kind} [transport] `auto` (default) takes WebTransport, and WebSocket where UDP is blocked.
 * @property {import('./devices.js').AudioOptions} [audio]
 */

/**
 * A client of a gateway.
 *
 * Events, each a `CustomEvent`: `state` ({@link import('./session.js').State}), `incoming` ({@link Call}), `presence` (a Map of user to
 * {@link import('./signal.js').Presence}), `waiting` ({ waiting, messages }: voice messages nobody has heard yet, and all), `agent`
 * ({ state, queues }), `error` ({@link TandemError}).
 */
export class Tandem extends EventTarget {
  /** The signed-in user. */
  user = '';
  /** Whose user. */
  tenant = '';
  /** Calls that are not over, by id. @type {Map<string, Call>} */
  calls = new Map();
  /** Who is reachable, of those that are watched. @type {Map<string, import('./signal.js').Presence>} */
  presence = new Map();
  /** The user's voice messages. */
  mailbox;
  /** What this user does as an agent of queues. @type {{ state: import('./signal.js').AgentState, queues: string[] }} */
  agent = { state: 'logged-off', queues: [] };
  #session;
  #devices;
  /** Invitations without an answer. @type {Map<string, { to: string, resolve: (call: Call) => void, reject: (error: Error) => void }>} */
  #invitations = new Map();
  #invited = 0;
  /** Call to the last event's number. @type {Map<string, number>} */
  #seen = new Map();
  /** @type {string[] | undefined} */
  #watched;
  /** @type {import('./call.js').Host} */
  #host;

  /**
   * Signs in.
   * @param {Options} options
   * @returns {Promise<Tandem>}
   * @throws {TandemError} in plain words, when the browser lacks something, the gateway does not answer or refuses the token
   */
  static async connect(options) {
    await checkSupport();
    const client = new Tandem(options);
    try {
      await client.#session.start();
    } catch (error) {
      void client.close();
      throw error;
    }
    return client;
  }

  /** @param {Options} options use {@link Tandem.connect} */
  constructor({ gateway = globalThis.location.origin, token, transport = 'auto', audio = {} }) {
    super();
    this.#devices = new AudioDevices(audio);
    this.#session = new Session({
      gateway: new URL(gateway),
      token,
      transport,
      seen: () => Array.from(this.#seen, ([call, n]) => ({ call, n })),
      message: (message) => this.#heard(message),
      datagram: (datagram) => this.#voice(datagram),
      state: (state) => this.#tell('state', state),
      welcome: (welcome) => this.#welcomed(welcome),
      forgotten: () => this.#forgotten(),
      error: (error) => this.#tell('error', error),
    });
    const session = this.#session;
    this.mailbox = new Mailbox({
      send: (message) => (this.#insistOnConnection(), session.send(message)),
      token: () => session.token,
      gateway: new URL(gateway),
    });
    this.#host = {
      send: (message) => session.send(message),
      sendIfConnected: (message) => session.sendIfConnected(message),
      sendDatagram: (datagram) => session.sendDatagram(datagram),
      devices: this.#devices,
      rttMs: () => session.rttMs,
      error: (error) => this.#tell('error', error),
    };
  }

  /** How the connection stands: `connecting`, `connected`, `reconnecting`, `closed`. */
  get state() {
    return this.#session.state;
  }

  /** `webtransport` or `websocket`; nothing while there is no connection. */
  get transport() {
    return this.#session.transport;
  }

  /** Round trip to the gateway, milliseconds. */
  get rttMs() {
    return this.#session.rttMs;
  }

  /**
   * Whether the token grants something: `call`, `answer`, `presence`, `record`. For what a page offers; the gateway judges.
   * @param {string} grant
   */
  may(grant) {
    return this.#session.grants.includes(grant);
  }

  /**
   * Calls somebody. The call is given as soon as the gateway has taken it; follow it by its events.
   * @param {string} to a user's name, or what the tenant's routing function makes of it
   * @param {{ headers?: Record<string, string> }} [options] `headers` are passed to the routing function
   * @returns {Promise<Call>}
   */
  async call(to, { headers = {} } = {}) {
    try {
      await Promise.all([this.#devices.openMicrophone(), this.#devices.context()]);
      this.#insistOnConnection();
    } catch (error) {
      this.#closeIdleMicrophone();
      throw error;
    }
    this.#invited += 1;
    const ref = `i${this.#invited}`;
    const list = Object.entries(headers).map(([name, value]) => ({ name: name.toLowerCase(), value }));
    return new Promise((resolve, reject) => {
      this.#invitations.set(ref, { to, resolve, reject });
      this.#session.send({ type: 'invite', ref, to, headers: list });
    });
  }

  /** An invitation that waited for the connection would ring somebody whom the caller has long given up. */
  #insistOnConnection() {
    if (this.state === 'closed') throw new TandemError('closed', 'This client is signed out.');
    if (this.state !== 'connected') throw new TandemError('link-lost', 'There is no connection at the moment. Try again.');
  }

  #closeIdleMicrophone() {
    if (this.calls.size === 0 && this.#invitations.size === 0) this.#devices.closeMicrophone();
  }

  /**
   * Asks to be told who is reachable, by `presence` events.
   * @param {string[]} users whom; empty means everybody that the tenant's settings name
   */
  watch(users = []) {
    this.#watched = users;
    this.#session.sendIfConnected({ type: 'watch', users });
  }

  /**
   * Serves a queue, or not any more; `agent` events say how that stands.
   * @param {'log-on' | 'log-off' | 'pause' | 'resume'} action
   * @param {string} [queue] for `log-on`, and for `log-off` of one alone
   */
  serve(action, queue) {
    this.#insistOnConnection();
    this.#session.send({ type: 'agent', action, ...(queue ? { queue } : {}) });
  }

  /**
   * Takes a parked call: it comes as an `incoming` one, and is connected at once.
   * @param {string} slot
   */
  async pickUp(slot) {
    await Promise.all([this.#devices.openMicrophone(), this.#devices.context()]);
    this.#insistOnConnection();
    this.#session.send({ type: 'pickup', slot });
  }

  /** Signs out: ends all calls and lets go of microphone and loudspeaker. Resolves when the gateway has been sent word of it. */
  async close() {
    const told = this.#session.close();
    this.#devices.close();
    await told;
  }

  /** Cuts the connection as a broken network would; it comes back by itself. For tests of an application. */
  dropLink() {
    this.#session.dropLink();
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @param {import('./signal.js').Welcome} welcome */
  #welcomed({ user, tenant }) {
    this.user = user;
    this.tenant = tenant;
    this.#rejectInvitations();
    this.mailbox.lost();
    const users = this.#watched;
    // Once the session counts as connected, in this same turn.
    if (users) queueMicrotask(() => this.#session.sendIfConnected({ type: 'watch', users }));
  }

  /** The gateway may have taken an invitation whose answer was lost with the link; such a call is hung up when it speaks up. */
  #rejectInvitations() {
    for (const { reject } of this.#invitations.values()) {
      reject(new TandemError('link-lost', 'The connection broke while calling. Try again.'));
    }
    this.#invitations.clear();
    this.#closeIdleMicrophone();
  }

  #forgotten() {
    this.#rejectInvitations();
    this.mailbox.lost();
    this.agent = { state: 'logged-off', queues: [] };
    this.#seen.clear();
    if (this.presence.size > 0) {
      this.presence.clear();
      this.#tell('presence', this.presence);
    }
    for (const call of [...this.calls.values()]) {
      this.calls.delete(call.id);
      call.handle({ event: 'ended', cause: 'connection-lost' });
    }
    this.#devices.closeMicrophone();
  }

  /** @param {import('./signal.js').ServerMessage} message */
  #heard(message) {
    switch (message.type) {
      case 'calling':
        return this.#calling(message.ref, message.call);
      case 'event':
        return this.#event(message);
      case 'presence':
        for (const presence of message.users) this.presence.set(presence.user, presence);
        return this.#tell('presence', this.presence);
      case 'quality':
        return this.calls.get(message.call)?.heardAs(message.uplink ?? null, message.peer ?? null);
      case 'room-news':
        return this.calls.get(message.call)?.roomNews(message);
      case 'parked-in':
        return this.calls.get(message.call)?.wasParked(message.slot);
      case 'messages':
      case 'message':
      case 'message-deleted':
        return this.mailbox.answered(message);
      case 'waiting':
        this.mailbox.waiting = { waiting: message.waiting, messages: message.messages };
        return this.#tell('waiting', this.mailbox.waiting);
      case 'agent-state':
        this.agent = { state: message.state, queues: message.queues };
        return this.#tell('agent', this.agent);
      case 'error':
        return this.#error(message);
    }
  }

  /**
   * @param {string} ref
   * @param {string} id
   */
  #calling(ref, id) {
    // Repeated, after a link that broke before the call's first event.
    if (this.calls.has(id)) return;
    const invitation = this.#invitations.get(ref);
    if (!invitation) return this.#session.send({ type: 'hangup', call: id });
    this.#invitations.delete(ref);
    const { to } = invitation;
    const peerName = this.presence.get(to)?.name;
    const call = new Call(this.#host, { id, direction: 'outgoing', peer: to, peerName, to });
    this.calls.set(id, call);
    invitation.resolve(call);
  }

  /** @param {import('./signal.js').CallEvent} event */
  #event(event) {
    if (event.n <= (this.#seen.get(event.call) ?? 0)) return;
    this.#seen.set(event.call, event.n);
    const call = this.calls.get(event.call) ?? this.#newCall(event);
    if (!call) return;
    if (event.event === 'connected') call.rename(event.peer, this.presence.get(event.peer)?.name);
    call.handle(event);
    if (event.event === 'incoming') this.#tell('incoming', call);
    if (event.event === 'ended') this.#ended(call);
  }

  /** @param {import('./signal.js').CallEvent} event */
  #newCall(event) {
    if (event.event === 'incoming') {
      const { call: id, from, name, to, continues } = event;
      const call = new Call(this.#host, { id, direction: 'incoming', peer: from, peerName: name, to });
      // Who was muted when they were handed over stays so.
      call.isMuted = this.calls.get(continues ?? '')?.isMuted ?? false;
      this.calls.set(id, call);
      return call;
    }
    if (event.event !== 'ended') this.#session.send({ type: 'hangup', call: event.call });
    return undefined;
  }

  /** @param {Call} call */
  #ended(call) {
    this.calls.delete(call.id);
    const over = [...this.#seen.keys()].filter((id) => !this.calls.has(id));
    for (const id of over.slice(0, -ENDED_MAX)) this.#seen.delete(id);
    this.#closeIdleMicrophone();
  }

  /** @param {import('./signal.js').ErrorMessage} message */
  #error({ code, message, ref, call }) {
    // A message crossed the call's end on its way.
    if (call && !this.calls.has(call)) return;
    const error = new TandemError(code, message);
    if (ref && this.mailbox.refused(ref, error)) return;
    const invitation = ref ? this.#invitations.get(ref) : undefined;
    if (!invitation) return this.#tell('error', error);
    this.#invitations.delete(/** @type {string} */ (ref));
    invitation.reject(error);
    this.#closeIdleMicrophone();
  }

  /** @param {Uint8Array} bytes */
  #voice(bytes) {
    const datagram = decodeDatagram(bytes);
    if (!datagram) return;
    for (const call of this.calls.values()) if (call.hears(datagram.flow)) return call.receive(datagram);
  }
}
