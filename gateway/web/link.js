// @ts-check
/**
 * Links to the gateway: WebTransport, and WebSocket for networks where UDP does not get through. Both carry the same messages and
 * the same datagrams.
 *
 * @module
 */
import { TandemError } from './errors.js';
import { LineSplitter, decodeLine, encodeLine } from './signal.js';

/** How long WebTransport may take before WebSocket is tried: blocked UDP gives no answer at all. */
const WEBTRANSPORT_PATIENCE_MS = 3000;
const WEBSOCKET_PATIENCE_MS = 5000;
/** Voice older than this is not sent any more. */
const DATAGRAM_AGE_MAX_MS = 200;
/** Datagrams that may wait for the network: 1 s of voice. Beyond it the newest is dropped. */
const DATAGRAMS_WAITING_MAX = 50;
/** Bytes that may wait in a WebSocket before voice is dropped: it would come too late. */
const BACKLOG_BYTES_MAX = 16_384;
/** First byte of a media message over WebSocket: the quarter stream id that WebTransport adds by itself. */
const MEDIA = 0x00;

/**
 * Where a gateway can be reached: its `/.well-known/tandem.json`.
 * @typedef {object} Address
 * @property {string} [webtransport]
 * @property {string[]} [certificate_hashes] SHA-256, hexadecimal; empty when the certificate comes from a known authority.
 * @property {string} [websocket]
 */

/** @typedef {'webtransport' | 'websocket'} Kind */
/**
 * What a link tells.
 * @typedef {object} Listener
 * @property {(message: import('./signal.js').ServerMessage) => void} message
 * @property {(datagram: Uint8Array) => void} datagram
 * @property {(reason: string) => void} closed Once.
 */
/**
 * A connection to the gateway.
 * @typedef {object} Link
 * @property {Kind} kind
 * @property {(message: import('./signal.js').ClientMessage) => void} send
 * @property {(datagram: Uint8Array) => void} sendDatagram Drops it when the network cannot keep up.
 * @property {() => Promise<void>} close Resolves when what was said before has left this machine.
 */

/**
 * Asks a gateway where it can be reached.
 * @param {URL} gateway
 * @returns {Promise<Address>}
 */
export async function discover(gateway) {
  const url = new URL('/.well-known/tandem.json', gateway);
  let response;
  try {
    response = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(5000) });
  } catch (error) {
    throw new TandemError('unreachable', `The gateway at ${gateway.host} does not answer.`, error);
  }
  if (!response.ok) throw new TandemError('unreachable', `The gateway at ${gateway.host} answered ${response.status} to ${url}.`);
  return response.json();
}

/**
 * Opens a link, the best that works.
 * @param {Address} address
 * @param {'auto' | Kind} transport
 * @param {Listener} listener
 * @returns {Promise<Link>}
 */
export async function openLink(address, transport, listener) {
  const reasons = [];
  if (transport !== 'websocket' && address.webtransport && globalThis.WebTransport) {
    try {
      return await WebTransportLink.open(address, listener);
    } catch (error) {
      reasons.push(`WebTransport: ${wordsOf(error)}`);
    }
  }
  if (transport !== 'webtransport' && address.websocket) {
    try {
      return await WebSocketLink.open(address.websocket, listener);
    } catch (error) {
      reasons.push(`WebSocket: ${wordsOf(error)}`);
    }
  }
  const why = reasons.join('; ') || `this browser or the gateway lacks ${transport === 'auto' ? 'both transports' : transport}`;
  throw new TandemError('unreachable', `The gateway cannot be reached (${why}).`);
}

/** @param {unknown} error */
function wordsOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {string} hex */
function bytesOf(hex) {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @returns {Promise<T>}
 */
function within(promise, ms) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, /** @type {Promise<never>} */ (late)]).finally(() => clearTimeout(timer));
}

/** A session over HTTP/3. @implements {Link} */
class WebTransportLink {
  /** @type {Kind} */
  kind = 'webtransport';
  #session;
  #lines;
  #datagrams;
  #listener;
  #closed = false;

