/** The guard: request, wait, verify, claim, run, report. */

import { checkOf, untrusted } from "./check.js";
import { ClaimedIds } from "./claimed.js";
import { allowedBy, verdictOf } from "./decide.js";
import {
  Conflict,
  errorOf,
  Invalid,
  NotApproved,
  Rejection,
  SignoffError,
  TimedOut,
  Unavailable,
} from "./errors.js";
import { Execution } from "./execution.js";
import { rawJson } from "./json.js";
import { pinnedKeys } from "./keys.js";
import { ACTION, any, flag, floorOf, object, optionsOf, policyKind, REQUEST, seconds, signal as signalKind, text, texts, whole } from "./options.js";
import { atLeast } from "./requirement.js";
import { textOf } from "./verifier.js";

/** How long withdrawing a request is tried, after something else failed. */
const WITHDRAW_SECONDS = 5;

/** Options that only mean something where this process verifies. */
const NEED_KEYS = /** @type {const} */ (["floor", "accept", "policies", "allowHmac"]);
export const GUARD = {
  ...ACTION,
  ...REQUEST,
  timeout: seconds,
  leaseSeconds: whole,
  signal: signalKind,
  keys: any,
  audience: text,
  floor: object,
  accept: texts,
  policy: policyKind,
  policies: texts,
  allowHmac: flag,
  callId: text,
};

const claimed = new ClaimedIds();

/** @typedef {import("./answers.js").Approval} Approval */
/** @typedef {import("./check.js").Check} Check */
/** @typedef {import("./check.js").Checked} Checked */
/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./decide.js").GuardVerdict} GuardVerdict */
/** @typedef {import("./verifier.js").Verifier} Verifier */

/**
 * @typedef {object} GuardOptions
 * @property {string} agent
 * @property {string} action
 * @property {import("./verifier.js").Context} context
 * @property {import("./verifier.js").Context | null} [plan]
 * @property {string | null} [reason]
 * @property {number} [threshold]
 * @property {Record<string, number>} [groups]
 * @property {number} [expiresInSeconds]
 * @property {number} [timeout] Seconds for the request and the wait for its decision; default until the
 *   request expires.
 * @property {number} [leaseSeconds] How long the function may run before its outcome is `unknown`.
 * @property {AbortSignal} [signal] Ends the wait; later, the function receives it.
 * @property {unknown} [keys] The pinned approvers' keys; default the client's.
 * @property {string | null} [audience] Default: the client's.
 * @property {import("./verifier.js").Floor | null} [floor] With pinned keys: this executor's own minimum. It
 *   is requested too, where the request itself is weaker.
 * @property {string[]} [accept] With pinned keys: profiles; default `v2` alone.
 * @property {import("./policy/local.js").LocalPolicy | "server" | null} [policy] Decides first: an allowed action
 *   runs at once, without an approval, and a denied one is `Denied`. `"server"` asks the server each time.
 * @property {string[] | null} [policies] With pinned keys: digests of policies, one of which must have
 *   set the requirement.
 * @property {boolean} [allowHmac] With pinned keys: counts HMAC keys, with which every verifier could
 *   also sign.
 * @property {string} [callId] Names this call for at most 24 hours: a guard with the same `callId` and the same
 *   request finds the approval that an earlier one requested, also in another process. Any other request
 *   with this `callId` is a new one.
 */

/** @typedef {Omit<GuardOptions, "keys"> & { keys: import("./verifier.js").Key[] | null }} CheckedOptions */

/**
 * What the client contributes.
 *
 * @typedef {object} GuardSettings
 * @property {import("./verifier.js").Key[] | null} keys
 * @property {string | null} audience
 * @property {() => number} clock
 * @property {number} timeout Seconds for each call with its retries.
 * @property {() => Promise<Verifier>} verifier
 */

/**
 * @template T
 * @param {Client} client
 * @param {GuardSettings} settings
 * @param {GuardOptions} given
 * @param {(execution: Execution) => T | Promise<T>} run
 * @returns {Promise<T>}
 */
