// @ts-check
/**
 * The agent's desk: log on to queues, pause, go on, log off; and calls that are parked.
 *
 * @module
 */
import { byId, make } from './dom.js';

/** What an agent does, in words. @type {Record<import('../signal.js').AgentState, string>} */
const STATES = {
  'logged-off': 'Not logged on',
  available: 'Waiting for callers',
  occupied: 'In another call',
  offered: 'A caller is offered',
  talking: 'Talking to a caller',
  'wrap-up': 'Wrapping up',
  resting: 'Left alone after a missed call',
  paused: 'Paused',
  'set-aside': 'Set aside after missed calls',
};
/** In which of them an agent may go on at once. */
const IDLE = new Set(['paused', 'set-aside', 'wrap-up', 'resting']);

/** See the module. */
export class Desk {
  #client;
  #complain;

  /**
   * @param {import('../tandem.js').Tandem} client
   * @param {(error: unknown) => void} complain
   */
  constructor(client, complain) {
    this.#client = client;
    this.#complain = complain;
    client.addEventListener('agent', () => this.#show());
    byId('desk-form').onsubmit = (event) => {
      event.preventDefault();
      const field = /** @type {HTMLInputElement} */ (byId('queue'));
      this.#serve('log-on', field.value.trim());
      field.value = '';
    };
    byId('slot-form').onsubmit = (event) => {
      event.preventDefault();
      const field = /** @type {HTMLInputElement} */ (byId('slot'));
      client.pickUp(field.value.trim()).catch(complain);
      field.value = '';
    };
    this.#show();
  }

  /**
   * @param {'log-on' | 'log-off' | 'pause' | 'resume'} action
   * @param {string} [queue]
   */
  #serve(action, queue) {
    try {
      this.#client.serve(action, queue);
    } catch (error) {
      this.#complain(error);
    }
  }

  #show() {
    const { state, queues } = this.#client.agent;
    byId('agent-state').textContent = STATES[state] ?? state;
    const button = (/** @type {'log-off' | 'pause' | 'resume'} */ action, /** @type {string} */ label, /** @type {string} */ queue = '') => {
      const properties = { type: 'button', 'data-agent': action, onclick: () => this.#serve(action, queue || undefined) };
      return make('button', properties, label);
    };
    const rows = queues.map((queue) => make('li', {}, make('span', { className: 'grow' }, queue), button('log-off', 'Log off', queue)));
    byId('queues').replaceChildren(...rows);
    const pause = IDLE.has(state) ? button('resume', 'Go on') : button('pause', 'Pause');
    byId('desk-buttons').replaceChildren(...(state === 'logged-off' ? [] : [pause]));
  }
}
