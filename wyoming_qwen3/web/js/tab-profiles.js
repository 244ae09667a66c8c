// <profiles-tab>: makes voices from clips of people, recorded here or uploaded.

import { AliasEditor } from "./aliases.js";
import { ask, get, saveFrom } from "./api.js";
import { Notice, button, card, checkbox, confirmed, field, h, select } from "./dom.js";
import { Recordings, clearField, drafted } from "./drafts.js";
import { bytes, seconds } from "./format.js";
import { unlessLeft } from "./leaving.js";
import { showItems } from "./list.js";
import { Loader } from "./loader.js";
import { downloaded, paceOf, progressOf } from "./progress.js";
import { Recorder, canRecord } from "./recorder.js";
import { joined } from "./sound.js";
import { soundPlayer } from "./sound-player.js";
import { beginUpload, resume, unfinished } from "./tasks.js";
import { t } from "./text.js";
import { SOUNDS, playable } from "./upload.js";
import { VoiceSample } from "./voice-sample.js";
import { formerNames, languagePicker, makeDefault, spokenLanguage, voicesChanged } from "./voices.js";
import { Peaks, Wave } from "./wave.js";

const LONGEST = 120;
const IMPORT = "import";
const STATUS = { ready: "profiles.ready", pending: "profiles.pending", empty: "profiles.clipless" };

class ProfilesTab extends HTMLElement {
  #kept = new Recordings();
  #next = 1;
  /** @type {AbortController | null} */
  #stopping = null;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.#buildClips();
    this.target = select([["", t("profiles.new")]]);
    this.target.addEventListener("change", () => this.#tellTarget());
    this.name = drafted("profiles.name", h("input", { type: "text", maxlength: 64, autocomplete: "off" }));
    this.consent = drafted("profiles.consent", h("input", { type: "text", maxlength: 2000, autocomplete: "off" }));
    this.language = drafted("profiles.language", languagePicker());
    this.timbre = drafted("profiles.timbre", h("input", { type: "checkbox" }));
    this.about = h("div", { class: "stack" }, h("div", { class: "row" }, field(t("name"), this.name), field(t("language"), this.language)),
      field(t("profiles.consent"), this.consent, t("profiles.consent.hint")));
    this.save = button(t("profiles.save"), () => this.#save(), { symbol: "check", kind: "primary" });
    this.problems = h("ul", { class: "findings" });
    this.list = h("div", { class: "list" });
    this.profiles = new Loader(() => get("api/profiles"), (found) => this.#show(found), this.notice);
    this.transfer = new Notice();
    this.changed = new Notice();
    this.stop = button(t("stop"), () => this.#stopping?.abort(), { symbol: "stop" });
    this.stop.hidden = true;
    this.aliases = new AliasEditor();
    this.append(
      card(t("profiles.make"), h("p", {}, t("profiles.advice")), this.sources, this.live, this.clips,
        field(t("profiles.into"), this.target), this.about, checkbox(t("profiles.timbre"), this.timbre),
        h("div", { class: "actions" }, this.save), this.notice.element),
      card(t("profiles"), this.#importer(), this.transfer.element, this.problems, this.changed.element, this.list),
      this.aliases.element);
    this.restored = this.#restore();
    if (unfinished(IMPORT)) this.#imported((tell, signal) => resume(IMPORT, tell, signal));
  }

  async shown() {
    await Promise.all([this.profiles.show(), this.aliases.load()]);
  }

  #show({ profiles, problems }) {
    const into = this.target.value;
    const own = profiles.filter((profile) => !profile.folder);
    this.target.replaceChildren(this.target.options[0], ...own.map(({ id, name }) => h("option", { value: id }, name)));
    this.target.value = own.some(({ id }) => id === into) ? into : "";
    this.#tellTarget();
    showItems(this.problems, problems, ({ entry, message }) => h("li", { class: "error" }, `${entry}: ${message}`), { idOf: ({ entry }) => entry });
    showItems(this.list, profiles, (one) => this.#profile(one), { none: h("p", { class: "hint" }, t("profiles.none")) });
  }

  /** Ask for what a new profile needs. */
  #tellTarget() {
    this.about.hidden = Boolean(this.target.value);
  }

  #buildClips() {
    this.record = button(t("record"), () => this.#record(), { symbol: "record" });
    this.record.disabled = !canRecord;
    const files = h("input", { type: "file", accept: SOUNDS, multiple: true, class: "hidden", tabindex: -1, "aria-hidden": "true" });
    files.addEventListener("change", () => {
      this.#open([...files.files]);
      files.value = "";
    });
    const upload = button(t("upload"), () => files.click(), { symbol: "upload" });
    this.sources = h("div", { class: "drop" }, h("div", { class: "actions" }, this.record, upload), files,
      h("p", { class: "hint" }, canRecord ? t("profiles.drop") : t("record.insecure")));
    this.sources.addEventListener("dragover", (event) => event.preventDefault());
    this.sources.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#open([...event.dataTransfer.files]);
    });
    this.wave = new Wave();
    this.stopping = button(t("record.stop"), () => this.finish?.(), { symbol: "stop", kind: "danger" });
    this.length = h("span", { class: "value", role: "timer" });
    this.live = h("div", { class: "inset", hidden: true }, this.wave.canvas, h("div", { class: "between" }, this.stopping, this.length));
    this.clips = h("div", { class: "stack" });
  }

  #importer() {
    const file = h("input", { type: "file", accept: ".zip,application/zip", class: "hidden", tabindex: -1, "aria-hidden": "true" });
    file.addEventListener("change", async () => {
      await this.#import(file.files[0]);
      file.value = "";
    });
    return h("div", { class: "actions" }, button(t("profiles.import"), () => file.click(), { symbol: "upload" }), this.stop, file);
  }

