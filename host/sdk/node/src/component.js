/**
 * The component `verifier.wasm`, and the core module inside it, which is what JavaScript engines
 * compile.
 */

import { Unavailable } from "./errors.js";

/** `\0asm`, version 13, layer 1: the start of a component. */
const COMPONENT = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
/** The id of a component's section that is a core module. */
const CORE_MODULE = 1;
/** The ids of sections that are a nested component, and imports of the component. */
const NESTED = 4;
const IMPORT = 10;

/**
 * Returns the core module in a component: the content of its first section of id 1.
 *
 * @param {Uint8Array} component
 * @returns {Uint8Array} A view into the same bytes.
 * @throws {Unavailable} `unreachable`: the bytes are not a component with a core module.
 */
export function coreOf(component) {
  for (const { id, content } of sections(component)) if (id === CORE_MODULE) return content;
  throw unusable("the component has no core module");
}

/**
 * Returns the core module of a policy that needs nothing else: no imports, and no other core module
 * in the component or in those nested in it.
 *
 * @param {Uint8Array} component
 * @returns {Uint8Array | null} A view into the same bytes; null for any other component.
 */
export function solePolicyCore(component) {
  try {
    const found = [...sections(component)];
    const cores = found.filter(({ id }) => id === CORE_MODULE);
    const isSole = cores.length === 1 && found.every(({ id, content }) => id !== IMPORT && (id !== NESTED || hasNoCore(content)));
    return isSole ? (cores[0]?.content ?? null) : null;
  } catch {
    return null;
  }
}

/**
 * @param {Uint8Array} component
 * @returns {boolean}
 */
function hasNoCore(component) {
  return [...sections(component)].every(({ id, content }) => id !== CORE_MODULE && (id !== NESTED || hasNoCore(content)));
}

/**
 * @param {Uint8Array} component
 * @returns {Generator<{ id: number, content: Uint8Array }>}
 */
function* sections(component) {
  if (COMPONENT.some((byte, index) => component[index] !== byte)) throw unusable("not a WebAssembly component");
  let at = COMPONENT.length;
  while (at < component.length) {
    const id = component[at] ?? 0;
    const [size, start] = leb128(component, at + 1);
    if (start + size > component.length) throw unusable("a section is cut off");
    yield { id, content: component.subarray(start, start + size) };
    at = start + size;
  }
}

/**
 * Reads an unsigned LEB128 number of 32 bits. Returns it, and the position after it.
 *
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {[number, number]}
 */
function leb128(bytes, at) {
  let number = 0;
  for (let index = 0; index < 5; index++) {
    const byte = bytes[at + index] ?? 0;
    number += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return [number, at + index + 1];
  }
  throw unusable("a section has a malformed size");
}

/**
 * Returns the SHA-256 of bytes, in lower-case hex.
 *
 * @param {Uint8Array} bytes
 * @returns {Promise<string>}
 * @throws {Unavailable} `unreachable`: a page that was not loaded over HTTPS or from this machine,
 *   where browsers have no `crypto.subtle`.
 */
export async function sha256(bytes) {
  if (globalThis.crypto?.subtle === undefined) throw unusable("this page has no `crypto.subtle`; serve it over HTTPS");
  const hash = await crypto.subtle.digest("SHA-256", /** @type {Uint8Array<ArrayBuffer>} */ (bytes));
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {string} detail
 * @param {unknown} [cause]
 */
export function unusable(detail, cause) {
  return new Unavailable({ code: "unreachable", title: "Verifier not usable", detail: `verifier: ${detail}`, cause });
}