export async function guard(client, settings, given, run) {
  // The texts are made before anything is awaited: the caller may change the objects afterwards.
  const options = checkedOptions(settings, given);
  const verifier = await settings.verifier();
  const attempt = attemptOf(verifier, options);
  const check = checkOf(client, verifier, settings, options, attempt);
  const { signal, timeout } = options;
  signal?.throwIfAborted();
  const end = timeout === undefined ? Infinity : performance.now() + timeout * 1000;
  const left = () => Math.max(0, (end - performance.now()) / 1000);
  // Before a request is answered there is nothing that one could wait for: then the server is unavailable.
  const call = () => ({ signal, timeout: Math.min(left(), settings.timeout) });
  const allowed = await allowedBy(client, options, attempt, call()).catch(unanswered);
  if (allowed !== null) return run(allowed);
  const { id } = await requestOf(client, verifier, options, attempt, call()).catch(unanswered);
  let approved;
  try {
    const decided = await client.wait(id, { timeout: timeout === undefined ? undefined : left(), signal });
    refuseUndecided(decided);
    approved = await check(decided, id);
    if (!claimed.add(id, approved.expiresAt, settings.clock())) throw claimedBefore(options);
    signal?.throwIfAborted();
  } catch (error) {
    // Another guard with this `callId` may have claimed the approval, or be about to.
    const isShared = options.callId !== undefined && error instanceof Conflict;
    if (!(error instanceof NotApproved || isShared)) await client.withdraw(id, { timeout: WITHDRAW_SECONDS }).catch(() => {});
    throw named(error, id);
  }
  const execution = await claim(client, check, { ...options, ...attempt }, id, approved);
  return report(client, execution, id, run);
}

/**
 * Checks the options, and makes the texts.
 *
 * @param {GuardSettings} settings
 * @param {GuardOptions} given
 * @returns {CheckedOptions}
 * @throws {Invalid} `request-invalid`: an unknown or mistyped member, malformed keys, or an option that
 *   needs keys; `context-invalid`.
 */
function checkedOptions(settings, given) {
  const options = optionsOf("guard", given, GUARD);
  const { context, plan = null, groups, floor, accept, policies } = options;
  const keys = options.keys === undefined ? settings.keys : pinnedKeys(options.keys);
  const needs = NEED_KEYS.find((name) => options[name] !== undefined && options[name] !== false);
  if (keys === null && needs !== undefined) throw invalid(`guard: \`${needs}\` needs \`keys\``);
  const audience = options.audience ?? settings.audience;
  if (keys !== null && !audience) throw invalid("guard: `keys` need an `audience`");
  return {
    ...options,
    keys,
    audience,
    context: textOf(context),
    plan: plan === null ? null : textOf(plan),
    groups: groups && { ...groups },
    floor: floor && floorOf(floor),
    accept: accept && [...accept],
    policies: policies && [...policies],
  };
}

/**
 * Evaluates the policy for what a guard with these options would run, and requests nothing.
 *
 * @param {Client} client
 * @param {GuardSettings} settings
 * @param {GuardOptions} given
 * @returns {Promise<GuardVerdict>}
 */
export async function guardVerdict(client, settings, given) {
  const options = checkedOptions(settings, given);
  const attempt = attemptOf(await settings.verifier(), options);
  const { decision, reason } = await verdictOf(client, options, attempt, limited(settings, options)).catch(unanswered);
  return { decision, reason };
}

/**
 * Requests what a guard with these options would request, and does not wait.
 *
 * @param {Client} client
 * @param {GuardSettings} settings
 * @param {GuardOptions} given
 * @returns {Promise<Approval>}
 */
export async function guardRequest(client, settings, given) {
  const options = checkedOptions(settings, given);
  const verifier = await settings.verifier();
  return requestOf(client, verifier, options, attemptOf(verifier, options), limited(settings, options)).catch(unanswered);
}