  /** Add a clip, which is kept under this number. */
  #sample(number = this.#next) {
    this.#next = Math.max(this.#next, number + 1);
    const sample = new VoiceSample((state) => this.#kept.put(number, state));
    this.clips.append(sample);
    return sample;
  }

  /** Show the clips that are kept. Resolves when they are there, and others can be added or saved. */
  async #restore() {
    for (const [number, state] of await this.#kept.all()) {
      this.#sample(number).open(state.file, state).catch((error) => this.notice.error(error));
    }
  }

  #open(files) {
    for (const file of files) {
      this.notice.during(() => unlessLeft(async () => {
        await this.restored;
        const sample = this.#sample();
        try {
          await sample.open(playable(file));
        } catch (error) {
          sample.remove();
          throw error;
        }
      }));
    }
  }

  async #record() {
    const recorder = new Recorder();
    await this.notice.during(() => unlessLeft(async () => {
      const parts = [];
      let peaks = null;
      const stopped = new Promise((resolve) => { this.finish = resolve; });
      const rate = await recorder.start((samples) => {
        parts.push(samples);
        peaks?.add(samples);
      });
      peaks = new Peaks(rate);
      this.live.hidden = false;
      this.stopping.focus();
      const showing = setInterval(() => {
        this.wave.show(peaks);
        this.length.textContent = seconds(peaks.seconds);
        if (peaks.seconds > LONGEST) this.finish();
      }, 60);
      await stopped;
      clearInterval(showing);
      await recorder.stop();
      this.live.hidden = true;
      await this.restored;
      const sample = this.#sample();
      sample.take(joined(parts), rate);
      sample.text.focus();
    }));
  }

  async #save() {
    await this.notice.during(() => unlessLeft(async () => {
      await this.restored;
      const samples = [...this.clips.querySelectorAll("voice-sample")];
      if (!samples.length) throw new Error(t("profiles.empty"));
      if (!this.target.value && !this.name.value.trim()) throw new Error(t("design.nameless"));
      this.notice.progress(t("progress.saving"));
      await Promise.all(samples.map(({ opened }) => opened));
      const told = this.target.value ? await this.#addTo(this.target.value, samples) : await this.#create(samples);
      for (const sample of samples) {
        sample.remove();
        sample.changed(null);
      }
      voicesChanged();
      await this.shown();
      const timbre = told.some(({ code }) => code === "timbre") && t("profiles.by_timbre");
      this.notice.done([t("profiles.saved"), timbre].filter(Boolean).join(" "));
    }));
  }

  async #create(samples) {
    const form = new FormData();
    const name = this.name.value;
    form.append("name", name);
    form.append("language", this.language.value);
    form.append("consent", this.consent.value);
    form.append("x_vector_only_mode", String(this.timbre.checked));
    for (const sample of samples) {
      form.append("samples", sample.file(), "clip.wav");
      if (!this.timbre.checked) form.append("ref_texts", sample.text.value);
    }
    const { warnings } = await ask("POST", "api/profiles", undefined, { form });
    if (this.name.value === name) clearField(this.name); // the next one needs another
    return warnings;
  }

  async #addTo(id, samples) {
    const told = [];
    for (const sample of samples) {
      const form = new FormData();
      form.append("audio", sample.file(), "clip.wav");
      if (this.timbre.checked) form.append("x_vector_only_mode", "true");
      else form.append("ref_text", sample.text.value);
      told.push(...(await ask("POST", `api/profiles/${id}/samples`, undefined, { form })).warnings);
    }
    return told;
  }

  #profile(profile) {
    const { name } = profile;
    const actions = [
      profile.default ? h("span", { class: "badge" }, t("voices.is_default"))
        : button(t("voices.default"), () => this.#makeDefault(profile), { symbol: "star" }),
      button(t("profiles.export"), () => this.changed.during(() => saveFrom(`api/profiles/${profile.id}/export`, `${name}.zip`)), { symbol: "download" }),
      profile.folder ? h("span", { class: "badge" }, t("profiles.folder", { folder: profile.folder }))
        : button(t("remove.named", { name }), () => this.#remove(profile), { symbol: "remove", bare: true }),
    ];
    const about = [t(STATUS[profile.status]), spokenLanguage(profile.language), profile.voice,
      profile.description, profile.consent && t("profiles.agreed", { consent: profile.consent })];
    return h("article", { class: "item" },
      h("div", { class: "between" }, h("h3", {}, name), h("div", { class: "actions" }, ...actions)),
      h("p", { class: "hint" }, about.filter(Boolean).join(" · ")),
      formerNames(profile, (names) => this.#change(() => ask("PUT", `api/profiles/${profile.id}`, { former_names: names }))),
      ...profile.samples.map((sample) => this.#heardSample(profile, sample)));
  }

  #heardSample(profile, sample) {
    const player = soundPlayer();
    player.hidden = false;
    player.later(sample.audio_url, `${profile.name}.wav`, sample.duration_ms / 1000);
    player.drawn();
    const remove = button(t("sample.remove"), () => this.#change(() => ask("DELETE", `api/profiles/${profile.id}/samples/${sample.id}`)),
      { symbol: "remove", bare: true });
    return h("div", { class: "sample" }, h("p", { class: "quote" }, sample.text ?? t("profiles.timbre_only")),
      h("div", { class: "row" }, player, profile.folder ? null : remove));
  }

  async #makeDefault(profile) {
    await this.#change(() => makeDefault(profile.name), t("voices.defaulted", { name: profile.name }));
  }

  async #remove(profile) {
    if (!(await confirmed(t("remove.question", { name: profile.name }), t("remove"), t("cancel")))) return;
    await this.#change(() => ask("DELETE", `api/profiles/${profile.id}`));
  }

  async #change(change, said = "") {
    await this.changed.during(async () => {
      await change();
      voicesChanged();
      await this.shown();
      if (said) this.changed.done(said);
    });
  }

  async #import(file) {
    const form = new FormData();
    form.append("file", file, file.name);
    const what = t("profiles.importing", { name: file.name, size: bytes(file.size) });
    const paced = paceOf();
    const sent = (done, total) => {
      const { share, text } = downloaded({ done, total, seconds_left: paced(done, total) });
      this.transfer.progress(`${what} · ${text}`, share);
    };
    this.transfer.progress(what);
    await this.#imported((tell, signal) => beginUpload(IMPORT, "api/profiles/import?on_conflict=rename", form, sent, tell, signal));
  }

  /** Show the progress of an import that is begun or resumed, then its result. */
  async #imported(work) {
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    this.stop.hidden = false;
    await this.transfer.during(async () => {
      const { profile } = await work(progressOf(this.transfer), signal);
      voicesChanged();
      await this.shown();
      this.transfer.done(t("profiles.imported", { name: profile.name }));
    });
    if (signal.aborted) this.transfer.say(t("speak.stopped"));
    this.stop.hidden = true;
  }
}

customElements.define("profiles-tab", ProfilesTab);
