// The HTTP API of this server, below wherever this page is: all URLs are relative.

import { t } from "./text.js";

const KEY = "wyoming-qwen3.key";
const PROXY_ALONE = new Set([502, 504]);

/** What the server refused or could not do; `message` is a sentence for a person. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** An absolute URL; the paths in answers are those at the server's root, which a proxy may have put elsewhere. */
export function url(path) {
  return new URL(path.replace(/^\//, ""), document.baseURI);
}

let asking = null;
let askForKey = () => Promise.resolve(null);

/** Who asks the person for the API key: resolves to a key, or null. */
export function onKeyNeeded(dialog) {
  askForKey = dialog;
}

export function currentKey() {
  return stored(sessionStorage) ?? stored(localStorage);
}

/** Keep the key for this visit, or for later ones too. */
export function keepKey(key, remember) {
  try {
    sessionStorage.setItem(KEY, key);
    if (remember) localStorage.setItem(KEY, key);
    else localStorage.removeItem(KEY);
  } catch {
    // A browser that keeps nothing asks again.
  }
}

function stored(storage) {
  try {
    return storage.getItem(KEY);
  } catch {
    return null;
  }
}

/**
 * A Response that is a success. Throws ApiError, and AbortError where `signal` says so.
 *
 * @param {string} method
 * @param {string} path
 * @param {{json?: any, form?: BodyInit, accept?: string, signal?: AbortSignal}} [options]
 */
export async function send(method, path, { json, form, accept, signal } = {}) {
  for (;;) {
    const key = currentKey();
    /** @type {Record<string, string>} */
    const headers = {};
    if (key) headers.Authorization = `Bearer ${key}`;
    if (accept) headers.Accept = accept;
    if (json !== undefined) headers["Content-Type"] = "application/json";
    const body = json === undefined ? form : JSON.stringify(json);
    const response = await reached(() => fetch(url(path), { method, headers, body, signal }));
    if (response.ok) return response;
    const error = await read(response);
    if (response.status !== 401) throw error;
    asking ??= askForKey().finally(() => { asking = null; });
    if (currentKey() === key && !(await asking)) throw error;
  }
}

/** The JSON of an answer. */
export async function ask(method, path, json, options) {
  const response = await send(method, path, { json, ...options });
  return reached(() => response.json());
}

export function get(path, options) {
  return ask("GET", path, undefined, options);
}

/** The file of an answer; a GET unless `json` is sent. */
export async function blob(path, json, options) {
  const response = await send(json === undefined ? "GET" : "POST", path, { json, ...options });
  return reached(() => response.blob());
}

/** The server-sent events of an answer, as objects. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reached(() => reader.read());
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("");
      if (data) yield JSON.parse(data);
    }
  }
}

/** The last event of a work that tells its progress; `tell` is given those before. Throws ApiError. */
export async function worked(path, json, tell, signal) {
  const response = await send("POST", path, { json, accept: "text/event-stream", signal });
  let event = null;
  for await (event of events(response)) {
    if (event.type === "error") throw new ApiError(200, event.error.code, event.error.message);
    if (event.stage) tell(event);
  }
  if (!event || event.stage) throw unreachable();
  return event;
}

/** Save something as a file. */
export function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Save what the server has. */
export async function saveFrom(path, name) {
  save(await blob(path), name);
}

async function reached(request) {
  try {
    return await request();
  } catch (error) {
    throw error.name === "AbortError" ? error : unreachable();
  }
}

function unreachable() {
  return new ApiError(0, "unreachable", t("error.unreachable"));
}

async function read(response) {
  try {
    const { error } = await response.json();
    return new ApiError(response.status, error.code, error.message);
  } catch {
    if (PROXY_ALONE.has(response.status)) return unreachable();
    return new ApiError(response.status, "unknown", t("error.status", { status: response.status }));
  }
}
