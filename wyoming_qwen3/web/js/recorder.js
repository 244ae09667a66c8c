// Records samples from the microphone. Browsers allow this only on secure pages.

import { t } from "./text.js";

/** Whether this page may use the microphone. */
export const canRecord = Boolean(navigator.mediaDevices && window.AudioWorkletNode);

/** Records from `start` to `stop` and passes the samples to `heard`. */
export class Recorder {
  #stream = null;
  #context = null;

  /** Start recording; return the sample rate. Throws an Error with a sentence if the microphone is missing or blocked. */
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