  /**
   * @param {Address} address
   * @param {Listener} listener
   */
  static async open(address, listener) {
    const hashes = address.certificate_hashes ?? [];
    const session = new WebTransport(/** @type {string} */ (address.webtransport), {
      congestionControl: 'low-latency',
      requireUnreliable: true,
      ...(hashes.length > 0 && { serverCertificateHashes: hashes.map((hash) => ({ algorithm: 'sha-256', value: bytesOf(hash) })) }),
    });
    // Told through `ready`; unhandled it would be an error of the page.
    session.closed.catch(() => undefined);
    try {
      await within(session.ready, WEBTRANSPORT_PATIENCE_MS);
      const stream = await within(session.createBidirectionalStream(), WEBTRANSPORT_PATIENCE_MS);
      return new WebTransportLink(session, stream, listener);
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /**
   * @param {WebTransport} session
   * @param {WebTransportBidirectionalStream} stream
   * @param {Listener} listener
   */
  constructor(session, stream, listener) {
    this.#session = session;
    this.#listener = listener;
    this.#lines = stream.writable.getWriter();
    session.datagrams.outgoingMaxAge = DATAGRAM_AGE_MAX_MS;
    session.datagrams.outgoingHighWaterMark = DATAGRAMS_WAITING_MAX;
    session.datagrams.incomingHighWaterMark = DATAGRAMS_WAITING_MAX;
    this.#datagrams = session.datagrams.writable.getWriter();
    session.closed.then(
      () => this.#end('the gateway closed the connection'),
      (error) => this.#end(wordsOf(error)),
    );
    void this.#readLines(stream.readable);
    void this.#readDatagrams(session.datagrams.readable);
  }

  /** @param {ReadableStream<Uint8Array>} readable */
  async #readLines(readable) {
    const reader = readable.getReader();
    const splitter = new LineSplitter();
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        for (const line of splitter.push(part.value)) {
          const message = decodeLine(line);
          if (message && !this.#closed) this.#listener.message(message);
        }
      }
      this.#end('the gateway ended the stream');
    } catch (error) {
      this.#end(wordsOf(error));
    }
  }

  /** @param {ReadableStream<Uint8Array>} readable */
  async #readDatagrams(readable) {
    const reader = readable.getReader();
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        if (!this.#closed) this.#listener.datagram(part.value);
      }
    } catch {
      // The session's end is told by `closed`.
    }
  }

  /** @param {string} reason */
  #end(reason) {
    if (this.#closed) return;
    void this.close();
    this.#listener.closed(reason);
  }

  /** @param {import('./signal.js').ClientMessage} message */
  send(message) {
    this.#lines.write(encodeLine(message)).catch((error) => this.#end(wordsOf(error)));
  }

  /** @param {Uint8Array} datagram */
  sendDatagram(datagram) {
    if ((this.#datagrams.desiredSize ?? 0) <= 0) return;
    this.#datagrams.write(datagram).catch(() => undefined);
  }

  async close() {
    if (this.#closed) return;
    this.#closed = true;
    await this.#lines.close().catch(() => undefined);
    this.#session.close();
  }
}

/** The same over TCP. @implements {Link} */
class WebSocketLink {
  /** @type {Kind} */
  kind = 'websocket';
  #socket;

  /**
   * @param {string} url
   * @param {Listener} listener
   */
  static async open(url, listener) {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    const opened = new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error(`no connection to ${url}`));
    });
    try {
      await within(opened, WEBSOCKET_PATIENCE_MS);
    } catch (error) {
      socket.close();
      throw error;
    }
    return new WebSocketLink(socket, listener);
  }

  /**
   * @param {WebSocket} socket
   * @param {Listener} listener
   */
  constructor(socket, listener) {
    this.#socket = socket;
    socket.onerror = null;
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') {
        const message = decodeLine(data);
        if (message) listener.message(message);
        return;
      }
      const bytes = new Uint8Array(data);
      if (bytes[0] === MEDIA) listener.datagram(bytes.subarray(1));
    };
    socket.onclose = ({ reason, code }) => listener.closed(reason || `the connection closed (${code})`);
  }

  /** @param {import('./signal.js').ClientMessage} message */
  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** @param {Uint8Array} datagram */
  sendDatagram(datagram) {
    if (this.#socket.readyState !== WebSocket.OPEN || this.#socket.bufferedAmount > BACKLOG_BYTES_MAX) return;
    const message = new Uint8Array(1 + datagram.length);
    message[0] = MEDIA;
    message.set(datagram, 1);
    this.#socket.send(message);
  }

  async close() {
    this.#socket.onmessage = null;
    const closed = new Promise((resolve) => (this.#socket.onclose = resolve));
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    this.#socket.close();
    await closed;
  }
}
