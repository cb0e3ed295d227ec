// @ts-check
/**
 * The user's voice messages: lists, marks, shares and deletes them, and fetches their sound.
 *
 * @module
 */
import { TandemError } from './errors.js';

/** Questions that wait for an answer. Beyond it a further one is refused. */
const ASKED_MAX = 32;
/** Longest message that is fetched: an hour of Opus at 64 kbit/s. */
const SOUND_BYTES_MAX = 32 * 1024 * 1024;

/** @typedef {import('./signal.js').VoiceMessage} VoiceMessage */
/** @typedef {{ messages: VoiceMessage[], mailbox: string, next: string | undefined }} Page `next` asks for the next one */

/** What a mailbox needs of its client. @typedef {object} Host
 * @property {(message: import('./signal.js').ClientMessage) => void} send
 * @property {() => string} token
 * @property {URL} gateway
 */

/** See the module. */
export class Mailbox {
  /** Messages that nobody has heard yet, and all of them, in all of the user's mailboxes. */
  waiting = { waiting: 0, messages: 0 };
  #host;
  #refs = 0;
  /** @type {Map<string, { resolve: (answer: any) => void, reject: (error: Error) => void }>} */
  #asked = new Map();

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
  }

  /**
   * A page of the messages, the newest first.
   * @param {{ mailbox?: string, cursor?: string }} [which] without `mailbox`: the one with the user's name
   * @returns {Promise<Page>}
   */
  async list({ mailbox, cursor } = {}) {
    const { mailbox: name, messages, next } = await this.#ask({ mailbox, action: 'list', cursor });
    return { mailbox: name, messages, next: next ?? undefined };
  }

  /**
   * Marks a message as heard, or not.
   * @param {VoiceMessage} message
   * @param {boolean} heard
   * @param {string} [mailbox]
   * @returns {Promise<VoiceMessage>}
   */
  async mark({ id }, heard, mailbox) {
    return (await this.#ask({ mailbox, action: 'mark', message: id, heard })).message;
  }

  /**
   * Shares a message with another mailbox of the tenant.
   * @param {VoiceMessage} message
   * @param {string} other
   * @param {string} [mailbox]
   * @returns {Promise<VoiceMessage>}
   */
  async share({ id }, other, mailbox) {
    return (await this.#ask({ mailbox, action: 'share', message: id, with: other })).message;
  }

  /**
   * Deletes a message.
   * @param {VoiceMessage} message
   * @param {string} [mailbox]
   */
  async delete({ id }, mailbox) {
    await this.#ask({ mailbox, action: 'delete', message: id });
  }

  /**
   * A message's sound: Ogg Opus.
   * @param {VoiceMessage} message
   * @param {string} mailbox its name
   * @returns {Promise<Blob>}
   */
  async sound({ id }, mailbox) {
    const path = `/v1/mailboxes/${encodeURIComponent(mailbox)}/messages/${encodeURIComponent(id)}/audio`;
    const headers = { authorization: `Bearer ${this.#host.token()}` };
    const response = await fetch(new URL(path, this.#host.gateway), { headers, cache: 'no-store' }).catch((error) => {
      throw new TandemError('unreachable', 'The message could not be fetched.', error);
    });
    if (!response.ok) throw new TandemError('no-such-message', (await response.text()).trim() || `The gateway answered ${response.status}.`);
    if (Number(response.headers.get('content-length')) > SOUND_BYTES_MAX) throw new TandemError('overloaded', 'The message is too long to be played here.');
    return response.blob();
  }

  /**
   * @param {import('./signal.js').MailboxRequest & { mailbox?: string }} request
   * @returns {Promise<any>}
   */
  #ask(request) {
    if (this.#asked.size >= ASKED_MAX) throw new TandemError('overloaded', 'Too many questions wait for an answer.');
    this.#refs += 1;
    const ref = `m${this.#refs}`;
    return new Promise((resolve, reject) => {
      this.#asked.set(ref, { resolve, reject });
      this.#host.send({ type: 'mailbox', ref, ...request });
    });
  }

  /**
   * The gateway answered. For the client.
   * @param {{ ref: string }} message
   */
  answered(message) {
    this.#asked.get(message.ref)?.resolve(message);
    this.#asked.delete(message.ref);
  }

  /**
   * The gateway refused a question; says whether it was one of these. For the client.
   * @param {string} ref
   * @param {Error} error
   */
  refused(ref, error) {
    const asked = this.#asked.get(ref);
    asked?.reject(error);
    return this.#asked.delete(ref);
  }

  /** The answers were lost with the link. For the client. */
  lost() {
    const error = new TandemError('link-lost', 'The connection broke. Try again.');
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }
}
