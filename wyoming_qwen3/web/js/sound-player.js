// <sound-player>: plays a complete recording and shows its waveform; can seek and save it.

import { blob, save } from "./api.js";
import { button, h, relabel, icon } from "./dom.js";
import { clock } from "./format.js";
import { decoded } from "./sound.js";
import { t } from "./text.js";
import { Peaks, Wave } from "./wave.js";

export class SoundPlayer extends HTMLElement {
  #load = null;
  #file = null;
  #name = "";
  #seconds = 0;
  #peaks = null;

  constructor() {
    super();
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
    document.addEventListener("sound", (event) => event.detail !== this.audio && this.audio.pause());
  }

  connectedCallback() {
    if (this.childElementCount) return;
    this.append(this.play, h("div", { class: "seek" }, this.wave.canvas, this.seek), this.time, this.download, this.problem);
  }

  disconnectedCallback() {
    this.audio.pause();
  }

  /** Show a recording that is a Blob. */
  async show(file, name) {
    this.#forget();
    this.#name = name;
    this.hidden = false;
    await this.#take(file);
  }

  /** Show a recording that is fetched when it is played; `seconds` is its length. */
  later(path, name, seconds) {
    this.#forget();
    this.#name = name;
    this.#seconds = seconds;
    this.#load = () => blob(path);
    this.#tell();
  }

  /** Draw the waveform once the player is on the screen: with what `peaks` returns, or by fetching the recording. */
  drawn(peaks = null) {
    const seen = new IntersectionObserver(async ([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      seen.disconnect();
      try {
        if (peaks) this.wave.show({ values: await peaks() });
        else await this.#fetched();
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
  async from(seconds) {
    await this.#fetched();
    this.audio.currentTime = seconds;
    await this.audio.play();
  }

  #forget() {
    this.audio.pause();
    if (this.audio.src) URL.revokeObjectURL(this.audio.src);
    this.audio.removeAttribute("src");
    this.#file = null;
    this.#load = null;
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

  async #fetched() {
    if (!this.#file && this.#load) await this.#take(await this.#load());
  }

  async #toggle() {
    this.problem.hidden = true;
    try {
      await this.#fetched();
      if (this.audio.paused) await this.audio.play();
      else this.audio.pause();
    } catch (error) {
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    }
  }

  #move() {
    if (this.#file) this.audio.currentTime = Number(this.seek.value) * this.#seconds;
  }

  async #save() {
    await this.#fetched();
    if (this.#file) save(this.#file, this.#name);
  }

  #tell() {
    const { currentTime, paused } = this.audio;
    const played = this.#seconds ? Math.min(currentTime / this.#seconds, 1) : 0;
    this.seek.value = String(played);
    this.seek.setAttribute("aria-valuetext", clock(currentTime));
    this.wave.mark({ played });
    this.time.textContent = currentTime ? `${clock(currentTime)} / ${clock(this.#seconds)}` : clock(this.#seconds);
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
