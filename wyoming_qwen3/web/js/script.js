// Finds the speakers of a script as the server does; only the server's result counts.

const NAMED = /^\s*[[【［]([^\]】］]+)[\]】］]/;
const PAUSE = /^pause\b/i;

/** Return the speakers in the order of their first turns; case and spaces do not matter. */
export function speakersOf(script) {
  const found = new Map();
  for (const line of script.split(/\r\n|\r|\n/)) {
    if (/^\s*(#|\/\/)/.test(line)) continue;
    const name = NAMED.exec(line)?.[1].trim().replace(/\s+/g, " ");
    if (name && !PAUSE.test(name) && !found.has(key(name))) found.set(key(name), name);
  }
  return [...found.values()];
}

export function key(name) {
  return name.normalize("NFC").trim().toLowerCase().replace(/[\s_]+/g, "_");
}
