// The editor for aliases: further names by which programs can ask for a voice.

import { ask, get } from "./api.js";
import { Notice, button, card, field, h, uid } from "./dom.js";
import { showItems } from "./list.js";
import { Loader } from "./loader.js";
import { key } from "./script.js";
import { t } from "./text.js";
import { allVoices, voiceOptions } from "./voices.js";

const PATH = "api/voices/aliases";
const MAX_NAME = 100;
const OPENAI = ["alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"];

/** The end of a name such as "anna-de" or "Anna (German)". */
const SPOKEN_LANGUAGE = /([-_\s,:/]+(zh|en|fr|de|it|ja|ko|pt|ru|es)([-_][a-z]{2})?|\s*[([（].+[)\]）])$/i;

export class AliasEditor {
  #voices = [];
  #known = new Set();
  #lost = [];

  constructor() {
    this.notice = new Notice();
    this.list = new Loader(() => Promise.all([get(PATH), allVoices(), get("api/profiles"), get("api/voice-presets")]),
      (found) => this.#take(found), this.notice);
    const offered = h("datalist", { id: uid() }, OPENAI.map((name) => h("option", { value: name })));
    this.name = h("input", { type: "text", maxlength: MAX_NAME, autocomplete: "off", list: offered.id });
    this.voice = h("select");
    this.add = button(t("aliases.add"), () => this.#add(), { symbol: "add" });
    const form = h("form", { class: "row end" }, field(t("aliases.name"), this.name), field(t("voice"), this.voice), this.add, offered);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add.click();
    });
    const heads = [t("aliases.name"), t("voice")].map((head) => h("th", { scope: "col" }, head));
    this.rows = h("tbody");
    this.table = h("table", { class: "editable", "aria-label": t("aliases"), hidden: true }, h("thead", {}, h("tr", {}, heads, h("td"))), this.rows);
    this.tidying = h("div", { class: "actions", hidden: true },
      button(t("aliases.tidy"), () => this.#remove(this.#lost, t("aliases.tidied")), { symbol: "remove" }));
    this.element = card(t("aliases"), h("p", { class: "hint" }, t("aliases.about")), this.table, this.tidying,
      form, this.notice.element);
  }

  /** Fetch the aliases and the voices, and show an error if that fails. */
  load() {
    return this.list.show();
  }

  #take([{ aliases, configured }, voices, { profiles }, { presets }]) {
    const kept = [...profiles, ...presets].filter(({ status }) => status !== "empty");
    this.#voices = voices;
    this.#known = new Set([...voices, ...kept].flatMap(({ id, name, former_names = [] }) => [id, name, ...former_names]).map(key));
    this.#lost = Object.keys(aliases).filter((name) => !this.#speaks(aliases[name]));
    this.#showVoices();
    this.#show(aliases, configured);
  }

  #showVoices() {
    const { value } = this.voice;
    this.voice.replaceChildren(...voiceOptions(this.#voices));
    if (this.#voices.some(({ id }) => id === value)) this.voice.value = value;
  }

  #show(aliases, configured) {
    const own = new Set(Object.keys(aliases).map(key));
    const rows = [
      ...Object.entries(aliases).map(([name, voice]) => this.#item(name, voice, "own")),
      ...Object.entries(configured).map(([name, voice]) => this.#item(name, voice, own.has(key(name)) ? "replaced" : "fixed")),
    ];
    showItems(this.rows, rows, (item) => this.#row(item));
    this.table.hidden = !this.rows.childElementCount;
    this.tidying.hidden = !this.#lost.length;
  }

  /** What a row shows: an alias, of whom, and what it is: "own" if it can be removed, "replaced" or "fixed". */
  #item(name, voice, kind) {
    const label = this.#voices.find(({ id }) => id === voice)?.name ?? voice;
    return { id: `${kind} ${name}`, name, label, kind, lost: !this.#speaks(voice) };
  }

  #row({ name, label, kind, lost }) {
    const last = kind === "own" ? button(t("aliases.remove", { name }), () => this.#remove([name], t("aliases.removed", { name })), { symbol: "remove", bare: true })
      : badge(t(`aliases.${kind}`));
    return h("tr", {}, h("th", { scope: "row" }, name),
      h("td", {}, label, lost ? [" ", badge(t("aliases.lost"), "failed")] : null), h("td", {}, last));
  }

  /** Return whether a voice has this name, or had it before it was renamed. */
  #speaks(voice) {
    return [voice, voice.replace(SPOKEN_LANGUAGE, "")].some((name) => this.#known.has(key(name)));
  }

  async #add() {
    const name = this.name.value.trim();
    let voice = null;
    await this.#change((aliases) => {
      if (!name) throw new Error(t("aliases.nameless"));
      [voice] = this.voice.selectedOptions;
      return { ...without(aliases, [name]), [name]: voice.value };
    }, () => {
      if (this.name.value.trim() === name) this.name.value = "";
      return t("aliases.added", { name, voice: voice.label });
    });
  }

  async #remove(names, done) {
    await this.#change((aliases) => without(aliases, names), () => done);
    this.name.focus();
  }

  /** Replace the server's aliases by what `edit` makes of them, and say what was done. */
  async #change(edit, done) {
    await this.notice.during(async () => {
      await this.list.ready();
      const { aliases } = await get(PATH); // another person may have changed them
      const wanted = edit(aliases);
      try {
        await ask("PUT", PATH, { aliases: wanted });
      } catch (error) {
        await this.list.again();
        throw error;
      }
      const said = done();
      await this.list.again();
      this.notice.done(said);
    });
  }
}

function badge(text, kind = "") {
  return h("span", { class: `badge ${kind}`.trim() }, text);
}

/** Return the aliases but for those with one of these names, compared as the server does. */
function without(aliases, names) {
  const gone = new Set(names.map(key));
  return Object.fromEntries(Object.entries(aliases).filter(([name]) => !gone.has(key(name))));
}
