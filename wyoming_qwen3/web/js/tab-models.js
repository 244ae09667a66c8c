// <models-tab>: the checkpoints and the machine.

import { ask, get } from "./api.js";
import { Notice, button, card, h } from "./dom.js";
import { bytes } from "./format.js";
import { t } from "./text.js";

const BUSY_MS = 700;
const QUIET_MS = 4000;

class ModelsTab extends HTMLElement {
  #shown = "";
  #timer = 0;

  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.list = h("div", { class: "list" });
    this.machine = h("dl", { class: "facts" });
    this.uses = h("tbody");
    const heads = ["models.size", "models.device", "models.needs", "models.here"].map((name) => h("th", { scope: "col" }, t(name)));
    this.append(card(t("models.checkpoints"), this.notice.element, this.list),
      card(t("models.machine"), this.machine, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("models.machine") },
        h("table", {}, h("thead", {}, h("tr", {}, heads)), this.uses))));
  }

  async shown() {
    await this.notice.during(() => this.#look());
  }

  /** Refresh regularly while the tab is visible. */
  async #look() {
    clearTimeout(this.#timer);
    const [answer, machine] = await Promise.all([get("api/models"), get("api/machine")]);
    this.#show(answer, machine);
    const busy = answer.models.some(({ state }) => state === "downloading" || state === "loading");
    this.#timer = setTimeout(() => this.offsetParent && this.#look().catch((error) => this.notice.error(error)), busy ? BUSY_MS : QUIET_MS);
  }

  #show(answer, machine) {
    this.#tellMachine(answer, machine);
    const states = JSON.stringify(answer.models.map(({ id, state, error, disk_bytes, memory_bytes }) => [id, state, error, disk_bytes, memory_bytes]));
    if (states !== this.#shown || !this.list.childElementCount) {
      const held = this.list.contains(document.activeElement) ? document.activeElement.closest("article").dataset.id : null;
      this.list.replaceChildren(...answer.models.map((model) => this.#model(model)));
      /** @type {HTMLElement | null} */
      const first = held && this.list.querySelector(`[data-id="${held}"] button`);
      first?.focus();
      this.#shown = states;
    }
    answer.models.forEach((model, number) => this.#progress(model, this.list.children[number]));
  }

  #model(model) {
    const act = (label, path, symbol, kind) => button(label, () => this.#change(path, model), { symbol, kind });
    const actions = {
      missing: () => [act(t("models.download"), "download", "download", "primary")],
      failed: () => [act(t("models.download"), "download", "download", "primary")],
      downloading: () => [act(t("models.cancel"), "download/cancel", "stop", "")],
      "on disk": () => [act(t("models.load"), "load", "play", "primary")],
      loading: () => [],
      ready: () => [act(t("models.unload"), "unload", "stop", "")],
    }[model.state]();
    const sizes = [model.disk_bytes && t("models.disk", { bytes: bytes(model.disk_bytes) }),
      model.memory_bytes && t("models.memory", { bytes: bytes(model.memory_bytes) })].filter(Boolean);
    return h("article", { class: "item", "data-id": model.id },
      h("div", { class: "between" },
        h("div", {}, h("h3", {}, t(`models.${model.variant}`), " ", model.size),
          h("p", { class: "hint" }, t(`models.${model.variant}.does`))),
        h("div", { class: "actions" }, h("span", { class: `badge ${model.state.replace(" ", "-")}` }, t(`state.${model.state}`)), ...actions)),
      sizes.length ? h("p", { class: "hint" }, sizes.join(" · ")) : null,
      model.error ? h("p", { class: "problem" }, model.error.message) : null,
      ["downloading", "loading"].includes(model.state) ? h("div", { class: "going" }, h("progress", { max: 1, "aria-label": t(`state.${model.state}`) }), h("p", { class: "hint" })) : null);
  }

  #progress({ progress }, article) {
    const bar = article.querySelector("progress");
    if (!bar || !progress?.total) return;
    bar.value = progress.done / progress.total;
    bar.nextElementSibling.textContent = t("models.progress", { done: bytes(progress.done), total: bytes(progress.total) });
  }

  async #change(path, model) {
    await this.notice.during(async () => {
      const looking = setInterval(() => this.#look().catch(() => {}), BUSY_MS);
      try {
        await ask("POST", `api/models/${path}`, { model: model.id });
      } finally {
        clearInterval(looking);
        await this.#look();
      }
    });
  }

  #tellMachine(answer, machine) {
    const facts = [
      [t("machine.processors"), String(machine.processors)],
      [t("machine.memory"), bytes(machine.memory_free_bytes)],
      [t("machine.gpu"), machine.gpu_free_bytes === null ? t("machine.no_gpu") : bytes(machine.gpu_free_bytes)],
      [t("machine.device"), answer.device ?? t("machine.asleep")],
      ...(machine.device_reason ? [[t("machine.reason"), machine.device_reason]] : []),
      [t("machine.held"), bytes(answer.models.reduce((sum, model) => sum + model.memory_bytes, 0))],
      [t("machine.size"), machine.size],
    ];
    this.machine.replaceChildren(...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    const standby = { size: t("engine.standby"), device: "cpu", needs_bytes: null, possible: true };
    this.uses.replaceChildren(...[...machine.uses, standby].map((use) => h("tr", {}, h("th", { scope: "row" }, use.size), h("td", {}, t(`device.${use.device}`)),
      h("td", {}, use.needs_bytes ? t("models.free", { bytes: bytes(use.needs_bytes) }) : "–"), h("td", {}, use.possible ? t("yes") : t("no")))));
  }
}

customElements.define("models-tab", ModelsTab);
