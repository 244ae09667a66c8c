// Creates elements. In this page strings always become text, never markup.

const SVG = "http://www.w3.org/2000/svg";
let last = 0;

/** Return an id that is unique in the page. */
export function uid() {
  last += 1;
  return `u${last}`;
}

/**
 * Create an element: h("button", { class: "primary", onclick: save, disabled: true }, "Save").
 * `on…` functions become listeners. true sets an attribute; false and null leave it out.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [attributes]
 * @param {any[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Icons as strokes in a 24 x 24 box. */
const ICONS = {
  speak: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10v4",
  design: "M4 20l4-1L19 8l-3-3L5 16l-1 4M14 7l3 3M18 16v4M16 18h4",
  profiles: "M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4 21c0-4 4-6 8-6s8 2 8 6",
  conversation: "M3 5h12v8H8l-4 3v-3H3zM18 9h3v8h-1v3l-4-3h-5",
  compose: "M3 6h10M9 12h12M5 18h9M3 3v18",
  dictionary: "M6 3h13v18H6a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zM4 19a2 2 0 0 1 2-2h13M9 8h5",
  history: "M4 12a8 8 0 1 0 3-6L4 8M4 4v4h4M12 8v5l3 2",
  models: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  tokenizer: "M4 4h4v4H4zM10 4h4v4h-4zM16 4h4v4h-4zM4 10h4v4H4zM16 10h4v4h-4zM4 16h4v4H4zM10 16h4v4h-4zM10 10h4v4h-4z",
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M3 12h18M12 3c-3 3-4 6-4 9s1 6 4 9c3-3 4-6 4-9s-1-6-4-9",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  cross: "M6 6l12 12M18 6L6 18",
  undo: "M4 9h10a5 5 0 0 1 0 10H9M8 5L4 9l4 4",
  api: "M8 7l-5 5 5 5M16 7l5 5-5 5M14 4l-4 16",
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  stop: "M6 6h12v12H6z",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  record: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3M6 11v1a6 6 0 0 0 12 0v-1M12 18v3",
  remove: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
  star: "M12 4l2.4 5 5.6.7-4.1 3.8 1.1 5.5-5-2.8-5 2.8 1.1-5.5L4 9.7 9.6 9z",
  again: "M20 12a8 8 0 1 1-3-6l3 2M20 4v4h-4",
  dice: "M5 5h14v14H5zM9 9v.01M15 9v.01M12 12v.01M9 15v.01M15 15v.01",
  edit: "M4 20l4-1L19 8l-3-3L5 16l-1 4M14 7l3 3",
  add: "M12 5v14M5 12h14",
  check: "M5 12l5 5 9-10",
  key: "M15 9a4 4 0 1 0-4 4l1-1h2v-2h2v-2M7 9v.01M13 12l7 7v-3",
};

/** Create one of the icons, hidden from screen readers. */
export function icon(name) {
  const image = document.createElementNS(SVG, "svg");
  image.setAttribute("viewBox", "0 0 24 24");
  image.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  image.append(path);
  return image;
}

/**
 * Create a button. While its action runs, it can't be pressed again but keeps the focus.
 * With `bare` only its icon is visible, and the label is its accessible name.
 */
export function button(label, onclick, { symbol = null, kind = "", bare = false } = {}) {
  const element = h("button", { type: "button", class: `button ${kind} ${bare ? "bare" : ""}`.trim() },
    symbol && icon(symbol), bare ? null : h("span", {}, label));
  if (bare) relabel(element, label);
  element.addEventListener("click", async (event) => {
    if (isBusy(element)) return;
    const done = onclick(event);
    if (!(done instanceof Promise)) return;
    setBusy(element, true);
    try {
      await done;
    } finally {
      setBusy(element, false);
    }
  });
  return element;
}

/** Change the label of a bare button. */
export function relabel(element, label) {
  element.setAttribute("aria-label", label);
  element.title = label;
}

export function setBusy(element, busy) {
  element.toggleAttribute("data-busy", busy);
  if (busy) element.setAttribute("aria-disabled", "true");
  else element.removeAttribute("aria-disabled");
}

export function isBusy(element) {
  return element.getAttribute("aria-disabled") === "true";
}