/**
 * Requests what a guard with these options would request, waits, and checks the approval as the guard does
 * before it claims one. Claims and withdraws nothing.
 *
 * @param {Client} client
 * @param {GuardSettings} settings
 * @param {GuardOptions} given
 * @returns {Promise<{ id: string, approvers: import("./check.js").Approver[] }>}
 */
export async function guardDecision(client, settings, given) {
  const options = checkedOptions(settings, given);
  const verifier = await settings.verifier();
  const attempt = attemptOf(verifier, options);
  const check = checkOf(client, verifier, settings, options, attempt);
  const { signal, timeout } = options;
  const end = timeout === undefined ? Infinity : performance.now() + timeout * 1000;
  const { id } = await requestOf(client, verifier, options, attempt, { signal, timeout: settings.timeout }).catch(unanswered);
  try {
    const left = timeout === undefined ? undefined : Math.max(0, (end - performance.now()) / 1000);
    const decided = await client.wait(id, { timeout: left, signal });
    refuseUndecided(decided);
    const { approvers } = await check(decided, id);
    return { id, approvers };
  } catch (error) {
    throw named(error, id);
  }
}

/**
 * @param {GuardSettings} settings
 * @param {CheckedOptions} options
 */
function limited(settings, { signal, timeout = Infinity }) {
  return { signal, timeout: Math.min(timeout, settings.timeout) };
}

/**
 * @param {Client} client
 * @param {Verifier} verifier
 * @param {CheckedOptions} options
 * @param {GuardAttempt} attempt
 * @param {import("./http.js").CallOptions} call
 * @returns {Promise<Approval>}
 */
function requestOf(client, verifier, options, attempt, call) {
  const required = requestFields(options);
  return client.request({ ...required, ...attempt, idempotencyKey: keyOf(verifier, options.callId, required, attempt), ...call });
}

/**
 * Returns the idempotency key of a call: a digest of its id and of the whole request, so that an edited
 * call has another.
 *
 * @param {Verifier} verifier
 * @param {string | undefined} callId
 * @param {ReturnType<typeof requestFields>} required
 * @param {GuardAttempt} attempt
 */
function keyOf(verifier, callId, required, { agent, action, context, plan }) {
  if (callId === undefined) return undefined;
  const digests = { context: verifier.digest(context), plan: plan === null ? null : verifier.digest(plan) };
  const set = Object.fromEntries(Object.entries(required).filter(([, value]) => value != null));
  return `call-${verifier.digest({ callId, agent, action, ...digests, required: set })}`;
}

/** @param {CheckedOptions} options */
function claimedBefore({ callId }) {
  if (callId === undefined) return untrusted("this process claimed the approval before");
  return new Conflict({ code: "already-executed", title: "Approval already executed", detail: "this call ran before" });
}

/**
 * Claims the approval, and checks the answer.
 *
 * @param {Client} client
 * @param {Check} check
 * @param {GuardOptions | CheckedOptions} options
 * @param {string} id
 * @param {Checked} approved
 */
async function claim(client, check, { agent, action, context, plan, leaseSeconds, signal }, id, approved) {
  let shown;
  try {
    // Not ended by the signal: the outcome of a claim must be known.
    shown = await client.claim(id, { agent, action, context, plan, leaseSeconds });
  } catch (error) {
    throw named(error, id);
  }
  const executionId = shown.execution?.id;
  try {
    if (executionId === undefined) throw untrusted("the answer to the claim has no execution");
    const again = await check(shown, id, executionId);
    if (again.context !== approved.context || again.plan !== approved.plan) {
      throw untrusted("the claim shows another context or plan");
    }
    const { context: contextText, plan: planText, approvers } = again;
    const execution = new Execution({ id: executionId, approvalId: id, contextText, planText, approvers, signal });
    return /** @type {Execution & { id: string }} */ (execution);
  } catch (error) {
    if (executionId !== undefined) await tell(client, id, executionId, "failed", nameOf(error));
    throw named(error, id);
  }
}

