/**
 * A gateway for trying the SDK alone: serves the pages, demo users and WebSocket links, and connects every call directly. It knows
 * nothing of plans, and forwards voice as it comes. Usage: `node support/fake-gateway.mjs [port]`.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const WEB = fileURLToPath(new URL('../../../gateway/web/', import.meta.url));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const POLICY = "default-src 'self'; connect-src 'self' https: wss: ws:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const USERS = { alice: 'Alice', bob: 'Bob', carol: 'Carol' };
const GRACE_MS = 30_000;

/** @typedef {{ id: string, secret: string, user: string, socket?: import('ws').WebSocket, log: Map<string, object[]>, watches?: boolean, hears: Set<number> }} Session */

/** Starts it. `voice` may drop, delay or change datagrams on their way. */
export async function startFakeGateway({ port = 0, webtransport, voice = (datagram, deliver) => deliver(datagram) } = {}) {
  /** @type {Map<string, Session>} */
  const sessions = new Map();
  const calls = new Map();
  let flows = 10;

  const newId = () => Array.from(randomBytes(26), (byte) => '0123456789abcdefghjkmnpqrstvwxyz'[byte & 31]).join('').replace(/^./, '0');
  const tell = (session, message) => session.socket?.readyState === 1 && session.socket.send(JSON.stringify(message));
  const happen = (session, call, what) => {
    const log = session.log.get(call) ?? session.log.set(call, []).get(call);
    const event = { type: 'event', call, n: log.length + 1, ...what };
    log.push(event);
    tell(session, event);
  };
  const presence = () => {
    const busy = new Set([...calls.values()].filter((call) => call.connected).flatMap((call) => [call.from, call.to]));
    const online = new Set([...sessions.values()].map(({ user }) => user));
    const state = (user) => (busy.has(user) ? 'talking' : online.has(user) ? 'available' : 'offline');
    const users = Object.entries(USERS).map(([user, name]) => ({ user, name, state: state(user) }));
    for (const session of sessions.values()) if (session.watches) tell(session, { type: 'presence', users });
  };
  const end = (call, cause) => {
    calls.delete(call.id);
    for (const session of [call.caller, ...call.callees]) {
      happen(session, call.id, { event: 'ended', cause });
      call.flows.forEach((flow) => session.hears.delete(flow));
    }
    presence();
  };
  const drop = (session) => {
    sessions.delete(session.id);
    for (const call of calls.values()) if (call.caller === session || call.callees.includes(session)) end(call, 'connection-lost');
    presence();
  };

  const invite = (session, { ref, to }) => {
    const call = { id: newId(), from: session.user, to, caller: session, callees: [...sessions.values()].filter(({ user }) => user === to), flows: [] };
    calls.set(call.id, call);
    tell(session, { type: 'calling', ref, call: call.id });
    if (to === session.user) return end({ ...call, callees: [] }, 'own-address');
    if (call.callees.length === 0) return end(call, to in USERS ? 'unreachable' : 'not-found');
    for (const callee of call.callees) happen(callee, call.id, { event: 'incoming', from: session.user, name: USERS[session.user], to });
    happen(session, call.id, { event: 'ringing' });
  };
  const answer = (session, call) => {
    call.flows = [(flows += 1), (flows += 1)];
    call.connected = true;
    const [up, down] = call.flows;
    for (const other of call.callees) if (other !== session) happen(other, call.id, { event: 'ended', cause: 'answered-elsewhere' });
    call.callees = [session];
    session.hears.add(up);
    call.caller.hears.add(down);
    happen(session, call.id, { event: 'connected', peer: call.from, send: down, receive: up });
    happen(call.caller, call.id, { event: 'connected', peer: session.user, send: up, receive: down });
    presence();
  };
  const obey = (session, message) => {
    const call = calls.get(message.call);
    const other = call && (call.caller === session ? call.callees[0] : call.caller);
    const mirrored = { hold: 'held', resume: 'unheld', mute: 'muted', unmute: 'unmuted', dtmf: 'dtmf' }[message.type];
    switch (message.type) {
      case 'ping':
        return tell(session, { type: 'pong', data: message.data });
      case 'renew':
        return tell(session, { type: 'renewed', expires_at: Date.now() + 3_600_000 });
      case 'watch':
        session.watches = true;
        return presence();
      case 'bye':
        tell(session, { type: 'goodbye', reason: 'bye' });
        return drop(session);
      case 'invite':
        return invite(session, message);
    }
    if (!call) return tell(session, { type: 'error', code: 'no-such-call', message: 'no such call', call: message.call });
    if (message.type === 'answer') return answer(session, call);
    if (message.type === 'decline') return end(call, message.cause ?? 'declined');
    if (message.type === 'hangup') return end(call, call.connected ? 'normal' : 'cancelled');
    if (message.type === 'report') return other && tell(other, { type: 'quality', call: call.id, uplink: null, peer: message.reception });
    if (mirrored && other) happen(other, call.id, { event: mirrored, ...(message.digits && { digits: message.digits }) });
  };
  const greet = (socket, { token, resume }) => {
    if (!(token in USERS)) {
      socket.send(JSON.stringify({ type: 'error', code: 'bad-token', message: 'the token is not one of the demo' }));
      return socket.close();
    }
    const old = resume && sessions.get(resume.session);
    const resumed = old?.secret === resume?.secret && old !== undefined;
    const session = resumed ? old : { id: newId(), secret: newId(), user: token, log: new Map(), hears: new Set() };
    session.socket?.close();
    session.socket = socket;
    sessions.set(session.id, session);
    const { id, secret, user } = session;
    tell(session, { type: 'welcome', version: 1, session: id, secret, tenant: 'demo', user, resumed, grace_ms: GRACE_MS, expires_at: Date.now() + 3_600_000 });
    const seen = new Map(resume?.seen.map(({ call, n }) => [call, n]) ?? []);
    for (const [call, log] of session.log) for (const event of log) if (event.n > (seen.get(call) ?? 0)) tell(session, event);
    presence();
    return session;
  };

  const server = createServer(async (request, response) => {
    const { pathname, searchParams, host } = new URL(request.url, `http://${request.headers.host}`);
    const json = (value) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    response.setHeader('content-security-policy', POLICY);
    if (pathname === '/.well-known/tandem.json') return json({ webtransport, certificate_hashes: [], websocket: `ws://${host}/v1/connect` });
    if (pathname === '/demo/users') return json(Object.entries(USERS).map(([user, name]) => ({ user, name })));
    if (pathname === '/demo/token') return json({ token: searchParams.get('user') });
    try {
      const file = normalize(pathname === '/' ? '/index.html' : pathname);
      const body = await readFile(join(WEB, file));
      response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream').end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  new WebSocketServer({ server, path: '/v1/connect' }).on('connection', (socket) => {
    /** @type {Session | undefined} */
    let session;
    socket.on('message', (data, binary) => {
      if (binary) {
        const flow = data[1] < 64 ? data[1] : data.readUInt16BE(1) & 0x3fff;
        for (const other of sessions.values()) if (other !== session && other.hears.has(flow)) voice(data, (datagram) => other.socket?.send(datagram));
        return;
      }
      const message = JSON.parse(data);
      if (message.type === 'hello') session = greet(socket, message);
      else if (session) obey(session, message);
    });
    socket.on('close', () => {
      if (session?.socket !== socket) return;
      session.socket = undefined;
      setTimeout(() => session.socket ?? drop(session), GRACE_MS).unref();
    });
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { url: `http://localhost:${server.address().port}`, sessions, close: () => (server.closeAllConnections(), server.close()) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startFakeGateway({ port: Number(process.argv[2] ?? 8088) });
  console.log(`fake gateway: ${url}`);
}
