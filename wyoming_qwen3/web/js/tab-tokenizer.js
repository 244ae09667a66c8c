// <tokenizer-tab>: encodes a file as tokens, 16 for each 80 ms, and decodes them.

import { ask, blob, save } from "./api.js";
import { Notice, button, card, h } from "./dom.js";
import { exact, seconds } from "./format.js";
import { Loader } from "./loader.js";
import { soundPlayer } from "./sound-player.js";
import { t } from "./text.js";
import { SOUNDS, playable } from "./upload.js";

const HEIGHT = 12;

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class TokenizerTab extends HTMLElement {
  #file = null;
  #encoded = null;
  #cell = [0, 0];
  #width = 1;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.encoding = new Loader(() => this.#ask(), (encoded) => this.#show(encoded));
    const file = h("input", { type: "file", accept: SOUNDS, class: "hidden", tabindex: -1, "aria-hidden": "true" });
    file.addEventListener("change", async () => {
      await this.#encode(file.files[0]);
      file.value = "";
    });
    const drop = h("div", { class: "drop tall" }, button(t("tokenizer.choose"), () => file.click(), { symbol: "upload", kind: "primary" }),
      file, h("p", { class: "hint" }, t("tokenizer.drop")));
    drop.addEventListener("dragover", (event) => event.preventDefault());
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#encode(event.dataTransfer.files[0]);
    });
    this.picture = h("canvas", { role: "img" });
    this.pointed = h("output", { class: "hint" });
    this.picture.addEventListener("pointermove", ({ offsetX, offsetY }) =>
      this.#point([Math.floor(offsetX / this.#width), Math.floor(offsetY / HEIGHT)]));
    this.table = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("tokenizer.tokens") }, this.picture);
    this.table.addEventListener("keydown", (event) => this.#key(event));
    this.original = soundPlayer();
    this.decoded = soundPlayer();
    this.facts = h("p", { class: "hint" });
    this.tokens = h("section", { class: "card", hidden: true }, h("h2", {}, t("tokenizer.tokens")), this.facts,
      this.table, this.pointed,
      h("div", { class: "actions" }, button(t("tokenizer.decode"), () => this.#decode(), { symbol: "speak", kind: "primary" }),
        button(t("tokenizer.save"), () => this.#save(), { symbol: "download" })));
    this.heard = h("section", { class: "card", hidden: true }, h("h2", {}, t("tokenizer.compare")),
      h("h3", {}, t("tokenizer.before")), this.original, h("h3", {}, t("tokenizer.after")), this.decoded);
    this.append(card("", h("p", {}, t("tokenizer.about")), drop, this.notice.element), this.tokens, this.heard);
  }

  async #encode(file) {
    if (!file) return;
    await this.notice.during(async () => {
      this.notice.progress(t("tokenizer.encoding"));
      this.#file = file;
      await this.encoding.again();
    });
  }

  #ask() {
    const form = new FormData();
    form.append("file", this.#file, this.#file.name);
    return ask("POST", "api/audio/encode", undefined, { form });
  }

  async #show(encoded) {
    const file = this.#file;
    this.#encoded = encoded;
    this.notice.clear();
    this.tokens.hidden = false;
    this.heard.hidden = false;
    this.decoded.hidden = true;
    this.#draw();
    await this.original.show(await playable(file), file.name);
  }

  #draw() {
    const { tokens, frames, codebooks, duration_ms: duration } = this.#encoded;
    this.facts.textContent = t("tokenizer.facts", { frames, codebooks, seconds: seconds(duration / 1000), bits: 11 * codebooks * 12.5 });
    this.picture.setAttribute("aria-label", this.facts.textContent);
    this.#width = Math.max(4, Math.min(16, Math.floor(this.picture.parentElement.clientWidth / frames)));
    this.picture.width = frames * this.#width;
    this.picture.height = codebooks * HEIGHT;
    const highest = Math.max(1, ...tokens.map((frame) => Math.max(...frame)));
    const context = this.picture.getContext("2d");
    tokens.forEach((frame, column) => frame.forEach((token, row) => {
      context.fillStyle = `hsl(${195 + 9 * row} 65% ${18 + (64 * token) / highest}%)`;
      context.fillRect(column * this.#width, row * HEIGHT, this.#width - 1, HEIGHT - 1);
    }));
  }

  /** Tell the token at a column and a row. */
  #point([column, row]) {
    const token = this.#encoded.tokens[column]?.[row];
    this.#cell = [column, row];
    this.pointed.textContent = token === undefined ? "" : t("tokenizer.pointed", { time: exact(column / 12.5), row: row + 1, token });
  }

  /** Point at the token beside the last one. */
  #key(event) {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const { frames, codebooks } = this.#encoded;
    const [column, row] = this.#cell.map((at, axis) => Math.max(0, Math.min(at + step[axis], [frames, codebooks][axis] - 1)));
    this.#point([column, row]);
    this.table.scrollLeft = column * this.#width - this.table.clientWidth / 2;
  }

  async #decode() {
    await this.notice.during(async () => {
      const encoded = this.#encoded;
      const file = await blob("api/audio/decode", { tokens: encoded.tokens, response_format: "wav" });
      if (encoded === this.#encoded) await this.decoded.show(file, "decoded.wav");
    });
  }

  #save() {
    save(new Blob([JSON.stringify(this.#encoded)], { type: "application/json" }), "tokens.json");
  }
}

customElements.define("tokenizer-tab", TokenizerTab);
