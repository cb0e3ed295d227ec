/**
 * A gateway's end of WebSocket links, and the browser's audio, both played by the test: for trying the SDK's logic without a browser.
 */
const WELCOME = { type: 'welcome', version: 1, session: 's', secret: 'x', tenant: 'demo', user: 'alice', grace_ms: 30_000 };

/** Lets everything run that does not wait for a timer. */
export async function settle() {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Links that were opened, oldest first. @type {ScriptedSocket[]} */
export const links = [];
/** How the gateway answers `hello`; nothing leaves it unanswered. */
export const gateway = { open: true, life: 3_600_000, pongs: true };

class ScriptedSocket {
  static OPEN = 1;
  static CLOSED = 3;
  readyState = 0;
  bufferedAmount = 0;
  /** Messages of the client. @type {any[]} */
  said = [];

  constructor() {
    if (!gateway.open) return void queueMicrotask(() => this.onerror?.());
    links.push(this);
    queueMicrotask(() => {
      this.readyState = 1;
      this.onopen();
    });
  }

  send(data) {
    if (typeof data !== 'string') return;
    const message = JSON.parse(data);
    this.said.push(message);
    if (message.type === 'hello') this.tell({ ...WELCOME, resumed: 'resume' in message, expires_at: Date.now() + gateway.life });
    if (message.type === 'ping' && gateway.pongs) this.tell({ type: 'pong', data: message.data });
  }

  tell(message) {
    queueMicrotask(() => this.onmessage?.({ data: JSON.stringify(message) }));
  }

  /** How many messages of this type the client has sent. */
  count(type) {
    return this.said.filter((message) => message.type === type).length;
  }

  close() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    queueMicrotask(() => this.onclose?.({ reason: '', code: 1000 }));
  }
}

/** Microphones that were opened; each says whether it is on. @type {Array<{ on: boolean }>} */
export const microphones = [];
/** Worklet nodes that were made, and what they were sent. @type {Array<{ name: string, sent: any[], port: any }>} */
export const nodes = [];
/** What the page's modules that failed to load would do. */
export const audio = { loads: true };

class ScriptedContext {
  state = 'running';
  destination = {};
  audioWorklet = {
    addModule: async () => {
      if (!audio.loads) throw new Error('no such module');
    },
  };
  createMediaStreamSource(stream) {
    const source = { connected: [], connect: (node) => source.connected.push(node), disconnect: () => (source.connected = []) };
    stream.source = source;
    return source;
  }
  async close() {
    this.state = 'closed';
  }
}

class ScriptedNode {
  constructor(_context, name) {
    this.sent = [];
    this.name = name;
    this.port = { onmessage: null, postMessage: (message) => this.sent.push(message) };
    nodes.push(this);
  }
  connect() {}
  disconnect() {}
}

/** Gives the modules under test the browser that they expect. */
export function installBrowser() {
  links.length = microphones.length = nodes.length = 0;
  Object.assign(gateway, { open: true, life: 3_600_000, pongs: true });
  audio.loads = true;
  const fetch = async () => ({ ok: true, json: async () => ({ certificate_hashes: [], websocket: 'ws://gateway.test/v1/connect' }) });
  const getUserMedia = async () => {
    const microphone = { on: true, getTracks: () => [{ stop: () => (microphone.on = false) }] };
    microphones.push(microphone);
    return microphone;
  };
  const page = new EventTarget();
  Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { mediaDevices: { getUserMedia } } });
  Object.assign(globalThis, { WebSocket: ScriptedSocket, fetch, document: page, AudioContext: ScriptedContext, AudioWorkletNode: ScriptedNode });
  const window = new EventTarget();
  globalThis.addEventListener = window.addEventListener.bind(window);
  globalThis.removeEventListener = window.removeEventListener.bind(window);
}
