// @ts-check
/**
 * The card of one call: who, how it stands, how well it sounds, and what one can do.
 *
 * @module
 */
import { face, fillKeypad, make } from './dom.js';
import { RoomView } from './room-view.js';
import { isTalking, nameOf, scoreWords, statusWords } from './words.js';

/** @typedef {import('../call.js').Call} Call */

/**
 * What the card's buttons do.
 * @typedef {object} Actions
 * @property {(call: Call) => void} answer
 * @property {(call: Call) => void} resume
 * @property {(key: string) => void} key
 * @property {boolean} mayRecord whether recording is offered
 * @property {(call: Call) => Call[]} others the other conversations, with which this one's party can be connected
 */

/** @typedef {{ id: string, label: string, className?: string, pressed?: boolean, press: () => void }} Button */

/** See the module. */
export class CallCard {
  element;
  #call;
  #status = make('p', { className: 'status' });
  #recorded = make('span', { className: 'badge', 'data-state': 'recorded', role: 'status', hidden: true }, 'Recording');
  #figures = make('dl', { className: 'figures', hidden: true });
  #buttons = make('div', { className: 'buttons' });
  #keypad = make('div', { className: 'keypad', role: 'group', hidden: true, 'aria-label': 'Keypad of this call' });
  #transferTo = make('input', { type: 'text', required: true, placeholder: 'Transfer to', 'aria-label': 'Transfer to' });
  #transfer = make('form', { hidden: true }, this.#transferTo, make('button', { type: 'submit' }, 'Transfer'));
  #name = make('p', { className: 'name' });
  #face = make('span');
  #actions;
  #shown = '';
  /** Whether the keypad was offered, once, when the gateway began to speak. */
  #offeredKeys = false;

