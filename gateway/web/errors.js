// @ts-check
/**
 * What can go wrong, in words meant for the person at the screen.
 *
 * @module
 */

/**
 * - `unsupported`: the browser lacks something
 * - `microphone`: no microphone, or it may not be used
 * - `unreachable`: the gateway does not answer
 * - `link-lost`: the connection broke before the answer came
 * - `closed`: the client was closed
 * - any code of the gateway's `error` message
 * @typedef {'unsupported' | 'microphone' | 'unreachable' | 'link-lost' | 'closed' | import('./signal.js').ErrorCode} Code
 */

/** An error of this SDK. */
export class TandemError extends Error {
  /**
   * @param {Code} code
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(code, message, cause) {
    super(message, { cause });
    this.name = 'TandemError';
    /** What kind of error. @type {Code} */
    this.code = code;
  }
}

/** Codec settings that a browser must know for calls. */
const DECODER = { codec: 'opus', sampleRate: 48_000, numberOfChannels: 1 };
const ENCODER = { ...DECODER, bitrate: 32_000 };

/**
 * Checks that this browser can make calls.
 * @throws {TandemError} naming everything that is missing
 */
export async function checkSupport() {
  const missing = [];
  if (!globalThis.isSecureContext) missing.push('a secure page (https, or http on localhost)');
  if (!globalThis.AudioWorkletNode) missing.push('AudioWorklet');
  if (!navigator.mediaDevices?.getUserMedia) missing.push('microphone access (getUserMedia)');
  if (!globalThis.WebTransport && !globalThis.WebSocket) missing.push('WebTransport or WebSocket');
  if (!(await supports(globalThis.AudioEncoder, ENCODER))) missing.push('an Opus encoder (WebCodecs AudioEncoder)');
  if (!(await supports(globalThis.AudioDecoder, DECODER))) missing.push('an Opus decoder (WebCodecs AudioDecoder)');
  if (missing.length === 0) return;
  const advice = 'Chrome or Edge 94, Firefox 130 and Safari 26, or newer, have everything';
  throw new TandemError('unsupported', `This browser cannot make calls: it lacks ${missing.join(', ')}. ${advice}.`);
}

/**
 * @template {object} Config
 * @param {{ isConfigSupported(config: Config): Promise<{ supported?: boolean }> } | undefined} codec
 * @param {Config} config
 */
async function supports(codec, config) {
  if (!codec) return false;
  try {
    return (await codec.isConfigSupported(config)).supported === true;
  } catch {
    return false;
  }
}

/**
 * Says why the microphone cannot be used.
 * @param {unknown} error of getUserMedia
 */
export function microphoneError(error) {
  const name = error instanceof DOMException ? error.name : '';
  const words =
    {
      NotAllowedError: 'The microphone may not be used. Allow it in the address bar or in the system settings, then call again.',
      NotFoundError: 'No microphone was found. Plug one in, then call again.',
      NotReadableError: 'The microphone is in use by another program.',
      OverconstrainedError: 'The chosen microphone is not there any more.',
    }[name] ?? `The microphone could not be opened: ${error instanceof Error ? error.message : error}`;
  return new TandemError('microphone', words, error);
}
