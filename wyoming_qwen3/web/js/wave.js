// Draws a waveform as bars; the part already played has the stronger colour.

import { h } from "./dom.js";

const STEP = 0.01;
const BAR = 3;
const GAP = 2;

/** Peaks of a sound, one per 10 ms; more can be added while it arrives. */
export class Peaks {
  values = [];

  #size;
  #left = 0;
  #high = 0;

  constructor(rate, samples = new Float32Array()) {
    this.#size = Math.round(rate * STEP);
    this.#left = this.#size;
    this.add(samples);
  }

  get seconds() {
    return this.values.length * STEP;
  }

  add(samples) {
    for (const sample of samples) {
      this.#high = Math.max(this.#high, Math.abs(sample));
      this.#left -= 1;
      if (this.#left) continue;
      this.values.push(this.#high);
      this.#high = 0;
      this.#left = this.#size;
    }
  }
}

/** Draws peaks; `played`, `from` and `to` are fractions of the length, from 0 to 1. */
export class Wave {
  #values = [];
  #marks = { played: 0, from: 0, to: 1 };

  constructor() {
    this.canvas = h("canvas", { class: "wave", "aria-hidden": "true" });
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  show(peaks, marks = {}) {
    this.#values = peaks.values;
    Object.assign(this.#marks, marks);
    this.#draw();
  }

  mark(marks) {
    Object.assign(this.#marks, marks);
    this.#draw();
  }

  #draw() {
    const { canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const context = canvas.getContext("2d");
    context.scale(devicePixelRatio, devicePixelRatio);
    const { color: plain, caretColor: strong } = getComputedStyle(canvas);
    const bars = Math.floor((width + GAP) / (BAR + GAP));
    const { played, from, to } = this.#marks;
    for (let bar = 0; bar < bars; bar += 1) {
      const at = bar / bars;
      const size = Math.max(BAR, this.#height(bar, bars) * height);
      context.globalAlpha = at >= from && at < to ? 1 : 0.3;
      context.fillStyle = at < played ? strong : plain;
      context.beginPath();
      context.roundRect(bar * (BAR + GAP), (height - size) / 2, BAR, size, BAR / 2);
      context.fill();
    }
  }

  #height(bar, bars) {
    const values = this.#values;
    const first = Math.floor((bar * values.length) / bars);
    const end = Math.max(first + 1, Math.floor(((bar + 1) * values.length) / bars));
    let high = 0;
    for (let number = first; number < Math.min(end, values.length); number += 1) high = Math.max(high, values[number]);
    return Math.sqrt(high);
  }
}
