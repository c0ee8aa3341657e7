/**
 * Objects of options. A misspelt member that is ignored could be the one that makes a guard strict,
 * so that unknown and mistyped members are refused.
 */

import { Invalid, printable } from "./errors.js";

/** @typedef {{ form: string, is: (value: any) => boolean }} Kind */
/** @typedef {{ [member: string]: Kind }} Shape */

/** @type {Kind} */
export const any = { form: "a value", is: () => true };
/** @type {Kind} */
export const text = { form: "a string", is: (value) => typeof value === "string" };
/** @type {Kind} */
export const texts = { form: "a list of strings", is: (value) => Array.isArray(value) && value.every(text.is) };
/** @type {Kind} */
export const flag = { form: "`true` or `false`", is: (value) => typeof value === "boolean" };
/** @type {Kind} */
export const whole = { form: "a whole number", is: Number.isSafeInteger };
/** @type {Kind} */
export const wholeOrText = { form: "a string or a whole number", is: (value) => text.is(value) || whole.is(value) };
/** @type {Kind} */
export const seconds = { form: "a number of seconds", is: (value) => typeof value === "number" && value >= 0 };
/** @type {Kind} */
export const counts = {
  form: "an object of whole numbers",
  is: (value) => isPlain(value) && Reflect.ownKeys(value).every((name) => typeof name === "string" && whole.is(value[name])),
};
/** @type {Kind} */
const positive = { form: "a whole number from 1", is: (value) => whole.is(value) && value >= 1 };
/** @type {Kind} */
const minima = { form: "an object of whole numbers from 1", is: (value) => counts.is(value) && Object.values(value).every(positive.is) };
/** @type {Kind} */
export const callback = { form: "a function", is: (value) => typeof value === "function" };
/** @type {Kind} */
export const signal = { form: "an `AbortSignal`", is: (value) => callback.is(value?.addEventListener) && flag.is(value.aborted) };
/** @type {Kind} */
export const list = { form: "a list", is: Array.isArray };
/** @type {Kind} */
export const object = { form: "an object", is: (value) => typeof value === "object" };
/** @type {Kind} */
export const policyKind = { form: "a policy of `client.policy`, or `\"server\"`", is: (value) => value === "server" || callback.is(value?.evaluate) };

/** Options of each call. */
export const CALL = { timeout: seconds, signal, idempotencyKey: text };
/** What is about to run. */
export const ACTION = { agent: text, action: text, context: any, plan: any };
/** What a request has in addition. */
export const REQUEST = { reason: text, threshold: whole, groups: counts, expiresInSeconds: whole };
/** An executor's own minimum. */
export const FLOOR = { threshold: positive, groups: minima, ttlSeconds: positive };

/**
 * Returns a copy of an object of options, without members that are `undefined` or null: both mean
 * that an option is not set.
 *
 * @template {object} T
 * @param {string} what The object, as a message names it.
 * @param {T} given
 * @param {Shape} shape
 * @returns {T}
 * @throws {Invalid} `request-invalid`: not a plain object, or an unknown or mistyped member.
 */
export function optionsOf(what, given, shape) {
  if (!isPlain(given)) throw invalid(what, "expected a plain object");
  const found = /** @type {any} */ ({});
  for (const name of Reflect.ownKeys(given)) {
    const kind = typeof name === "string" && Object.hasOwn(shape, name) ? shape[name] : undefined;
    if (kind === undefined) throw invalid(what, `unknown member \`${printable(String(name), 64)}\``);
    const value = /** @type {any} */ (given)[name];
    if (value == null) continue;
    if (!kind.is(value)) throw invalid(what, `\`${String(name)}\` must be ${kind.form}`);
    found[name] = value;
  }
  return found;
}

/**
 * Returns a copy of a floor, which its owner may change afterwards.
 *
 * @param {import("./verifier.js").Floor} given
 * @returns {import("./verifier.js").Floor}
 * @throws {Invalid} `request-invalid`, as `optionsOf`.
 */
export function floorOf(given) {
  const floor = optionsOf("floor", given, FLOOR);
  return floor.groups === undefined ? floor : { ...floor, groups: { ...floor.groups } };
}

/**
 * A plain object has no prototype, or the root one of any realm: others may have members that a copy
 * does not have.
 *
 * @param {unknown} value
 */
function isPlain(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

/**
 * @param {string} what
 * @param {string} detail
 */
function invalid(what, detail) {
  return new Invalid({ code: "request-invalid", detail: `${what}: ${detail}` });
}
