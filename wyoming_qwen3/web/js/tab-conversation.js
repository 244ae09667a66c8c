// <conversation-tab>: a script with several speakers, each with a voice.

import { blob } from "./api.js";
import { Notice, button, card, field, h, select, slider } from "./dom.js";
import { drafted, keep, recall } from "./drafts.js";
import { exact, milliseconds } from "./format.js";
import { progressOf } from "./progress.js";
import { key, speakersOf } from "./script.js";
import { soundPlayer } from "./sound-player.js";
import { begin, resume, unfinished } from "./tasks.js";
import { t } from "./text.js";
import { FORMATS, allVoices, languagePicker, voiceOptions } from "./voices.js";

const PATH = "v1/audio/conversation";
const TASK = "conversation";

class ConversationTab extends HTMLElement {
  #voices = [];
  #roles = [];
  #lines = [];
  #stopping = null;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.making = new Notice();
    this.warning = new Notice();
    this.script = drafted("conversation.script", h("textarea", { rows: 12, class: "script", placeholder: t("conversation.placeholder"), spellcheck: "true" }));
    this.script.addEventListener("input", () => this.#cast());
    this.cast = h("div", { class: "cast" });
    this.pause = slider(t("conversation.pause"), { min: 0, max: 3000, step: 50, value: 400, show: milliseconds });
    drafted("conversation.pause", this.pause.control);
    this.pause.tell();
    this.language = drafted("conversation.language", languagePicker());
    this.format = drafted("conversation.format", select(FORMATS.map((format) => [format, format]), "mp3"));
    this.start = button(t("conversation.speak"), () => this.#speak(), { symbol: "speak", kind: "primary" });
    this.stop = button(t("stop"), () => this.#stopping?.abort(), { symbol: "stop" });
    this.stop.hidden = true;
    this.player = soundPlayer();
    this.turns = h("ol", { class: "turns" });
    this.result = h("section", { class: "card", hidden: true }, h("h2", {}, t("conversation.result")), this.player, this.warning.element, this.turns);
    this.player.audio.addEventListener("timeupdate", () => this.#follow());
    this.append(h("div", { class: "columns" },
      h("div", { class: "stack" },
        card("", field(t("conversation.script"), this.script, t("conversation.hint")),
          h("div", { class: "actions" }, this.start, this.stop), this.making.element, this.notice.element), this.result),
      card(t("conversation.cast"), this.cast, this.pause.element, field(t("language"), this.language), field(t("format"), this.format))));
    this.script.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.start.click();
    });
    document.addEventListener("voices", () => this.shown());
    const left = unfinished(TASK);
    if (left) this.#finish((tell, signal) => resume(TASK, tell, signal), left);
  }

  async shown() {
    await this.notice.during(async () => {
      this.#voices = await allVoices();
      this.#cast();
    });
  }

  /** Show the voice of each speaker in the script; earlier choices are kept. */
  #cast() {
    const names = speakersOf(this.script.value);
    const chosen = recall("conversation.cast", {});
    this.#roles = names.map((name, number) => this.#role(name, number, chosen));
    const hint = h("p", { class: "hint" }, t(names.length ? "conversation.styles" : "conversation.nobody"));
    this.cast.replaceChildren(...this.#roles.map((role) => role.element), hint);
  }

  #role(name, number, chosen) {
    const voice = h("select", {}, voiceOptions(this.#voices));
    const ids = this.#voices.map((one) => one.id);
    const own = ids.find((id) => key(id) === key(name));
    const free = ["Ryan", "Serena", "Aiden", "Vivian", "Sohee", "Dylan", "Ono_Anna", "Eric", "Uncle_Fu"];
    const before = chosen[key(name)] ?? {};
    voice.value = ids.includes(before.voice) ? before.voice : own ?? free[number % free.length];
    const style = h("input", { type: "text", maxlength: 2000, value: before.instructions ?? "", placeholder: t("style.short") });
    style.setAttribute("aria-label", t("conversation.style", { name }));
    const change = () => {
      keep("conversation.cast", { ...recall("conversation.cast", {}), [key(name)]: { voice: voice.value, instructions: style.value } });
    };
    voice.addEventListener("change", change);
    style.addEventListener("input", change);
    const element = h("div", { class: "role" }, field(name, voice), style);
    return { name, element, fields: () => ({ voice: voice.value, instructions: style.value.trim() || undefined }) };
  }

  async #speak() {
    if (!this.stop.hidden) return; // one is being spoken
    const { script } = this;
    const total = script.value.split("\n").filter((line) => speakersOf(line).length).length;
    const facts = { total, format: this.format.value };
    this.warning.clear();
    this.result.hidden = true;
    await this.#finish((tell, signal) => begin(TASK, PATH, this.#wanted(), facts, tell, signal), facts);
  }

  #wanted() {
    return {
      script: this.script.value,
      speakers: Object.fromEntries(this.#roles.map((role) => [role.name, role.fields()])),
      pause_ms: Number(this.pause.control.value),
      language: this.language.value,
      response_format: this.format.value,
      return: "json",
    };
  }

  /** Show the progress of a conversation that is begun or resumed, then its result. */
  async #finish(work, { total, format }) {
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    this.stop.hidden = false;
    await this.making.during(async () => {
      const { conversation } = await work(progressOf(this.making, total), signal);
      await this.#show(conversation, format);
      this.making.clear();
    });
    if (signal.aborted) this.making.say(t("speak.stopped"));
    this.stop.hidden = true;
  }

  async #show(conversation, format) {
    this.result.hidden = false;
    const [warning, ...others] = conversation.warnings;
    if (warning) this.warning.warn(warning, ...others.map((one) => h("p", {}, one)));
    this.#lines = conversation.turns.map((turn) => ({ turn, element: this.#turn(turn) }));
    this.turns.replaceChildren(...this.#lines.map((line) => line.element));
    await this.player.show(await blob(conversation.audio_url), `conversation.${format}`);
  }

  #turn(turn) {
    const times = `${exact(turn.start_ms / 1000)} – ${exact(turn.end_ms / 1000)}`;
    return h("li", {}, h("button", { type: "button", class: "turn", onclick: () => this.player.from(turn.start_ms / 1000) },
      h("strong", {}, turn.speaker), h("span", { class: "words" }, turn.text), h("span", { class: "time" }, times)));
  }

  #follow() {
    const now = 1000 * this.player.position;
    for (const { turn, element } of this.#lines) {
      const heard = now >= turn.start_ms && now < turn.end_ms && !this.player.audio.paused;
      element.classList.toggle("heard", heard);
    }
  }
}

customElements.define("conversation-tab", ConversationTab);
