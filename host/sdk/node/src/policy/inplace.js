/** Evaluates policies in the calling thread, where there are no threads to give them to. */

import { evaluateIn } from "./instance.js";

/**
 * Evaluates attempts with one policy, each in a new instance.
 *
 * @typedef {object} Evaluator
 * @property {(attempt: import("./instance.js").PolicyAttempt) => Promise<import("./instance.js").RawVerdict>} evaluate
 *   Rejects with `policy-trapped`.
 * @property {() => Promise<void>} close
 */

/**
 * Returns an evaluator without a time limit: a policy that loops blocks its thread.
 *
 * @param {WebAssembly.Module} module
 * @param {number} memoryMax
 * @returns {Evaluator}
 */
export function inPlace(module, memoryMax) {
  return {
    evaluate: async (attempt) => evaluateIn(await WebAssembly.instantiate(module, {}), memoryMax, attempt),
    close: async () => {},
  };
}