/** Thrown by the function in place of its error, if nobody knows whether it goes on: no outcome is reported. */
export class OutcomeUnknown extends Error {
  /** @param {unknown} cause What the caller receives. */
  constructor(cause) {
    super("the outcome is unknown", { cause });
  }
}

/**
 * Runs the function, and reports the outcome.
 *
 * @template T
 * @param {Client} client
 * @param {Execution & { id: string }} execution
 * @param {string} approvalId
 * @param {(execution: Execution) => T | Promise<T>} run
 * @returns {Promise<T>}
 */
async function report(client, execution, approvalId, run) {
  const { id } = execution;
  let result;
  try {
    execution.signal?.throwIfAborted();
    result = await run(execution);
  } catch (error) {
    if (error instanceof OutcomeUnknown) throw error;
    execution.reported = await tell(client, approvalId, id, "failed", nameOf(error));
    throw error;
  }
  execution.reported = await tell(client, approvalId, id, "succeeded");
  return result;
}

/**
 * Reports an outcome, and returns whether the server has it.
 *
 * @param {Client} client
 * @param {string} id
 * @param {string} executionId
 * @param {"succeeded" | "failed"} outcome
 * @param {string} [detail]
 */
async function tell(client, id, executionId, outcome, detail) {
  try {
    await client.report(id, { executionId, outcome, detail });
    return true;
  } catch {
    return false;
  }
}

/** @typedef {ReturnType<typeof attemptOf>} GuardAttempt */

/**
 * Returns the attempt with its texts in the canonical form of the own verifier.
 *
 * @param {Verifier} verifier
 * @param {CheckedOptions} options
 */
function attemptOf(verifier, { agent, action, context, plan = null }) {
  try {
    return {
      agent,
      action,
      context: rawJson(verifier.canonicalize(context)),
      plan: plan === null ? null : rawJson(verifier.canonicalize(plan)),
    };
  } catch (error) {
    throw named(error, null);
  }
}

/** @param {CheckedOptions} options */
function requestFields({ reason, floor, ...own }) {
  return { reason, ...atLeast(own, floor) };
}

/**
 * Refuses an approval whose wait ended without an approval that can be claimed.
 *
 * @param {Approval} approval
 * @throws The error of its status, unless it is approved, or has a status that the check refuses.
 */
function refuseUndecided({ id, status, comment, ballots }) {
  const codes = { rejected: "rejected", expired: "expired", withdrawn: "withdrawn", pending: "expired" };
  const code = /** @type {Record<string, string>} */ (codes)[status];
  if (code !== undefined && Object.hasOwn(codes, status)) {
    const approver = ballots.find(({ decision }) => decision === "rejected")?.approver;
    throw errorOf({ code, title: `The request is ${code}`, detail: `the request is ${code}`, approvalId: id, comment, approver });
  }
  if (status === "executed") {
    throw new Conflict({ code: "already-executed", title: "Approval already executed", detail: "another execution claimed it" });
  }
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail });
}

/**
 * @param {unknown} error
 * @returns {never}
 * @throws {Unavailable} In place of `timed-out`.
 */
function unanswered(error) {
  if (!(error instanceof TimedOut)) throw error;
  throw new Unavailable({ code: "unreachable", title: "No usable answer", detail: error.detail, cause: error });
}

/**
 * Returns an error of the guard: a rejection of the verifier becomes the error of its code, and the
 * approval is named.
 *
 * @param {unknown} error
 * @param {string | null} approvalId
 */
function named(error, approvalId) {
  if (!(error instanceof SignoffError)) return error;
  if (error instanceof Rejection) {
    return errorOf({ code: error.code, title: "Refused by the verifier", detail: error.detail, approvalId, cause: error });
  }
  error.approvalId ??= approvalId;
  return error;
}

/**
 * Returns the name of an error's type, for the outcome's detail. Its text may hold secrets.
 *
 * @param {unknown} error
 */
function nameOf(error) {
  const name = error instanceof Error ? error.constructor.name : typeof error;
  return /^[\w$.]{1,128}$/.test(name) ? name : "Error";
}
