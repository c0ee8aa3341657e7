/**
 * JSON without silent changes: a strict encoder for JavaScript values, and a parser that keeps
 * integers exact.
 */

import { Invalid } from "./errors.js";

/** A JSON text that is sent as it is. `rawJson` makes one. */
export class RawJson {
  #text;

  /**
   * @param {string} text One JSON value.
   * @throws {Invalid} `context-invalid` if it is not one JSON value.
   */
  constructor(text) {
    if (typeof text !== "string") throw invalid("", "raw JSON must be a string");
    try {
      parseShallow(text);
    } catch {
      // The parser's message quotes the text, which may hold secrets.
      throw invalid("", "raw JSON must be the text of one JSON value");
    }
    if (!isWellFormed(text)) throw invalid("", "raw JSON contains a lone surrogate");
    this.#text = text;
  }

  /** The text. */
  get text() {
    return this.#text;
  }

  toString() {
    return this.#text;
  }
}

/**
 * Returns a JSON text that the SDK sends as it is. Use it for numbers that JavaScript cannot hold,
 * such as `rawJson('{"amount": 1.0}')`.
 *
 * @param {string} text
 * @throws {Invalid} `context-invalid` if it is not one JSON value.
 */
export const rawJson = (text) => new RawJson(text);

/** The depth of a context or plan; its own braces are depth 1. The verifier has the same limit. */
export const DEPTH_MAX = 64;
/** The depth of a text that is parsed: an approval and its context inside an answer. */
const PARSE_DEPTH = 128;
/** The length of a request to the verifier or the server. The verifier has the same limit. */
export const REQUEST_MAX = 16 * 1024 * 1024;

/**
 * Returns the JSON text of a value, and refuses what `JSON.stringify` would change silently.
 *
 * Accepts null, booleans, strings, numbers, `bigint`, arrays, plain objects, `RawJson`, and objects
 * with `toJSON`, such as `Date`. Minus zero becomes `0`, and a whole number has no fraction: use
 * `RawJson` for `1.0`.
 *
 * @param {unknown} value
 * @param {{ depth?: number, plain?: boolean }} [limits] The depth of lists and objects; default 64. With `plain`,
 *   everything that the text would not show as it is.
 * @returns {string}
 * @throws {Invalid} `context-invalid`, with the `path` of the value: `undefined`, a function, a
 *   symbol, `NaN`, an infinite number, a number that is whole and above 2^53 - 1, a lone surrogate,
 *   a sparse array, binary data, an instance of a class, a cycle, or lists and objects that are too
 *   deep. `limit-exceeded` for a text of more than 16 MiB.
 */
export function encode(value, { depth = DEPTH_MAX, plain = false } = {}) {
  return textOf(value, { depth, left: REQUEST_MAX, plain }, null, "", true);
}

/**
 * Like `encode`, but faster for values that `JSON.stringify` does not change. Values are read twice:
 * not for contexts, whose getters could return something else the second time.
 *
 * @param {unknown} value
 * @param {{ depth: number }} limits
 * @returns {string}
 * @throws {Invalid} As `encode`.
 */
export function encodeFast(value, { depth }) {
  return isPlain(value, depth, { left: FAST_VALUES_MAX }) ? JSON.stringify(value) : encode(value, { depth });
}

/** The number of values that the fast encoder looks at: a value that contains itself never ends. */
const FAST_VALUES_MAX = 10_000;

/**
 * Returns whether `JSON.stringify` certainly does not change a value.
 *
 * @param {unknown} value
 * @param {number} depth
 * @param {{ left: number }} values
 * @returns {boolean}
 */
function isPlain(value, depth, values) {
  if (typeof value === "string") return isWellFormed(value);
  if (typeof value === "number") return Number.isSafeInteger(value);
  if (typeof value !== "object") return typeof value === "boolean";
  if (value === null) return true;
  if (depth === 0 || --values.left < 0 || "toJSON" in value) return false;
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Array.prototype) {
    const list = /** @type {unknown[]} */ (value);
    if (Object.keys(list).length !== list.length) return false;
    for (let index = 0; index < list.length; index++) if (!isPlain(list[index], depth - 1, values)) return false;
    return true;
  }
  if (prototype !== Object.prototype) return false;
  for (const name of Object.keys(value)) {
    const member = /** @type {Record<string, unknown>} */ (value)[name];
    if (!isWellFormed(name) || !isPlain(member, depth - 1, values)) return false;
  }
  return Object.getOwnPropertySymbols(value).length === 0;
}

