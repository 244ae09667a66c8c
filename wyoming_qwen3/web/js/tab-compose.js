// <compose-tab>: mixes sounds or joins them.

import { ask, blob, get } from "./api.js";
import { Notice, button, card, checkbox, field, h, select, slider } from "./dom.js";
import { drafted, keep, recall } from "./drafts.js";
import { exact, milliseconds, percent, seconds } from "./format.js";
import { unlessLeft } from "./leaving.js";
import { Loader } from "./loader.js";
import { decoded } from "./sound.js";
import { soundPlayer } from "./sound-player.js";
import { t } from "./text.js";
import { spans } from "./timeline.js";
import { SOUNDS, sendClip } from "./upload.js";
import { FORMATS, allVoices } from "./voices.js";
import { Peaks, Wave } from "./wave.js";

const SNAP_MS = 50;
const LONGEST_LABEL = 60;

class ComposeTab extends HTMLElement {
  #tracks = recall("compose.tracks", []);
  #pictures = new Map();
  #blocks = [];
  #adding = 0;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.sources = select([["", t("compose.add")]]);
    this.sources.setAttribute("aria-label", t("compose.add"));
    this.sources.addEventListener("change", () => this.#addChosen());
    const file = h("input", { type: "file", accept: SOUNDS, class: "hidden", tabindex: -1, "aria-hidden": "true" });
    file.addEventListener("change", async () => {
      await this.#upload(file.files[0]);
      file.value = "";
    });
    const upload = button(t("upload"), () => file.click(), { symbol: "upload" });
    this.lanes = h("ol", { class: "lanes" });
    this.mode = drafted("compose.mode", select([["mix", t("compose.mix")], ["sequence", t("compose.sequence")]], "mix"));
    this.mode.addEventListener("change", () => this.#show());
    this.crossfade = slider(t("compose.crossfade"), { min: 0, max: 3000, step: 50, value: 0, show: milliseconds });
    this.crossfade.control.addEventListener("input", () => this.#place());
    drafted("compose.crossfade", this.crossfade.control);
    this.crossfade.tell();
    this.normalized = drafted("compose.normalize", h("input", { type: "checkbox", checked: true }));
    this.format = drafted("compose.format", select(FORMATS.map((format) => [format, format]), "wav"));
    this.render = button(t("compose.render"), () => this.#render(), { symbol: "check", kind: "primary" });
    this.rendered = new Notice();
    this.player = soundPlayer();
    this.offers = new Loader(() => Promise.all([get("api/history?limit=50"), allVoices()]), (found) => this.#offer(found), this.notice);
    this.append(
      card(t("compose.sounds"), h("div", { class: "row" }, this.sources, upload, file), this.lanes, this.notice.element),
      card(t("compose.whole"), h("div", { class: "row" }, field(t("compose.mode"), this.mode), field(t("format"), this.format)),
        this.crossfade.element, checkbox(t("compose.normalize"), this.normalized),
        h("div", { class: "actions" }, this.render), this.rendered.element, this.player));
    this.#show();
  }

  shown() {
    this.offers.show();
  }

  #offer([{ items }, voices]) {
    const history = items.map((item) => this.#option(`history:${item.id}`, shortened(item.text), item.audio_url));
    const kept = voices.filter((voice) => voice.preview_url)
      .map((voice) => this.#option(`preset:${voice.name}`, voice.name, voice.preview_url));
    const groups = [["compose.history", history], ["compose.voices", kept]].filter(([, options]) => options.length);
    this.sources.replaceChildren(this.sources.options[0],
      ...groups.map(([name, options]) => h("optgroup", { label: t(name) }, options)));
  }

  #option(audio, label, path) {
    return h("option", { value: audio, "data-url": path }, label);
  }

  async #addChosen() {
    const [option] = this.sources.selectedOptions;
    const { value: audio, textContent: label } = option;
    this.sources.value = "";
    if (audio) await this.#adds(() => this.#add(audio, label, option.dataset.url));
  }

  async #upload(file) {
    await this.#adds(async () => {
      const clip = await sendClip(file);
      await this.#add(`clip:${clip.id}`, file.name, clip.url);
    });
  }

