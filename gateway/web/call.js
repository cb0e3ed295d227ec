// @ts-check
/**
 * One call, as a page sees it.
 *
 * @module
 */
import { CallVoice } from './call-voice.js';
import { Room } from './room.js';

/** @typedef {import('./signal.js').Cause} Cause */
/** @typedef {import('./call-voice.js').Quality} Quality */
/** @typedef {import('./signal.js').Reception} Reception */

/**
 * - `calling`: the gateway is asked, or nothing rings yet
 * - `ringing`: somebody is rung (outgoing), or this side rings (incoming)
 * - `answered`: the gateway itself speaks: prompts are heard, keys are taken; or the call is in a room
 * - `connected`: talking
 * - `waiting`: a conversation of this call is over and the plan goes on
 * - `ended`
 * @typedef {'calling' | 'ringing' | 'answered' | 'connected' | 'waiting' | 'ended'} CallState
 */

/**
 * What a call needs of its client.
 * @typedef {object} Host
 * @property {(message: import('./signal.js').ClientMessage) => void} send
 * @property {(message: import('./signal.js').ClientMessage) => void} sendIfConnected
 * @property {(datagram: Uint8Array) => void} sendDatagram
 * @property {import('./voice.js').AudioDevices} devices
 * @property {() => number} rttMs
 * @property {(error: Error) => void} error
 */

/**
 * A call.
 *
 * Events, each a `CustomEvent` whose `detail` is given here: `ringing`, `answered` (the gateway speaks), `connected` ({ peer }),
 * `disconnected`, `hear` ({ receive, who }) and `unhear` ({ receive }) of a further voice beside the first, `held`, `unheld`, `muted`,
 * `unmuted` (what the other party does), `dtmf` ({ digits }), `recorded` ({ on }), `redirected` ({ to }), `entered` ({ room, kind }),
 * `room` ({@link Room}, whenever it changes), `exited` ({ room, cause, reason }), `offered` ({ queue, waited_ms }), `queued` ({ queue,
 * position, estimate_ms }), `parked` ({ slot }), `parked-in` ({ slot }) of a call that this side parked, `peer-lost`, `peer-back`,
 * `quality` ({@link Quality}), `ended` ({ cause, reason }), and `change` after each of them and after this side's own `hold`, `mute` and so
 * on.
 */
export class Call extends EventTarget {
  /** The call's name at the gateway. */
  id;
  /** @type {'outgoing' | 'incoming'} */
  direction;
  /** The other party's address: what was dialled, who calls, or who answered. */
  peer;
  /** The other party's name, when the gateway knows it. @type {string | undefined} */
  peerName;
  /** What the caller dialled. */
  to;
  /** @type {CallState} */
  state = 'calling';
  /** Whether this side does not send its voice. */
  isMuted = false;
  /** Whether this side holds the call. */
  isHeld = false;
  /** Whether the other party does not send their voice. */
  isPeerMuted = false;
  /** Whether the other party holds the call. */
  isPeerHolding = false;
  /** Whether the other party's connection is lost for now. */
  isPeerLost = false;
  /** Whether the gateway records this call. */
  isRecorded = false;
  /** Whom to call instead, when the gateway said so. @type {string | undefined} */
  redirectedTo;
  /** The room that the call is in. @type {Room | undefined} */
  room;
  /** The queue that offers this call. @type {string | undefined} */
  offeredBy;
  /** Where this caller waits. @type {{ queue: string, position: number, estimate_ms?: number | null } | undefined} */
  queued;
  /** Where the call is parked, by either side. @type {string | undefined} */
  parkedIn;
  startedAt = new Date();
  /** @type {Date | undefined} */
  connectedAt;
  /** @type {Date | undefined} */
  endedAt;
  /** @type {Cause | undefined} */
  cause;
  /** Why it ended, in the routing function's words. @type {string | undefined} */
  reason;
  /** The newest figures. @type {Quality | undefined} */
  quality;
  #host;
  #voice;
  /** The flows of what is heard that are members of the room. @type {ReadonlySet<number>} */
  #inRoom = new Set();
  /** @type {Promise<void> | undefined} */
  #answering;

