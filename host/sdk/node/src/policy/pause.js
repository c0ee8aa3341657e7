/** A pause that keeps no process alive, and that can be cut short. */

export class Pause {
  #wake = () => {};

  /**
   * Resolves after a time, or once `wake` is called.
   *
   * @param {number} seconds
   * @returns {Promise<void>}
   */
  sleep(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      /** @type {any} */ (timer).unref?.();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends the current pause, if any. */
  wake() {
    this.#wake();
  }
}
