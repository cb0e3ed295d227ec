/** What an AudioWorklet's global scope has beyond a page's (lib.dom lacks it). */
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
/** Seconds since the audio context started. */
declare const currentTime: number;
