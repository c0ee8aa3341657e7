/** What routes return, checked for the members that this SDK reads. */

import { unusable } from "./http.js";
import { parse } from "./json.js";

const APPROVAL_ID = /^appr_[0-9a-z]{26}$/;
const EXECUTION_ID = /^exec_[0-9a-z]{26}$/;

/** Members of an approval that are always texts. */
const TEXTS = "audience status agent action requested_by requested_at expires_at context_hash request_digest".split(" ");

/**
 * One approver's signed decision.
 *
 * @typedef {object} Ballot
 * @property {"approved" | "rejected"} decision
 * @property {string} approver
 * @property {string | null} comment
 * @property {string} signature
 * @property {string} profile
 * @property {string} key_id
 * @property {string} cast_at
 */

/**
 * @typedef {object} ShownExecution
 * @property {string} id
 * @property {string} claimed_by
 * @property {string} claimed_at
 * @property {string} lease_expires_at
 * @property {string} outcome `claimed`, `succeeded`, `failed` or `unknown`.
 * @property {string | null} detail
 * @property {string | null} settled_at
 * @property {boolean} late
 */

/**
 * An approval as the server shows it. Nothing in it is verified. Members are named as the API names
 * them, those that this version does not know are kept, and whole numbers above 2^53 - 1 are
 * `bigint`. `text` is the answer as it came, which `Verifier.verifyApproval` takes; it is not
 * enumerable, and missing in lists.
 *
 * @typedef {{
 *   readonly text: string,
 *   id: string,
 *   audience: string,
 *   status: "pending" | "approved" | "rejected" | "executed" | "expired" | "withdrawn",
 *   agent: string,
 *   action: string,
 *   requested_by: string,
 *   requested_at: string,
 *   expires_at: string,
 *   context_hash: string,
 *   plan_hash: string | null,
 *   request_digest: string,
 *   reason: string | null,
 *   requirement: { ttl_seconds: number, threshold: number, groups: Record<string, number> },
 *   ballots: Ballot[],
 *   comment: string | null,
 *   execution: ShownExecution | null,
 *   verifier: string,
 *   context?: { [name: string]: unknown } | null,
 *   plan?: { [name: string]: unknown } | null,
 *   [member: string]: unknown,
 * }} Approval
 */

/** @typedef {{ items: Approval[], nextCursor: string | null }} Page */

/**
 * The policy's verdict on an attempt.
 *
 * @typedef {{
 *   decision: "allow" | "require_approval" | "deny",
 *   reason: string,
 *   requires_approval: boolean,
 *   failed: string[],
 *   [member: string]: unknown,
 * }} Evaluation
 */

/**
 * Whether an executor may proceed now, as the server says.
 *
 * @typedef {{
 *   valid: boolean,
 *   signature_valid: boolean,
 *   code?: string | null,
 *   detail?: string | null,
 *   approval?: Approval | null,
 *   [member: string]: unknown,
 * }} Verification
 */

/**
 * A key as the server lists it. Without pinned keys it proves nothing.
 *
 * @typedef {{
 *   id: string,
 *   algorithm: string,
 *   status: string,
 *   use: string,
 *   approver: string | null,
 *   groups: string[],
 *   fingerprint: string,
 *   public_key?: string,
 *   [member: string]: unknown,
 * }} ListedKey
 */

/**
 * @param {import("./http.js").Answer} answer
 * @returns {any}
 */
export function objectOf(answer) {
  let value;
  try {
    value = parse(answer.text);
  } catch {
    throw unusable("the answer is not JSON", answer);
  }
  if (!isObject(value)) throw unusable("the answer is not an object", answer);
  return value;
}

/**
 * @param {import("./http.js").Answer} answer
 * @returns {Approval}
 */
export function approvalOf(answer) {
  const approval = objectOf(answer);
  if (!isApproval(approval)) throw unusable("the answer is not an approval", answer);
  return Object.defineProperty(approval, "text", { value: answer.text, enumerable: false });
}

/**
 * @param {import("./http.js").Answer} answer
 * @returns {Page}
 */
export function pageOf(answer) {
  const { items, next_cursor: nextCursor = null } = objectOf(answer);
  const isCursor = nextCursor === null || typeof nextCursor === "string";
  if (!isCursor || !Array.isArray(items) || !items.every(isApproval)) throw unusable("the answer is not a list", answer);
  return { items, nextCursor };
}

/**
 * @param {import("./http.js").Answer} answer
 * @returns {Evaluation}
 */
export function evaluationOf(answer) {
  const evaluation = objectOf(answer);
  if (!["allow", "require_approval", "deny"].includes(evaluation.decision)) {
    throw unusable("the answer is not an evaluation", answer);
  }
  return evaluation;
}

/**
 * @param {import("./http.js").Answer} answer
 * @returns {Verification}
 */
export function verificationOf(answer) {
  const verification = objectOf(answer);
  if (typeof verification.valid !== "boolean") throw unusable("the answer is not a verification", answer);
  return verification;
}

/**
 * @param {import("./http.js").Answer} answer
 * @returns {ListedKey[]}
 */
export function keysOf(answer) {
  const { items } = objectOf(answer);
  const isKey = (/** @type {any} */ key) =>
    isObject(key) && typeof key.id === "string" && typeof key.status === "string" && isStrings(key.groups);
  if (!Array.isArray(items) || !items.every(isKey)) throw unusable("the answer is not a list of keys", answer);
  return items;
}

/** @param {any} value */
function isApproval(value) {
  return (
    isObject(value) &&
    isApprovalId(value.id) &&
    TEXTS.every((name) => typeof value[name] === "string") &&
    !Number.isNaN(Date.parse(value.expires_at)) &&
    isObject(value.requirement) &&
    Array.isArray(value.ballots) &&
    value.ballots.every(isObject) &&
    (value.execution == null || EXECUTION_ID.test(value.execution.id))
  );
}

/**
 * Returns whether a text has the form of an approval's id, and so may be part of a path.
 *
 * @param {unknown} id
 */
export function isApprovalId(id) {
  return typeof id === "string" && APPROVAL_ID.test(id);
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {unknown} value */
function isStrings(value) {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