  /**
   * @param {Call} call
   * @param {Actions} actions
   */
  constructor(call, actions) {
    this.#call = call;
    this.#actions = actions;
    const head = make('div', { className: 'head' }, this.#face, make('div', { className: 'grow' }, this.#name, this.#status), this.#recorded);
    this.element = make('article', { className: 'card call', tabIndex: -1 }, head, this.#figures, new RoomView(call).element, this.#keypad, this.#transfer, this.#buttons);
    fillKeypad(this.#keypad, (key) => {
      call.sendDigits(key);
      actions.key(key);
    });
    this.#transfer.onsubmit = (event) => {
      event.preventDefault();
      call.transfer(this.#transferTo.value.trim());
      this.#toggleTransfer();
    };
    call.addEventListener('quality', () => this.#showFigures());
    this.show();
  }

  /** Brings the card up to date. */
  show() {
    const call = this.#call;
    const name = nameOf(call);
    const incoming = call.state === 'ringing' && call.direction === 'incoming';
    if (this.#name.textContent !== name) {
      this.#name.textContent = name;
      const sign = face(name);
      this.#face.replaceWith(sign);
      this.#face = sign;
    }
    this.element.dataset.state = incoming ? 'incoming' : call.state;
    this.element.setAttribute('aria-label', `Call with ${name}`);
    this.tick();
    this.#recorded.hidden = !call.isRecorded;
    if (call.state === 'answered' && !call.room && !this.#offeredKeys) {
      this.#offeredKeys = true;
      this.#keypad.hidden = false;
    }
    const buttons = this.#wanted(incoming);
    const shown = buttons.map(({ id, pressed }) => `${id}${pressed}`).join();
    if (shown !== this.#shown) this.#showButtons(buttons);
    this.#shown = shown;
    if (!isTalking(call)) this.#figures.hidden = this.#keypad.hidden = true;
    if (call.state !== 'connected') this.#transfer.hidden = true;
  }

  /** Brings the clock up to date. */
  tick() {
    const words = statusWords(this.#call);
    if (this.#status.textContent !== words) this.#status.textContent = words;
    // A clock that is read out every second helps nobody.
    this.#status.setAttribute('aria-live', isTalking(this.#call) && this.#call.speaks ? 'off' : 'polite');
  }

  /**
   * @param {boolean} incoming
   * @returns {Button[]}
   */
  #wanted(incoming) {
    const call = this.#call;
    const actions = this.#actions;
    const end = { id: 'hangup', label: 'Hang up', className: 'end', press: () => call.hangup() };
    if (incoming) {
      return [
        { id: 'answer', label: 'Answer', className: 'take', press: () => actions.answer(call) },
        { id: 'decline', label: 'Decline', className: 'end', press: () => call.decline() },
      ];
    }
    if (call.state === 'ended') return [];
    if (!isTalking(call)) return [{ ...end, label: 'Cancel' }];
    const keys = { id: 'keys', label: 'Keypad', pressed: !this.#keypad.hidden, press: () => this.#toggleKeypad() };
    if (!call.speaks) return [keys, end];
    const mute = { id: 'mute', label: 'Mute', pressed: call.isMuted, press: () => (call.isMuted ? call.unmute() : call.mute()) };
    const hold = { id: 'hold', label: 'Hold', pressed: call.isHeld, press: () => (call.isHeld ? actions.resume(call) : call.hold()) };
    const action = call.isRecorded ? 'stop' : 'start';
    const record = { id: 'record', label: 'Record', pressed: call.isRecorded, press: () => call.record(action) };
    const park = { id: 'park', label: 'Park', press: () => call.park() };
    const transfer = { id: 'transfer', label: 'Transfer', pressed: !this.#transfer.hidden, press: () => this.#toggleTransfer() };
    const connect = actions.others(call).map((other) => ({
      id: `connect-${other.id}`,
      label: `Connect with ${nameOf(other)}`,
      press: () => call.transferInto(other),
    }));
    const inCall = call.state === 'connected' ? [hold, park, transfer, ...connect] : [];
    return [mute, ...inCall, keys, ...(actions.mayRecord ? [record] : []), end];
  }

  #toggleKeypad() {
    this.#keypad.hidden = !this.#keypad.hidden;
    this.show();
  }

  #toggleTransfer() {
    this.#transfer.hidden = !this.#transfer.hidden;
    this.show();
    if (!this.#transfer.hidden) this.#transferTo.focus();
  }

  /** @param {Button[]} wanted */
  #showButtons(wanted) {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.action : undefined;
    const within = this.#buttons.contains(document.activeElement);
    this.#buttons.replaceChildren(
      ...wanted.map(({ id, label, className = '', pressed, press }) => {
        const button = make('button', { type: 'button', className, 'data-action': id, onclick: press }, label);
        if (pressed !== undefined) button.setAttribute('aria-pressed', String(pressed));
        return button;
      }),
    );
    if (!within) return;
    // The pressed button may be gone: who works by keyboard stays at this call.
    const next = this.#buttons.querySelector(`[data-action="${focused}"]`) ?? this.#buttons.firstElementChild ?? this.element;
    /** @type {HTMLElement} */ (next).focus();
  }

  #showFigures() {
    const quality = this.#call.quality;
    if (!quality || !isTalking(this.#call)) return;
    const { local, rttMs, bufferMs, lossShare, peer } = quality;
    const figures = [
      local.packets > 0 ? [`Sound ${local.mos.toFixed(1)}`, scoreWords(local.mos)] : ['Sound', '—'],
      ['They hear', peer && peer.packets > 0 ? scoreWords(peer.mos) : '—'],
      ['Loss', `${(100 * lossShare).toFixed(1)} %`],
      ['Jitter', `${local.jitter_ms.toFixed(0)} ms`],
      ['Round trip', `${rttMs.toFixed(0)} ms`],
      ['Buffer', `${bufferMs.toFixed(0)} ms`],
    ];
    this.#figures.replaceChildren(...figures.map(([what, value]) => make('div', {}, make('dt', {}, what), make('dd', {}, value))));
    this.#figures.setAttribute('aria-live', 'off');
    this.#figures.hidden = false;
  }
}
