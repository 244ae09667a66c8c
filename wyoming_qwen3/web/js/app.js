// The page around the tabs: shows the current tab and the server's state, and asks for the API key if necessary.

import { currentKey, keepKey, onKeyNeeded, send } from "./api.js";
import { Notice, button, checkbox, field, h, icon } from "./dom.js";
import { percent } from "./format.js";
import { showItems } from "./list.js";
import { LANGUAGES, chooseLanguage, language, t } from "./text.js";
import { followHomeAssistant } from "./theme.js";
import { forgetVoices } from "./voices.js";

/** Each has a module tab-NAME.js with an element NAME-tab, which is loaded when the tab is first shown. */
const TABS = ["home", "speak", "design", "profiles", "conversation", "compose", "dictionary", "history", "models", "tokenizer", "api"];
const LOOK_MS = 5000;

/** How long the server may take to answer for its health, and a tab to come before the page says that it is loaded. */
const PATIENCE_MS = 10_000;
const SLOW_MS = 500;

/** @type {ScrollIntoViewOptions} */
const NEAREST = { block: "nearest", inline: "center" };

class VoiceStudio extends HTMLElement {
  #tabs = new Map();

  connectedCallback() {
    document.title = t("title");
    this.bar = h("div", { role: "tablist", class: "tabs", "aria-label": t("tabs") });
    this.faults = h("ul", { class: "faults", "aria-label": t("health.faults"), hidden: true });
    this.panels = h("main", {}, this.faults);
    for (const name of TABS) this.#add(name);
    this.told = h("span", { role: "status" });
    this.health = h("a", { class: "health", href: "#home" }, this.told);
    this.notes = h("div", { class: "notes" });
    this.replaceChildren(h("header", {}, h("div", { class: "brand" }, icon("speak"), h("h1", {}, t("title"))), this.health, languageSwitch()),
      this.notes, this.bar, this.panels);
    this.bar.addEventListener("keydown", (event) => this.#key(event));
    window.addEventListener("hashchange", () => this.#show());
    window.addEventListener("resize", () => this.bar.querySelector("[aria-selected=true]").scrollIntoView(NEAREST));
    this.#show();
    this.#look();
  }

  #add(name) {
    const tab = h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, class: "tab",
      onclick: () => this.#go(name) }, icon(name), h("span", {}, t(`tab.${name}`)));
    const panel = h("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true });
    this.bar.append(tab);
    this.panels.append(panel);
    this.#tabs.set(name, { tab, panel, top: 0 });
  }

  #go(name) {
    if (location.hash === `#${name}`) this.#show();
    else location.hash = name;
  }

  #show() {
    const wanted = location.hash.slice(1);
    const chosen = this.#tabs.has(wanted) ? wanted : TABS[0];
    forgetVoices();
    for (const [name, entry] of this.#tabs) {
      const { tab, panel } = entry;
      const shown = name === chosen;
      if (!shown && !panel.hidden) entry.top = scrollY;
      tab.setAttribute("aria-selected", String(shown));
      tab.tabIndex = shown ? 0 : -1;
      panel.hidden = !shown;
      if (!shown) continue;
      this.#fill(name, panel);
      tab.scrollIntoView(NEAREST);
    }
    scrollTo(0, this.#tabs.get(chosen).top); // where it was left
    this.#tabs.get(chosen).top = 0; // pressed again, it is shown from its beginning
  }

  /** Show a tab's element, and tell it that it is shown. */
  async #fill(name, panel) {
    const slow = setTimeout(() => panel.childElementCount || panel.append(h("progress", { "aria-label": t("state.loading") })), SLOW_MS);
    try {
      await import(`./tab-${name}.js`);
    } catch {
      const notice = new Notice();
      notice.error(new Error(t("error.unreachable")), button(t("again"), () => location.reload()));
      panel.replaceChildren(notice.element);
      return;
    } finally {
      clearTimeout(slow);
    }
    if (panel.firstElementChild?.localName !== `${name}-tab`) panel.replaceChildren(document.createElement(`${name}-tab`));
    if (!panel.hidden) panel.firstElementChild.shown?.();
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const here = TABS.indexOf(document.activeElement.id.replace("tab-", ""));
    const next = { Home: 0, End: TABS.length - 1 }[event.key] ?? (step && (here + step + TABS.length) % TABS.length);
    if (next === undefined) return;
    event.preventDefault();
    this.#tabs.get(TABS[next]).tab.focus();
    this.#go(TABS[next]);
  }

