// <home-tab>: what is ready and what is still downloading, a first sentence, this machine, and how to connect.

import { ask, get, speech, url } from "./api.js";
import { purposeOf, speedOf } from "./checkpoints.js";
import { Notice, button, card, h } from "./dom.js";
import { bytes, seconds, short } from "./format.js";
import { showItems } from "./list.js";
import { downloaded } from "./progress.js";
import { soundPlayer } from "./sound-player.js";
import { t } from "./text.js";
import { Watch } from "./watch.js";

/** Spoken while only the standby voice is ready, which speaks English. */
const ENGLISH = "Hello. This is your house speaking. The front door is closed, and the kettle is warm.";
const ADD_INTEGRATION = "https://my.home-assistant.io/redirect/config_flow_start?domain=wyoming";
const LOOPBACK = /^(localhost|127\.[\d.]+|\[::1\])$/;
const PORT = /^tcp:\/\/.*:(\d+)$/;

class HomeTab extends HTMLElement {
  #ready = false;
  #stopping = null;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.models = h("div", { class: "list" });
    this.machine = h("dl", { class: "facts" });
    this.speed = h("div", { class: "stack" });
    this.address = h("div", { class: "stack" });
    this.watch = new Watch(this, () => Promise.all([this.#health(), get("api/machine")]), (found) => this.#take(found), this.notice);
    this.append(h("div", { class: "columns" },
      h("div", { class: "stack" }, card(t("home.voices"), this.notice.element, this.models), this.#hearing()),
      h("div", { class: "stack" }, card(t("home.connect"), this.address), card(t("models.machine"), this.speed, this.machine))));
  }

  shown() {
    this.watch.show();
  }

  #hearing() {
    this.told = new Notice();
    this.warning = new Notice();
    this.sentence = h("p", { class: "quote" });
    this.hear = button(t("home.hear"), () => this.#hear(), { symbol: "play", kind: "primary" });
    this.stop = button(t("stop"), () => this.#stopping?.abort(), { symbol: "stop" });
    this.stop.hidden = true;
    this.player = soundPlayer();
    return card(t("home.first"), this.sentence, h("div", { class: "actions" }, this.hear, this.stop),
      this.told.element, this.player, this.warning.element);
  }

  /** Show what was found; return whether something is going on. */
  #take([health, machine]) {
    this.#ready = health.status === "ok" && health.models.some(({ state }) => state === "ready" || state === "on disk");
    this.sentence.textContent = this.#ready ? t("home.sentence") : ENGLISH;
    this.sentence.lang = this.#ready ? "" : "en";
    this.#tellModels(health, machine);
    this.#tellMachine(health, machine);
    this.#tellAddress(health, machine);
    return health.models.some(({ state }) => state === "downloading" || state === "loading");
  }

  /** Return /health, which answers with 503 if no voice can speak. */
  async #health() {
    try {
      return await get("health");
    } catch (error) {
      if (error.status !== 503) throw error;
      return (await fetch(url("health"))).json();
    }
  }

  #tellModels({ models, standby, servers, options }, machine) {
    const main = models.find(({ variant, size }) => variant === "custom_voice" && size === machine.size);
    const others = models.filter((model) => model !== main && !["missing", "on disk"].includes(model.state));
    const rows = [main, ...others].filter(Boolean);
    const off = options?.standby === "off";
    const items = [
      ...rows.map((model) => ({
        id: model.id, name: `${t(`models.${model.variant}`)} ${model.size}`, does: t(purposeOf(model)), state: model.state,
        error: model.error?.message, hub: machine.hub,
      })),
      ...servers.map(({ url: id, up, error }) => ({ id, name: id, does: t("home.server"), state: up ? "ready" : "failed", error })),
      { id: "standby", name: t("engine.standby"), does: t("home.standby"), state: standby ? "ready" : off ? "missing" : "loading", label: off ? t("home.off") : undefined },
    ];
    showItems(this.models, items, (item) => ("hub" in item ? this.#model(item) : row(item)));
    rows.forEach((model, number) => this.#progress(model, this.models.children[number]));
  }

  #model(model) {
    const element = row(model);
    const act = (label, path, symbol) => button(label, () => this.#change(path, model), { symbol });
    const actions = element.querySelector(".actions");
    if (model.state === "missing" || model.state === "failed") actions.append(act(t("models.download"), "download", "download"));
    if (model.state === "downloading") {
      actions.append(act(t("models.cancel"), "download/cancel", "stop"));
      element.append(h("progress", { max: 1, "aria-label": t("state.downloading") }), h("p", { class: "hint" }, t("home.from", { hub: model.hub })));
    }
    return element;
  }

  #progress({ progress }, element) {
    const bar = element.querySelector("progress");
    if (!bar || !progress) return;
    const { share, text } = downloaded(progress);
    if (share !== null) bar.value = share;
    const [where] = bar.nextElementSibling.textContent.split(" · ");
    bar.nextElementSibling.textContent = `${where} · ${text}`;
  }

  async #change(path, model) {
    await this.notice.during(async () => {
      await ask("POST", `api/models/${path}`, { model: model.id });
      await this.watch.show();
    });
  }

  #tellMachine({ models }, machine) {
    this.speed.replaceChildren(...speedOf(models, machine));
    const spoken = machine.speeds.map(({ model, times }) =>
      [model === "standby" ? t("engine.standby") : model.replace("Qwen3-TTS-12Hz-", ""), t("fact.times", { times: short(times) })]);
    const facts = [
      [t("machine.speed"), spoken.length ? spoken.map((pair) => h("div", {}, pair.join(": "))) : t("home.unmeasured"), "wide"],
      [t("machine.processors"), String(machine.processors)],
      [t("machine.memory"), bytes(machine.memory_free_bytes)],
      [t("machine.gpu"), machine.gpu_free_bytes === null ? t("machine.no_gpu") : bytes(machine.gpu_free_bytes)],
      [t("machine.disk"), machine.disk_free_bytes === null ? "–" : bytes(machine.disk_free_bytes)],
      models.length ? [t("machine.size"), machine.size] : null,
    ];
    this.machine.replaceChildren(...facts.filter(Boolean).map(([name, value, kind]) => h("div", { class: kind }, h("dt", {}, name), h("dd", {}, value))));
  }

  #tellAddress({ options }, { host }) {
    if (this.address.childElementCount) return;
    const port = PORT.exec(options?.uri ?? "")?.[1];
    const framed = window.parent !== window;
    const address = `${framed || LOOPBACK.test(location.hostname) ? host : location.hostname}:${port}`;
    const copy = button(t("copy"), () => this.#copy(address), { symbol: "copy", bare: true });
    this.address.append(
      h("p", {}, t(framed ? "home.connect.app" : "home.connect.server")),
      port ? h("div", { class: "between inset" }, h("code", {}, address), copy) : null,
      h("p", { class: "hint" }, t("home.connect.then")),
      h("div", { class: "actions" }, h("a", { class: "button", href: ADD_INTEGRATION, target: "_blank", rel: "noreferrer" }, t("home.connect.open"))));
  }

  async #copy(text) {
    await this.told.during(async () => {
      await navigator.clipboard?.writeText(text); // only on secure pages
      this.told.done(t(navigator.clipboard ? "copied" : "copy.by_hand"));
    });
  }

