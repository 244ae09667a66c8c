// Shows a list again without touching the items that have not changed.

const CONTROLS = "a, button, input, select, textarea";

/** The item that an element of a list shows, and its id. */
const shown = new WeakMap();

/**
 * Show items in a list: each as the element that `make` returns, or `none` if there are none. The element of an item that
 * has not changed stays, with what is played, typed or focused in it; one that replaces another takes over its players
 * and the focus. `idOf` returns what identifies an item.
 *
 * @param {HTMLElement} list
 * @param {any[]} items
 * @param {(item: any) => HTMLElement} make
 * @param {{idOf?: (item: any) => string, none?: HTMLElement | null}} [options]
 */
export function showItems(list, items, make, { idOf = ({ id }) => id, none = null } = {}) {
  const focused = /** @type {HTMLElement | null} */ (list.contains(document.activeElement) ? document.activeElement : null);
  const old = /** @type {HTMLElement[]} */ ([...list.children]);
  const place = old.findIndex((element) => element.contains(focused));
  const byId = new Map(old.map((element) => [shown.get(element)?.id, element]));
  const elements = items.map((item) => {
    const id = idOf(item);
    const before = byId.get(id);
    byId.delete(id); // a second item with this id gets an element of its own
    return before && JSON.stringify(shown.get(before).item) === JSON.stringify(item) ? before : made(item, id, make, before);
  });
  const heir = elements.find((element) => shown.get(element).id === shown.get(old[place])?.id);
  arrange(list, elements.length || !none ? elements : [none]);
  if (focused && document.activeElement !== focused) passFocus(list, focused, heir ?? list.children[Math.min(place, list.childElementCount - 1)]);
}

/** Make the element of an item, with the players of the one before that play the same. */
function made(item, id, make, before) {
  const element = make(item);
  shown.set(element, { item, id });
  const players = [...before?.querySelectorAll("sound-player") ?? []];
  for (const player of element.querySelectorAll("sound-player")) {
    const same = players.find(({ path }) => path && path === player.path);
    if (same) player.replaceWith(same);
  }
  return element;
}

/** Make these elements the children of a list, in this order, and move no more of them than necessary. */
function arrange(list, elements) {
  const wanted = new Set(elements);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, number) => {
    if (list.children[number] !== element) list.insertBefore(element, list.children[number] ?? null);
  });
}

/** Focus what was moved, or what the heir has in its place, or else the list. */
function passFocus(list, focused, heir) {
  const controls = [...heir?.querySelectorAll(CONTROLS) ?? []].filter((control) => control.offsetParent);
  const next = focused.isConnected ? focused : controls.find((control) => nameOf(control) === nameOf(focused)) ?? controls[0];
  if (!next) list.tabIndex = -1;
  (next ?? list).focus();
}

function nameOf(control) {
  return control.ariaLabel ?? control.textContent;
}
