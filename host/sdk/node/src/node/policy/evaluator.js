/** Evaluates policies in a thread, so that one that loops ends at a time limit and blocks nothing. */

import { Worker } from "node:worker_threads";

import { trapped } from "../../policy/problems.js";

/** The time of one evaluation, and of the start of the thread. Fuel limits it on the server. */
const LIMIT_MS = 5000;

/** @typedef {{ resolve: (verdict: any) => void, reject: (error: unknown) => void }} Waiting */

/**
 * Starts an evaluator. Its thread starts with the first attempt, and again after one that failed hard.
 *
 * @param {WebAssembly.Module} module
 * @param {number} memoryMax
 * @returns {import("../../policy/inplace.js").Evaluator}
 */
export function inThread(module, memoryMax) {
  return new ThreadEvaluator(module, memoryMax);
}

class ThreadEvaluator {
  #data;
  /** @type {Worker | null} */
  #worker = null;
  /** Attempts that the thread has, in order. @type {Waiting[]} */
  #waiting = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #closed = false;

  /**
   * @param {WebAssembly.Module} module
   * @param {number} memoryMax
   */
  constructor(module, memoryMax) {
    this.#data = { module, memoryMax };
  }

  /**
   * @param {import("../../policy/instance.js").PolicyAttempt} attempt
   * @returns {Promise<import("../../policy/instance.js").RawVerdict>}
   */
  evaluate(attempt) {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw trapped("it was replaced");
      this.#worker ??= this.#start();
      this.#waiting.push({ resolve, reject });
      if (this.#waiting.length === 1) this.#limit(this.#worker);
      this.#worker.ref();
      this.#worker.postMessage(attempt);
    });
  }

  async close() {
    this.#closed = true;
    await this.#end(this.#worker, "it was replaced");
  }

  #start() {
    // Without the flags of the process, some of which no thread takes, such as `--input-type`.
    const worker = new Worker(new URL("thread.js", import.meta.url), { workerData: this.#data, execArgv: [] });
    worker.on("message", ({ verdict, failure }) => {
      if (worker !== this.#worker) return;
      const { resolve, reject } = this.#waiting.shift() ?? {};
      this.#limit(worker);
      if (verdict !== undefined) resolve?.(verdict);
      else reject?.(trapped(failure));
    });
    worker.on("error", (error) => this.#end(worker, "its thread failed", error));
    worker.on("exit", () => this.#end(worker, "its thread ended"));
    return worker;
  }

  /**
   * Starts the time of the first attempt that waits. A thread without any keeps no process alive.
   *
   * @param {Worker} worker
   */
  #limit(worker) {
    clearTimeout(this.#timer);
    if (this.#waiting.length === 0) worker.unref();
    else this.#timer = setTimeout(() => this.#end(worker, `it ran for more than ${LIMIT_MS / 1000} s`), LIMIT_MS);
  }

  /**
   * Ends a thread. All attempts that it has fail.
   *
   * @param {Worker | null} worker
   * @param {string} why
   * @param {unknown} [cause]
   */
  async #end(worker, why, cause) {
    if (worker === null || worker !== this.#worker) return;
    this.#worker = null;
    clearTimeout(this.#timer);
    for (const { reject } of this.#waiting.splice(0)) reject(trapped(why, cause));
    await worker.terminate();
  }
}