/**
 * What is left of the limits, and whether the text must show all of the value.
 *
 * @typedef {{ depth: number, left: number, plain: boolean }} Limits
 */

/**
 * A list or object around a value: how it is named in the one around it, and how deep it is.
 *
 * @typedef {{ object: object, around: Around, name: string | number, depth: number } | null} Around
 */

/**
 * @param {unknown} value
 * @param {Limits} limits
 * @param {Around} around
 * @param {string | number} name Of the value in `around`.
 * @param {boolean} convert Whether `toJSON` may replace the value.
 * @returns {string}
 */
function textOf(value, limits, around, name, convert) {
  switch (typeof value) {
    case "string":
      if (!isWellFormed(value)) throw refused(around, name, "a string contains a lone surrogate");
      return within(limits, JSON.stringify(value));
    case "number":
      return within(limits, numberText(value, around, name));
    case "boolean":
      return within(limits, value ? "true" : "false");
    case "bigint":
      if (limits.plain) throw refused(around, name, "a `bigint` is not what a tool would receive");
      return within(limits, value.toString());
    case "object":
      return value === null ? within(limits, "null") : objectText(value, limits, around, name, convert);
    default:
      throw refused(around, name, `\`${typeof value}\` has no JSON form`);
  }
}

/**
 * @param {Limits} limits
 * @param {string} text
 */
function within(limits, text) {
  // 1 for the comma, colon or brace beside it.
  limits.left -= text.length + 1;
  if (limits.left < 0) throw new Invalid({ code: "limit-exceeded", detail: "the JSON text is longer than 16 MiB" });
  return text;
}

/**
 * @param {number} number
 * @param {Around} around
 * @param {string | number} name
 */
function numberText(number, around, name) {
  if (!Number.isFinite(number)) throw refused(around, name, `\`${number}\` has no JSON form`);
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw refused(around, name, "a whole number above 2^53 - 1 may have been rounded; use a `bigint` or `rawJson`");
  }
  return String(number);
}

/**
 * @param {object} object
 * @param {Limits} limits
 * @param {Around} around
 * @param {string | number} name
 * @param {boolean} convert
 * @returns {string}
 */
function objectText(object, limits, around, name, convert) {
  if (limits.plain) refuseHidden(object, around, name);
  if (object instanceof RawJson) return within(limits, object.text);
  if (ArrayBuffer.isView(object) || isBuffer(object)) throw refused(around, name, "binary data has no JSON form");
  if (convert && "toJSON" in object && typeof object.toJSON === "function") {
    if (object instanceof Date && Number.isNaN(object.getTime())) throw refused(around, name, "the date is invalid");
    return textOf(object.toJSON(String(name)), limits, around, name, false);
  }
  for (let other = around; other !== null; other = other.around) {
    if (other.object === object) throw refused(around, name, "the value contains itself");
  }
  const depth = (around?.depth ?? 0) + 1;
  if (depth > limits.depth) throw refused(around, name, `the value is deeper than ${limits.depth}`);
  const here = { object, around, name, depth };
  within(limits, "");
  return Array.isArray(object) ? listText(object, limits, here) : membersText(object, limits, here);
}

/**
 * Refuses what JSON would convert or leave out, and a member that could become a prototype in a copy.
 *
 * @param {object} object
 * @param {Around} around
 * @param {string | number} name
 */
function refuseHidden(object, around, name) {
  const isList = Array.isArray(object);
  const prototype = Object.getPrototypeOf(object);
  const root = isList ? prototype && Object.getPrototypeOf(prototype) : prototype;
  const isPlain = root === null ? !isList : Object.getPrototypeOf(root) === null;
  if (!isPlain || typeof (/** @type {any} */ (object).toJSON) === "function") throw refused(around, name, "JSON would convert the value");
  const shown = Object.keys(object);
  if (Reflect.ownKeys(object).length !== shown.length + (isList ? 1 : 0)) throw refused(around, name, "JSON would not show a member");
  if (shown.includes("__proto__")) throw refused(around, name, "a member is named `__proto__`");
}

/**
 * @param {unknown[]} list
 * @param {Limits} limits
 * @param {NonNullable<Around>} here
 */
function listText(list, limits, here) {
  if (Object.keys(list).length !== list.length) {
    throw refused(here.around, here.name, "the array is sparse or has other members");
  }
  return `[${Array.from(list, (value, index) => textOf(value, limits, here, index, true)).join(",")}]`;
}

/**
 * @param {object} object
 * @param {Limits} limits
 * @param {NonNullable<Around>} here
 */
