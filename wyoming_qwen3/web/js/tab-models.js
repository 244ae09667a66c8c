// <models-tab>: the checkpoints, what each is for, and the machine.

import { ask, get } from "./api.js";
import { inUse, purposeOf, sorted, speedOf } from "./checkpoints.js";
import { Notice, button, card, h } from "./dom.js";
import { bytes } from "./format.js";
import { showItems } from "./list.js";
import { compiled, downloaded } from "./progress.js";
import { t } from "./text.js";
import { Watch } from "./watch.js";

/** What to do with a checkpoint in each state: label, path, icon. */
const ACTIONS = {
  missing: ["models.download", "download", "download"],
  failed: ["models.download", "download", "download"],
  downloading: ["models.cancel", "download/cancel", "stop"],
  loading: ["models.cancel", "load/cancel", "stop"],
  "on disk": ["models.load", "load", "play"],
  ready: ["models.unload", "unload", "stop"],
};
const FIRST_STEPS = ["missing", "failed", "on disk"];

class ModelsTab extends HTMLElement {
  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.list = h("div", { class: "list" });
    this.machine = h("dl", { class: "facts" });
    this.speed = h("div", { class: "stack" });
    this.reason = h("p", { class: "hint", lang: "en" });
    this.uses = h("tbody");
    this.watch = new Watch(this, () => Promise.all([get("api/models"), get("api/machine")]), (found) => this.#take(found), this.notice);
    const heads = ["models.size", "models.device", "models.needs", "models.here"].map((name) => h("th", { scope: "col" }, t(name)));
    this.facts = card(t("models.machine"), this.speed, this.machine, this.reason, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("models.machine") },
      h("table", {}, h("thead", {}, h("tr", {}, heads)), this.uses)));
    this.facts.hidden = true; // until they are known
    this.append(card(t("models.checkpoints"), h("p", { class: "hint" }, t("models.about")), this.notice.element, this.list), this.facts);
  }

  shown() {
    this.watch.show();
  }

  /** Show what was found; return whether a checkpoint is being downloaded or loaded. */
  #take([answer, machine]) {
    this.#tellMachine(answer, machine);
    this.#tellModels(answer.models, machine);
    return answer.models.some(({ state }) => state === "downloading" || state === "loading");
  }

  #tellModels(models, machine) {
    const listed = sorted(models, machine);
    const items = listed.map(({ id, variant, size, state, error, disk_bytes, memory_bytes }, number) =>
      ({ id, variant, size, state, error, disk_bytes, memory_bytes, used: inUse({ variant, size }, machine), first: !number && FIRST_STEPS.includes(state) }));
    showItems(this.list, items, (model) => this.#model(model));
    listed.forEach((model, number) => this.#progress(model, this.list.children[number]));
  }

  #model(model) {
    const [label, path, symbol] = ACTIONS[model.state] ?? [];
    const sizes = [model.disk_bytes && t("models.disk", { bytes: bytes(model.disk_bytes) }),
      model.memory_bytes && t("models.memory", { bytes: bytes(model.memory_bytes) })].filter(Boolean);
    return h("article", { class: "item" },
      h("div", { class: "between" },
        h("div", {}, h("h3", {}, t(`models.${model.variant}`), " ", model.size),
          h("p", { class: "hint" }, t(purposeOf(model)))),
        h("div", { class: "actions" },
          model.used ? h("span", { class: "badge" }, t("models.used")) : null,
          h("span", { class: `badge ${model.state.replace(" ", "-")}` }, t(`state.${model.state}`)),
          label ? button(t(label), () => this.#change(path, model), { symbol, kind: model.first ? "primary" : "" }) : null)),
      sizes.length ? h("p", { class: "hint" }, sizes.join(" · ")) : null,
      model.error ? h("p", { class: "problem", lang: "en" }, model.error.message) : null,
      going(model) ? h("div", { class: "going" }, h("progress", { max: 1, "aria-label": t(`state.${model.state}`) }),
        h("p", { class: "hint" }, model.state === "loading" ? t("models.loading") : "")) : null);
  }

  #progress({ progress, kernels }, article) {
    const bar = article.querySelector("progress");
    if (!bar || !(progress?.total || kernels)) return;
    const { share, text } = kernels ? compiled(kernels) : downloaded(progress);
    bar.value = share;
    bar.nextElementSibling.textContent = text;
  }

  async #change(path, model) {
    await this.notice.during(async () => {
      const changing = ask("POST", `api/models/${path}`, { model: model.id });
      await Promise.allSettled([changing, this.watch.show()]);
      await this.watch.show();
      await changing;
    });
  }

  #tellMachine(answer, machine) {
    this.facts.hidden = false;
    const held = answer.models.reduce((sum, model) => sum + model.memory_bytes, 0);
    const facts = [
      [t("machine.size"), machine.size],
      [t("machine.processors"), String(machine.processors)],
      [t("machine.memory"), bytes(machine.memory_free_bytes)],
      [t("machine.gpu"), machine.gpu_free_bytes === null ? t("machine.no_gpu") : bytes(machine.gpu_free_bytes)],
      [t("machine.disk"), machine.disk_free_bytes === null ? "–" : bytes(machine.disk_free_bytes)],
      [t("machine.device"), answer.device ?? t("machine.asleep")],
      [t("machine.held"), held ? bytes(held) : "–"],
      [t("machine.hub"), machine.hub],
    ];
    this.machine.replaceChildren(...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    this.speed.replaceChildren(...speedOf(answer.models, machine));
    this.reason.textContent = machine.device_reason ?? "";
    const standby = { size: t("engine.standby"), device: "cpu", needs_bytes: null, possible: true };
    this.uses.replaceChildren(...[...machine.uses, standby].map((use) => h("tr", {}, h("th", { scope: "row" }, use.size), h("td", {}, t(`device.${use.device}`)),
      h("td", {}, use.needs_bytes ? t("models.free", { bytes: bytes(use.needs_bytes) }) : "–"), h("td", {}, use.possible ? t("yes") : t("no")))));
  }
}

function going({ state }) {
  return state === "downloading" || state === "loading";
}

customElements.define("models-tab", ModelsTab);
