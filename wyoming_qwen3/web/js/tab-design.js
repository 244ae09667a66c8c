// <design-tab>: makes a voice from a description, with previews.

import { ask, get, send, worked } from "./api.js";
import { Notice, button, card, confirmed, examples, field, h } from "./dom.js";
import { clearField, drafted, keep, recall } from "./drafts.js";
import { showItems } from "./list.js";
import { Loader } from "./loader.js";
import { progressOf } from "./progress.js";
import { soundPlayer } from "./sound-player.js";
import { begin, resume, unfinished } from "./tasks.js";
import { t, tList } from "./text.js";
import { VoicePicker, formerNames, languagePicker, makeDefault, voicesChanged } from "./voices.js";

const PATH = "api/voice-presets/create";
const TASK = "design";
const MOST_PREVIEWS = 6;
const SIDE_BY_SIDE = 3;
const SEEDS = 1e6;

class DesignTab extends HTMLElement {
  #stopping = null;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.making = new Notice();
    this.description = drafted("design.description", h("textarea", { rows: 3, maxlength: 2000, placeholder: t("design.placeholder") }));
    this.description.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.preview.click();
    });
    this.sample = drafted("design.sample", h("textarea", { rows: 2, maxlength: 500 }));
    this.language = drafted("design.language", languagePicker("English"));
    this.seed = drafted("design.seed", h("input", { type: "number", min: 0, max: 2 ** 48, step: 1, value: 1 }));
    this.preview = button(t("design.preview"), () => this.#make([Number(this.seed.value)]), { symbol: "play", kind: "primary" });
    this.three = button(t("design.three"), () => this.#make(this.#others()), { symbol: "dice" });
    this.stop = button(t("stop"), () => this.#stopping?.abort(), { symbol: "stop" });
    this.stop.hidden = true;
    this.heading = h("h2", { tabindex: -1 }, t("design.previews"));
    this.previews = h("div", { class: "list" });
    this.presets = h("div", { class: "list" });
    this.list = new Loader(() => Promise.all([get("api/voice-presets"), get("api/voices/default")]), ([{ presets }, { voice }]) =>
      showItems(this.presets, presets.map((preset) => ({ ...preset, default: preset.name === voice })), (preset) => this.#preset(preset), { none: hint("design.none") }),
    this.notice);
    this.append(
      h("div", { class: "columns" },
        card(t("design.describe"), field(t("design.description"), this.description, t("design.description.hint")),
          examples(t("design.examples"), tList("design.some"), this.description),
          field(t("design.sample"), this.sample, t("design.sample.hint")),
          h("div", { class: "row" }, field(t("language"), this.language), field(t("seed"), this.seed)),
          h("div", { class: "actions" }, this.preview, this.three, this.stop)),
        h("section", { class: "card" }, this.heading, this.making.element, this.notice.element, this.previews)),
      this.#styleCard(),
      card(t("design.presets"), this.presets));
    this.#showPreviews();
    document.addEventListener("voices", () => this.list.show());
    if (unfinished(TASK)) this.#make(unfinished(TASK).seeds);
  }

  shown() {
    this.speaker.load();
    this.list.show();
  }

  /** Return the seed in the form and random ones, to be heard side by side. */
  #others() {
    return [Number(this.seed.value), ...Array.from({ length: SIDE_BY_SIDE - 1 }, () => Math.floor(Math.random() * SEEDS))];
  }

  /** Make a preview with each of these seeds, one after the other; first the one that was begun before a reload. */
  async #make(seeds) {
    if (!this.stop.hidden) return; // some are being made
    this.heading.scrollIntoView({ block: "nearest" });
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    this.stop.hidden = false;
    await this.making.during(async () => {
      if (!unfinished(TASK) && !this.description.value.trim()) throw new Error(t("design.empty"));
      if (unfinished(TASK)) this.#take(await resume(TASK, progressOf(this.making), signal));
      for (const [number, seed] of seeds.entries()) {
        const left = { seeds: seeds.slice(number + 1) };
        this.#take(await begin(TASK, PATH, this.#wanted(seed), left, progressOf(this.making), signal));
      }
      this.making.clear();
    });
    if (signal.aborted) this.making.say(t("speak.stopped"));
    this.stop.hidden = true;
  }

  #wanted(seed) {
    return {
      preview: true,
      description: this.description.value,
      sample_text: this.sample.value.trim() || undefined,
      language: this.language.value,
      seed,
    };
  }

  #take({ preview }) {
    keep("design.previews", [preview, ...recall("design.previews", [])].slice(0, MOST_PREVIEWS));
    this.#showPreviews();
    this.previews.firstElementChild.scrollIntoView({ block: "nearest" });
  }

  /** Show the kept previews, the newest first. */
  #showPreviews() {
    showItems(this.previews, recall("design.previews", []), (preview) => this.#previewItem(preview),
      { idOf: (preview) => preview.preview_id, none: hint("design.unheard") });
  }

  #previewItem(preview) {
    const notice = new Notice();
    const player = soundPlayer();
    player.hidden = false;
    player.later(preview.preview_url, `preview-${preview.seed}.wav`, preview.duration_ms / 1000);
    player.drawn();
    const name = h("input", { type: "text", maxlength: 64, placeholder: t("design.name.placeholder"), autocomplete: "off", "aria-label": t("name") });
    const save = button(t("design.save"), () => this.#save(preview, name.value, notice), { symbol: "check" });
    const forget = button(t("design.forget"), () => this.#forget(preview), { symbol: "remove", bare: true });
    return h("section", { class: "item" },
      h("div", { class: "between" }, h("h3", {}, t("design.seeded", { seed: String(preview.seed) })), forget),
      h("p", { class: "hint quote clamped", title: preview.description }, preview.description), player,
      h("div", { class: "row" }, name, save), notice.element);
  }

  async #save(preview, name, notice) {
    await notice.during(async () => {
      if (!name.trim()) throw new Error(t("design.nameless"));
      const json = { name, preview_id: preview.preview_id };
      await worked(await send("POST", PATH, { json, more: { Accept: "text/event-stream" } }), progressOf(notice));
      this.#forget(preview);
      voicesChanged();
      this.notice.done(t("design.saved", { name }));
    });
  }

  #forget(preview) {
    keep("design.previews", recall("design.previews", []).filter((one) => one.preview_id !== preview.preview_id));
    this.#showPreviews();
    this.heading.focus();
  }

  /** The form for a speaker with a style, for clients such as Home Assistant that can only choose a voice. */
  #styleCard() {
    const notice = new Notice();
    this.speaker = new VoicePicker("design.speaker", (voice) => voice.type === "builtin");
    const style = drafted("design.style", h("input", { type: "text", maxlength: 2000 }));
    const name = drafted("design.style_name", h("input", { type: "text", maxlength: 64, autocomplete: "off", placeholder: t("design.style.placeholder") }));
    const save = button(t("design.save"), () => notice.during(async () => {
      const json = { name: name.value, instructions: style.value };
      if (!json.name.trim()) throw new Error(t("design.nameless"));
      await ask("POST", PATH, { ...json, voice: await this.speaker.chosen() });
      if (name.value === json.name) clearField(name);
      voicesChanged();
      notice.done(t("design.saved", json));
    }), { symbol: "check" });
    return card(t("design.style"), h("p", { class: "hint" }, t("design.style.about")), this.speaker.element,
      field(t("style"), style), examples(t("style.examples"), tList("style.some"), style),
      h("div", { class: "row end" }, field(t("name"), name), save), notice.element);
  }

  #preset(preset) {
    const player = soundPlayer();
    if (preset.preview_url) {
      player.hidden = false;
      player.later(preset.preview_url, `${preset.name}.wav`, 0);
      player.drawn();
    }
    const about = [preset.voice && `${preset.voice}, ${preset.instructions ?? ""}`, preset.description].filter(Boolean).join(" · ");
    const first = preset.default ? h("span", { class: "badge" }, t("voices.is_default"))
      : button(t("voices.default"), () => this.#makeDefault(preset), { symbol: "star" });
    const remove = button(t("remove.named", { name: preset.name }), () => this.#remove(preset), { symbol: "remove", bare: true });
    return h("article", { class: "item" },
      h("div", { class: "between" }, h("h3", {}, preset.name), h("div", { class: "actions" }, first, remove)),
      h("p", { class: "hint" }, about), formerNames(preset, (names) => this.#keepNames(preset, names)), player);
  }

  async #keepNames(preset, names) {
    await this.notice.during(async () => {
      await ask("PUT", `api/voice-presets/${preset.id}`, { former_names: names });
      voicesChanged();
    });
  }

  async #makeDefault(preset) {
    await this.notice.during(async () => {
      await makeDefault(preset.name);
      await this.list.show();
      this.notice.done(t("voices.defaulted", { name: preset.name }));
    });
  }

  async #remove(preset) {
    if (!(await confirmed(t("remove.question", { name: preset.name }), t("remove"), t("cancel")))) return;
    await this.notice.during(async () => {
      await ask("DELETE", `api/voice-presets/${preset.id}`);
      voicesChanged();
    });
  }
}

function hint(name) {
  return h("p", { class: "hint" }, t(name));
}

customElements.define("design-tab", DesignTab);
