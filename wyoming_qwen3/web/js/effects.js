// The editor for a chain of effects from the server's list, with sliders for their parameters.

import { get } from "./api.js";
import { button, h, select, slider } from "./dom.js";
import { keep, recall } from "./drafts.js";
import { short } from "./format.js";
import { Loader } from "./loader.js";
import { t, tOr } from "./text.js";

const bare = (name) => name.replace(/_(db|hz|ms|lufs)$/, "");
const nice = (name) => tOr(`effect.${bare(name)}`, bare(name).replaceAll("_", " "));

/** Initial values of parameters without a default: a small effect. */
function first({ minimum, maximum, default: otherwise, unit }) {
  if (otherwise !== null) return otherwise;
  if (unit === "dB") return 3;
  return minimum < 0 ? -2 : Math.min(1.2, maximum);
}

export class EffectChain {
  #kinds = [];

  constructor(name, notice) {
    this.name = name;
    this.kinds = new Loader(() => get("api/effects"), ({ effects }) => this.#offer(effects.filter((kind) => kind.available)), notice);
    this.value = recall(name, []);
    this.list = h("div", { class: "stack" });
    this.adding = select([["", t("effects.add")]]);
    this.adding.setAttribute("aria-label", t("effects.add"));
    this.adding.addEventListener("change", () => this.#add(this.adding.value));
    this.element = h("details", { class: "more" }, h("summary", {}, t("effects")), this.list, this.adding);
    this.element.open = this.value.length > 0;
  }

  /** Fetch the kinds of effects, once. */
  async load() {
    if (!this.#kinds.length) await this.kinds.show();
  }

  /** Return the effects, as soon as it is known which of them the server has; see `Loader.ready`. */
  async chosen(signal) {
    await this.kinds.ready(signal);
    return this.value;
  }

  #offer(kinds) {
    this.#kinds = kinds;
    const options = this.#kinds.map((kind) => h("option", { value: kind.type }, nice(kind.type)));
    this.adding.replaceChildren(this.adding.options[0], ...options);
    this.value = this.value.filter((effect) => this.#kind(effect));
    this.#show();
  }

  #kind(effect) {
    return this.#kinds.find((kind) => kind.type === effect.type);
  }

  #add(type) {
    const kind = this.#kinds.find((one) => one.type === type);
    if (!kind) return;
    const values = kind.parameters.map((parameter) => [parameter.name, first(parameter)]);
    this.value.push({ type, ...Object.fromEntries(values) });
    this.adding.value = "";
    this.#changed();
  }

  #changed() {
    keep(this.name, this.value);
    this.#show();
  }

  #show() {
    this.list.replaceChildren(...this.value.map((effect, number) => this.#card(effect, number)));
  }

  #card(effect, number) {
    const kind = this.#kind(effect);
    const remove = button(t("effects.remove", { name: nice(kind.type) }), () => {
      this.value.splice(number, 1);
      this.#changed();
      this.adding.focus();
    }, { symbol: "remove", bare: true });
    const sliders = kind.parameters.map((parameter) => {
      const { element, control } = slider(nice(parameter.name), {
        min: parameter.minimum,
        max: parameter.maximum,
        step: parameter.maximum - parameter.minimum > 100 ? 1 : 0.05,
        value: effect[parameter.name],
        show: (value) => `${short(Math.abs(value)) === "0" ? 0 : Math.sign(value) < 0 ? `−${short(-value)}` : short(value)} ${parameter.unit}`.trim(),
      });
      control.addEventListener("input", () => {
        effect[parameter.name] = Number(control.value);
        keep(this.name, this.value);
      });
      return element;
    });
    return h("fieldset", { class: "inset" }, h("legend", {}, nice(kind.type)), remove, ...sliders);
  }
}
