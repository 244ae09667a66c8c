// Refreshes what a tab shows, more often while something is going on, and only while the tab is visible.

const BUSY_MS = 700;
const QUIET_MS = 4000;

export class Watch {
  #timer = 0;

  /** `look` refreshes the tab and returns whether something is going on; its errors are shown in `notice`. */
  constructor(tab, look, notice) {
    this.tab = tab;
    this.look = look;
    this.notice = notice;
  }

  /** Refresh now, and regularly from then on. */
  async start() {
    await this.notice.during(() => this.#again());
  }

  async #again() {
    clearTimeout(this.#timer);
    let busy = false;
    try {
      busy = await this.look();
    } finally {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.tab.offsetParent && this.#again().catch((error) => this.notice.error(error)), busy ? BUSY_MS : QUIET_MS);
    }
  }
}