  async #hear() {
    this.warning.clear();
    this.player.hidden = true;
    this.#stopping = new AbortController();
    this.stop.hidden = false;
    await this.told.during(async () => {
      this.told.progress(t("speak.waiting"));
      await this.watch.ready(this.#stopping.signal); // it says which sentence is spoken
      const started = performance.now();
      const json = { input: this.sentence.textContent, response_format: "wav", standby: "auto" };
      const { file, warning, model } = await speech("v1/audio/speech", json, this.#stopping.signal);
      const took = seconds((performance.now() - started) / 1000);
      await this.player.show(file, "hello.wav");
      this.told.done(t("home.heard", { model: model === "standby" ? t("engine.standby") : model, time: took }));
      if (warning) this.warning.warn(warning);
      await this.player.from(0);
      await this.watch.show();
    });
    if (this.#stopping.signal.aborted) this.told.say(t("speak.stopped"));
    this.stop.hidden = true;
  }
}

/** One voice or model with its state. */
function row({ name, does, state, error, label = t(`state.${state}`) }) {
  return h("article", { class: "item" },
    h("div", { class: "between" }, h("div", {}, h("h3", {}, name), h("p", { class: "hint" }, does)),
      h("div", { class: "actions" }, h("span", { class: `badge ${state.replace(" ", "-")}` }, label))),
    error ? h("p", { class: "problem", lang: "en" }, error) : null);
}

customElements.define("home-tab", HomeTab);
