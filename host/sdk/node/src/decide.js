/** The policy of a guard: it decides before an approval is requested. */

import { Denied } from "./errors.js";
import { Execution } from "./execution.js";
import { byServer } from "./policy/decision.js";

/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./guard.js").CheckedOptions} CheckedOptions */
/** @typedef {import("./guard.js").GuardAttempt} GuardAttempt */
/** @typedef {import("./policy/local.js").PolicyDecision} PolicyDecision */

/**
 * Lets the policy decide. Returns the execution of an allowed action, or null if it needs an approval.
 *
 * @param {Client} client
 * @param {CheckedOptions} options
 * @param {GuardAttempt} attempt
 * @param {import("./http.js").CallOptions} call
 * @returns {Promise<Execution | null>}
 * @throws {Denied} `policy-denied`
 */
export async function allowedBy(client, options, attempt, call) {
  const { decision, reason, made } = await verdictOf(client, options, attempt, call);
  if (decision === "deny") {
    const detail = reason ?? "the policy denies the action";
    throw new Denied({ code: "policy-denied", title: "Denied by the policy", detail, comment: reason });
  }
  if (decision !== "allow" || made === null) return null;
  const [contextText, planText] = [attempt.context.text, attempt.plan?.text ?? null];
  const { signal } = call;
  return new Execution({ id: null, approvalId: null, contextText, planText, approvers: [], signal, decision: made });
}

/**
 * What the policy says of an action in a guard.
 *
 * @typedef {object} GuardVerdict
 * @property {"allow" | "deny" | "require_approval"} decision `allow` only if the guard would run the action at once.
 * @property {string | null} reason
 */

/**
 * @param {Client} client
 * @param {CheckedOptions} options
 * @param {GuardAttempt} attempt
 * @param {import("./http.js").CallOptions} call
 * @returns {Promise<GuardVerdict & { made: PolicyDecision | null }>}
 */
export async function verdictOf(client, { policy, keys }, attempt, call) {
  if (policy == null) return { decision: "require_approval", reason: null, made: null };
  const made = policy === "server" ? byServer(await client.evaluate({ ...attempt, ...call })) : await policy.evaluate({ ...attempt, ...call });
  call.signal?.throwIfAborted();
  const { decision, reason } = made;
  // With pinned keys no word of the server makes an action run.
  const isAllowed = decision === "allow" && (keys === null || made.local);
  if (isAllowed || decision === "deny") return { decision, reason, made };
  return { decision: "require_approval", reason, made };
}
