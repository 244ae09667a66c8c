// Refreshes what a tab shows, more often while something is going on, and only while the tab is visible.

import { Loader } from "./loader.js";

const BUSY_MS = 700;
const QUIET_MS = 4000;

export class Watch extends Loader {
  #timer = 0;

  /** As a Loader; `take` returns whether something is going on. */
  constructor(tab, fetch, take, notice) {
    super(fetch, take, notice);
    this.tab = tab;
  }

  /** Fetch now, and regularly from then on. */
  async again() {
    clearTimeout(this.#timer);
    let busy = false;
    try {
      busy = await super.again();
    } finally {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.tab.offsetParent && this.show(), busy ? BUSY_MS : QUIET_MS);
    }
    return busy;
  }
}