/** Create a control with its label above and a hint below. */
export function field(label, control, hint = "") {
  control.id ||= uid();
  const below = hint && h("small", { id: uid() }, hint);
  if (below) control.setAttribute("aria-describedby", below.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, below || null);
}

/** Create a checkbox with its label after it. */
export function checkbox(label, control) {
  control.type = "checkbox";
  return h("label", { class: "check" }, control, h("span", {}, label));
}

/**
 * Create a slider that shows its value.
 *
 * @param {string} label
 * @param {{min: number, max: number, step: number, value: number, show?: (value: number) => string, hint?: string}} options
 */
export function slider(label, { min, max, step, value, show = String, hint = "" }) {
  const control = h("input", { type: "range", min, max, step, value, id: uid() });
  const shown = h("span", { class: "value" });
  const tell = () => {
    shown.textContent = show(Number(control.value));
    control.setAttribute("aria-valuetext", shown.textContent);
  };
  control.addEventListener("input", tell);
  tell();
  const line = h("div", { class: "between" }, h("label", { for: control.id }, label), shown);
  const element = h("div", { class: "field" }, line, control, hint ? h("small", {}, hint) : null);
  return { element, control, tell };
}

/** Create a select; each option is [value, label]. */
export function select(options, value = "") {
  const element = h("select", {}, options.map(([given, label]) => h("option", { value: given }, label)));
  element.value = value;
  return element;
}

/** Create a card with a heading. */
export function card(title, ...children) {
  return h("section", { class: "card" }, title ? h("h2", {}, title) : null, ...children);
}

/** Create buttons that put an example into a field. */
export function examples(label, texts, control) {
  const take = (text) => {
    control.value = text;
    control.dispatchEvent(new Event("input", { bubbles: true }));
    control.focus();
  };
  return h("div", { class: "chips", role: "group", "aria-label": label },
    texts.map((text) => h("button", { type: "button", class: "chip", onclick: () => take(text) }, text)));
}

/** Messages of a tab. Screen readers announce errors at once, other messages politely. */
export class Notice {
  /** Functions by error code that return an element with which a person can do something about the error. */
  static ways = {};

  constructor() {
    this.element = h("div", { class: "notice", "aria-live": "polite", hidden: true });
  }

  clear() {
    this.element.hidden = true;
    this.element.replaceChildren();
  }

  say(text, ...more) {
    this.#show("", text, more);
  }

  done(text, ...more) {
    this.#show("good", text, more);
  }

  warn(text, ...more) {
    this.#show("warning", text, more);
  }

  error(error, ...more) {
    const way = Notice.ways[error.code]?.();
    this.#show("error", error.message, way ? [h("div", { class: "actions" }, way), ...more] : more);
    if (error.lang) this.element.firstElementChild.setAttribute("lang", error.lang);
  }

  /** Show a progress bar; `share` is from 0 to 1, or null if unknown. */
  progress(text, share = null) {
    let bar = this.element.querySelector("progress");
    if (!bar) {
      bar = h("progress", { max: 1 });
      this.#show("", text, [bar]);
    }
    this.element.querySelector("p").textContent = text;
    bar.setAttribute("aria-label", text);
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
  }

  /** Run a task and show its error, unless it was aborted, where whoever pressed something on a tab sees it. */
  async during(work) {
    this.clear();
    try {
      return await work();
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      this.error(error);
      if (this.element.closest("main")?.contains(document.activeElement)) this.element.scrollIntoView({ block: "nearest" });
      return undefined;
    }
  }

  #show(kind, text, more) {
    this.element.className = `notice ${kind}`;
    this.element.setAttribute("role", kind === "error" ? "alert" : "status");
    this.element.replaceChildren(h("p", {}, text), ...more);
    this.element.hidden = false;
  }
}

/** Ask for confirmation of what can't be undone. */
export function confirmed(question, yes, no) {
  const dialog = h("dialog", { "aria-label": question }, h("form", { method: "dialog" }, h("p", {}, question),
    h("div", { class: "actions end" },
      h("button", { class: "button", value: "no" }, no),
      h("button", { class: "button danger", value: "yes" }, yes))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
