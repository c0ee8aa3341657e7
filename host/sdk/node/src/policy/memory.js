/** Decisions that wait for their report in memory, where there is no disk. */

/** More are not kept: the server decides then. */
const KEPT_MAX = 16_384;
/** The server takes this many in one report. */
export const BATCH_MAX = 256;

/** @typedef {{ key: string, lines: string[] }} Batch `key` is the idempotency key, `lines` are JSON texts. */

/**
 * Keeps decisions until the server has them.
 *
 * @typedef {object} Queue
 * @property {"disk" | "memory"} kind
 * @property {number} pending The decisions that the server neither accepted nor refused.
 * @property {(line: string) => Promise<void>} append Resolves once the decision is kept.
 * @property {() => Promise<Batch | null>} next The oldest batch, which always has the same key and lines.
 * @property {(batch: Batch) => Promise<void>} accepted Forgets it.
 * @property {(batch: Batch) => Promise<void>} refused Puts it aside.
 * @property {() => Promise<void>} close
 */

/**
 * A queue in memory.
 *
 * @implements {Queue}
 */
export class MemoryQueue {
  /** @type {"memory"} */
  kind = "memory";
  /** @type {string[]} */
  #lines = [];
  /** @type {Batch | null} */
  #batch = null;

  get pending() {
    return this.#lines.length + (this.#batch?.lines.length ?? 0);
  }

  /** @param {string} line */
  async append(line) {
    if (this.pending >= KEPT_MAX) throw new RangeError(`${KEPT_MAX} decisions wait for their report already`);
    this.#lines.push(line);
  }

  async next() {
    if (this.#batch === null && this.#lines.length > 0) {
      this.#batch = { key: newBatchKey(), lines: this.#lines.splice(0, BATCH_MAX) };
    }
    return this.#batch;
  }

  async accepted() {
    this.#batch = null;
  }

  async refused() {
    this.#batch = null;
  }

  async close() {}
}

/** Returns a new idempotency key, which is also a file name. Later keys are greater. */
export function newBatchKey() {
  return `d${Date.now().toString(36).padStart(9, "0")}-${newId()}`;
}

/** Returns 128 random bits in hex. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
