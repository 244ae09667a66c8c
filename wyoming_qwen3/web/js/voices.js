// The list of voices, and a picker that describes a voice and plays a sample.

import { ask, blob, get, speech } from "./api.js";
import { Notice, button, h, select, uid } from "./dom.js";
import { keep, recall } from "./drafts.js";
import { languageName } from "./format.js";
import { Loader } from "./loader.js";
import { t, tOr } from "./text.js";

/** The languages that the voices speak, as the server names them, and their codes. */
const LANGUAGES = {
  Chinese: "zh", English: "en", French: "fr", German: "de", Italian: "it", Japanese: "ja", Korean: "ko", Portuguese: "pt", Russian: "ru", Spanish: "es",
};

export const FORMATS = ["mp3", "wav", "flac", "opus", "aac"];

const GROUPS = ["builtin", "preset", "profile"];

const listed = new Loader(() => get("v1/audio/voices"), ({ voices }) => voices);

/** Return all voices; they are fetched once, and again after `forgetVoices` or `voicesChanged`. */
export function allVoices() {
  return listed.ready();
}

/** Fetch the voices again when they are next needed, because another program may have changed them. */
export function forgetVoices() {
  listed.forget();
}

/** Note that a voice was made, renamed or deleted. */
export function voicesChanged() {
  forgetVoices();
  document.dispatchEvent(new Event("voices"));
}

/** Return a language that the server names in the page's language; null for any language. */
export function spokenLanguage(name) {
  return name === "Auto" ? null : languageName(LANGUAGES[name]);
}

/** Create a choice of the language to speak; `any` is the value and the label of the choice of none. */
export function languagePicker(value = "Auto", any = ["Auto", t("language.Auto")]) {
  return select([any, ...Object.keys(LANGUAGES).map((name) => [name, spokenLanguage(name)])], value);
}

/** Return options of all voices in their groups. */
export function voiceOptions(voices) {
  return GROUPS.map((type) => {
    const options = voices.filter((voice) => voice.type === type);
    return options.length ? h("optgroup", { label: t(`voices.${type}`) },
      options.map((voice) => h("option", { value: voice.id }, voice.name))) : null;
  }).filter(Boolean);
}

/** Show the old names of a kept voice with buttons to remove them; `change` gets the remaining ones. */
export function formerNames(voice, change) {
  const names = voice.former_names;
  if (!names.length) return null;
  const without = (gone) => names.filter((name) => name !== gone);
  return h("div", { class: "former" }, h("span", { class: "hint" }, t("voices.former")), ...names.map((name) =>
    h("span", { class: "badge" }, name, button(t("voices.former.remove", { name }), () => change(without(name)), { symbol: "remove", bare: true }))));
}

/** Set the server's default voice. */
export async function makeDefault(voice) {
  await ask("PUT", "api/voices/default", { voice });
}

export class VoicePicker {
  #voices = [];
  #hearing = new AbortController();

  /** `among` returns whether a voice can be picked. */
  constructor(name, among = () => true) {
    this.name = name;
    this.notice = new Notice();
    this.control = h("select", { id: uid() });
    this.about = h("p", { class: "hint about", id: uid() });
    this.control.setAttribute("aria-describedby", this.about.id);
    this.hear = button(t("voices.hear"), () => this.#hear(), { symbol: "play" });
    this.audio = new Audio();
    this.element = h("div", { class: "field" }, h("label", { for: this.control.id }, t("voice")),
      h("div", { class: "row" }, this.control, this.hear), this.about, this.notice.element);
    this.list = new Loader(() => Promise.all([allVoices(), get("api/voices/default")]),
      ([voices, { voice }]) => this.#offer(voices.filter(among), voice), this.notice);
    this.control.addEventListener("change", () => {
      keep(this.name, this.control.value);
      this.#hearing.abort();
      this.notice.clear();
      this.#tell();
    });
    document.addEventListener("voices", () => this.load());
    document.addEventListener("sound", (event) => event.detail !== this.audio && this.audio.pause());
  }

  /** Fetch the voices, and show an error if that fails. */
  load() {
    return this.list.show();
  }

  /** Return the id of the chosen voice, as soon as the voices are there; see `Loader.ready`. */
  async chosen(signal) {
    await this.list.ready(signal);
    return this.control.value;
  }

  /** Offer voices, of which `usual` is the default one; the choice stays if it is among them. */
  #offer(voices, usual) {
    const wanted = this.control.value || recall(this.name);
    this.#voices = voices;
    this.control.replaceChildren(...voiceOptions(voices));
    const chosen = [wanted, usual].map((one) => voices.find(({ id, name }) => id === one || name === one)).find(Boolean);
    this.control.value = (chosen ?? voices[0])?.id ?? "";
    this.#tell();
  }

  #find(id) {
    return this.#voices.find((one) => one.id === id);
  }

  #tell() {
    const voice = this.#find(this.control.value);
    const home = voice?.language === "Auto" ? t("voices.anywhere") : voice && t("voices.home", { language: spokenLanguage(voice.language) });
    this.about.textContent = voice ? [tOr(`speaker.${voice.id}`, voice.description), home].filter(Boolean).join(" · ") : "";
  }

  /** Play a sample of the chosen voice, unless another one is chosen before it has come. */
  async #hear() {
    this.#hearing = new AbortController();
    const { signal } = this.#hearing;
    await this.notice.during(async () => {
      const id = await this.chosen(signal);
      document.dispatchEvent(new CustomEvent("sound", { detail: this.audio }));
      const { file, warning } = await sample(id, this.#find(id)?.preview_url, signal);
      if (warning) this.notice.warn(warning);
      this.audio.src = URL.createObjectURL(file);
      await this.audio.play();
    });
  }
}

/** Return a sample of a voice, its own clip or a spoken sentence, and the warning about it or "". */
async function sample(voice, clip, signal) {
  if (clip) return { file: await blob(clip, undefined, { signal }), warning: "" };
  return speech("api/effects/preview", { voice, response_format: "wav" }, signal);
}
