// <speak-tab>: speaks a text and plays it while it is generated.

import { ApiError, ask, blob, events, save, send, warningOf } from "./api.js";
import { Notice, button, card, checkbox, examples, field, h, select, slider, uid } from "./dom.js";
import { drafted } from "./drafts.js";
import { EffectChain } from "./effects.js";
import { factor, fileName, milliseconds, seconds, short } from "./format.js";
import { PcmPlayer, PcmReader, RATE, joined, speaker, wavFile } from "./sound.js";
import { soundPlayer } from "./sound-player.js";
import { t, tList } from "./text.js";
import { FORMATS, VoicePicker, languagePicker } from "./voices.js";
import { Peaks, Wave } from "./wave.js";

/** What to send for each choice of who speaks. */
const ENGINES = { auto: { standby: "auto" }, qwen3: { standby: "off" }, standby: { model: "standby" } };

class SpeakTab extends HTMLElement {
  #stopping = null;
  #spoken = null;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.warning = new Notice();
    this.#buildText();
    this.#buildHow();
    this.append(h("div", { class: "columns" },
      h("div", { class: "stack" },
        card("", field(t("text"), this.text), h("div", { class: "between" }, this.actions, this.count)), this.heard),
      card(t("speak.how"), this.voice.element, this.styled, this.styles, field(t("language"), this.language), this.speed.element,
        field(t("speak.engine"), this.engine, t("speak.engine.hint")), checkbox(t("speak.keep"), this.keep), this.effects.element)));
  }

  shown() {
    this.voice.load();
    this.effects.load();
  }

  #buildText() {
    this.text = drafted("speak.text", h("textarea", { rows: 7, maxlength: 100000, placeholder: t("speak.placeholder") }));
    this.count = h("span", { class: "hint" });
    const tell = () => { this.count.textContent = t("characters", { count: this.text.value.length }); };
    this.text.addEventListener("input", tell);
    tell();
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.start.click();
    });
    this.start = button(t("speak"), () => this.#speak(), { symbol: "speak", kind: "primary" });
    this.stop = button(t("stop"), () => this.#stopping?.(), { symbol: "stop" });
    this.stop.hidden = true;
    this.actions = h("div", { class: "actions" }, this.start, this.stop);
    this.wave = new Wave();
    this.facts = h("dl", { class: "facts" });
    this.player = soundPlayer();
    this.player.download.hidden = true;
    this.format = drafted("speak.format", select(FORMATS.map((format) => [format, format]), "mp3"));
    this.format.setAttribute("aria-label", t("format"));
    this.saving = h("div", { class: "actions", hidden: true },
      button(t("download"), () => this.#download(), { symbol: "download" }), this.format);
    this.heard = h("section", { class: "card", "aria-label": t("speak.result"), hidden: true },
      this.wave.canvas, this.player, this.notice.element, this.warning.element, this.facts, this.saving);
  }

  #buildHow() {
    this.voice = new VoicePicker("speak.voice");
    this.instructions = drafted("speak.instructions", h("textarea", { rows: 2, maxlength: 2000 }));
    this.styled = field(t("style"), this.instructions, t("style.hint"));
    this.styles = examples(t("style.examples"), tList("style.some"), this.instructions);
    this.language = drafted("speak.language", languagePicker());
    this.speed = slider(t("speed"), { min: 0.5, max: 2, step: 0.05, value: 1, show: factor });
    drafted("speak.speed", this.speed.control);
    this.speed.tell();
    this.engine = drafted("speak.engine", select(Object.keys(ENGINES).map((name) => [name, t(`engine.${name}`)]), "auto"));
    this.keep = drafted("speak.keep", h("input", { id: uid(), checked: true, type: "checkbox" }));
    this.effects = new EffectChain("speak.effects", this.voice.notice);
  }

  /** Return what is in the form but for the voice and the effects, which may have to be fetched first. */
  #wanted() {
    return {
      input: this.text.value,
      instructions: this.instructions.value.trim() || undefined,
      language: this.language.value,
      speed: Number(this.speed.control.value),
      response_format: "pcm",
      stream_format: "sse", // it marks its end; ingress hides that a plain stream was cut
      save: this.keep.checked,
      ...ENGINES[this.engine.value],
    };
  }

  async #speak() {
    this.#stopping?.();
    const aborting = new AbortController();
    const wanted = this.#wanted();
    const player = new PcmPlayer(await speaker());
    document.dispatchEvent(new CustomEvent("sound", { detail: player }));
    const silenced = (event) => event.detail !== player && player.stop();
    document.addEventListener("sound", silenced);
    this.#stopping = () => {
      aborting.abort();
      player.stop();
    };
    this.#begin();
    try {
      await this.#hear(player, wanted, aborting.signal);
      await player.finished;
    } catch (error) {
      player.end();
      if (error.name !== "AbortError") this.notice.error(this.#explained(error, player.received));
    } finally {
      document.removeEventListener("sound", silenced);
      await this.#end(aborting.signal.aborted);
    }
  }

  #begin() {
    this.#spoken = null;
    this.warning.clear();
    this.heard.hidden = false;
    this.facts.replaceChildren();
    this.saving.hidden = true;
    this.player.hidden = true;
    this.wave.canvas.hidden = false;
    this.wave.show(new Peaks(RATE), { played: 0 });
    this.stop.hidden = false;
    this.notice.progress(t("speak.waiting"));
  }

  async #end(stopped) {
    this.stop.hidden = true;
    this.#stopping = null;
    if (stopped) this.notice.say(t("speak.stopped"));
    if (!this.#spoken) return;
    this.wave.canvas.hidden = true;
    this.saving.hidden = false;
    await this.player.show(wavFile(this.#spoken.samples), "speech.wav");
  }

  /** Play the audio until all of it has arrived. */
  async #hear(player, wanted, signal) {
    const [voice, effects] = await Promise.all([this.voice.chosen(signal), this.effects.chosen(signal)]);
    const started = performance.now();
    const response = await send("POST", "v1/audio/speech", { json: { ...wanted, voice, effects }, signal });
    this.#tellWho(response);
    const pcm = new PcmReader();
    const peaks = new Peaks(RATE);
    const parts = [];
    const following = setInterval(() => {
      this.wave.show(peaks, { played: player.received ? (player.position * RATE) / player.received : 0 });
    }, 50);
    player.finished.then(() => clearInterval(following));
    let done = false;
    for await (const event of events(response)) {
      if (event.type === "speech.audio.error") throw new ApiError(200, event.error.code, event.error.message, "en");
      done = event.type === "speech.audio.done";
      if (done) {
        this.#warn(event.warnings?.join(" "));
        break;
      }
      const samples = pcm.read(Uint8Array.from(atob(event.audio), (letter) => letter.charCodeAt(0)));
      player.push(samples);
      peaks.add(samples);
      if (!parts.length && samples.length) this.#tellFirst(performance.now() - started + 1000 * player.delay);
      parts.push(samples);
    }
    if (!done) throw new Error(t("error.unreachable"));
    player.end();
    this.#tellSpeed(player, (performance.now() - started) / 1000);
    this.#spoken = { samples: joined(parts), id: response.headers.get("X-History-Id") };
  }

  #explained(error, received) {
    if (!received) return error;
    const told = error instanceof ApiError && error.status;
    return new Error([told && error.message, t(told ? "speak.failed" : "speak.lost", { heard: seconds(received / RATE) })].filter(Boolean).join(" "));
  }

  #tellWho(response) {
    this.notice.clear();
    const standby = response.headers.get("X-Engine") === "standby";
    this.#fact(t("fact.engine"), standby ? t("engine.standby") : response.headers.get("X-Model-Used") ?? "–");
    const warning = warningOf(response);
    if (warning) this.#warn(warning);
    else if (standby) this.notice.say(t(this.engine.value === "standby" ? "speak.asked" : "speak.only"));
  }

  /** Show the warning beside the result, unless it is shown already: the answer's end repeats that of its start. */
  #warn(text) {
    if (text && this.warning.element.textContent !== text) this.warning.warn(text);
  }

  #tellFirst(time) {
    this.#fact(t("fact.first"), milliseconds(time));
  }

  #tellSpeed(player, took) {
    const length = player.received / RATE;
    this.#fact(t("fact.length"), seconds(length));
    this.#fact(t("fact.speed"), t("fact.times", { times: short(length / took) }));
    if (player.pauses) this.#fact(t("fact.pauses"), String(player.pauses));
  }

  #fact(name, value) {
    this.facts.append(h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  }

  async #download() {
    const { samples, id } = this.#spoken;
    const format = this.format.value;
    const name = fileName(this.text.value, format);
    await this.notice.during(async () => {
      const wav = wavFile(samples);
      if (format === "wav") save(wav, name);
      else save(await (id ? blob(`api/history/${id}/audio?format=${format}`).catch(() => converted(wav, format)) : converted(wav, format)), name);
    });
  }
}

/** Have the server convert a file to another format. */
async function converted(file, format) {
  const form = new FormData();
  form.append("file", file, "speech.wav");
  const { id } = await ask("POST", "api/clips", undefined, { form });
  try {
    return await blob("v1/audio/compose", { tracks: [{ audio: `clip:${id}` }], normalize: false, response_format: format });
  } finally {
    await ask("DELETE", `api/clips/${id}`);
  }
}

customElements.define("speak-tab", SpeakTab);