  /** Run what adds a sound. Nothing is rendered until it is there. */
  async #adds(work) {
    this.#adding += 1;
    this.render.disabled = true;
    await this.notice.during(() => unlessLeft(work));
    this.#adding -= 1;
    this.render.disabled = this.#adding > 0;
  }

  async #add(audio, label, path) {
    const picture = await this.#picture(path);
    const end = Math.max(0, ...spans(this.#tracks, this.#how()).map((span) => span.end));
    const offset = this.mode.value === "mix" ? Math.round(end / SNAP_MS) * SNAP_MS : 0;
    const track = { audio, label, path, seconds: picture.seconds, offset_ms: offset, volume: 1, fade_in_ms: 0, fade_out_ms: 0 };
    if (!this.#tracks.length) this.lanes.replaceChildren();
    this.#tracks.push(track);
    this.lanes.append(this.#lane(track)); // the others stay, with what is being typed in them
    this.#place();
  }

  /** Return the peaks of a sound, which is fetched once. */
  async #picture(path) {
    if (!this.#pictures.has(path)) {
      const { samples, rate } = await decoded(await blob(path));
      this.#pictures.set(path, { peaks: new Peaks(rate, samples), seconds: samples.length / rate });
    }
    return this.#pictures.get(path);
  }

  #how() {
    return { mode: this.mode.value, crossfade: Number(this.crossfade.control.value) };
  }

  #show() {
    this.crossfade.element.hidden = this.mode.value === "mix";
    this.#blocks = [];
    this.lanes.replaceChildren(...this.#tracks.map((track) => this.#lane(track)));
    if (!this.#tracks.length) this.lanes.append(h("li", { class: "hint" }, t("compose.none")));
    this.#place();
  }

  #lane(track) {
    const wave = new Wave();
    const block = h("div", { class: "block" }, wave.canvas);
    this.#picture(track.path).then(({ peaks }) => wave.show(peaks), () => block.classList.add("lost"));
    block.addEventListener("pointerdown", (event) => this.#drag(event, block, track));
    const offset = h("input", { type: "number", min: 0, max: 1800, step: 0.05, value: track.offset_ms / 1000 });
    offset.addEventListener("input", () => this.#change(track, { offset_ms: Math.max(0, 1000 * Number(offset.value)) }));
    const volume = slider(t("compose.volume"), { min: 0, max: 2, step: 0.05, value: track.volume, show: percent });
    volume.control.addEventListener("input", () => this.#change(track, { volume: Number(volume.control.value) }));
    const fades = ["fade_in_ms", "fade_out_ms"].map((name) => {
      const fade = slider(t(`compose.${name}`), { min: 0, max: 3000, step: 50, value: track[name], show: milliseconds });
      fade.control.addEventListener("input", () => this.#change(track, { [name]: Number(fade.control.value) }));
      return fade.element;
    });
    const remove = button(t("remove.named", { name: track.label }), () => {
      this.#tracks.splice(this.#tracks.indexOf(track), 1);
      this.#show();
      this.sources.focus();
    }, { symbol: "remove", bare: true });
    const span = h("span", { class: "time" });
    const lane = h("li", { class: "lane" }, h("div", { class: "between" }, h("h3", {}, track.label), span, remove),
      h("div", { class: "rail" }, block),
      h("div", { class: "knobs" }, field(t("compose.offset"), offset), volume.element, ...fades));
    this.#blocks.push({ block, span });
    return lane;
  }

  #change(track, what) {
    Object.assign(track, what);
    this.#place();
  }

  /** Move the blocks to the positions of their tracks. */
  #place() {
    keep("compose.tracks", this.#tracks);
    const placed = spans(this.#tracks, this.#how());
    const length = Math.max(1000, ...placed.map((span) => span.end));
    this.#blocks.forEach(({ block, span }, number) => {
      const { start, end } = placed[number];
      block.style.left = `${(100 * start) / length}%`;
      block.style.width = `${(100 * (end - start)) / length}%`;
      span.textContent = `${exact(start / 1000)} – ${exact(end / 1000)}`;
    });
    this.render.hidden = !this.#tracks.length;
  }

  #drag(event, block, track) {
    if (this.mode.value !== "mix") return;
    const perPixel = (1000 * track.seconds) / block.offsetWidth;
    const [from, before] = [event.clientX, track.offset_ms];
    block.setPointerCapture(event.pointerId);
    block.onpointermove = (move) => {
      const offset = Math.max(0, before + (move.clientX - from) * perPixel);
      this.#change(track, { offset_ms: Math.round(offset / SNAP_MS) * SNAP_MS });
      block.closest(".lane").parts.offset.value = track.offset_ms / 1000;
    };
    block.onpointerup = () => { block.onpointermove = null; };
  }

  async #render() {
    await this.rendered.during(async () => {
      this.rendered.progress(t("compose.rendering"));
      const { mode, crossfade } = this.#how();
      const format = this.format.value;
      const json = {
        tracks: this.#tracks.map(({ audio, offset_ms, volume, fade_in_ms, fade_out_ms }) => ({ audio, offset_ms, volume, fade_in_ms, fade_out_ms })),
        mode,
        crossfade_ms: mode === "sequence" ? crossfade : 0,
        normalize: this.normalized.checked,
        response_format: format,
        return: "json",
      };
      const made = await ask("POST", "v1/audio/compose", json);
      await this.player.show(await blob(made.audio_url), `composition.${format}`);
      this.rendered.done(t("compose.done", { length: seconds(made.duration_ms / 1000) }));
    });
  }
}

function shortened(text) {
  return text.length > LONGEST_LABEL ? `${text.slice(0, LONGEST_LABEL)}…` : text;
}

customElements.define("compose-tab", ComposeTab);
