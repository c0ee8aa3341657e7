/** One instance of the verifier's core module, called through `wire`. */

import { unusable } from "./component.js";

const CALL = "signoff:approval/wire@0.1.0#call";
/** Requests of up to a third of this are encoded without an allocation. */
const SCRATCH_BYTES = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const scratch = new Uint8Array(SCRATCH_BYTES);

/**
 * @typedef {object} Exports
 * @property {WebAssembly.Memory} memory
 * @property {(from: number, size: number, align: number, to: number) => number} cabi_realloc
 * @property {(at: number, length: number) => number} call
 * @property {(result: number) => void} post
 */

/** An instance that answers one request at a time. It must not be used again after a trap. */
export class Instance {
  #memory;
  #realloc;
  #call;
  #post;
  #bytes;

  /**
   * @param {WebAssembly.Instance} instance
   * @throws {import("./errors.js").Unavailable} `unreachable`: it is not the verifier.
   */
  constructor(instance) {
    const exports = /** @type {Record<string, any>} */ (instance.exports);
    for (const name of ["memory", "cabi_realloc", CALL, `cabi_post_${CALL}`]) {
      if (!(name in exports)) throw unusable(`the module does not export \`${name}\``);
    }
    /** @type {WebAssembly.Memory} */
    this.#memory = exports.memory;
    /** @type {Exports["cabi_realloc"]} */
    this.#realloc = exports.cabi_realloc;
    /** @type {Exports["call"]} */
    this.#call = exports[CALL];
    /** @type {Exports["post"]} */
    this.#post = exports[`cabi_post_${CALL}`];
    this.#bytes = new Uint8Array(this.#memory.buffer);
  }

  /** The size of its memory in bytes. It never shrinks. */
  get memoryBytes() {
    return this.#memory.buffer.byteLength;
  }

  /**
   * Returns the answer to a request; both are texts.
   *
   * @param {string} request
   * @returns {string}
   */
  call(request) {
    const encoded = encode(request);
    // Pointers are u32, which JavaScript shows as negative numbers past 2 GiB.
    const sent = this.#realloc(0, 0, 1, encoded.length) >>> 0;
    this.#current().set(encoded, sent);
    const result = this.#call(sent, encoded.length) >>> 0;
    try {
      return this.#text(result);
    } finally {
      // The guest frees the answer here; without it, the memory grows with each call.
      this.#post(result);
    }
  }

  /**
   * Decodes the text whose position and length are at `result`.
   *
   * @param {number} result
   */
  #text(result) {
    const bytes = this.#current();
    const u32 = (/** @type {number} */ at) => new DataView(bytes.buffer).getUint32(at, true);
    const start = u32(result);
    const end = start + u32(result + 4);
    if (end > bytes.length) throw new WebAssembly.RuntimeError("the answer is outside of the memory");
    return decoder.decode(bytes.subarray(start, end));
  }

  /** Returns the memory's bytes: a call may have grown it, which detaches every view from before. */
  #current() {
    if (this.#bytes.buffer !== this.#memory.buffer) this.#bytes = new Uint8Array(this.#memory.buffer);
    return this.#bytes;
  }
}

/** @param {string} text */
function encode(text) {
  // UTF-8 has at most 3 bytes for each UTF-16 code unit.
  if (text.length * 3 > SCRATCH_BYTES) return encoder.encode(text);
  return scratch.subarray(0, encoder.encodeInto(text, scratch).written);
}
