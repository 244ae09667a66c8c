// Deletes what was chosen after some seconds, in which that can be taken back.

const PATIENCE_MS = 8000;

export class Undoable {
  #ids = new Set();
  #timer = 0;

  /**
   * `commit` deletes what has these ids. It may be called while the page is being closed. `late` is called when the time
   * to take it back is over, with a promise of the end of `commit`.
   */
  constructor(commit, late) {
    this.commit = commit;
    this.late = late;
    addEventListener("pagehide", () => this.now());
  }

  /** Whether this id will be deleted. */
  has(id) {
    return this.#ids.has(id);
  }

  get size() {
    return this.#ids.size;
  }

  /** Delete these ids soon. What was chosen before is deleted at once. */
  async soon(ids) {
    await this.now();
    this.#ids = new Set(ids);
    this.#timer = setTimeout(() => this.late(this.now()), PATIENCE_MS);
  }

  /** Take back what was not deleted yet. */
  undo() {
    clearTimeout(this.#timer);
    this.#ids.clear();
  }

  /** Delete now what was chosen. */
  async now() {
    clearTimeout(this.#timer);
    const ids = [...this.#ids];
    if (!ids.length) return;
    await this.commit(ids);
    for (const id of ids) this.#ids.delete(id);
  }
}
