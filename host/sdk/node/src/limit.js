/** The time limit of a call, together with the caller's own signal. */

import { TimedOut } from "./errors.js";

/** The longest time that a timer of the engine can hold, in milliseconds. */
const TIMER_MAX = 2 ** 31 - 1;

export class Limit {
  #controller = new AbortController();
  #seconds;
  #ends = Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #signal;
  #cancel;

  /**
   * @param {number} seconds `Infinity` for none.
   * @param {AbortSignal | null} [signal]
   */
  constructor(seconds, signal = null) {
    this.#seconds = seconds;
    this.#signal = signal;
    this.#cancel = () => this.#controller.abort(signal?.reason);
    if (signal?.aborted) this.#cancel();
    else signal?.addEventListener("abort", this.#cancel, { once: true });
    this.restart();
  }

  /** Starts the time again. */
  restart() {
    clearTimeout(this.#timer);
    const seconds = this.#seconds;
    this.#ends = performance.now() + seconds * 1000;
    const timedOut = () => this.#controller.abort(new TimedOut({ code: "timed-out", detail: `no answer in ${seconds} s` }));
    if (seconds * 1000 <= TIMER_MAX) this.#timer = setTimeout(timedOut, seconds * 1000);
  }

  /** Aborted with `TimedOut` at the end, and with the caller's reason when the caller aborts. */
  get signal() {
    return this.#controller.signal;
  }

  /** The seconds left. */
  get left() {
    return Math.max(0, (this.#ends - performance.now()) / 1000);
  }

  /**
   * Waits.
   *
   * @param {number} seconds
   * @throws The reason of the signal, if the limit ends before.
   */
  async sleep(seconds) {
    this.signal.throwIfAborted();
    await /** @type {Promise<void>} */ (new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    }));
    this.signal.throwIfAborted();
  }

  /** Frees the timer and the caller's signal. */
  end() {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#cancel);
  }
}
