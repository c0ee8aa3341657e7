/** The input of a tool as a context. */

import { Invalid } from "../errors.js";
import { encode, rawJson } from "../json.js";

/**
 * Returns the text of a tool's input. A tool runs on this text parsed back, so that values which JSON
 * changes, such as a `Date`, are refused and not converted.
 *
 * @param {unknown} input
 * @returns {import("../json.js").RawJson}
 * @throws {Invalid} `context-invalid`: not a plain object, or it has a value that is not JSON.
 */
export function contextOf(input) {
  if (typeof input !== "object" || input === null || Array.isArray(input)) throw invalid("", "the input of a tool must be an object");
  const text = encode(input);
  refuseConverted(input, "");
  return rawJson(text);
}

/**
 * @param {unknown} value Encoded before: it has no cycle and is not too deep.
 * @param {string} path
 */
function refuseConverted(value, path) {
  if (typeof value === "bigint") throw invalid(path, "a `bigint` is not what a tool would receive");
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) {
    const prototype = Object.getPrototypeOf(value);
    const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
    if (!isPlain || typeof (/** @type {any} */ (value).toJSON) === "function") throw invalid(path, "JSON would convert the value");
  }
  for (const [name, member] of Object.entries(value)) refuseConverted(member, path === "" ? name : `${path}.${name}`);
}

/**
 * @param {string} path
 * @param {string} reason
 */
function invalid(path, reason) {
  return new Invalid({ code: "context-invalid", detail: path === "" ? reason : `\`${path}\`: ${reason}`, path });
}
