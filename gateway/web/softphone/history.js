// @ts-check
/**
 * The last calls, kept in this browser for each user.
 *
 * @module
 */
import { byId, face, make } from './dom.js';
import { causeWords, clock, nameOf, secondsOf } from './words.js';

/** Calls that are kept. */
const KEPT = 12;

/** @typedef {{ peer: string, name: string, direction: 'outgoing' | 'incoming', at: number, what: string }} Entry */

/** See the module. */
export class History {
  #key;
  /** @type {Entry[]} */
  #entries;
  #dial;

  /**
   * @param {string} user
   * @param {(to: string) => void} dial
   */
  constructor(user, dial) {
    this.#key = `tandem.history.${user}`;
    this.#dial = dial;
    this.#entries = this.#load();
    this.#show();
  }

  /** @param {import('../call.js').Call} call an ended one */
  add(call) {
    const talked = call.connectedAt ? `${clock(secondsOf(call))} · ` : '';
    const peer = call.direction === 'incoming' ? call.peer : call.to;
    const entry = { peer, name: nameOf(call), direction: call.direction, at: Date.now(), what: talked + causeWords(call) };
    this.#entries = [entry, ...this.#entries].slice(0, KEPT);
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#entries));
    } catch {
      // Storage is full or forbidden: the list lives as long as the page.
    }
    this.#show();
  }

  /** @returns {Entry[]} */
  #load() {
    try {
      const entries = JSON.parse(localStorage.getItem(this.#key) ?? '[]');
      return Array.isArray(entries) ? entries : [];
    } catch {
      return [];
    }
  }

  #show() {
    byId('history-empty').hidden = this.#entries.length > 0;
    byId('history').replaceChildren(...this.#entries.map((entry) => this.#row(entry)));
  }

  /** @param {Entry} entry */
  #row({ peer, name, direction, at, what }) {
    const time = new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    const words = `${direction === 'incoming' ? '↙ From' : '↗ To'} · ${time} · ${what}`;
    const text = make('span', { className: 'grow' }, name, make('small', {}, words));
    const again = make('button', { type: 'button', 'aria-label': `Call ${name} again`, onclick: () => this.#dial(peer) }, 'Call');
    return make('li', {}, face(name), text, again);
  }
}
