// The filters of the history: their fields, what is set as chips that can be removed, and the query.

import { button, checkbox, field, h, select } from "./dom.js";
import { t } from "./text.js";
import { voiceOptions } from "./voices.js";

const TYPING_MS = 250;
const SORTS = ["created_at.desc", "created_at.asc", "duration.desc", "duration.asc"];
const SOURCES = ["wyoming", "speech", "batch", "stream", "realtime", "conversation", "regenerate"];

export class HistoryFilters {
  #typing = 0;

  /** `changed` is called whenever something else is to be found. */
  constructor(changed) {
    this.changed = changed;
    this.q = h("input", { type: "search", autocomplete: "off", maxlength: 200 });
    this.voice = select([["", t("history.any")]]);
    this.model = select([["", t("history.any")]]);
    this.source = select([["", t("history.any")], ...SOURCES.map((name) => [name, t(`source.${name}`)])]);
    this.since = h("input", { type: "date" });
    this.until = h("input", { type: "date" });
    this.favorite = h("input", { type: "checkbox" });
    this.sort = select(SORTS.map((name) => [name, t(`history.${name}`)]), SORTS[0]);
    this.chips = h("div", { class: "chips", role: "group", "aria-label": t("history.set") });
    this.q.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#change(), TYPING_MS);
    });
    for (const control of [...Object.values(this.#fields()), this.favorite, this.sort]) {
      control.addEventListener("change", () => this.#change());
    }
    this.element = h("div", { class: "stack" }, field(t("history.search"), this.q), this.chips,
      h("details", { class: "more" }, h("summary", {}, t("history.filters")), h("div", { class: "knobs" },
        field(t("voice"), this.voice), field(t("model"), this.model), field(t("history.source"), this.source),
        field(t("history.since"), this.since), field(t("history.until"), this.until), field(t("history.sort"), this.sort)),
      checkbox(t("history.favorites"), this.favorite)));
  }

  /** Offer these voices and models. */
  offer(voices, models) {
    refill(this.voice, voiceOptions(voices));
    refill(this.model, [...models.map(({ name }) => name), "standby"].map((name) => h("option", { value: name }, name)));
    this.#tell();
  }

  /** The query of a page of what is to be found. */
  query(limit, offset) {
    const [sort, order] = this.sort.value.split(".");
    const wanted = Object.entries({ q: this.q, ...this.#fields() }).map(([name, { value }]) => [name, value]);
    const query = new URLSearchParams([...wanted.filter(([, value]) => value.trim()), ["sort", sort], ["order", order],
      ["limit", limit], ["offset", offset]]);
    if (this.favorite.checked) query.set("favorite", "true");
    return query;
  }

  #fields() {
    return { voice: this.voice, model: this.model, source: this.source, from: this.since, to: this.until };
  }

  #change() {
    this.#tell();
    this.changed();
  }

  /** Show what is set, each with a way to remove it. */
  #tell() {
    const labels = { voice: "voice", model: "model", source: "history.source", from: "history.since", to: "history.until" };
    const set = Object.entries(this.#fields()).filter(([, { value }]) => value).map(([name, control]) =>
      chip(`${t(labels[name])}: ${control instanceof HTMLSelectElement ? control.selectedOptions[0].label : control.value}`, () => { control.value = ""; }));
    if (this.favorite.checked) set.push(chip(t("history.favorites"), () => { this.favorite.checked = false; }));
    this.chips.replaceChildren(...set.map((make) => make(() => {
      this.#change();
      this.q.focus();
    })));
    this.chips.hidden = !set.length;
  }
}

function chip(text, clear) {
  return (then) => h("span", { class: "chip set" }, text, button(t("history.unset", { filter: text }), () => {
    clear();
    then();
  }, { symbol: "cross", bare: true }));
}

function refill(control, options) {
  const { value } = control;
  control.replaceChildren(control.options[0], ...options);
  control.value = value;
  if (control.selectedIndex < 0) control.value = ""; // the voice was renamed or deleted
}
