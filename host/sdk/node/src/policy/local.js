/** A local policy: verdicts of the server's active policy, made in this process. */

import { errorOf, Invalid, Rejection, SignoffError } from "../errors.js";
import { encode, rawJson } from "../json.js";
import { ACTION, CALL, optionsOf } from "../options.js";
import { textOf } from "../verifier.js";
import { byServer } from "./decision.js";
import { Follower } from "./follow.js";
import { newId } from "./memory.js";
import { Reporter } from "./report.js";
import { verdictOf } from "./verdict.js";

const NAME = /^[!-~]{1,128}$/;
const MAX_STALE_SECONDS = 30;
const CLOSE_SECONDS = 10;
/** How many agents are remembered for which this token acts. */
const AGENTS_MAX = 1024;

/**
 * @typedef {object} PolicyOptions
 * @property {unknown} signers The keys of module signers that this executor trusts, as `signoff key
 *   list --json` or `signoff key show --json` prints them, parsed.
 * @property {string | null} [audience] The deployment that this executor works for; default the client's.
 * @property {number} [maxStale] Seconds after which an activation is certainly in effect here, at
 *   least 1; default 30. The policy is evaluated here only while the server answered this recently.
 * @property {(error: unknown) => void} [onError] Called when the policy cannot be followed or
 *   evaluated, a decision cannot be kept, or a report fails or is refused for good.
 * @property {(digest: string | null) => void} [onChange] Called once another policy is active here.
 */

/**
 * A decision on an attempt. `local` says whether it was made in this process, and `recorded` where it
 * is kept until it is in the server's log.
 *
 * @typedef {object} PolicyDecision
 * @property {"allow" | "deny" | "require_approval"} decision
 * @property {string | null} rule
 * @property {string | null} reason For people.
 * @property {import("./verdict.js").PolicyRequirement | null} requirement
 * @property {string[]} failed Rules that concern the attempt and could not be evaluated.
 * @property {string | null} policy The digest of the policy that decided.
 * @property {boolean} local
 * @property {"disk" | "memory" | "server"} recorded
 */

/** @typedef {import("../client.js").ActionFields & import("../http.js").CallOptions} PolicyFields */

/**
 * What a local policy gets from its client.
 *
 * @typedef {object} PolicyParts
 * @property {import("../http.js").Http} http
 * @property {import("../verifier.js").Verifier} verifier
 * @property {(fields: PolicyFields) => Promise<import("../answers.js").Evaluation>} ask Evaluates on the server.
 * @property {() => number} clock Milliseconds since 1970.
 * @property {import("../verifier.js").Key[]} signers
 * @property {import("./memory.js").Queue} queue
 * @property {(module: WebAssembly.Module, memoryMax: number) => import("./inplace.js").Evaluator} start
 */

/** Made by `client.policy`. Any number of evaluations may run at the same time. */
export class LocalPolicy {
  #parts;
  #follower;
  #reporter;
  #onError;
  /** @type {Set<string>} */
  #agents = new Set();
  /** @type {Promise<{ pending: number, refused: number }> | null} */
  #closed = null;
  /** @type {SignoffError | null} */
  #problem = null;

  /**
   * Use `client.policy`.
   *
   * @param {PolicyParts} parts
   * @param {PolicyOptions} options
   * @throws {Invalid} `request-invalid`: a malformed option.
   */
  constructor(parts, { audience, maxStale = MAX_STALE_SECONDS, onError = () => {}, onChange = () => {} }) {
    if (!audience) throw invalid("a local policy needs an `audience`");
    if (!(maxStale >= 1 && Number.isFinite(maxStale))) throw invalid("`maxStale` must be at least 1 second");
    this.#parts = parts;
    this.#onError = guarded(onError);
    const { http, verifier, signers, clock, start } = parts;
    const common = { http, verifier, signers, clock, start, audience, maxStale };
    this.#follower = new Follower({ ...common, onError: this.#onError, onChange: guarded(onChange) });
    this.#reporter = new Reporter(parts.queue, http, this.#onError);
  }

