// What TypeScript can't know when it checks this page's JavaScript.

import type { SoundPlayer } from "../../wyoming_qwen3/web/js/sound-player.js";
import type { VoiceSample } from "../../wyoming_qwen3/web/js/voice-sample.js";

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
