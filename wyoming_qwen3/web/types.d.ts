// What TypeScript can't know when it checks this page's JavaScript.

import type { EffectChain } from "./js/effects.js";
import type { SoundPlayer } from "./js/sound-player.js";
import type { VoiceSample } from "./js/voice-sample.js";

declare global {
  interface HTMLElementTagNameMap {
    "sound-player": SoundPlayer;
    "voice-sample": VoiceSample;
  }

  interface DocumentEventMap {
    /** A sound begins to play. */
    sound: CustomEvent<HTMLAudioElement>;
  }

  /** Scope of an audio worklet. */
  class AudioWorkletProcessor {
    readonly port: MessagePort;
  }
  function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
}