function membersText(object, limits, here) {
  // A plain object has no prototype, or the root one of any realm.
  const prototype = Object.getPrototypeOf(object);
  if (prototype !== null && prototype !== Object.prototype && Object.getPrototypeOf(prototype) !== null) {
    throw refused(here.around, here.name, "an instance of a class has no JSON form; use a plain object");
  }
  if (Object.getOwnPropertySymbols(object).length > 0) {
    throw refused(here.around, here.name, "a member is named by a symbol");
  }
  let text = "";
  for (const [name, value] of Object.entries(object)) {
    const member = textOf(name, limits, here, name, false);
    text += `${text === "" ? "" : ","}${member}:${textOf(value, limits, here, name, true)}`;
  }
  return `{${text}}`;
}

/**
 * @param {Around} around
 * @param {string | number} name
 * @param {string} reason
 */
function refused(around, name, reason) {
  const parts = [name];
  for (let other = around; other !== null; other = other.around) parts.unshift(other.name);
  const path = parts.map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`)).join("").replace(/^\.+/, "");
  return invalid(path, reason);
}

/**
 * @param {string} path
 * @param {string} reason
 */
function invalid(path, reason) {
  return new Invalid({ code: "context-invalid", detail: path === "" ? reason : `\`${path}\`: ${reason}`, path });
}

/** @param {object} object */
function isBuffer(object) {
  return object instanceof ArrayBuffer ||
    (typeof SharedArrayBuffer === "function" && object instanceof SharedArrayBuffer);
}

/**
 * Returns whether a string has no lone surrogate.
 *
 * @param {string} text
 * @returns {boolean}
 */
export function isWellFormed(text) {
  const native = /** @type {string & { isWellFormed?(): boolean }} */ (text);
  return native.isWellFormed?.() ?? !/\p{Surrogate}/u.test(text);
}

/**
 * Parses a JSON text. A whole number above 2^53 - 1 becomes a `bigint` instead of being rounded.
 *
 * @param {string} text
 * @returns {unknown}
 * @throws {SyntaxError} The text is not one JSON value, or lists and objects are deeper than 128.
 */
export function parse(text) {
  const value = parseShallow(text);
  // No unsafe integer has fewer digits.
  if (!/\d{16}/.test(text)) return value;
  const mark = randomMark();
  return JSON.parse(markIntegers(text, mark), (_, item) =>
    typeof item === "string" && item.startsWith(mark) ? BigInt(item.slice(mark.length)) : item,
  );
}

/**
 * Parses a JSON text unless it is too deep: the engine needs a hundred times the memory of a text of
 * brackets, even to refuse it.
 *
 * @param {string} text
 * @returns {any}
 * @throws {SyntaxError} As `parse`.
 */
function parseShallow(text) {
  if (isDeep(text)) throw new SyntaxError(`the text is deeper than ${PARSE_DEPTH}`);
  return JSON.parse(text);
}

/**
 * Returns whether lists and objects are too deep. In a text that is not JSON this is so for the part
 * before its first mistake, where the engine stops.
 *
 * @param {string} text
 */
function isDeep(text) {
  // Each level has a bracket.
  if (text.length <= PARSE_DEPTH) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text[at];
    if (unit === '"') at = endOfString(text, at);
    else if (unit === "]" || unit === "}") depth--;
    else if ((unit === "[" || unit === "{") && ++depth > PARSE_DEPTH) return true;
  }
  return false;
}

/** Returns a text that no one who wrote the JSON text could know. */
function randomMark() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Returns a JSON text with each unsafe integer replaced by a string of the mark and its digits.
 *
 * @param {string} text A valid JSON text.
 * @param {string} mark
 */
function markIntegers(text, mark) {
  const number = /-?\d+(\.\d+)?([eE][+-]?\d+)?/y;
  let out = "";
  let copied = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text[at];
    if (unit === '"') {
      at = endOfString(text, at);
    } else if (unit === "-" || (unit !== undefined && unit >= "0" && unit <= "9")) {
      number.lastIndex = at;
      const [found, fraction, exponent] = number.exec(text) ?? [unit];
      const whole = fraction === undefined && exponent === undefined;
      if (whole && !Number.isSafeInteger(Number(found))) {
        out += `${text.slice(copied, at)}"${mark}${found}"`;
        copied = at + found.length;
      }
      at += found.length - 1;
    }
  }
  return out + text.slice(copied);
}

/**
 * Returns the position of the quote that ends the string at `start`, or a position after the text.
 *
 * @param {string} text
 * @param {number} start
 */
function endOfString(text, start) {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}
