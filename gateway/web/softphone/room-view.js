// @ts-check
/**
 * The room that a call is in: who is there, who speaks, who asks to; and what a member or a moderator can do.
 *
 * @module
 */
import { face, make } from './dom.js';

/** @typedef {import('../call.js').Call} Call */
/** @typedef {import('../signal.js').RoomMember} RoomMember */

/** Members that are shown: more than that nobody reads. */
const SHOWN_MAX = 50;

/** See the module. */
export class RoomView {
  element;
  #call;
  #state = make('p', { className: 'empty' });
  #members = make('ul', { className: 'members' });
  #buttons = make('div', { className: 'buttons' });

  /** @param {Call} call */
  constructor(call) {
    this.#call = call;
    this.element = make('section', { className: 'room', hidden: true, 'aria-label': 'Room' }, this.#state, this.#members, this.#buttons);
    call.addEventListener('change', () => this.show());
  }

  /** Brings the view up to date. */
  show() {
    const { room } = this.#call;
    this.element.hidden = room === undefined;
    if (!room) return;
    this.#state.textContent = roomWords(room);
    // Who waits to be let in first, then raised hands, then who speaks.
    const rank = (/** @type {RoomMember} */ member) => (member.waiting ? 0 : member.hand ? 1 : room.speaksNow(member) ? 2 : member.speaks ? 3 : 4);
    const members = [...room.members.values()].sort((a, b) => rank(a) - rank(b) || a.flow - b.flow);
    this.#members.replaceChildren(...members.slice(0, SHOWN_MAX).map((member) => this.#row(member)));
    this.#showButtons();
  }

  /** @param {RoomMember} member */
  #row(member) {
    const room = /** @type {import('../room.js').Room} */ (this.#call.room);
    const shown = member.name ?? member.user;
    const text = make('span', { className: 'grow' }, shown, make('small', {}, memberWords(member, room.speaksNow(member))));
    const act = (/** @type {import('../signal.js').RoomAction} */ action, /** @type {string} */ label) => {
      const properties = { type: 'button', 'data-room': action, 'aria-label': `${label}: ${shown}`, onclick: () => this.#call.inRoom(action, member) };
      return make('button', properties, label);
    };
    const speaking = room.speaksNow(member) ? 'speaking' : 'listening';
    return make('li', { 'data-member': member.user, 'data-speaking': speaking }, face(shown), text, ...(room.you?.moderator ? this.#moderation(member, act) : []));
  }

  /**
   * @param {RoomMember} member
   * @param {(action: import('../signal.js').RoomAction, label: string) => HTMLButtonElement} act
   */
  #moderation(member, act) {
    if (member.waiting) return [act('admit', 'Let in'), act('kick', 'Refuse')];
    const channel = this.#call.room?.kind === 'channel';
    const buttons = [act('kick', 'Remove')];
    if (channel && !member.moderator) buttons.unshift(member.speaks ? act('stop-speaking', 'Stop') : act('let-speak', 'Let speak'));
    else if (member.speaks && !member.moderator) buttons.unshift(member.silenced ? act('unsilence', 'Unmute') : act('silence', 'Mute'));
    if (member.hand) buttons.unshift(act('lower-hand', 'Hand down'));
    return buttons;
  }

  #showButtons() {
    const { room } = this.#call;
    if (!room) return;
    const { you, state } = room;
    const act = (/** @type {import('../signal.js').RoomAction} */ action, /** @type {string} */ label, className = '') =>
      make('button', { type: 'button', className, 'data-room': action, onclick: () => this.#call.inRoom(action) }, label);
    const buttons = [you?.hand ? act('lower-hand', 'Hand down') : act('raise-hand', 'Raise hand')];
    if (you?.moderator) {
      buttons.push(state.locked ? act('unlock', 'Unlock') : act('lock', 'Lock'));
      buttons.push(state.lobby ? act('no-lobby', 'Lobby off') : act('lobby', 'Lobby on'));
      buttons.push(act('silence', 'Mute all'), act('unsilence', 'Unmute all'), act('end', 'End for all', 'end'));
    }
    buttons.push(act('leave', 'Leave'));
    const shown = buttons.map((button) => button.textContent).join();
    // Buttons that stay the same stay: the keyboard's focus is on one of them.
    if (this.#buttons.dataset.shown !== shown) this.#buttons.replaceChildren(...buttons);
    this.#buttons.dataset.shown = shown;
  }
}

/** @param {import('../room.js').Room} room */
function roomWords({ kind, state, you }) {
  if (you?.waiting) return 'You will be let in soon…';
  if (!state.started) return 'It has not begun yet…';
  const there = kind === 'channel' ? `${state.speakers} on the air, ${state.present - state.speakers} listening` : `${state.present} here`;
  const silenced = you?.silenced ? ' · a moderator muted you' : '';
  return there + (state.locked ? ' · locked' : '') + silenced;
}

/**
 * @param {RoomMember} member
 * @param {boolean} speaksNow
 */
function memberWords(member, speaksNow) {
  if (member.waiting) return 'Waits to be let in';
  const words = [];
  if (member.hand) words.push('asks to speak');
  if (member.moderator) words.push('moderates');
  if (member.away) words.push('connection lost');
  else if (member.silenced) words.push('muted by a moderator');
  else if (member.muted) words.push('muted');
  else if (speaksNow) words.push('speaks');
  else if (!member.speaks) words.push('listens');
  return words.join(' · ');
}
