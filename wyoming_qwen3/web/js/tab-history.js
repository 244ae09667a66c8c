// <history-tab>: searches and plays what was spoken.

import { ask, get, saveFrom, speech } from "./api.js";
import { Notice, button, card, checkbox, confirmed, field, h, relabel, select } from "./dom.js";
import { bytes, fileName, milliseconds, moment, seconds } from "./format.js";
import { soundPlayer } from "./sound-player.js";
import { t } from "./text.js";
import { FORMATS, allVoices, voiceOptions } from "./voices.js";

const PAGE = 20;

class HistoryTab extends HTMLElement {
  #asked = 0;
  #typing = 0;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.q = h("input", { type: "search", autocomplete: "off" });
    this.voice = select([["", t("history.any")]]);
    this.model = select([["", t("history.any")]]);
    this.since = h("input", { type: "date" });
    this.until = h("input", { type: "date" });
    this.favorite = h("input", { type: "checkbox" });
    this.sort = select(["created_at.desc", "created_at.asc", "duration.desc", "duration.asc"].map((name) => [name, t(`history.${name}`)]), "created_at.desc");
    this.format = select(FORMATS.map((format) => [format, format]), "mp3");
    this.q.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#find(), 250);
    });
    for (const control of [this.voice, this.model, this.since, this.until, this.favorite, this.sort]) {
      control.addEventListener("change", () => this.#find());
    }
    this.count = h("p", { class: "hint", role: "status" });
    this.list = h("div", { class: "list" });
    this.more = button(t("history.more"), () => this.#page());
    this.append(
      card("", field(t("history.search"), this.q),
        h("details", { class: "more" }, h("summary", {}, t("history.filters")), h("div", { class: "knobs" },
          field(t("voice"), this.voice), field(t("model"), this.model), field(t("history.since"), this.since),
          field(t("history.until"), this.until), field(t("history.sort"), this.sort), field(t("history.format"), this.format)),
        checkbox(t("history.favorites"), this.favorite)),
        h("div", { class: "between" }, this.count, h("div", { class: "actions" },
          button(t("history.cleanup"), () => this.#cleanUp(), { symbol: "again" }),
          button(t("history.clear"), () => this.#clear(), { symbol: "remove" }))),
        this.notice.element),
      this.list, h("div", { class: "actions center" }, this.more));
  }

  async shown() {
    await this.notice.during(async () => {
      const [voices, { models }] = await Promise.all([allVoices(), get("api/models")]);
      this.#refill(this.voice, voiceOptions(voices));
      this.#refill(this.model, [...models.map(({ name }) => name), "standby"].map((name) => h("option", { value: name }, name)));
    });
    await this.#find();
  }

  #refill(control, options) {
    const { value } = control;
    control.replaceChildren(control.options[0], ...options);
    control.value = value;
    if (control.selectedIndex < 0) control.value = ""; // the voice was renamed or deleted
  }

  async #find() {
    await this.notice.during(async () => {
      const [page, stats] = [await this.#ask(0), await get("api/history/stats")];
      if (!page) return;
      this.list.replaceChildren(...page.items.map((item) => this.#item(item)));
      this.#tell(page, stats);
    });
  }

  async #page() {
    await this.notice.during(async () => {
      const page = await this.#ask(this.list.childElementCount);
      if (!page) return;
      this.list.append(...page.items.map((item) => this.#item(item)));
      this.more.hidden = this.list.childElementCount >= page.total;
    });
  }

  /** Return the results from `offset` on; null if there was a newer search meanwhile. */
  async #ask(offset) {
    this.#asked += 1;
    const asked = this.#asked;
    const [sort, order] = this.sort.value.split(".");
    const wanted = { q: this.q.value, voice: this.voice.value, model: this.model.value, from: this.since.value, to: this.until.value };
    const given = Object.entries(wanted).filter(([, value]) => value.trim());
    const query = new URLSearchParams([...given, ["sort", sort], ["order", order], ["limit", PAGE], ["offset", offset]]);
    if (this.favorite.checked) query.set("favorite", "true");
    const page = await get(`api/history?${query}`);
    return asked === this.#asked ? page : null;
  }

  #tell(page, stats) {
    this.count.textContent = stats.entries
      ? t("history.count", { total: page.total, entries: stats.entries, bytes: bytes(stats.bytes) }) : t("history.none");
    this.more.hidden = page.items.length >= page.total;
  }

  #item(item) {
    const player = soundPlayer();
    player.hidden = false;
    player.download.hidden = true;
    player.later(item.audio_url, "", item.duration_ms / 1000);
    const notice = new Notice();
    const element = h("article", { class: "card item" });
    const favorite = button("", () => this.#mark(item, favorite, notice), { symbol: "star", bare: true });
    this.#tellMark(item, favorite);
    const actions = [favorite,
      button(t("history.again"), () => this.#again(item, false, notice), { symbol: "again", bare: true }),
      button(t("history.anew"), () => this.#again(item, true, notice), { symbol: "dice", bare: true }),
      button(t("download"), () => notice.during(() => this.#save(item)), { symbol: "download", bare: true }),
      button(t("remove"), () => this.#remove(item, element, notice), { symbol: "remove", bare: true })];
    const facts = [item.voice, item.model.replace("Qwen3-TTS-12Hz-", ""), item.language === "Auto" ? null : item.language, item.source,
      seconds(item.duration_ms / 1000), t("history.first", { time: milliseconds(item.ttfa_ms) })];
    element.append(h("p", { class: "quote" }, item.text), player,
      h("div", { class: "between" },
        h("p", { class: "hint" }, h("time", { datetime: item.created_at }, moment(item.created_at)), ` · ${facts.filter(Boolean).join(" · ")}`),
        h("div", { class: "actions" }, ...actions)), notice.element);
    return element;
  }

  #tellMark(item, favorite) {
    relabel(favorite, t("history.favorite"));
    favorite.setAttribute("aria-pressed", String(item.favorite));
  }

  async #mark(item, favorite, notice) {
    await notice.during(async () => {
      Object.assign(item, await ask("PATCH", `api/history/${item.id}`, { favorite: !item.favorite }));
      this.#tellMark(item, favorite);
    });
  }

  async #again(item, anew, notice) {
    await notice.during(async () => {
      notice.progress(t("history.speaking"));
      const { id, warning } = await speech(`api/history/${item.id}/regenerate?new_seed=${anew}`, { save: true, response_format: "flac" });
      await get(`api/history/${id}`); // it exists only if the speech is complete
      await this.#find();
      if (warning) this.notice.warn(t("history.spoken"), h("p", {}, warning));
      else this.notice.done(t("history.spoken"));
    });
  }

  async #save(item) {
    const format = this.format.value;
    await saveFrom(`api/history/${item.id}/audio?format=${format}`, fileName(item.text, format));
  }

  async #remove(item, element, notice) {
    await notice.during(async () => {
      await ask("DELETE", `api/history/${item.id}`);
      const next = element.nextElementSibling ?? element.previousElementSibling;
      element.remove();
      (next?.querySelector("button") ?? this.q).focus();
    });
  }

  async #cleanUp() {
    await this.notice.during(async () => {
      const { deleted } = await ask("POST", "api/history/cleanup", {});
      await this.#find();
      this.notice.done(t("history.cleaned", { deleted }));
    });
  }

  async #clear() {
    if (!(await confirmed(t("history.question"), t("history.clear"), t("cancel")))) return;
    await this.notice.during(async () => {
      await ask("DELETE", "api/history?all=true");
      await this.#find();
    });
  }
}

customElements.define("history-tab", HistoryTab);
