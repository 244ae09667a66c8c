// Long work on the server, which goes on while the page is reloaded or closed. Its id is stored until its end was seen.

import { ask, send, upload, worked } from "./api.js";
import { keep, recall } from "./drafts.js";
import { unlessLeft } from "./leaving.js";

const RETRY_MS = 1000;
const RETRIES = 30;

/** Whether work was begun under a name and its end was not seen yet; then `resume` follows it. */
export function unfinished(name) {
  return recall(`task.${name}`);
}

/** Begin work and follow it to its end; see `resume`. `facts` are stored with it, for `unfinished`. */
export async function begin(name, path, json, facts, tell, signal) {
  const response = await send("POST", path, { json, more: { Prefer: "respond-async" }, signal });
  const { task } = await response.json();
  keep(`task.${name}`, { ...facts, task });
  return resume(name, tell, signal);
}

/** Upload a form and follow the work on it as `begin` does; `sent` is called with the bytes that are sent and all. */
export async function beginUpload(name, path, form, sent, tell, signal) {
  const { task } = await unlessLeft(() => upload(path, form, sent, { more: { Prefer: "respond-async" }, signal }));
  keep(`task.${name}`, { task });
  return resume(name, tell, signal);
}

/**
 * Follow the work of a name to its end: pass its events to `tell` and return its result. When `signal` is aborted, the
 * work is stopped. Throws ApiError, and AbortError.
 */
export async function resume(name, tell, signal) {
  const path = `api/tasks/${unfinished(name).task}`;
  try {
    return await followed(path, tell, signal);
  } catch (error) {
    if (signal?.aborted) await ask("DELETE", path).catch(() => undefined); // it may have ended
    else if (error.name === "AbortError") await new Promise(() => {}); // the page is being left: the next one follows it
    throw error;
  } finally {
    keep(`task.${name}`, null);
  }
}

/** Follow a task, also when the connection is lost for a while. */
async function followed(path, tell, signal) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await worked(await send("GET", path, { signal }), (event) => {
        tries = 0;
        tell(event);
      });
    } catch (error) {
      if (error.code !== "unreachable" || tries >= RETRIES) throw error;
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}
