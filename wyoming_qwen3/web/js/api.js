// Client of this server's HTTP API. All URLs are relative to the page, which may be served under any path.

import { t } from "./text.js";

const KEY = "wyoming-qwen3.key";
const PATIENCE_MS = 30_000;
const PROXY_ALONE = new Set([502, 504]);

/** Sentences for answers that are not the server's own but of what is between, such as Home Assistant, by status. */
const ON_THE_WAY = { 400: "error.filtered", 401: "error.login", 403: "error.login", 413: "error.large", 429: "error.busy" };

/** An error of the server or connection; `message` is a sentence for the user, in `lang`. */
export class ApiError extends Error {
  constructor(status, code, message, lang = "") {
    super(message);
    this.status = status;
    this.code = code;
    this.lang = lang;
  }
}

/** Return an absolute URL for a path from an answer, which is relative to the server's root; a proxy may move that. */
export function url(path) {
  return new URL(path.replace(/^\//, ""), document.baseURI);
}

let asking = null;
let askForKey = () => Promise.resolve(null);

/** Set the function that asks the user for the API key; it resolves to a key, or null. */
export function onKeyNeeded(dialog) {
  askForKey = dialog;
}

export function currentKey() {
  return stored(sessionStorage) ?? stored(localStorage);
}

/** Store the key for this session or, with `remember`, also for later ones. */
export function keepKey(key, remember) {
  try {
    sessionStorage.setItem(KEY, key);
    if (remember) localStorage.setItem(KEY, key);
    else localStorage.removeItem(KEY);
  } catch {
    // If the browser stores nothing, the user is asked again.
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
 * Send a request and return its successful Response. Throws ApiError, also if the answer is not there after `patience`
 * milliseconds, and AbortError if `signal` is aborted.
 *
 * @param {string} method
 * @param {string} path
 * @param {{json?: any, form?: BodyInit, more?: Record<string, string>, signal?: AbortSignal, keepalive?: boolean, patience?: number}} [options]
 */
export async function send(method, path, { json, form, more = {}, signal, keepalive, patience } = {}) {
  for (;;) {
    const key = currentKey();
    /** @type {Record<string, string>} */
    const headers = { ...more };
    if (key) headers.Authorization = `Bearer ${key}`;
    if (json !== undefined) headers["Content-Type"] = "application/json";
    const body = json === undefined ? form : JSON.stringify(json);
    const limits = [signal, patience && AbortSignal.timeout(patience)].filter(Boolean);
    const response = await reached(() => fetch(url(path), { method, headers, body, signal: AbortSignal.any(limits), keepalive }));
    if (response.ok) return response;
    const error = await read(response);
    if (error.code !== "invalid_api_key") throw error;
    asking ??= askForKey().finally(() => { asking = null; });
    if (currentKey() === key && !(await asking)) throw error;
  }
}

/**
 * Upload a form and return the JSON of the answer; `tell` is called with the bytes sent and those in all. Throws what
 * `send` throws. `fetch` would not tell how much is sent.
 *
 * @param {string} path
 * @param {FormData} form
 * @param {(done: number, total: number) => void} tell
 * @param {{more?: Record<string, string>, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export function upload(path, form, tell, { more = {}, signal } = {}) {
  const request = new XMLHttpRequest();
  request.open("POST", url(path));
  const key = currentKey();
  for (const [name, value] of Object.entries(key ? { ...more, Authorization: `Bearer ${key}` } : more)) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", ({ loaded, total }) => tell(loaded, total));
  signal?.addEventListener("abort", () => request.abort());
  return new Promise((resolve, reject) => {
    request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    request.addEventListener("error", () => reject(unreachable()));
    request.addEventListener("load", async () => {
      const response = new Response(request.response, { status: request.status });
      if (response.ok) resolve(response.json());
      else reject(await read(response));
    });
    request.send(form);
  });
}

/** Return the JSON of an answer. */
export async function ask(method, path, json, options) {
  const response = await send(method, path, { json, ...options });
  return reached(() => response.json());
}

/** Return the JSON at a path, which the server has at hand: if it does not answer for half a minute, it can't be reached. */
export function get(path, options) {
  return ask("GET", path, undefined, { patience: PATIENCE_MS, ...options });
}

/** Return the file of an answer; sends a GET unless there is `json`. */
export async function blob(path, json, options) {
  const response = await send(json === undefined ? "GET" : "POST", path, { json, ...options });
  return reached(() => response.blob());
}

/** Return the server's warnings about the speech in an answer as one line; "" if there are none. */
export function warningOf(response) {
  return JSON.parse(`"${response.headers.get("X-Warning") ?? ""}"`);
}

/**
 * Have something spoken; return the file, the id of its entry in the history, the warning about it or "", and the model
 * that spoke.
 */
export async function speech(path, json, signal) {
  const response = await send("POST", path, { json, signal });
  const file = await reached(() => response.blob());
  const standby = response.headers.get("X-Engine") === "standby";
  const model = standby ? "standby" : response.headers.get("X-Model-Used");
  return { file, id: response.headers.get("X-History-Id"), warning: warningOf(response), model };
}

/** Yield the server-sent events of an answer as objects. */
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

/** Pass the events of a task to `tell` and return the last one, its result. Throws ApiError. */
export async function worked(response, tell) {
  let event = null;
  for await (event of events(response)) {
    if (event.type === "error") throw new ApiError(200, event.error.code, event.error.message, "en");
    if (event.stage) tell(event);
  }
  if (!event || event.stage) throw unreachable();
  return event;
}

/** Save a Blob as a file. */
export function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Save a file from the server. */
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
    return new ApiError(response.status, error.code, error.message, "en");
  } catch {
    if (PROXY_ALONE.has(response.status)) return unreachable();
    return new ApiError(response.status, "unknown", t(ON_THE_WAY[response.status] ?? "error.status", { status: String(response.status) }));
  }
}
