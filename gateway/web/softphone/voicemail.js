// @ts-check
/**
 * The user's voice messages: a list, each with a picture of its sound that one can play from anywhere.
 *
 * @module
 */
import { byId, face, make } from './dom.js';
import { clock } from './words.js';

/** @typedef {import('../signal.js').VoiceMessage} VoiceMessage */

/** Bars of a waveform. */
const BARS = 64;

/** See the module. */
export class Voicemail {
  #client;
  #complain;
  #mailbox = '';
  /** @type {VoiceMessage[]} */
  #messages = [];
  /** Where the list goes on. @type {string | undefined} */
  #next;
  /** @type {Player | undefined} */
  #player;
  #section = byId('voicemail');

  /**
   * @param {import('../tandem.js').Tandem} client
   * @param {(error: unknown) => void} complain
   */
  constructor(client, complain) {
    this.#client = client;
    this.#complain = complain;
    client.addEventListener('waiting', () => void this.#reload());
    // It may have been told right after the welcome.
    if (client.mailbox.waiting.messages > 0) void this.#reload();
    byId('voicemail-more').onclick = () => void this.#more();
  }

  /** Stops what plays and forgets all. */
  close() {
    this.#player?.close();
    this.#section.hidden = true;
    byId('messages').replaceChildren();
  }

  async #reload() {
    const { waiting, messages } = this.#client.mailbox.waiting;
    this.#section.hidden = messages === 0 && this.#messages.length === 0;
    const badge = byId('waiting');
    badge.hidden = waiting === 0;
    badge.textContent = `${waiting} new`;
    try {
      const page = await this.#client.mailbox.list();
      this.#mailbox = page.mailbox;
      this.#messages = page.messages;
      this.#next = page.next;
      this.#show();
    } catch (error) {
      this.#complain(error);
    }
  }

  async #more() {
    try {
      const page = await this.#client.mailbox.list({ cursor: this.#next });
      this.#messages.push(...page.messages);
      this.#next = page.next;
      this.#show();
    } catch (error) {
      this.#complain(error);
    }
  }

  #show() {
    byId('messages-empty').hidden = this.#messages.length > 0;
    byId('voicemail-more').hidden = this.#next === undefined;
    byId('messages').replaceChildren(...this.#messages.map((message) => this.#row(message)));
  }

  /** @param {VoiceMessage} message */
  #row(message) {
    const { id, from, received_at: at, duration_ms: length, heard } = message;
    const when = new Date(at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
    const text = make('span', { className: 'grow' }, from, make('small', {}, `${when} · ${clock(Math.round(length / 1000))}`));
    const wave = make('div', { className: 'grow', hidden: true });
    const play = make('button', { type: 'button', 'aria-label': `Play the message of ${from}`, 'data-message': 'play' }, 'Play');
    play.onclick = () => void this.#play(message, wave, play);
    const remove = make('button', { type: 'button', 'aria-label': `Delete the message of ${from}`, 'data-message': 'delete' }, 'Delete');
    remove.onclick = () => void this.#delete(message);
    const row = make('li', { 'data-id': id, 'data-heard': String(heard) }, face(from), text, play, remove, wave);
    if (this.#player?.id === id) {
      wave.hidden = false;
      wave.replaceChildren(this.#player.element);
    }
    return row;
  }

  /**
   * @param {VoiceMessage} message
   * @param {HTMLElement} place
   * @param {HTMLButtonElement} button
   */
  async #play(message, place, button) {
    if (this.#player?.id === message.id) return this.#player.toggle();
    this.#player?.close();
    this.#player = undefined;
    button.disabled = true;
    try {
      const sound = await this.#client.mailbox.sound(message, this.#mailbox);
      const player = await Player.open(message, sound);
      this.#player = player;
      place.hidden = false;
      place.replaceChildren(player.element);
      player.toggle();
      if (!message.heard) await this.#client.mailbox.mark(message, true);
    } catch (error) {
      this.#complain(error);
    } finally {
      button.disabled = false;
    }
  }

  /** @param {VoiceMessage} message */
  async #delete(message) {
    try {
      await this.#client.mailbox.delete(message);
      if (this.#player?.id === message.id) {
        this.#player.close();
        this.#player = undefined;
      }
      this.#messages = this.#messages.filter(({ id }) => id !== message.id);
      this.#show();
    } catch (error) {
      this.#complain(error);
    }
  }
}

/** Plays one message and shows its sound. */
class Player {
  id;
  element;
  #audio;
  #address;

  /**
   * @param {VoiceMessage} message
   * @param {Blob} sound
   */
  static async open(message, sound) {
    const context = new OfflineAudioContext(1, 1, 48_000);
    const decoded = await context.decodeAudioData(await sound.arrayBuffer());
    return new Player(message, sound, peaks(decoded.getChannelData(0), BARS), decoded.duration);
  }

  /**
   * @param {VoiceMessage} message
   * @param {Blob} sound
   * @param {number[]} loudness
   * @param {number} seconds
   */
  constructor(message, sound, loudness, seconds) {
    this.id = message.id;
    this.#address = URL.createObjectURL(sound);
    this.#audio = new Audio(this.#address);
    const bars = loudness.map((height) => make('i', { style: `height: ${Math.max(4, Math.round(100 * height))}%` }));
    const slider = make('input', { type: 'range', min: '0', max: String(seconds), step: '0.1', value: '0', 'aria-label': 'Position in the message' });
    slider.oninput = () => (this.#audio.currentTime = Number(slider.value));
    this.#audio.ontimeupdate = () => {
      slider.value = String(this.#audio.currentTime);
      bars.forEach((bar, at) => bar.classList.toggle('played', at / bars.length < this.#audio.currentTime / seconds));
    };
    const marks = message.bookmarks.map(({ at_ms: at, label }) =>
      make('button', { type: 'button', className: 'quiet', onclick: () => (this.#audio.currentTime = at / 1000) }, `${clock(Math.round(at / 1000))} ${label}`),
    );
    this.element = make('div', { className: 'player' }, make('div', { className: 'wave', 'aria-hidden': 'true' }, ...bars), slider, ...marks);
  }

  /** Plays, or pauses. */
  toggle() {
    if (this.#audio.paused) void this.#audio.play();
    else this.#audio.pause();
  }

  /** Stops for good. */
  close() {
    this.#audio.pause();
    this.element.remove();
    URL.revokeObjectURL(this.#address);
  }
}

/**
 * The loudest sample of each part of a sound, against the loudest of all: 0 to 1.
 * @param {Float32Array} samples
 * @param {number} parts
 */
export function peaks(samples, parts) {
  const loudest = Array.from({ length: parts }, (_, part) => {
    const [from, to] = [part, part + 1].map((edge) => Math.floor((edge * samples.length) / parts));
    let peak = 0;
    for (let at = from; at < to; at++) peak = Math.max(peak, Math.abs(samples[at]));
    return peak;
  });
  const top = Math.max(...loudest) || 1;
  return loudest.map((peak) => peak / top);
}
