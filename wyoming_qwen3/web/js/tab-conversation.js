// <conversation-tab>: a script with several speakers, each with a voice.

import { Notice, button, card, field, h, select, slider } from "./dom.js";
import { drafted, keep, recall } from "./drafts.js";
import { exact, milliseconds } from "./format.js";
import { Loader } from "./loader.js";
import { progressOf } from "./progress.js";
import { key, speakersOf } from "./script.js";
import { soundPlayer } from "./sound-player.js";
import { begin, resume, unfinished } from "./tasks.js";
import { t } from "./text.js";
import { FORMATS, allVoices, languagePicker, voiceOptions } from "./voices.js";

const PATH = "v1/audio/conversation";
const TASK = "conversation";

/** Who speaks for those whose names are no voices, in turn. */
const FREE = ["Ryan", "Serena", "Aiden", "Vivian", "Sohee", "Dylan", "Ono_Anna", "Eric", "Uncle_Fu"];

class ConversationTab extends HTMLElement {
  #voices = [];
  #chosen = recall("conversation.cast", {});
  #roles = [];
  #names = "";
  #lines = [];
  #stopping = null;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.making = new Notice();
    this.warning = new Notice();
    this.script = drafted("conversation.script", h("textarea", { rows: 12, class: "script", placeholder: t("conversation.placeholder"), spellcheck: "true" }));
    this.script.addEventListener("input", () => this.#cast());
    this.voices = new Loader(allVoices, (voices) => {
      this.#voices = voices;
      this.#cast();
    }, this.notice);
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
    document.addEventListener("voices", () => this.voices.show());
    this.#cast();
    const left = unfinished(TASK);
    if (left) this.#finish((tell, signal) => resume(TASK, tell, signal), left);
  }

  shown() {
    this.voices.show();
  }

  /** Show the voice of each speaker in the script. */
  #cast() {
    const names = speakersOf(this.script.value);
    if (!this.cast.childElementCount || names.join("\n") !== this.#names) {
      this.#names = names.join("\n");
      this.#roles = names.map((name) => this.#role(name));
      const hint = h("p", { class: "hint" }, t(names.length ? "conversation.styles" : "conversation.nobody"));
      this.cast.replaceChildren(...this.#roles.map(({ element }) => element), hint);
    }
    this.#roles.forEach(({ voice }, number) => {
      voice.replaceChildren(...voiceOptions(this.#voices));
      voice.value = this.#part(names[number], number).voice;
    });
  }

  #role(name) {
    const voice = h("select", { onchange: () => this.#choose(name, { voice: voice.value }) });
    const style = h("input", { type: "text", maxlength: 2000, value: this.#chosen[key(name)]?.instructions ?? "", placeholder: t("style.short"),
      "aria-label": t("conversation.style", { name }), oninput: () => this.#choose(name, { instructions: style.value }) });
    return { voice, element: h("div", { class: "role" }, field(name, voice), style) };
  }

  #choose(name, what) {
    this.#chosen[key(name)] = { ...this.#chosen[key(name)], ...what };
    keep("conversation.cast", this.#chosen);
  }

  /** Return the voice and the style of a speaker, the one of this number in the script. */
  #part(name, number) {
    const { voice: chosen, instructions = "" } = this.#chosen[key(name)] ?? {};
    const ids = this.#voices.map(({ id }) => id);
    const own = ids.find((id) => key(id) === key(name));
    const voice = [chosen, own, FREE[number % FREE.length], ...ids].find((id) => ids.includes(id)) ?? "";
    return { voice, instructions: instructions.trim() || undefined };
  }

  async #speak() {
    if (!this.stop.hidden) return; // one is being spoken
    const { script } = this;
    const total = script.value.split("\n").filter((line) => speakersOf(line).length).length;
    const facts = { total, format: this.format.value };
    const wanted = this.#wanted();
    this.warning.clear();
    this.result.hidden = true;
    await this.#finish(async (tell, signal) => {
      await this.voices.ready(signal);
      const parts = speakersOf(wanted.script).map((name, number) => [name, this.#part(name, number)]);
      return begin(TASK, PATH, { ...wanted, speakers: Object.fromEntries(parts) }, facts, tell, signal);
    }, facts);
  }

  /** Return what is in the form but for the speakers, whose voices may have to be fetched first. */
  #wanted() {
    return {
      script: this.script.value,
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
    this.player.later(conversation.audio_url, `conversation.${format}`, conversation.duration_ms / 1000);
    this.player.hidden = false;
    await this.player.recording.ready();
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
