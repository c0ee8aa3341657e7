/** What a guarded function works on. */

import { parse } from "./json.js";

/** @typedef {import("./check.js").Approver} Approver */
/** @typedef {import("./policy/local.js").PolicyDecision} PolicyDecision */

/** What was approved and claimed: what the function works on. */
export class Execution {
  /**
   * @param {{ id: string | null, approvalId: string | null, contextText: string, planText: string | null,
   *   approvers: Approver[], signal: AbortSignal | undefined, decision?: PolicyDecision | null }} fields
   */
  constructor({ id, approvalId, contextText, planText, approvers, signal, decision = null }) {
    /** The id of the execution; null if the policy allowed the action. */
    this.id = id;
    /** The id of the approval; null if the policy allowed the action. */
    this.approvalId = approvalId;
    /** The policy's decision, if it allowed the action; null after an approval. */
    this.decision = decision;
    /** The canonical text of the context. */
    this.contextText = contextText;
    /** The canonical text of the plan, or null. */
    this.planText = planText;
    /**
     * The context, parsed from `contextText`. Whole numbers above 2^53 - 1 are `bigint`.
     *
     * @type {{ [name: string]: any }}
     */
    this.context = /** @type {any} */ (parse(contextText));
    /**
     * The plan, parsed from `planText`, or null.
     *
     * @type {{ [name: string]: any } | null}
     */
    this.plan = planText === null ? null : /** @type {any} */ (parse(planText));
    /** Who approved. Without pinned keys, as the server says. */
    this.approvers = approvers;
    /** The caller's signal, if any. */
    this.signal = signal;
    /**
     * Whether the server has the outcome: null until the function has ended, and without an approval.
     *
     * @type {boolean | null}
     */
    this.reported = null;
  }
}
