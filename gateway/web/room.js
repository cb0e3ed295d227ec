// @ts-check
/**
 * A room that a call is in, a conference or a channel, as one member sees it: kept up to date by the gateway's news.
 *
 * @module
 */

/** @typedef {import('./signal.js').RoomMember} RoomMember */
/** @typedef {import('./signal.js').RoomNews} RoomNews */

/** See the module. */
export class Room {
  name;
  /** @type {'conference' | 'channel'} */
  kind;
  /** This member; nothing before the first news. @type {RoomMember | undefined} */
  you;
  /** Other members, by the flow of their voice. In a large room not everybody is shown. @type {Map<number, RoomMember>} */
  members = new Map();
  /** Who speaks now, the loudest first. @type {import('./signal.js').RoomSpeaker[]} */
  speakers = [];
  /** How the room is. @type {import('./signal.js').RoomState} */
  state = { started: false, locked: false, lobby: false, present: 1, speakers: 0 };
  /** The flow of this member's own voice. */
  #own;

  /**
   * @param {string} name
   * @param {'conference' | 'channel'} kind
   * @param {number} own
   */
  constructor(name, kind, own) {
    this.name = name;
    this.kind = kind;
    this.#own = own;
  }

  /**
   * Takes what is new. For the call.
   * @param {RoomNews} news
   */
  apply({ whole, you, members = [], gone = [], state, speakers }) {
    if (whole) this.members.clear();
    if (you) this.you = you;
    for (const flow of gone) this.members.delete(flow);
    for (const member of members) if (member.flow !== this.#own) this.members.set(member.flow, member);
    if (state) this.state = state;
    if (speakers) this.speakers = speakers;
  }

  /** The flows of all who may be heard: members who may talk, and whoever speaks without being shown. @returns {Set<number>} */
  get flows() {
    const talkers = [...this.members.values()].filter(({ speaks }) => speaks);
    const flows = new Set([...talkers, ...this.speakers].map(({ flow }) => flow));
    flows.delete(this.#own);
    return flows;
  }

  /** Whether this member speaks at the moment. */
  get isSpeaking() {
    return this.speakers.some(({ flow }) => flow === this.#own);
  }

  /**
   * Whether a member speaks at the moment.
   * @param {RoomMember} member
   */
  speaksNow({ flow }) {
    return this.speakers.some((speaker) => speaker.flow === flow);
  }
}