  /**
   * Made by the client.
   * @param {Host} host
   * @param {{ id: string, direction: 'outgoing' | 'incoming', peer: string, peerName?: string | null, to: string }} what
   */
  constructor(host, { id, direction, peer, peerName, to }) {
    super();
    this.#host = host;
    this.id = id;
    this.direction = direction;
    this.peer = peer;
    this.peerName = peerName ?? undefined;
    this.to = to;
    this.#voice = new CallVoice(host, id, (quality) => {
      this.quality = quality;
      this.#tell('quality', quality);
    });
  }

  /** Whether this side's voice is taken in, by the other party or the gateway. */
  get speaks() {
    return this.#voice.sends >= 0;
  }

  /**
   * Whether a flow is one of this call's. For the client.
   * @param {number} flow
   */
  hears(flow) {
    return this.#voice.hears.has(flow);
  }

  /** Takes an incoming call. Asks for the microphone first, so that the caller does not meet silence. Once is enough. */
  answer() {
    this.#answering ??= this.#answer().catch((error) => {
      this.#answering = undefined;
      throw error;
    });
    return this.#answering;
  }

  async #answer() {
    await Promise.all([this.#host.devices.openMicrophone(), this.#host.devices.context()]);
    if (this.state === 'ringing') this.#send('answer');
  }

  /**
   * Refuses an incoming call.
   * @param {'declined' | 'busy'} cause
   */
  decline(cause = 'declined') {
    this.#host.send({ type: 'decline', call: this.id, cause });
  }

  /** Ends the call; before it is answered, cancels it. */
  hangup() {
    if (this.state === 'ended') return;
    this.#voice.report();
    this.#send('hangup');
  }

  /** Puts the other party on hold: no voice either way. */
  hold() {
    this.isHeld = true;
    this.#send('hold');
  }

  /** Ends this side's hold. */
  resume() {
    this.isHeld = false;
    this.#send('resume');
  }

  /** Stops sending this side's voice. */
  mute() {
    this.isMuted = true;
    this.#send('mute');
  }

  /** Sends this side's voice again. */
  unmute() {
    this.isMuted = false;
    this.#send('unmute');
  }

  /**
   * Presses keys.
   * @param {string} digits of `0-9`, `*`, `#`, `A-D`; at most 32
   */
  sendDigits(digits) {
    if (!/^[0-9*#A-D]{1,32}$/.test(digits)) throw new RangeError('1 to 32 keys of 0-9, *, #, A-D');
    this.#host.send({ type: 'dtmf', call: this.id, digits });
  }

  /**
   * Has the gateway record this call; needs the grant `record`. `isRecorded` and `recorded` events say how it stands.
   * @param {import('./signal.js').RecordAction} action
   */
  record(action = 'start') {
    this.#host.send({ type: 'record', call: this.id, action });
  }

  /**
   * Does something to the room that this call is in. Most actions are for moderators; the gateway judges.
   * @param {import('./signal.js').RoomAction} action
   * @param {import('./signal.js').RoomMember} [member]
   */
  inRoom(action, member) {
    this.#host.send({ type: 'room', call: this.id, action, ...(member ? { member: member.flow } : {}) });
  }

  /**
   * Hands the other party over to another user, and leaves.
   * @param {string} to
   */
  transfer(to) {
    this.#host.send({ type: 'transfer', call: this.id, to });
  }

  /**
   * Connects the other party with the other party of another call, and leaves both: an attended transfer.
   * @param {Call} other
   */
  transferInto(other) {
    this.#host.send({ type: 'attended-transfer', call: this.id, to_call: other.id });
  }

  /**
   * Parks the other party, and leaves; `parked-in` tells the slot.
   * @param {string} [slot] without it wherever there is room
   */
  park(slot) {
    this.#host.send({ type: 'park', call: this.id, ...(slot ? { slot } : {}) });
  }

  /**
   * Records what this call plays, just before the loudspeaker: the sound that the person hears. May be started before anything is heard.
   */
  recordPlayout() {
    this.#voice.startRecording();
  }

  /** Ends the recording of what is played and gives it. */
  stopRecording() {
    return this.#voice.stopRecording();
  }

  /** @param {'answer' | 'hangup' | 'hold' | 'resume' | 'mute' | 'unmute'} type */
  #send(type) {
    this.#host.send({ type, call: this.id });
    this.#pause();
    this.#tell('change');
  }

  #pause() {
    this.#voice.pause(this.isMuted || this.isHeld || this.isPeerHolding, this.isHeld || this.isPeerHolding);
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /**
   * Somebody is at the other end. For the client.
   * @param {string} peer
   * @param {string | null} [name]
   */
  rename(peer, name) {
    this.peerName = name ?? (peer === this.peer ? this.peerName : undefined);
    this.peer = peer;
  }

  /**
   * The gateway told of something that happened. For the client.
   * @param {import('./signal.js').Happening} what
   */
  handle(what) {
    this.#apply(what);
    if (what.event !== 'incoming') this.#tell(what.event, detailOf(what));
    this.#tell('change');
  }

  /** @param {import('./signal.js').Happening} what */
  #apply(what) {
    switch (what.event) {
      case 'incoming':
        // What goes on from another call is connected at once, and rings nobody.
        if (!what.continues) this.state = 'ringing';
        return;
      case 'ringing':
        this.state = 'ringing';
        return;
      case 'connected':
      case 'answered':
        return this.#speaks(what);
      case 'hear':
        // A called party that is whispered to before it is connected.
        if (this.direction === 'incoming' && this.state === 'ringing') this.state = 'answered';
        return this.#flows(this.#voice.sends, new Set([...this.#voice.hears, what.receive]));
      case 'unhear':
        return this.#flows(this.#voice.sends, new Set([...this.#voice.hears].filter((flow) => flow !== what.receive)));
      case 'disconnected':
        this.state = 'waiting';
        return this.#flows(-1, new Set());
      case 'entered':
        this.room = new Room(what.room, what.kind, what.send);
        this.#inRoom = new Set();
        return this.#speaks({ event: 'answered', send: what.send });
      case 'exited':
        this.room = undefined;
        this.state = 'waiting';
        return this.#flows(-1, new Set());
      case 'offered':
        this.offeredBy = what.queue;
        return;
      case 'queued':
        this.queued = what;
        return;
      case 'parked':
        this.parkedIn = what.slot;
        return;
      case 'recorded':
        this.isRecorded = what.on;
        return;
      case 'redirected':
        this.redirectedTo = what.to;
        return;
      case 'held':
      case 'unheld':
        this.isPeerHolding = what.event === 'held';
        return this.#pause();
      case 'muted':
      case 'unmuted':
        this.isPeerMuted = what.event === 'muted';
        return;
      case 'peer-lost':
      case 'peer-back':
        this.isPeerLost = what.event === 'peer-lost';
        return;
      case 'ended':
        return this.end(what.cause, what.reason);
    }
  }

  /** @param {{ event: 'connected' | 'answered', send: number, receive?: number }} what */
  #speaks({ event, send, receive }) {
    this.state = event;
    this.connectedAt ??= new Date();
    this.isPeerHolding = this.isPeerMuted = this.isPeerLost = this.isHeld = false;
    if (event === 'connected') this.queued = this.parkedIn = undefined;
    this.#flows(send, new Set(receive === undefined ? [] : [receive]));
  }

  /**
   * The gateway told what is new in the room. For the client.
   * @param {import('./signal.js').RoomNews} news
   */
  roomNews(news) {
    if (!this.room) return;
    this.room.apply(news);
    if (news.you) this.isMuted = news.you.muted ?? false;
    // What the gateway itself says in the room stays heard beside the members.
    const others = [...this.#voice.hears].filter((flow) => !this.#inRoom.has(flow));
    this.#inRoom = this.room.flows;
    this.#flows(this.#voice.sends, new Set([...others, ...this.#inRoom]));
    this.#tell('room', this.room);
    this.#tell('change');
  }

  /**
   * This side parked the call. For the client.
   * @param {string} slot
   */
  wasParked(slot) {
    this.parkedIn = slot;
    this.#tell('parked-in', { slot });
    this.#tell('change');
  }

  /**
   * All that is sent and heard from here on.
   * @param {number} sends
   * @param {ReadonlySet<number>} hears
   */
  #flows(sends, hears) {
    this.#voice.change(sends, hears);
    this.#pause();
  }

  /**
   * The call is over. For the client.
   * @param {Cause} cause
   * @param {string | null} [reason]
   */
  end(cause, reason) {
    if (this.state === 'ended') return;
    this.#voice.close();
    this.state = 'ended';
    this.isRecorded = false;
    this.endedAt = new Date();
    this.cause = cause;
    this.reason = reason ?? undefined;
  }

  /**
   * Voice came. For the client.
   * @param {import('./ear.js').Datagram} datagram
   */
  receive(datagram) {
    this.#voice.receive(datagram);
  }

  /**
   * The gateway told how this side is heard. For the client.
   * @param {Reception | null} uplink
   * @param {Reception | null} peer
   */
  heardAs(uplink, peer) {
    this.#voice.heardAs(uplink, peer);
  }
}

/** @param {import('./signal.js').Happening} what */
function detailOf(what) {
  const { event: _event, ...detail } = /** @type {Record<string, unknown>} */ (what);
  const { type: _type, call: _call, n: _n, ...rest } = detail;
  return rest;
}
