// <history-tab>: searches and plays what was spoken; exports and deletes a selection.

import { ask, blob, get, save, saveFrom, send, speech } from "./api.js";
import { Notice, button, card, confirmed, field, h, relabel, select } from "./dom.js";
import { drafted } from "./drafts.js";
import { bytes, fileName, milliseconds, moment, seconds } from "./format.js";
import { HistoryFilters } from "./history-filters.js";
import { showItems } from "./list.js";
import { Loader } from "./loader.js";
import { soundPlayer } from "./sound-player.js";
import { t, tOr } from "./text.js";
import { Undoable } from "./undo.js";
import { FORMATS, allVoices, spokenLanguage } from "./voices.js";

const PAGE = 20;
const MOST = 200;

class HistoryTab extends HTMLElement {
  #items = [];

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.told = new Notice(); // of what was spoken again, at its entry
    this.undo = new Undoable((ids) => send("POST", "api/history/delete", { json: { ids }, keepalive: true }), (deleting) => this.#deleted(deleting));
    this.back = button(t("undo"), () => this.#takeBack(), { symbol: "undo" });
    this.filters = new HistoryFilters(() => this.#find());
    this.offers = new Loader(() => Promise.all([allVoices(), get("api/models")]), ([voices, { models }]) => this.filters.offer(voices, models));
    this.found = new Loader(() => Promise.all([this.#ask(this.#limit, 0), get("api/history/stats"), this.offers.ready()]), (found) => this.#show(found), this.notice);
    this.format = drafted("history.format", select(FORMATS.map((format) => [format, format]), "mp3"));
    this.count = h("p", { class: "hint", role: "status" });
    this.list = h("div", { class: "list" });
    this.more = button(t("history.more"), () => this.#page());
    this.more.hidden = true;
    this.#buildChoice();
    this.tidying = h("div", { class: "actions" }, button(t("history.cleanup"), () => this.#cleanUp(), { symbol: "again" }),
      button(t("history.clear"), () => this.#clear(), { symbol: "remove" }));
    this.below = h("div", { class: "between" }, this.more, field(t("history.format"), this.format));
    this.append(
      card("", this.filters.element, h("div", { class: "between" }, this.count, this.tidying), this.notice.element),
      this.choice, this.list, this.below);
  }

  shown() {
    this.offers.forget();
    this.found.show();
  }

  /** The bar for what is chosen, which is shown while something is. */
  #buildChoice() {
    this.chosen = h("span", { role: "status" });
    this.choice = h("div", { class: "card choice between", hidden: true }, this.chosen, h("div", { class: "actions" },
      button(t("history.all"), () => this.#choose(true), { symbol: "check" }), button(t("history.nothing"), () => this.#choose(false), { symbol: "cross" }),
      button(t("history.export"), () => this.#export(), { symbol: "download" }),
      button(t("remove"), () => this.#removeChosen(), { symbol: "remove", kind: "danger" })));
  }

  /** How many results to ask for: as many as are shown, if those are more than a page. */
  get #limit() {
    return Math.min(Math.max(PAGE, this.#items.length), MOST);
  }

  get #boxes() {
    return /** @type {HTMLInputElement[]} */ ([...this.list.querySelectorAll("input[type=checkbox]")]);
  }

  get #ids() {
    return this.#boxes.filter(({ checked }) => checked).map(({ value }) => value);
  }

  #choose(all) {
    this.#boxes.forEach((box, number) => { box.checked = all && number < MOST; });
    this.#tellChoice();
  }

  #tellChoice() {
    const count = this.#ids.length;
    this.choice.hidden = !count;
    this.chosen.textContent = count ? t("history.chosen", { count }) : "";
  }

  async #find() {
    this.told.clear();
    await this.notice.during(() => this.found.again());
  }

  /** Show the results. Those that were chosen before stay so. */
  #show([page, stats]) {
    const chosen = this.#ids;
    this.#list(page.items);
    for (const box of this.#boxes) box.checked = chosen.includes(box.value);
    this.#tellChoice();
    this.count.textContent = stats.entries
      ? t("history.count", { count: page.total, entries: stats.entries, bytes: bytes(stats.bytes) }) : t("history.none");
    this.#tellMore(page);
    this.tidying.hidden = !stats.entries;
    this.below.hidden = !page.items.length;
  }

  /** Show these results but for those that will be deleted. */
  #list(items) {
    this.#items = items.filter(({ id }) => !this.undo.has(id));
    showItems(this.list, this.#items, (item) => this.#item(item));
  }

  #tellMore({ offset, items, total }) {
    this.more.hidden = offset + items.length >= total;
  }

  /** Show more results, unless something else is searched meanwhile. */
  async #page() {
    await this.notice.during(async () => {
      await this.found.ready();
      const last = this.list.lastElementChild;
      const page = await this.#ask(PAGE, this.#items.length + this.undo.size);
      if (last !== this.list.lastElementChild) return;
      this.#list([...this.#items, ...page.items]);
      this.#tellMore(page);
    });
  }

  /** Return results from `offset` on. */
  #ask(limit, offset) {
    return get(`api/history?${this.filters.query(limit, offset)}`);
  }

  #item(item) {
    const player = soundPlayer();
    player.hidden = false;
    player.download.hidden = true;
    player.later(item.audio_url, "", item.duration_ms / 1000);
    player.drawn(async () => (await get(`api/history/${item.id}/peaks`)).peaks);
    const notice = new Notice();
    const box = h("input", { type: "checkbox", value: item.id, "aria-label": t("history.choose", { text: item.text.slice(0, 40) }), onchange: () => this.#tellChoice() });
    const favorite = button("", () => this.#mark(item, favorite, notice), { symbol: "star", bare: true });
    tellMark(item, favorite);
    const actions = [favorite,
      button(t("history.again"), () => this.#again(item, false, notice), { symbol: "again", bare: true }),
      button(t("history.anew"), () => this.#again(item, true, notice), { symbol: "dice", bare: true }),
      button(t("download"), () => notice.during(() => this.#save(item)), { symbol: "download", bare: true }),
      button(t("remove"), () => this.#remove([item.id]), { symbol: "remove", bare: true })];
    return h("article", { class: "card item", "data-id": item.id },
      h("div", { class: "heading" }, box, h("p", { class: "quote" }, item.text)), player,
      h("div", { class: "between" }, h("p", { class: "hint" }, h("time", { datetime: item.created_at }, moment(item.created_at)), ` · ${factsOf(item)}`),
        h("div", { class: "actions" }, ...actions)), notice.element);
  }

  async #mark(item, favorite, notice) {
    await notice.during(async () => {
      Object.assign(item, await ask("PATCH", `api/history/${item.id}`, { favorite: !item.favorite }));
      tellMark(item, favorite);
    });
  }

  /** Speak an entry again, and show its warnings at the new one, or above all if the filters hide that. */
  async #again(item, anew, notice) {
    await notice.during(async () => {
      notice.progress(t("history.speaking"));
      const { id, warning } = await speech(`api/history/${item.id}/regenerate?new_seed=${anew}`, { save: true, response_format: "flac" });
      await get(`api/history/${id}`); // it exists only if the speech is complete
      await this.found.again();
      const made = this.list.querySelector(`[data-id="${id}"]`);
      const told = made ? this.told : this.notice;
      made?.querySelector("sound-player").after(told.element);
      if (warning) told.warn(t("history.spoken"), h("p", { lang: "en" }, warning));
      else told.done(t("history.spoken"));
      made?.scrollIntoView({ block: "nearest" });
    });
  }

  async #save(item) {
    const format = this.format.value;
    await saveFrom(`api/history/${item.id}/audio?format=${format}`, fileName(item.text, format));
  }

  async #export() {
    await this.notice.during(async () => {
      this.notice.progress(t("history.exporting"));
      save(await blob("api/history/export", { ids: this.#ids }), "history.zip");
      this.notice.clear();
    });
  }

  #removeChosen() {
    return this.#remove(this.#ids);
  }

  /** Hide entries and delete them soon, unless that is taken back. */
  async #remove(ids) {
    await this.notice.during(async () => {
      await this.undo.soon(ids);
      this.#list(this.#items);
      this.#tellChoice();
      this.notice.done(t("history.removed", { count: ids.length }), h("div", { class: "actions" }, this.back));
      this.back.focus();
    });
  }

  /** Remove the way back when it is over. What could not be deleted is shown again, with the error. */
  async #deleted(deleting) {
    const focused = document.activeElement === this.back;
    if (this.back.isConnected) this.notice.clear();
    if (focused) (this.#boxes[0] ?? this.filters.q).focus({ preventScroll: true });
    try {
      await deleting;
    } catch (error) {
      this.notice.error(error);
      this.undo.undo();
      this.found.again().catch(() => undefined); // it failed as well
    }
  }

  async #takeBack() {
    this.undo.undo();
    await this.#find();
    this.filters.q.focus();
  }

  async #cleanUp() {
    await this.notice.during(async () => {
      const { deleted } = await ask("POST", "api/history/cleanup", {});
      await this.found.again();
      this.notice.done(t("history.cleaned", { count: deleted }));
    });
  }

  async #clear() {
    if (!(await confirmed(t("history.question"), t("history.clear"), t("cancel")))) return;
    await this.notice.during(async () => {
      await ask("DELETE", "api/history?all=true");
      await this.found.again();
    });
  }
}

function tellMark(item, favorite) {
  relabel(favorite, t("history.favorite"));
  favorite.setAttribute("aria-pressed", String(item.favorite));
}

/** Describe an entry besides its text and time. */
function factsOf(item) {
  const model = item.model === "standby" ? t("engine.standby") : item.model.replace("Qwen3-TTS-12Hz-", "");
  return [item.voice, model, spokenLanguage(item.language), tOr(`source.${item.source}`, item.source),
    seconds(item.duration_ms / 1000), t("history.first", { time: milliseconds(item.ttfa_ms) })].filter(Boolean).join(" · ");
}

customElements.define("history-tab", HistoryTab);
