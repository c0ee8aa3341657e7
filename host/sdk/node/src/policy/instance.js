/** One evaluation of a policy: its core module, called through the canonical ABI of `wit/policy.wit`. */

import { moduleInvalid, trapped } from "./problems.js";

const EVALUATE = "signoff:approval/guardrails@0.1.0#evaluate";
/** Limits of the texts of a verdict, in bytes; a longer one is a failure before it is read. */
const DECISION_BYTES = 16;
const IDENTIFIER_BYTES = 128;
const REASON_BYTES = 4096;
const REQUIREMENT_BYTES = 16 * 1024;
const FAILED_MAX = 16;
/** The size and alignment of the verdict record. */
const VERDICT_BYTES = 52;
const ALIGNMENT = 4;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * What a policy sees. `context`, `plan` and `facts` are canonical texts, `now` seconds since 1970.
 *
 * @typedef {{ agent: string, action: string, context: string, plan: string | null, facts: string, now: number }} PolicyAttempt
 */

/**
 * A verdict within its limits of size, not yet validated.
 *
 * @typedef {{ decision: string, rule: string | null, reason: string | null, requirement: string | null,
 *   failed: string[] }} RawVerdict
 */

/**
 * Checks that a module can be called as a policy.
 *
 * @param {WebAssembly.Module} module
 * @throws {import("../errors.js").SignoffError} `module-invalid`
 */
export function checkShape(module) {
  if (WebAssembly.Module.imports(module).length > 0) throw moduleInvalid("its core module has imports");
  const exports = new Map(WebAssembly.Module.exports(module).map(({ name, kind }) => [name, kind]));
  const needed = { memory: "memory", cabi_realloc: "function", [EVALUATE]: "function" };
  for (const [name, kind] of Object.entries(needed)) {
    if (exports.get(name) !== kind) throw moduleInvalid(`its core module does not export the ${kind} \`${name}\``);
  }
  if (exports.has("_initialize")) throw moduleInvalid("its core module must be initialized by its component");
}

/**
 * Evaluates an attempt in a new instance, which must not be used again.
 *
 * @param {WebAssembly.Instance} instance
 * @param {number} memoryMax The manifest's limit, in bytes.
 * @param {PolicyAttempt} attempt
 * @returns {RawVerdict}
 * @throws {import("../errors.js").SignoffError} `policy-trapped`: a trap, more memory, or a verdict
 *   outside of its memory or its limits of size.
 */
export function evaluateIn(instance, memoryMax, attempt) {
  const exports = /** @type {Record<string, any>} */ (instance.exports);
  /** @type {WebAssembly.Memory} */
  const memory = exports.memory;
  /** @param {string} text */
  const lower = (text) => {
    const bytes = encoder.encode(text);
    const at = exports.cabi_realloc(0, 0, 1, bytes.length) >>> 0;
    new Uint8Array(memory.buffer).set(bytes, at);
    return [at, bytes.length];
  };
  try {
    const { agent, action, context, plan, facts, now } = attempt;
    const result = exports[EVALUATE](
      ...lower(agent),
      ...lower(action),
      ...lower(context),
      ...(plan === null ? [0, 0, 0] : [1, ...lower(plan)]),
      ...lower(facts),
      BigInt(now),
    );
    const verdict = lift(new Uint8Array(memory.buffer), result >>> 0);
    exports[`cabi_post_${EVALUATE}`]?.(result);
    if (memory.buffer.byteLength > memoryMax) throw trapped(`it holds more than ${memoryMax} bytes of memory`);
    return verdict;
  } catch (error) {
    throw error instanceof Malformed ? trapped(`malformed verdict: ${error.message}`) : trapped("it trapped", error);
  }
}

class Malformed extends Error {}

/**
 * Reads the verdict record at a position: texts are a pointer and a length, an option has a byte
 * before them that is 0 or 1.
 *
 * @param {Uint8Array} memory
 * @param {number} at
 * @returns {RawVerdict}
 */
function lift(memory, at) {
  if (at % ALIGNMENT !== 0 || at + VERDICT_BYTES > memory.length) throw new Malformed("the record is outside of the memory");
  const view = new DataView(memory.buffer);
  const u32 = (/** @type {number} */ offset) => view.getUint32(offset, true);
  /**
   * @param {number} offset
   * @param {number} limit
   */
  const text = (offset, limit) => {
    const [start, length] = [u32(offset), u32(offset + 4)];
    if (length > limit) throw new Malformed(`a text has ${length} bytes, the limit is ${limit}`);
    if (start + length > memory.length) throw new Malformed("a text is outside of the memory");
    return utf8(memory.subarray(start, start + length));
  };
  /**
   * @param {number} offset
   * @param {number} limit
   */
  const option = (offset, limit) => {
    const some = view.getUint8(offset);
    if (some > 1) throw new Malformed("an option is neither none nor some");
    return some === 0 ? null : text(offset + 4, limit);
  };
  const [failed, count] = [u32(at + 44), u32(at + 48)];
  if (count > FAILED_MAX) throw new Malformed(`failed names ${count} rules, the limit is ${FAILED_MAX}`);
  if (failed % ALIGNMENT !== 0 || failed + count * 8 > memory.length) throw new Malformed("failed is outside of the memory");
  return {
    decision: text(at, DECISION_BYTES),
    rule: option(at + 8, IDENTIFIER_BYTES),
    reason: option(at + 20, REASON_BYTES),
    requirement: option(at + 32, REQUIREMENT_BYTES),
    failed: Array.from({ length: count }, (_, index) => text(failed + index * 8, IDENTIFIER_BYTES)),
  };
}

/** @param {Uint8Array} bytes */
function utf8(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Malformed("a text is not UTF-8");
  }
}
