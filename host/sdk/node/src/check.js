/** Checks of the server's answers: with pinned keys by the verifier, without them by comparison. */

import { Forbidden, NotFound, printable, Unverified } from "./errors.js";
import { restricted } from "./keys.js";
import { lifetimeOf } from "./requirement.js";

/** How far the server's clock may be behind, in seconds. */
const CLOCK_SKEW_SECONDS = 60;

/** @typedef {import("./answers.js").Approval} Approval */
/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./guard.js").GuardAttempt} GuardAttempt */
/** @typedef {import("./verifier.js").Verifier} Verifier */

/** @typedef {{ approver: string, key_id: string, groups?: string[], profile: string, algorithm?: string }} Approver */

/** @typedef {{ context: string, plan: string | null, approvers: Approver[], expiresAt: number }} Checked */

/**
 * Checks an answer of the server: what was approved is the attempt.
 *
 * @typedef {(shown: Approval, id: string, executionId?: string) => Promise<Checked>} Check
 */

/**
 * @param {Client} client
 * @param {Verifier} verifier
 * @param {import("./guard.js").GuardSettings} settings
 * @param {import("./guard.js").CheckedOptions} options
 * @param {GuardAttempt} attempt
 * @returns {Check}
 */
export function checkOf(client, verifier, settings, options, attempt) {
  if (options.keys === null) return async (shown, id, executionId) => compare(verifier, attempt, shown, id, executionId);
  const audience = /** @type {string} */ (options.audience);
  const pinned = options.keys.filter(({ algorithm }) => options.allowHmac === true || algorithm !== "hmac-sha256");
  const seconds = () => Math.floor(settings.clock() / 1000);
  // An approval that an earlier guard requested for this call is at most as old as it lives.
  const age = options.callId === undefined ? 0 : lifetimeOf(options);
  const requestedAfter = seconds() - CLOCK_SKEW_SECONDS - age;
  const { accept, floor, policies, signal } = options;
  return async (shown, id, executionId) => {
    const keys = restricted(pinned, await listed(client, signal));
    const proof = verifier.verifyApproval({
      approval: shown.text,
      id,
      audience,
      attempt: { ...attempt, executionId },
      keys,
      accept,
      now: seconds(),
      requestedAfter,
      floor,
      policies,
    });
    const { context, plan, approvers } = proof;
    return { context, plan, approvers, expiresAt: Date.parse(shown.expires_at) };
  };
}

/**
 * @param {Client} client
 * @param {AbortSignal} [signal]
 */
async function listed(client, signal) {
  try {
    return await client.keys({ signal });
  } catch (error) {
    if (error instanceof Forbidden || error instanceof NotFound) return [];
    throw error;
  }
}

/**
 * Without pinned keys: compares what the server shows with the attempt. The server is trusted.
 *
 * @param {Verifier} verifier
 * @param {GuardAttempt} attempt
 * @param {Approval} shown
 * @param {string} id
 * @param {string} [executionId]
 * @returns {Checked}
 */
function compare(verifier, { agent, action, context, plan }, shown, id, executionId) {
  const same =
    shown.id === id &&
    shown.agent === agent &&
    shown.action === action &&
    shown.context_hash === verifier.digest(context) &&
    (shown.plan_hash ?? null) === (plan === null ? null : verifier.digest(plan));
  if (!same) throw untrusted("the server shows another approval than the one that was requested");
  const runs = executionId === undefined ? "approved" : "executed";
  if (shown.status !== runs) throw untrusted(`the status is \`${printable(shown.status, 32)}\`, not \`${runs}\``);
  return {
    context: context.text,
    plan: plan?.text ?? null,
    approvers: shown.ballots.filter(({ decision }) => decision === "approved"),
    expiresAt: Date.parse(shown.expires_at),
  };
}

/** @param {string} detail */
export function untrusted(detail) {
  return new Unverified({ code: "untrusted-answer", title: "Untrusted answer", detail });
}
