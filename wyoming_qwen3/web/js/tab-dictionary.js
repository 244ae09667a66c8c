// <dictionary-tab>: what is spoken instead of what is written.

import { ask, get, saveFrom, speech } from "./api.js";
import { Notice, button, card, checkbox, field, h, select } from "./dom.js";
import { drafted } from "./drafts.js";
import { unlessLeft } from "./leaving.js";
import { showItems } from "./list.js";
import { Loader } from "./loader.js";
import { t } from "./text.js";
import { languagePicker, spokenLanguage } from "./voices.js";

const PATH = "api/dictionary";
const MAX_CHARACTERS = 200;
const MAX_TRIED = 300;
const MAX_ROWS = 100;
const PAUSE_MS = 300;

class DictionaryTab extends HTMLElement {
  #entries = [];
  #shared = [];
  #edited = null;
  #timer = 0;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.listed = new Notice();
    this.dictionary = new Loader(() => get(PATH), (found) => this.#show(found), this.notice);
    this.#buildForm();
    this.#buildTry();
    this.#buildList();
    this.append(
      h("div", { class: "columns" }, card(t("dictionary"), h("p", { class: "hint" }, t("dictionary.about")), this.form, this.notice.element),
        card(t("dictionary.try"), this.text, this.spoken, field(t("language"), this.language), h("div", { class: "actions" }, this.hear), this.tried.element)),
      card(t("dictionary.entries"), h("div", { class: "actions" }, this.files), this.listed.element, this.problems, this.search, this.table, this.more));
  }

  async shown() {
    await Promise.all([this.dictionary.show(), this.#try()]);
  }

  #buildForm() {
    const input = () => h("input", { type: "text", maxlength: MAX_CHARACTERS, autocomplete: "off", spellcheck: "false" });
    this.written = input();
    this.instead = input();
    this.where = languagePicker("", ["", t("dictionary.everywhere")]);
    this.match = select(["word", "regex"].map((match) => [match, t(`dictionary.${match}`)]), "word");
    this.case = h("input", { type: "checkbox" });
    this.save = button(t("dictionary.add"), () => this.#save(), { symbol: "check", kind: "primary" });
    this.leave = button(t("cancel"), () => this.#edit(null));
    this.leave.hidden = true;
    this.form = h("form", { class: "stack" },
      h("div", { class: "row" }, field(t("dictionary.written"), this.written), field(t("dictionary.spoken"), this.instead, t("dictionary.spoken.hint"))),
      h("div", { class: "row" }, field(t("language"), this.where), field(t("dictionary.match"), this.match)),
      checkbox(t("dictionary.case"), this.case), h("div", { class: "actions" }, this.save, this.leave));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target instanceof HTMLInputElement) this.save.click();
      if (event.key === "Escape") this.#edit(null);
    });
  }

  #buildTry() {
    this.tried = new Notice();
    this.trial = new Loader(() => this.#ask(this.sample.value), ({ text }) => { this.becomes.textContent = text; });
    this.sample = drafted("dictionary.text", h("textarea", { rows: 2, maxlength: MAX_TRIED, placeholder: t("dictionary.placeholder") }));
    this.text = field(t("text"), this.sample);
    this.becomes = h("output", { class: "quote" });
    this.spoken = field(t("dictionary.becomes"), this.becomes);
    this.language = drafted("dictionary.language", languagePicker());
    this.hear = button(t("dictionary.hear"), () => this.#hear(), { symbol: "play" });
    this.audio = new Audio();
    document.addEventListener("sound", (event) => event.detail !== this.audio && this.audio.pause());
    this.language.addEventListener("change", () => this.#try());
    this.sample.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#try(), PAUSE_MS);
    });
  }