  /** Fetches the policy, and sends what an earlier process left in the queue. */
  async start() {
    if (this.#parts.queue.pending > 0) this.#reporter.notify();
    await this.#follower.start();
    return this;
  }

  /** The digest of the server's active policy, as far as known; null without one. */
  get digest() {
    return this.#follower.digest;
  }

  /** Why the last evaluation was not made here, or the policy is not evaluated here; null if it is. */
  get problem() {
    return this.#follower.problem ?? this.#problem;
  }

  /** The decisions that wait for their report. */
  get pending() {
    return this.#parts.queue.pending;
  }

  /** The decisions whose report the server refused for good. */
  get refused() {
    return this.#reporter.refused;
  }

  /**
   * Decides on an attempt: here if possible, otherwise by the server. Nothing is allowed by default.
   *
   * @param {PolicyFields} fields `timeout`, `signal` and `idempotencyKey` are for the call to the server.
   * @returns {Promise<PolicyDecision>}
   * @throws {SignoffError} The attempt is malformed, or neither this process nor the server can decide.
   */
  async evaluate(fields) {
    const { agent, action, context, plan = null, ...options } = optionsOf("evaluate", fields, { ...ACTION, ...CALL });
    if (this.#closed !== null) throw invalid("the local policy is closed");
    // Before anything is awaited: the caller may change the objects afterwards.
    const read = { agent, action, context: this.#read(context), plan: plan === null ? null : this.#read(plan) };
    try {
      const decision = await this.#here(read);
      if (decision !== null) return decision;
    } catch (error) {
      this.#problem = error instanceof SignoffError ? error : errorOf({ code: "store-unavailable", title: "Decision not kept", detail: "the decision could not be kept", cause: error });
      this.#onError(this.#problem);
    }
    return this.#byServer(read, options);
  }

  /**
   * Ends the local policy: reports what is left, as far as the time suffices, and stops following.
   * What is still pending is on disk, if there is a queue, and the next process reports it.
   *
   * @param {{ timeout?: number }} [options] Seconds; default 10.
   * @returns {Promise<{ pending: number, refused: number }>} The decisions that the server does not have.
   */
  close({ timeout = CLOSE_SECONDS } = {}) {
    this.#closed ??= (async () => {
      await this.#follower.close();
      await this.#reporter.close(timeout);
      const { pending, refused } = this;
      await this.#parts.queue.close();
      return { pending, refused };
    })();
    return this.#closed;
  }

  /**
   * @param {import("../verifier.js").Context} context
   * @returns {{ canonical: string, digest: string }}
   */
  #read(context) {
    try {
      return this.#parts.verifier.call("context.read", { context: textOf(context) });
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      throw errorOf({ code: error.code, title: "Refused by the verifier", detail: error.detail, cause: error });
    }
  }

  /**
   * @param {Read} read
   * @returns {Promise<PolicyDecision | null>} Null if the server must decide.
   * @throws The evaluation fails, or the decision cannot be kept.
   */
  async #here(read) {
    const usable = this.#follower.usable;
    const { agent, action, context, plan } = read;
    if (usable === null || !NAME.test(agent) || !NAME.test(action)) return null;
    if (!this.#actsFor(agent, usable.facts)) return null;
    const { verifier, clock, queue } = this.#parts;
    const now = Math.floor(clock() / 1000);
    const facts = usable.facts ?? verifier.canonicalize({ requester: `agent:${agent}`.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) });
    const attempt = { agent, action, context: context.canonical, plan: plan?.canonical ?? null, facts, now };
    const verdict = verdictOf(await usable.evaluator.evaluate(attempt), (text) => verifier.canonicalize(text));
    // It may have been replaced, or become stale, during the evaluation.
    if (this.#follower.usable?.evaluator !== usable.evaluator) return null;
    await queue.append(
      encode({
        id: newId(),
        agent,
        action,
        context_hash: context.digest,
        plan_hash: plan?.digest ?? null,
        decision: verdict.decision,
        rule: verdict.rule,
        policy: usable.digest,
        decided_at: `${new Date(now * 1000).toISOString().slice(0, 19)}Z`,
      }),
    );
    this.#reporter.notify();
    this.#problem = null;
    return { ...verdict, policy: usable.digest, local: true, recorded: queue.kind };
  }

  /**
   * Returns whether this token certainly acts for an agent: it is the agent's own, or the server
   * evaluated for the agent. A report of another agent is refused, with all decisions in it.
   *
   * @param {string} agent
   * @param {string | null} facts
   */
  #actsFor(agent, facts) {
    if (facts === null || this.#agents.has(agent)) return true;
    return JSON.parse(facts).requester === `agent:${agent}`;
  }

  /**
   * @param {Read} read
   * @param {import("../http.js").CallOptions} options
   * @returns {Promise<PolicyDecision>}
   */
  async #byServer({ agent, action, context, plan }, options) {
    const texts = { context: rawJson(context.canonical), plan: plan === null ? null : rawJson(plan.canonical) };
    const said = await this.#parts.ask({ agent, action, ...texts, ...options });
    if (this.#agents.size < AGENTS_MAX) this.#agents.add(agent);
    return byServer(said);
  }
}

/** @typedef {{ agent: string, action: string, context: { canonical: string, digest: string }, plan: { canonical: string, digest: string } | null }} Read */

/**
 * Returns a callback whose own errors disturb nothing.
 *
 * @template T
 * @param {(value: T) => void} callback
 * @returns {(value: T) => void}
 */
function guarded(callback) {
  return (value) => {
    try {
      callback(value);
    } catch {
      // The caller's callback failed; the loops that call it must go on.
    }
  };
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail });
}
