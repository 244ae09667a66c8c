// The microphone, to samples. Browsers give it to secure pages alone.

import { t } from "./text.js";

/** Whether this page may ask for it. */
export const canRecord = Boolean(navigator.mediaDevices && window.AudioWorkletNode);

/** Records from `start` to `stop`, handing on what comes to `heard`. */
export class Recorder {
  #stream = null;
  #context = null;

  /** Resolves to the sample rate when it records. Throws a sentence where there is no microphone, or no leave. */
  async start(heard) {
    try {
      const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
      this.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(t(error.name === "NotFoundError" ? "record.none" : "record.refused"), { cause: error });
    }
    this.#context = new AudioContext();
    await this.#context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(this.#context, "recorder", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => heard(data);
    this.#context.createMediaStreamSource(this.#stream).connect(node);
    return this.#context.sampleRate;
  }

  async stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    await this.#context?.close();
    this.#context = null;
  }
}
