// <sound-player>: plays a complete recording and shows its waveform; can seek and save it.

import { blob, save } from "./api.js";
import { button, h, relabel, icon } from "./dom.js";
import { clock } from "./format.js";
import { Loader } from "./loader.js";
import { decoded } from "./sound.js";
import { t } from "./text.js";
import { Peaks, Wave } from "./wave.js";

export class SoundPlayer extends HTMLElement {
  #fetch = null;
  #file = null;
  #name = "";
  #seconds = 0;
  #peaks = null;
  #hush = ({ detail }) => detail !== this.audio && this.audio.pause();

  /** What is played, for `later`. */
  path = "";

  constructor() {
    super();
    this.recording = new Loader(() => this.#fetch(), (file) => this.#take(file));
    this.wave = new Wave();
    this.audio = new Audio();
    this.play = button(t("play"), () => this.#toggle(), { symbol: "play", bare: true, kind: "round" });
    this.seek = h("input", { type: "range", min: 0, max: 1, step: 0.001, value: 0, "aria-label": t("position") });
    this.time = h("span", { class: "time" });
    this.download = button(t("download"), () => this.#save(), { symbol: "download", bare: true });
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.seek.addEventListener("input", () => this.#move());
    for (const name of ["play", "pause", "ended", "timeupdate"]) this.audio.addEventListener(name, () => this.#tell());
    this.audio.addEventListener("play", () => document.dispatchEvent(new CustomEvent("sound", { detail: this.audio })));
  }

  connectedCallback() {
    document.addEventListener("sound", this.#hush);
    if (this.childElementCount) return;
    this.append(this.play, h("div", { class: "seek" }, this.wave.canvas, this.seek), this.time, this.download, this.problem);
  }

  /** Stop when the element is removed, but not when it is only moved. */
  disconnectedCallback() {
    document.removeEventListener("sound", this.#hush);
    queueMicrotask(() => this.isConnected || this.#forget());
  }

  /** Show a recording that is a Blob. */
  async show(file, name) {
    this.#forget();
    this.#name = name;
    this.hidden = false;
    this.#fetch = () => Promise.resolve(file);
    await this.recording.ready();
  }

  /** Show a recording that is fetched when it is played; `seconds` is its length. */
  later(path, name, seconds) {
    this.#forget();
    this.path = path;
    this.#name = name;
    this.#seconds = seconds;
    this.#fetch = () => blob(path);
    this.#tell();
  }

  /** Draw the waveform once the player is on the screen: with what `peaks` returns, or by fetching the recording. */
  drawn(peaks = null) {
    const seen = new IntersectionObserver(async ([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      seen.disconnect();
      try {
        if (peaks) this.wave.show({ values: await peaks() });
        else await this.recording.ready();
      } catch {
        // Playing tells what is wrong with it.
      }
    });
    seen.observe(this);
  }

  /** The current position in seconds. */
  get position() {
    return this.audio.currentTime;
  }

  /** Play from this position in seconds. */
  from(seconds) {
    return this.#use(() => {
      this.audio.currentTime = seconds;
      return this.audio.play();
    });
  }

  #forget() {
    this.audio.pause();
    if (this.audio.src) URL.revokeObjectURL(this.audio.src);
    this.audio.removeAttribute("src");
    this.#file = null;
    this.recording.forget();
    this.problem.hidden = true;
  }

  async #take(file) {
    this.#file = file;
    this.audio.src = URL.createObjectURL(file);
    const { samples, rate } = await decoded(file);
    this.#seconds = samples.length / rate;
    this.#peaks = new Peaks(rate, samples);
    this.wave.show(this.#peaks, { played: 0 });
    this.#tell();
  }

  /** Do something with the recording as soon as it is fetched, and show an error. */
  async #use(work) {
    this.problem.hidden = true;
    try {
      await this.recording.ready();
      await work();
    } catch (error) {
      if (error.name === "AbortError") return; // it was paused before it began
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    }
  }

  #toggle() {
    return this.#use(() => (this.audio.paused ? this.audio.play() : this.audio.pause()));
  }

  #move() {
    const share = Number(this.seek.value);
    return this.#use(() => { this.audio.currentTime = share * this.#seconds; });
  }

  #save() {
    return this.#use(() => save(this.#file, this.#name));
  }

  #tell() {
    const { currentTime, paused } = this.audio;
    const played = this.#seconds ? Math.min(currentTime / this.#seconds, 1) : 0;
    this.seek.value = String(played);
    this.seek.setAttribute("aria-valuetext", clock(currentTime));
    this.wave.mark({ played });
    const length = this.#seconds ? clock(this.#seconds) : ""; // not known before it is fetched
    this.time.textContent = currentTime ? `${clock(currentTime)} / ${length}` : length;
    if (this.play.dataset.shown === String(paused)) return;
    this.play.dataset.shown = String(paused);
    this.play.replaceChildren(icon(paused ? "play" : "pause"));
    relabel(this.play, paused ? t("play") : t("pause"));
  }
}

customElements.define("sound-player", SoundPlayer);

/** Create a hidden player. */
export function soundPlayer() {
  const player = document.createElement("sound-player");
  player.hidden = true;
  return player;
}