  #buildList() {
    const file = h("input", { type: "file", accept: ".csv,text/csv", class: "hidden", tabindex: -1, "aria-hidden": "true" });
    file.addEventListener("change", async () => {
      await this.#import(file.files[0]);
      file.value = "";
    });
    this.files = h("div", { class: "actions" }, button(t("dictionary.import"), () => file.click(), { symbol: "upload" }), file,
      button(t("dictionary.export"), () => this.listed.during(() => saveFrom(`${PATH}/export`, "dictionary.csv")), { symbol: "download" }));
    this.problems = h("ul", { class: "findings" });
    this.wanted = h("input", { type: "search", autocomplete: "off" });
    this.wanted.addEventListener("input", () => this.#showRows());
    this.search = field(t("dictionary.search"), this.wanted);
    const heads = ["written", "spoken", "language", "count"].map((name) => h("th", { scope: "col", class: name }, t(`dictionary.${name}`)));
    this.rows = h("tbody");
    this.table = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("dictionary.entries") },
      h("table", { class: "editable" }, h("thead", {}, h("tr", {}, heads, h("td"))), this.rows));
    this.more = h("p", { class: "hint" });
  }

  #show({ entries, shared, problems }) {
    const own = new Set(entries.map(({ id }) => id));
    this.#entries = entries;
    this.#shared = shared.filter(({ id }) => !own.has(id)).map((entry) => ({ ...entry, shared: true }));
    showItems(this.problems, problems, ({ shared: is, line, message }) =>
      h("li", { class: "warning" }, [is && t("dictionary.shared"), line && t("dictionary.line", { line }), message].filter(Boolean).join(": ")),
    { idOf: JSON.stringify });
    this.#showRows();
  }

  #showRows() {
    const all = [...this.#entries, ...this.#shared];
    const wanted = this.wanted.value.trim().toLowerCase();
    const found = all.filter(({ written, spoken }) => `${written}\n${spoken}`.toLowerCase().includes(wanted));
    showItems(this.rows, found.slice(0, MAX_ROWS), (entry) => this.#row(entry));
    this.search.hidden = all.length < 10 && !wanted;
    this.table.hidden = !found.length;
    this.more.textContent = found.length && found.length <= MAX_ROWS ? "" : t(all.length ? "dictionary.found" : "dictionary.none",
      { count: Math.min(found.length, MAX_ROWS), total: all.length });
  }

  #row(entry) {
    const { id, written, spoken, language, match, count, problem } = entry;
    const named = { written };
    const last = entry.shared ? badge(t("dictionary.shared")) : [
      button(t("dictionary.edit", named), () => this.#edit(entry), { symbol: "edit", bare: true }),
      button(t("remove.named", { name: written }), () => this.#remove(id, named), { symbol: "remove", bare: true })];
    const marks = [match === "regex" && t("dictionary.regex"), entry.case && t("dictionary.case")].filter(Boolean).map((text) => [" ", badge(text)]);
    return h("tr", {}, h("th", { scope: "row" }, written, marks.flat()),
      h("td", {}, spoken || h("span", { class: "hint" }, t("dictionary.silence")), problem && h("p", { class: "problem" }, problem)),
      h("td", { class: "language" }, language ? spokenLanguage(language) : t("dictionary.everywhere")), h("td", { class: "count" }, String(count)), h("td", { class: "short" }, last));
  }

  /** Put an entry into the form to change it; null to add another one. */
  #edit(entry) {
    this.#edited = entry?.id ?? null;
    this.written.value = entry?.written ?? "";
    this.instead.value = entry?.spoken ?? "";
    this.where.value = entry?.language ?? "";
    this.match.value = entry?.match ?? "word";
    this.case.checked = entry?.case ?? false;
    this.save.querySelector("span").textContent = t(entry ? "dictionary.save" : "dictionary.add");
    this.leave.hidden = !entry;
    this.written.focus();
  }

  /** Return what is in the form. */
  get #entry() {
    return { written: this.written.value, spoken: this.instead.value, language: this.where.value || null, match: this.match.value, case: this.case.checked };
  }

  async #save() {
    const [method, path] = this.#edited ? ["PUT", `/${this.#edited}`] : ["POST", ""];
    const entry = this.#entry;
    await this.#change(async () => {
      if (!entry.written.trim()) throw new Error(t("dictionary.empty"));
      await ask(method, `${PATH}/entries${path}`, entry);
      if (JSON.stringify(entry) === JSON.stringify(this.#entry)) this.#edit(null);
      return t("dictionary.saved", { written: entry.written });
    });
  }

  async #remove(id, named) {
    await this.#change(async () => {
      await ask("DELETE", `${PATH}/entries/${id}`);
      if (this.#edited === id) this.#edit(null);
      return t("dictionary.removed", named);
    }, this.listed);
    if (!this.rows.childElementCount) this.written.focus();
  }

  async #import(file) {
    const form = new FormData();
    form.append("file", file, file.name);
    await this.#change(async () => {
      await unlessLeft(() => ask("POST", `${PATH}/import`, undefined, { form }));
      return t("dictionary.imported", { name: file.name });
    }, this.listed);
  }

  /** Change the dictionary, show what it is then, also if the change was refused, and say in `notice` what was done. */
  async #change(work, notice = this.notice) {
    await notice.during(async () => {
      const said = await work().finally(() => this.dictionary.again());
      notice.done(said);
    });
    await this.#try();
  }

  async #try() {
    await this.tried.during(() => this.trial.again());
  }

  #ask(text) {
    if (!text.trim()) return Promise.resolve({ text: "" });
    return ask("POST", `${PATH}/try`, { text, language: this.language.value });
  }

  async #hear() {
    await this.tried.during(async () => {
      document.dispatchEvent(new CustomEvent("sound", { detail: this.audio }));
      const { file, warning } = await speech("api/effects/preview",
        { text: this.sample.value, language: this.language.value, response_format: "wav" });
      if (warning) this.tried.warn(warning);
      this.audio.src = URL.createObjectURL(file);
      await this.audio.play();
      await this.dictionary.again();
    });
  }
}

function badge(text) {
  return h("span", { class: "badge" }, text);
}

customElements.define("dictionary-tab", DictionaryTab);
