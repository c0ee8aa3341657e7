/** Strict validation of verdicts: what a policy returns is untrusted. `wit/policy.wit` has the rules. */

import { printable } from "../errors.js";
import { parse } from "../json.js";
import { trapped } from "./problems.js";

const IDENTIFIER = /^[!-~]{1,128}$/;
/** Control characters but tab and line feed. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
const COUNT_MAX = 16;
const TTL_SECONDS_MAX = 604_800;

/** @typedef {{ ttl_seconds?: number | null, threshold?: number | null, groups?: Record<string, number> }} PolicyRequirement */

/**
 * @typedef {object} Verdict
 * @property {"allow" | "deny" | "require_approval"} decision
 * @property {string | null} rule
 * @property {string | null} reason
 * @property {PolicyRequirement | null} requirement
 * @property {string[]} failed
 */

/**
 * Validates a verdict, in the order of its members.
 *
 * @param {import("./instance.js").RawVerdict} raw Within its limits of size.
 * @param {(text: string) => string} canonicalize Of the verifier; refuses duplicate members.
 * @returns {Verdict}
 * @throws {import("../errors.js").SignoffError} `policy-trapped`
 */
export function verdictOf({ decision, rule, reason, requirement, failed }, canonicalize) {
  if (decision !== "allow" && decision !== "deny" && decision !== "require_approval") {
    throw malformed(`the decision is \`${printable(decision, 40)}\``);
  }
  if (rule !== null && !IDENTIFIER.test(rule)) throw malformed("the rule is not 1 to 128 visible ASCII characters");
  if (reason !== null && CONTROL.test(reason)) throw malformed("the reason contains a control character");
  if (requirement !== null && decision !== "require_approval") throw malformed(`a requirement with the decision \`${decision}\``);
  const required = requirement === null ? null : requirementOf(requirement, canonicalize);
  if (!failed.every((id) => IDENTIFIER.test(id))) throw malformed("failed names a rule that is not visible ASCII");
  if (new Set(failed).size !== failed.length) throw malformed("failed names a rule twice");
  return { decision, rule, reason, requirement: required, failed };
}

/**
 * @param {string} text
 * @param {(text: string) => string} canonicalize
 * @returns {PolicyRequirement}
 */
function requirementOf(text, canonicalize) {
  /** @type {any} */
  let value;
  try {
    const canonical = canonicalize(text);
    value = parse(canonical);
    // Fractions such as `1.0` are no counts, and parse to the same number as `1`.
    if (canonicalize(JSON.stringify(value)) !== canonical) throw new RangeError("not a whole number");
  } catch (cause) {
    throw malformed("the requirement is not a JSON object of whole numbers", cause);
  }
  const { ttl_seconds: ttl = null, threshold = null, groups = {}, ...unknown } = value;
  const isCount = (/** @type {unknown} */ count) => isWhole(count, COUNT_MAX);
  const isGroups = typeof groups === "object" && groups !== null && !Array.isArray(groups);
  const named = isGroups ? Object.entries(groups) : [];
  const right =
    Object.keys(unknown).length === 0 &&
    (ttl === null || isWhole(ttl, TTL_SECONDS_MAX)) &&
    (threshold === null || isCount(threshold)) &&
    isGroups &&
    named.length <= COUNT_MAX &&
    named.every(([group, count]) => IDENTIFIER.test(group) && isCount(count));
  if (!right) throw malformed("the requirement has an unknown member or a value outside of its limits");
  return value;
}

/**
 * @param {unknown} value
 * @param {number} max
 */
function isWhole(value, max) {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max;
}

/**
 * @param {string} why
 * @param {unknown} [cause]
 */
function malformed(why, cause) {
  return trapped(`malformed verdict: ${why}`, cause);
}
