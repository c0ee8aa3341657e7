/** Reports decisions to the server, batch by batch, until it has them. */

import { SignoffError } from "../errors.js";
import { backoff } from "../http.js";
import { encode, rawJson } from "../json.js";
import { Limit } from "../limit.js";
import { Pause } from "./pause.js";

/** How long a decision waits for others, so that they share a report. */
const GATHER_SECONDS = 1;

/** @typedef {import("./memory.js").Batch} Batch */

export class Reporter {
  #queue;
  #http;
  #onError;
  #pause = new Pause();
  #controller = new AbortController();
  /** @type {Promise<void> | null} */
  #running = null;
  #closing = false;
  /** The decisions that the server refused for good. */
  refused = 0;

  /**
   * @param {import("./memory.js").Queue} queue
   * @param {import("../http.js").Http} http
   * @param {(error: unknown) => void} onError
   */
  constructor(queue, http, onError) {
    this.#queue = queue;
    this.#http = http;
    this.#onError = onError;
  }

  /** Sends what is in the queue, soon. */
  notify() {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      // A decision that came after the last look.
      if (this.#queue.pending > 0 && !this.#controller.signal.aborted) this.notify();
    });
  }

  /**
   * Sends what is in the queue, as far as the time suffices. Afterwards nothing is sent.
   *
   * @param {number} seconds
   */
  async close(seconds) {
    this.#closing = true;
    const limit = new Limit(seconds);
    const stop = () => {
      this.#controller.abort(limit.signal.reason);
      this.#pause.wake();
    };
    limit.signal.addEventListener("abort", stop, { once: true });
    if (this.#queue.pending > 0) this.notify();
    this.#pause.wake();
    while (this.#running !== null && this.#queue.pending > 0 && !limit.signal.aborted) await this.#running;
    limit.end();
    stop();
    await this.#running;
  }

  async #run() {
    const { signal } = this.#controller;
    if (!this.#closing) await this.#pause.sleep(GATHER_SECONDS);
    for (let tries = 0; !signal.aborted; ) {
      try {
        const batch = await this.#queue.next();
        if (batch === null) return;
        await this.#send(batch, signal);
        tries = 0;
      } catch (error) {
        if (signal.aborted) return;
        this.#onError(error);
        await this.#pause.sleep(backoff(tries++));
      }
    }
  }

  /**
   * @param {Batch} batch
   * @param {AbortSignal} signal
   */
  async #send(batch, signal) {
    const body = encode({ decisions: batch.lines.map((line) => rawJson(line)) });
    const call = { method: "POST", path: "/api/v1/guardrails/decisions", body, keyed: true };
    try {
      await this.#http.call(call, { idempotencyKey: batch.key, signal });
    } catch (error) {
      if (!isFinal(error)) throw error;
      await this.#queue.refused(batch);
      this.refused += batch.lines.length;
      this.#onError(error);
      return;
    }
    await this.#queue.accepted(batch);
  }
}

/**
 * Returns whether the server refused a report for good.
 *
 * @param {unknown} error
 */
function isFinal(error) {
  return error instanceof SignoffError && error.status >= 400 && error.status < 500 && error.status !== 429;
}
