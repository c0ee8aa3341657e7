/** Why a policy decides nothing in this process; the server is asked then. */

import { errorOf, Unverified } from "../errors.js";

/**
 * The policy is not of the kind that this runtime can run.
 *
 * @param {string} why
 * @param {unknown} [cause]
 */
export function moduleInvalid(why, cause) {
  return errorOf({ code: "module-invalid", title: "Policy cannot run here", detail: `this policy cannot run here: ${why}`, cause });
}

/**
 * The policy gave no verdict.
 *
 * @param {string} why
 * @param {unknown} [cause]
 */
export function trapped(why, cause) {
  return errorOf({ code: "policy-trapped", title: "Policy failed", detail: `the policy gave no verdict: ${why}`, cause });
}

/**
 * What the server shows about the policy contradicts itself or this executor's settings.
 *
 * @param {string} why
 */
export function untrusted(why) {
  return new Unverified({ code: "untrusted-answer", title: "Untrusted answer", detail: why });
}
