/** The thread in which a policy runs. Its messages are attempts, its answers verdicts or failures. */

import { parentPort, workerData } from "node:worker_threads";

import { evaluateIn } from "../../policy/instance.js";

/** @type {{ module: WebAssembly.Module, memoryMax: number }} */
const { module, memoryMax } = workerData;

// Made before it is needed: a new instance takes longer than an evaluation.
/** @type {WebAssembly.Instance | null} */
let next = instance();

function instance() {
  try {
    return new WebAssembly.Instance(module, {});
  } catch {
    // It fails again, with its reason, when an attempt comes.
    return null;
  }
}

parentPort?.on("message", (/** @type {import("../../policy/instance.js").PolicyAttempt} */ attempt) => {
  try {
    const fresh = next ?? new WebAssembly.Instance(module, {});
    next = null;
    parentPort?.postMessage({ verdict: evaluateIn(fresh, memoryMax, attempt) });
  } catch (error) {
    parentPort?.postMessage({ failure: error instanceof Error ? error.message : "unknown" });
  }
  next = instance();
});
