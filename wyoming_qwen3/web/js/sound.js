// Audio samples: converts bytes to samples and samples to files, and plays audio while it arrives.

export const RATE = 24000;

/** Converts 16-bit little-endian PCM, split anywhere, to samples. */
export class PcmReader {
  #odd = null;

  read(bytes) {
    if (this.#odd !== null) {
      const whole = new Uint8Array(bytes.length + 1);
      whole[0] = this.#odd;
      whole.set(bytes, 1);
      bytes = whole;
    }
    this.#odd = bytes.length % 2 ? bytes[bytes.length - 1] : null;
    const samples = new Float32Array(bytes.length >> 1);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let number = 0; number < samples.length; number += 1) samples[number] = view.getInt16(2 * number, true) / 32768;
    return samples;
  }
}

/** Join several arrays of samples. */
export function joined(parts) {
  const whole = new Float32Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Return a WAV file of mono 16-bit samples. */
export function wavFile(samples, rate = RATE) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const letters = (at, text) => [...text].forEach((letter, number) => view.setUint8(at + number, letter.charCodeAt(0)));
  letters(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  letters(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  letters(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, number) => {
    const level = Math.round(sample * 32768);
    view.setInt16(44 + 2 * number, Math.max(-32768, Math.min(32767, level)), true);
  });
  return new Blob([view.buffer], { type: "audio/wav" });
}

/** Return the mono samples of an audio file and their rate. Throws the browser's error if it can't decode the file. */
export async function decoded(file) {
  const buffer = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(await file.arrayBuffer());
  const samples = buffer.getChannelData(0).slice();
  for (let channel = 1; channel < buffer.numberOfChannels; channel += 1) {
    buffer.getChannelData(channel).forEach((sample, number) => { samples[number] += sample; });
  }
  if (buffer.numberOfChannels > 1) samples.forEach((sample, number) => { samples[number] = sample / buffer.numberOfChannels; });
  return { samples, rate: buffer.sampleRate };
}

/** Return mono samples at another rate. */
export async function resampled(samples, rate, wanted) {
  const context = new OfflineAudioContext(1, Math.max(1, Math.floor((samples.length * wanted) / rate)), wanted);
  const buffer = context.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}

let shared = null;

/** Return the page's AudioContext, at the speech's sample rate to avoid resampling chunks. Call it on a click. */
export async function speaker() {
  shared ??= new AudioContext({ sampleRate: RATE });
  if (shared.state !== "running") await shared.resume();
  return shared;
}

const LEAD = 0.04;
const LONGEST_LEAD = 2;
const FADE = 0.01;

/**
 * Plays chunks of samples while they arrive, without gaps between them. It uses no worklet, because browsers allow
 * worklets only on secure pages and Home Assistant often uses plain http.
 *
 * If chunks arrive too late, it pauses, longer each time, so that there are few pauses; `pauses` counts them.
 */
export class PcmPlayer {
  pauses = 0;
  received = 0;

  #next = null;
  #lead = LEAD;
  #runs = [];
  #sources = new Set();
  #ended = false;
  #finish;

  constructor(context, output = context.destination) {
    this.context = context;
    this.finished = new Promise((resolve) => { this.#finish = resolve; });
    this.volume = new GainNode(context);
    this.volume.connect(output);
  }

  /** Seconds from now until the first chunk is heard. */
  get delay() {
    return this.#runs[0].frame / RATE - this.context.currentTime + (this.context.outputLatency || 0);
  }

  push(samples) {
    if (!samples.length) return;
    const now = Math.ceil(this.context.currentTime * RATE);
    if (this.#next === null || this.#next < now) this.#begin(now);
    const buffer = this.context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.volume);
    source.onended = () => this.#over(source);
    source.start(this.#next / RATE);
    this.#sources.add(source);
    this.#next += samples.length;
    this.received += samples.length;
  }

  /** Note that no more chunks will come; `finished` resolves when all were played. */
  end() {
    this.#ended = true;
    if (!this.#sources.size) this.#finish();
  }

  /** Stop without a click. */
  stop() {
    this.end();
    this.volume.gain.setTargetAtTime(0, this.context.currentTime, FADE / 3);
    for (const source of this.#sources) source.stop(this.context.currentTime + 2 * FADE);
  }

  /** Seconds of speech that were played. */
  get position() {
    const frame = this.context.currentTime * RATE;
    const run = this.#runs.findLast((one) => one.frame <= frame);
    return run ? Math.min(run.from + frame - run.frame, this.received) / RATE : 0;
  }

  #begin(now) {
    if (this.#next !== null) {
      this.pauses += 1;
      this.#lead = Math.min(4 * this.#lead, LONGEST_LEAD);
    }
    this.#next = now + Math.round(this.#lead * RATE);
    this.#runs.push({ frame: this.#next, from: this.received });
  }

  #over(source) {
    this.#sources.delete(source);
    if (this.#ended && !this.#sources.size) this.#finish();
  }
}
