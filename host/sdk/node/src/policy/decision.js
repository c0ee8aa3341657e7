/** The server's verdict as a decision. */

/**
 * @param {import("../answers.js").Evaluation} said
 * @returns {import("./local.js").PolicyDecision}
 */
export function byServer(said) {
  /** @type {any} */
  const { decision, rule = null, reason = null, requirement = null, failed = [], policy = null } = said;
  return { decision, rule, reason, requirement, failed, policy, local: false, recorded: "server" };
}
