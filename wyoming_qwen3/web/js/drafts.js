// Keeps the user's input across reloads: settings in localStorage, recordings in IndexedDB.

const PREFIX = "wyoming-qwen3.";

/** Return the value stored under a name, or `otherwise`. */
export function recall(name, otherwise = null) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // The storage is full or blocked: the input is lost on a reload.
  }
}

/** Restore a field's stored value, store it whenever it changes, and return the field. */
export function drafted(name, control) {
  const property = control.type === "checkbox" ? "checked" : "value";
  const before = recall(name);
  if (before !== null) control[property] = before;
  control.addEventListener("input", () => keep(name, control[property]));
  control.addEventListener("change", () => keep(name, control[property]));
  return control;
}

/** Empty a field of `drafted`. */
export function clearField(control) {
  control.value = "";
  control.dispatchEvent(new Event("input"));
}

/** Stores recordings by number; `all` and `put` fail silently if the browser stores nothing. */
export class Recordings {
  async #store(mode, use) {
    const opening = indexedDB.open("wyoming-qwen3", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("recordings");
    const database = await settled(opening);
    try {
      return await settled(use(database.transaction("recordings", mode).objectStore("recordings")));
    } finally {
      database.close();
    }
  }

  async all() {
    try {
      const keys = await this.#store("readonly", (store) => store.getAllKeys());
      const values = await this.#store("readonly", (store) => store.getAll());
      return keys.map((key, number) => [key, values[number]]);
    } catch {
      return [];
    }
  }

  async put(key, value) {
    try {
      await this.#store("readwrite", (store) => (value === null ? store.delete(key) : store.put(value, key)));
    } catch {
      // The recording is only lost on a reload.
    }
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