  /** Show the server's state, and update it regularly while the page is visible. */
  async #look() {
    if (!document.hidden) {
      const { kind, text, title, faults, notes } = await health();
      this.health.className = `health ${kind}`;
      if (this.told.textContent !== text) this.told.textContent = text;
      this.health.title = title;
      if (faults) this.#showFaults(faults);
      if (notes) showItems(this.notes, notes, noteOf);
    }
    setTimeout(() => this.#look(), LOOK_MS);
  }

  /** Show the server's faults above every tab. */
  #showFaults(faults) {
    showItems(this.faults, faults, (fault) => h("li", {}, fault), { idOf: (fault) => fault });
    this.faults.hidden = !faults.length;
  }
}

/** The choice of the page's language, each by its own name. */
function languageSwitch() {
  const names = Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name));
  const choice = h("select", { "aria-label": t("language.page"), onchange: () => chooseLanguage(choice.value) }, names);
  choice.value = language;
  return h("div", { class: "switch" }, icon("globe"), choice);
}

/** A note on what the user should do, which can be dismissed. */
function noteOf({ id, message }) {
  const notice = new Notice();
  const dismiss = async () => {
    try {
      await send("DELETE", `api/notes/${id}`);
    } catch (error) {
      if (error.code !== "not_found") throw error; // another user has dismissed it
    }
    notice.element.remove();
  };
  const dismissed = () => dismiss().catch((error) => notice.warn(error.message, button(t("dismiss"), dismissed)));
  notice.warn(message, button(t("dismiss"), dismissed));
  return notice.element;
}

/** Return a short summary of /health, its faults and its notes. It answers with 503 if no voice can speak. */
async function health() {
  try {
    const response = await fetch(new URL("health", document.baseURI), { signal: AbortSignal.timeout(PATIENCE_MS) });
    const told = await response.json();
    return { ...inBrief(told), faults: told.faults, notes: told.notes };
  } catch {
    return { kind: "bad", text: t("health.gone"), title: t("error.unreachable"), faults: null, notes: null };
  }
}

function inBrief({ status, reason, standby, models }) {
  const title = reason ?? "";
  const fetched = models.find(({ state, progress }) => state === "downloading" && progress?.total);
  if (status === "ok" && !models.some(({ state }) => state === "ready" || state === "on disk")) return { kind: "good", text: t("health.only"), title };
  if (status === "ok") return { kind: "good", text: t("health.ok"), title };
  if (fetched) return { kind: "busy", text: t("health.fetching", { share: percent(fetched.progress.done / fetched.progress.total) }), title };
  if (status === "loading") return { kind: "busy", text: models.some(({ state }) => state === "loading") ? t("health.loading") : t("state.loading"), title };
  return standby ? { kind: "busy", text: t("health.standby"), title } : { kind: "bad", text: t("health.degraded"), title };
}

/** Ask for the API key until the server accepts it; null if the user cancels. */
function askForKey() {
  const key = h("input", { type: "password", autocomplete: "off", required: true });
  const remember = h("input", { type: "checkbox" });
  const wrong = currentKey() ? h("p", { class: "problem" }, t("key.wrong")) : null;
  const dialog = h("dialog", { "aria-label": t("key") }, h("form", { method: "dialog" }, h("h2", {}, t("key")), h("p", {}, t("key.about")), wrong,
    field(t("key.label"), key), checkbox(t("key.remember"), remember),
    h("div", { class: "actions end" },
      h("button", { class: "button", value: "no", formnovalidate: true }, t("cancel")),
      h("button", { class: "button primary", value: "yes" }, t("key.use")))));
  document.body.append(dialog);
  dialog.showModal();
  key.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (dialog.returnValue === "yes") keepKey(key.value.trim(), remember.checked);
      resolve(dialog.returnValue === "yes" ? key.value : null);
    });
  });
}

const toModels = () => h("a", { class: "button", href: "#models" }, icon("models"), h("span", {}, t("tab.models")));
Notice.ways = { model_missing: toModels, model_loading: toModels, download_failed: toModels };
followHomeAssistant();
onKeyNeeded(askForKey);
customElements.define("voice-studio", VoiceStudio);
