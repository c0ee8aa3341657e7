/** What the model reads of a tool call that did not run: fixed texts, and what the approver said. */

import { printable } from "../errors.js";

/** How much of a name is shown, in UTF-16 code units. */
const NAME_MAX = 200;
/** How much of a comment or reason is shown, in UTF-16 code units. */
const COMMENT_MAX = 1000;
const APPROVAL_ID = /^appr_[0-9a-z]{26}$/;

/** A tool call that signoff stopped. Its message is for the model; the `cause` is for the program. */
export class NotRun extends Error {
  /** @param {any} cause An error of the SDK. */
  constructor(cause) {
    super(refusalText(cause), { cause });
    this.name = "NotRun";
    /** The stable code, such as `rejected`. */
    this.code = codeOf(cause);
    /**
     * The approval, or null.
     *
     * @type {string | null}
     */
    this.approvalId = cause?.approvalId ?? null;
  }

  /** The message alone: frameworks show this text to the model. */
  toString() {
    return this.message;
  }
}

/**
 * Returns why a call did not run, in one line: no text of a server but the words of who refused, with
 * everything that is not a letter, digit, mark or sign escaped.
 *
 * @param {any} error
 * @returns {string}
 */
export function refusalText(error) {
  return `The tool did not run: ${refusal(error)}${idText(error?.approvalId)}`;
}

/** @param {any} error */
function refusal(error) {
  switch (codeOf(error)) {
    case "rejected":
      return `rejected${nameText(error.approver)}${said(error.comment)}`;
    case "policy-denied":
      return `denied by the policy${said(error.comment)}`;
    case "expired":
      return "expired";
    case "withdrawn":
      return "withdrawn";
    case "timed-out":
      return "nobody decided in time";
    case "already-executed":
      return "its approval was used before";
    default:
      return `refused (${printable(codeOf(error), 64)})`;
  }
}

/**
 * Returns who approved, in one line.
 *
 * @param {{ id: string, approvers: { approver: string }[] }} approval
 */
export function approvalText({ id, approvers }) {
  const names = approvers.map(({ approver }) => printable(String(approver), NAME_MAX));
  return `approved by ${names.join(", ")}${idText(id)}`;
}

/** @param {unknown} name */
function nameText(name) {
  return typeof name === "string" && name !== "" ? ` by ${printable(name, NAME_MAX)}` : "";
}

/** @param {unknown} comment */
function said(comment) {
  return typeof comment === "string" && comment !== "" ? `: ${printable(comment, COMMENT_MAX)}` : "";
}

/** @param {unknown} id */
function idText(id) {
  return typeof id === "string" && APPROVAL_ID.test(id) ? ` (${id})` : "";
}

/** @param {any} error */
function codeOf(error) {
  return typeof error?.code === "string" ? error.code : "internal-error";
}
