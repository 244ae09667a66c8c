// What a part of the page needs from the server: fetched when it is shown, and awaited by every action that uses it.

import { button } from "./dom.js";
import { t } from "./text.js";

/** Those whose error is shown. */
const failed = new Set();

/** Settle as `work` does, or reject as soon as `signal` is aborted. */
function unlessAborted(work, signal) {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop);
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

export class Loader {
  #begun = null;
  #loading = null;
  #sentence = null;

  /**
   * `fetch` returns a promise of an answer, `take` shows it and returns what is loaded, and `notice` shows an error of
   * `show` until a later fetch succeeds.
   */
  constructor(fetch, take, notice) {
    this.fetch = fetch;
    this.take = take;
    this.notice = notice;
  }

  /** Fetch again and return what is loaded. An answer that a newer call has overtaken is dropped for that one's. */
  again() {
    this.#begun = Symbol("begun");
    this.#loading = this.#load(this.#begun);
    return this.#loading;
  }

  /**
   * Return what is loaded, or is being loaded. If nothing is, or the last fetch failed, fetch again. Throws what `fetch`
   * throws, and AbortError as soon as `signal` is aborted.
   */
  async ready(signal = null) {
    signal?.throwIfAborted();
    if (!this.#loading) this.#clear(); // the action that waits shows the next error
    return await unlessAborted(this.#loading ?? this.again(), signal);
  }

  /** Fetch again when this is needed the next time. */
  forget() {
    this.#begun = null;
    this.#loading = null;
  }

  /** Fetch again, and show an error with a button to try again. */
  async show() {
    try {
      await this.again();
    } catch (error) {
      failed.add(this);
      if (this.#sentence?.parentNode && this.#sentence.textContent === error.message) return;
      this.notice.error(error, button(t("again"), () => Promise.all([...failed].map((loader) => loader.show()))));
      this.#sentence = this.notice.element.firstElementChild;
    }
  }

  async #load(begun) {
    try {
      const answer = await this.fetch();
      if (begun === this.#begun) {
        this.#clear();
        return await this.take(answer);
      }
    } catch (error) {
      if (begun === this.#begun) {
        this.#loading = null;
        throw error;
      }
    }
    return this.ready();
  }

  /** Remove the error of `show`, unless something else is shown in its place. */
  #clear() {
    if (this.#sentence?.parentNode) this.notice.clear();
    this.#sentence = null;
    failed.delete(this);
  }
}
