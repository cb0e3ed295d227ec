// @ts-check
/**
 * Media datagrams: a flow identifier (QUIC varint, RFC 9000 section 16) and an RTP packet (RFC 3550) with Opus (RFC 7587) and an
 * audio level (RFC 6464), as RTP over QUIC defines them (draft-ietf-avtcore-rtp-over-quic).
 *
 * @module
 */

/** RTP payload type of Opus. */
export const OPUS = 111;
/** Samples of one frame: 20 ms at RTP's Opus clock of 48 kHz. */
export const FRAME_SAMPLES = 960;
/** Identifier of the audio level header extension. */
const LEVEL_EXTENSION = 1;
/** Profile of one-byte header extensions (RFC 8285 section 4.2). */
const ONE_BYTE_PROFILE = 0xbede;
const FIXED_HEADER_BYTES = 12;
/** Fixed header, extension header and one word of extension. */
const SENT_HEADER_BYTES = FIXED_HEADER_BYTES + 8;

/**
 * An RTP packet.
 * @typedef {object} Packet
 * @property {number} sequence 16 bits.
 * @property {number} timestamp 32 bits, 48 kHz.
 * @property {number} ssrc 32 bits.
 * @property {boolean} marker Whether a spurt of speech begins here.
 * @property {Uint8Array} payload One Opus packet.
 * @property {number} [level] Loudness as −dBov, 0 (loudest) to 127 (silent), when the talker told.
 * @property {boolean} [speech] Whether the talker's detector heard speech, when the talker told.
 */

/**
 * Bytes that a flow identifier takes.
 * @param {number} value
 */
export function varintBytes(value) {
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x4000_0000) return 4;
  return 8;
}

/**
 * Writes a flow identifier (at most 32 bits) at `offset`.
 * @param {DataView} view
 * @param {number} offset
 * @param {number} value
 * @returns {number} the offset behind it
 */
export function writeVarint(view, offset, value) {
  const bytes = varintBytes(value);
  if (bytes === 1) view.setUint8(offset, value);
  else if (bytes === 2) view.setUint16(offset, value | 0x4000);
  else if (bytes === 4) view.setUint32(offset, (value | 0x8000_0000) >>> 0);
  else {
    view.setUint32(offset, 0xc000_0000);
    view.setUint32(offset + 4, value);
  }
  return offset + bytes;
}

/**
 * Reads a flow identifier.
 * @param {DataView} view
 * @returns {{ value: number, bytes: number } | undefined} nothing when it is cut short or beyond 32 bits
 */
export function readVarint(view) {
  if (view.byteLength === 0) return undefined;
  const bytes = 1 << (view.getUint8(0) >> 6);
  if (view.byteLength < bytes) return undefined;
  switch (bytes) {
    case 1:
      return { value: view.getUint8(0), bytes };
    case 2:
      return { value: view.getUint16(0) & 0x3fff, bytes };
    case 4:
      return { value: view.getUint32(0) & 0x3fff_ffff, bytes };
    default:
      return (view.getUint32(0) & 0x3fff_ffff) === 0 ? { value: view.getUint32(4), bytes } : undefined;
  }
}

/**
 * Writes a media datagram.
 * @param {number} flow
 * @param {Packet} packet
 * @returns {Uint8Array}
 */
export function encodeDatagram(flow, packet) {
  const start = varintBytes(flow);
  const bytes = new Uint8Array(start + SENT_HEADER_BYTES + packet.payload.length);
  const view = new DataView(bytes.buffer);
  writeVarint(view, 0, flow);
  view.setUint8(start, 0x80 | 0x10);
  view.setUint8(start + 1, (packet.marker ? 0x80 : 0) | OPUS);
  view.setUint16(start + 2, packet.sequence);
  view.setUint32(start + 4, packet.timestamp);
  view.setUint32(start + 8, packet.ssrc);
  view.setUint16(start + 12, ONE_BYTE_PROFILE);
  view.setUint16(start + 14, 1);
  view.setUint8(start + 16, LEVEL_EXTENSION << 4);
  view.setUint8(start + 17, (packet.speech ? 0x80 : 0) | ((packet.level ?? 127) & 0x7f));
  bytes.set(packet.payload, start + SENT_HEADER_BYTES);
  return bytes;
}

/**
 * Reads a media datagram.
 * @param {Uint8Array} datagram
 * @returns {{ flow: number, packet: Packet, size: number } | undefined} nothing when it is malformed or not Opus; `size` is
 *   the RTP packet's, bytes
 */
export function decodeDatagram(datagram) {
  const flow = readVarint(new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength));
  if (!flow) return undefined;
  const rtp = datagram.subarray(flow.bytes);
  const packet = decodeRtp(rtp);
  return packet && { flow: flow.value, packet, size: rtp.length };
}

/**
 * Reads an RTP packet.
 * @param {Uint8Array} bytes
 * @returns {Packet | undefined}
 */
export function decodeRtp(bytes) {
  if (bytes.length < FIXED_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first = bytes[0];
  const second = bytes[1];
  if (first >> 6 !== 2 || (second & 0x7f) !== OPUS) return undefined;
  let start = FIXED_HEADER_BYTES + 4 * (first & 0x0f);
  /** @type {{ level?: number, speech?: boolean }} */
  let level = {};
  if (first & 0x10) {
    if (bytes.length < start + 4) return undefined;
    const length = 4 * view.getUint16(start + 2);
    const extension = bytes.subarray(start + 4, start + 4 + length);
    if (extension.length < length) return undefined;
    if (view.getUint16(start) === ONE_BYTE_PROFILE) level = readLevel(extension);
    start += 4 + length;
  }
  const padding = first & 0x20 ? bytes[bytes.length - 1] : 0;
  const end = bytes.length - padding;
  if (start >= end || (first & 0x20 && padding === 0)) return undefined;
  return {
    sequence: view.getUint16(2),
    timestamp: view.getUint32(4),
    ssrc: view.getUint32(8),
    marker: (second & 0x80) !== 0,
    payload: bytes.subarray(start, end),
    ...level,
  };
}

/**
 * Finds the audio level among one-byte header extensions.
 * @param {Uint8Array} extension
 * @returns {{ level?: number, speech?: boolean }}
 */
function readLevel(extension) {
  let at = 0;
  while (at < extension.length) {
    const head = extension[at];
    const id = head >> 4;
    if (id === 15) break;
    if (head === 0) {
      at += 1;
      continue;
    }
    const length = (head & 0x0f) + 1;
    if (id === LEVEL_EXTENSION && at + 1 < extension.length) {
      return { level: extension[at + 1] & 0x7f, speech: (extension[at + 1] & 0x80) !== 0 };
    }
    at += 1 + length;
  }
  return {};
}

/**
 * The level of a frame as RFC 6464 wants it: −dBov, 0 to 127.
 * @param {Float32Array} samples −1 to 1
 */
export function audioLevel(samples) {
  let power = 0;
  for (const sample of samples) power += sample * sample;
  if (power === 0) return 127;
  const decibel = -10 * Math.log10(power / samples.length);
  return Math.min(127, Math.max(0, Math.round(decibel)));
}

/**
 * How far `later` is ahead of `earlier` on a circle of 2^`bits`; negative when it is behind.
 * @param {number} later
 * @param {number} earlier
 * @param {16 | 32} bits
 */
export function ahead(later, earlier, bits) {
  if (bits === 32) return (later - earlier) | 0;
  return ((later - earlier) << 16) >> 16;
}
