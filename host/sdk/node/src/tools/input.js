/** The input of a tool as a context. */

import { Invalid } from "../errors.js";
import { encode, rawJson } from "../json.js";

/**
 * Returns the text of a tool's input. A tool runs on this text parsed back, so that what JSON would
 * change or leave out, such as a `Date` or a member without a value, is refused and not converted. Each
 * value is read once: a getter or a proxy cannot show one thing and run another.
 *
 * @param {unknown} input
 * @returns {import("../json.js").RawJson}
 * @throws {Invalid} `context-invalid`: not a plain object, or it has a value that JSON does not show.
 */
export function contextOf(input) {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new Invalid({ code: "context-invalid", detail: "the input of a tool must be an object", path: "" });
  }
  return rawJson(encode(input, { plain: true }));
}
