// <voice-sample>: a clip of a voice, to trim in its waveform, with its text and the server's check.

import { ask } from "./api.js";
import { Notice, button, field, h, slider } from "./dom.js";
import { exact } from "./format.js";
import { decoded, resampled, wavFile } from "./sound.js";
import { t } from "./text.js";
import { Peaks, Wave } from "./wave.js";

const LONGEST = 30;
const ROUGH_RATE = 16000; // five minutes at this rate are as much as the server takes
const KEEP_AFTER = 100;
const CHECK_AFTER = 700;

export class VoiceSample extends HTMLElement {
  #samples = new Float32Array();
  #rate = 48000;
  #keeping = 0;
  #checking = 0;
  #asked = 0;
  #audio = new Audio();
  #hush = ({ detail }) => detail !== this.#audio && this.#audio.pause();

  /**
   * `changed` is called with the state whenever it should be stored, and with null when the clip is removed.
   *
   * @param {(state: object | null) => void} [changed]
   */
  constructor(changed = () => undefined) {
    super();
    this.changed = changed;
    /** Resolves when the clip is read and its part is selected. Rejects with an Error with a sentence if it is not audio. */
    this.opened = Promise.resolve();
    this.notice = new Notice();
    this.wave = new Wave();
    const handle = (label) => slider(label, { min: 0, max: 1, step: 0.01, value: 0, show: exact });
    this.start = handle(t("sample.start"));
    this.end = handle(t("sample.end"));
    this.text = h("textarea", { rows: 2, maxlength: 2000 });
    this.used = h("p", { class: "notice", role: "status", hidden: true });
    this.findings = h("ul", { class: "findings", "aria-live": "polite" });
    for (const [own, other] of [[this.start, this.end], [this.end, this.start]]) {
      own.control.addEventListener("input", () => this.#trim(own, other));
    }
    this.#movable(false);
    this.text.addEventListener("input", () => this.opened.then(() => this.#soon(), () => undefined)); // else it is shown by `open`'s caller
    this.wave.canvas.addEventListener("pointerdown", (event) => this.#drag(event));
  }

  connectedCallback() {
    document.addEventListener("sound", this.#hush);
    if (this.childElementCount) return;
    const remove = button(t("sample.remove"), () => {
      this.remove();
      this.changed(null);
    }, { symbol: "remove", bare: true });
    this.className = "inset";
    this.append(
      h("div", { class: "between" }, button(t("sample.play"), () => this.#play(), { symbol: "play" }), remove),
      this.used, this.wave.canvas, h("div", { class: "row" }, this.start.element, this.end.element),
      field(t("sample.text"), this.text, t("sample.text.hint")), this.findings, this.notice.element);
    this.#picture();
  }

  disconnectedCallback() {
    document.removeEventListener("sound", this.#hush);
    this.#audio.pause();
    clearTimeout(this.#keeping);
    clearTimeout(this.#checking);
  }

  /** Load a file, or a promise of one, that was uploaded or stored, and return `opened`. */
  open(file, state = {}) {
    this.text.value = state.text ?? "";
    this.opened = this.#read(file, state);
    return this.opened;
  }

  /** Load recorded samples, and return `opened`. */
  take(samples, rate) {
    this.opened = this.#fill(samples, rate);
    return this.opened;
  }

  async #read(promised, state) {
    const file = await promised;
    const { samples, rate } = await decoded(file).catch(() => {
      throw new Error(t("sample.unreadable", { name: file.name ?? t("sample") }));
    });
    await this.#fill(samples, rate, state);
  }

  /** `from` and `to` are in seconds. */
  async #fill(samples, rate, { from = 0, to = null } = {}) {
    this.#samples = samples;
    this.#rate = rate;
    const length = samples.length / rate;
    for (const { control } of [this.start, this.end]) control.max = String(length);
    this.start.control.value = String(from);
    this.end.control.value = String(to ?? length);
    this.start.tell();
    this.end.tell();
    this.#picture();
    if (length > LONGEST && to === null) await this.#cut();
    else this.#soon(0);
    this.#movable(true);
  }

  /** Let the ends be moved, or not while they are not known. */
  #movable(can) {
    for (const { control } of [this.start, this.end]) control.disabled = !can;
  }

  /** Select the part of a long clip that the server finds best. */
  async #cut() {
    const rough = await resampled(this.#samples, this.#rate, ROUGH_RATE);
    await this.notice.during(async () => {
      const { part } = await this.#inquire(wavFile(rough, ROUGH_RATE), "");
      for (const [{ control, tell }, at] of [[this.start, part.start_ms], [this.end, part.end_ms]]) {
        control.value = String(at / 1000);
        tell();
      }
      this.#shade();
      this.#soon(0);
      this.used.textContent = t("sample.part", { from: exact(part.start_ms / 1000), to: exact(part.end_ms / 1000), all: exact(this.#samples.length / this.#rate) });
      this.used.hidden = false;
    });
  }

  /** Return what the server finds in a clip. */
  #inquire(file, text) {
    const form = new FormData();
    form.append("audio", file, "clip.wav");
    form.append("ref_text", text);
    return ask("POST", "api/profiles/check", undefined, { form });
  }

  /** Return the trimmed clip. */
  file() {
    const [from, to] = [this.start, this.end].map(({ control }) => Math.round(Number(control.value) * this.#rate));
    return wavFile(this.#samples.subarray(from, to), this.#rate);
  }

  #state() {
    const [from, to] = [Number(this.start.control.value), Number(this.end.control.value)];
    return { file: wavFile(this.#samples, this.#rate), text: this.text.value, from, to };
  }

  #picture() {
    this.wave.show(new Peaks(this.#rate, this.#samples));
    this.#shade();
  }

  #shade() {
    const length = this.#samples.length / this.#rate || 1;
    this.wave.mark({ from: Number(this.start.control.value) / length, to: Number(this.end.control.value) / length });
  }

  /** Move the end of the selection that is nearer to the pointer. */
  #drag(event) {
    if (this.start.control.disabled) return;
    const { canvas } = this.wave;
    const at = ({ clientX }) => {
      const { left, width } = canvas.getBoundingClientRect();
      return (Math.max(0, Math.min(1, (clientX - left) / width)) * this.#samples.length) / this.#rate;
    };
    const distance = ({ control }) => Math.abs(Number(control.value) - at(event));
    const { control } = distance(this.start) < distance(this.end) ? this.start : this.end;
    const move = (moved) => {
      control.value = String(at(moved));
      control.dispatchEvent(new Event("input"));
    };
    canvas.setPointerCapture(event.pointerId);
    canvas.onpointermove = move;
    canvas.onpointerup = () => { canvas.onpointermove = null; };
    move(event);
  }

  #trim(own, other) {
    const least = 0.1;
    const [start, end] = [Number(this.start.control.value), Number(this.end.control.value)];
    if (end - start < least) {
      other.control.value = own === this.start ? start + least : end - least;
      other.tell();
    }
    this.#shade();
    this.#soon();
  }

  #soon(after = CHECK_AFTER) {
    if (!this.isConnected) return; // it was removed while it was read
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => this.changed(this.#state()), KEEP_AFTER);
    clearTimeout(this.#checking);
    this.#checking = setTimeout(() => this.#check(), after);
  }

  async #check() {
    this.#asked += 1;
    const asked = this.#asked;
    await this.notice.during(async () => {
      const found = await this.#inquire(this.file(), this.text.value);
      if (asked !== this.#asked) return;
      const told = found.findings.map(({ severity, message }) => h("li", { class: severity, lang: "en" }, message));
      if (!this.text.value.trim()) told.push(h("li", {}, t("sample.textless")));
      this.findings.replaceChildren(...(told.length ? told : [h("li", { class: "good" }, t("sample.good"))]));
    });
  }

  async #play() {
    await this.notice.during(async () => {
      await this.opened;
      document.dispatchEvent(new CustomEvent("sound", { detail: this.#audio }));
      this.#audio.src = URL.createObjectURL(this.file());
      await this.#audio.play();
    });
  }
}

customElements.define("voice-sample", VoiceSample);
