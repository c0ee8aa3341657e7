/** The gate of tools that all adapters share: policy, request, wait, claim, run, report. */

import { Invalid, printable } from "../errors.js";
import { OutcomeUnknown } from "../guard.js";
import { parse } from "../json.js";
import { any, counts, flag, object, optionsOf, seconds, signal, text, texts, whole } from "../options.js";
import { approvalText, NotRun, refusalText } from "./answer.js";
import { contextOf } from "./input.js";

/** @typedef {import("../client.js").Client} Client */
/** @typedef {import("../execution.js").Execution} Execution */

/**
 * @typedef {object} GateOptions
 * @property {string} [agent] As approvers and policies see it; default the name of the framework.
 * @property {string | ((tool: string) => string)} [action] The action of a tool; default its name. A text is put
 *   before each name.
 * @property {string} [run] Names this run, such as the id of a chat; with the id of a tool call it names the
 *   call. A call that is repeated with the same `run`, also after a restart, finds its approval again. Needed for
 *   calls that are pending between two runs; otherwise the default is a random one for each client.
 * @property {string | ((tool: string, input: any) => string | null)} [reason] For approvers.
 * @property {import("../policy/local.js").LocalPolicy | "server" | "none"} [policy] Decides which calls need an
 *   approval; default the server's. With `"none"` each call does.
 * @property {number} [threshold]
 * @property {Record<string, number>} [groups]
 * @property {number} [expiresInSeconds]
 * @property {number} [timeout] Seconds for the request and the wait; default until the approval expires.
 * @property {number} [leaseSeconds]
 * @property {unknown} [keys]
 * @property {string | null} [audience]
 * @property {import("../verifier.js").Floor | null} [floor]
 * @property {string[]} [accept]
 * @property {string[] | null} [policies]
 * @property {boolean} [allowHmac]
 */

/** Options that a guard takes as they are. */
const OF_GUARD = { threshold: whole, groups: counts, expiresInSeconds: whole, timeout: seconds, leaseSeconds: whole, keys: any, audience: text, floor: object, accept: texts, policies: texts, allowHmac: flag };
const textOrFunction = { form: "a string or a function", is: (/** @type {unknown} */ value) => typeof value === "string" || typeof value === "function" };
const policy = {
  form: "a policy of `client.policy`, `\"server\"` or `\"none\"`",
  is: (/** @type {any} */ value) => value === "server" || value === "none" || typeof value?.evaluate === "function",
};
export const GATE = { ...OF_GUARD, agent: text, action: textOrFunction, run: text, reason: textOrFunction, policy };
/** Options of `resolveApprovals`. */
export const RESOLVER = { ...GATE, signal, wait: seconds };

/**
 * @typedef {object} ResolverOptions
 * @property {string} run As for the tools.
 * @property {AbortSignal} [signal] Ends the wait.
 * @property {number} [wait] How many seconds to wait; default until all are decided.
 */

/**
 * A call of a tool, as a framework shows it.
 *
 * @typedef {object} ToolCall
 * @property {string} tool
 * @property {unknown} input
 * @property {string | null} id Null for a call that is never repeated.
 * @property {AbortSignal} [signal]
 */

/**
 * What became of a pending call.
 *
 * @typedef {object} Answer
 * @property {boolean} approved
 * @property {string} text For the model.
 * @property {string | null} approvalId
 */

/** @type {WeakMap<object, string>} */
const runs = new WeakMap();

/** The functions of guarded tools. @type {WeakMap<Function, { gate: Gate, tool: string }>} */
const guarded = new WeakMap();

const RUN = "set it to what identifies this run, such as the id of the chat, the job or the thread";

/** Stands before tools. It is made of a client and the options of an adapter. */
export class Gate {
  #client;
  #options;
  #run;

  /**
   * @param {Client} client
   * @param {GateOptions} given
   * @param {{ agent?: string }} defaults
   * @throws {Invalid} `request-invalid`: an unknown or mistyped option.
   */
  constructor(client, given, defaults = {}) {
    this.#client = client;
    this.#options = { ...defaults, ...optionsOf("options", given, GATE) };
    if (this.#options.run === "") throw invalid(`\`run\` is empty: ${RUN}`);
    this.#run = this.#options.run ?? runOf(client);
  }

  /**
   * Refuses the random name of a run where calls are found again between two runs: nothing would be found, and
   * a call of another conversation with the same id could be.
   *
   * @param {string} what
   * @returns {this}
   * @throws {Invalid} `request-invalid`: no `run`.
   */
  named(what) {
    if (this.#options.run === undefined) throw invalid(`${what} needs \`run\`: ${RUN}`);
    return this;
  }

  /**
   * Remembers that this function runs a tool behind this gate.
   *
   * @param {Function} run
   * @param {string} tool
   */
  holds(run, tool) {
    guarded.set(run, { gate: this, tool });
  }

  /**
   * Returns the name under which a function runs its tool behind a gate, or null if none is before it.
   *
   * @param {unknown} run
   * @returns {string | null}
   * @throws {Invalid} `request-invalid`: the gate is that of another run, which would not find the approval.
   */
  toolOf(run) {
    const found = guarded.get(/** @type {Function} */ (run));
    if (found === undefined) return null;
    if (found.gate.#run !== this.#run) throw invalid(`the tool \`${printable(found.tool, 64)}\` is guarded with another \`run\`: give \`signoffTools\` the same`);
    return found.tool;
  }

  /**
   * Returns what the policy says of a call, and requests nothing.
   *
   * @param {ToolCall} call
   * @returns {Promise<import("../guard.js").GuardVerdict & { text: string }>} `text` is for the model. If there is
   *   no verdict, it is `deny`.
   */
  async verdict(call) {
    try {
      const { decision, reason } = await this.#client.guardVerdict(this.#guarded(call));
      const text = decision === "deny" ? refusalText({ code: "policy-denied", comment: reason }) : "allowed by the policy";
      return { decision, reason, text };
    } catch (error) {
      call.signal?.throwIfAborted();
      return { decision: "deny", reason: null, text: refusalText(error) };
    }
  }

  /**
   * Runs a call, if it is allowed or approved.
   *
   * @template T
   * @param {ToolCall} call
   * @param {(input: any, execution: Execution) => T | Promise<T>} execute Receives the approved input, parsed back.
   * @returns {Promise<T>}
   * @throws {NotRun} Nothing ran. What `execute` throws and the reason of the signal are thrown as they are.
   */
  async run(call, execute) {
    let isStarted = false;
    try {
      return await this.#client.guard(this.#guarded(call), (execution) => {
        isStarted = true;
        return execute(execution.context, execution);
      });
    } catch (error) {
      if (error instanceof OutcomeUnknown) throw error.cause;
      if (isStarted || (call.signal?.aborted && error === call.signal.reason)) throw error;
      throw new NotRun(error);
    }
  }

  /**
   * Turns pending calls into approvals, waits until all are decided, and checks the approvals as the tools do
   * before they claim them. The policy can only deny: what is pending needs an approval.
   *
   * @param {ToolCall[]} calls
   * @param {{ timeout?: number, signal?: AbortSignal }} limits
   * @returns {Promise<Answer[]>} One for each call.
   * @throws {import("../errors.js").SignoffError} Not all are decided: `timed-out`, or the server gives no answer, or
   *   one that does not verify. The requests stay, and a later try finds them. `request-invalid`: no `run`.
   */
  async resolve(calls, { timeout, signal }) {
    this.named("what is pending");
    const end = timeout === undefined ? Infinity : performance.now() + timeout * 1000;
    const ended = await Promise.allSettled(calls.map((call) => this.#answer({ ...call, signal }, end)));
    return ended.map((answer) => {
      if (answer.status === "rejected") throw answer.reason;
      return answer.value;
    });
  }

  /**
   * @param {ToolCall} call
   * @param {number} end
   * @returns {Promise<Answer>}
   */
  async #answer(call, end) {
    try {
      const { timeout: _, ...options } = this.#guarded(call);
      const { decision, reason } = await this.#client.guardVerdict(options);
      if (decision === "deny") return refused({ code: "policy-denied", comment: reason });
      const timeout = end === Infinity ? {} : { timeout: Math.max(0, (end - performance.now()) / 1000) };
      const approval = await this.#client.guardDecision(/** @type {any} */ ({ ...options, ...timeout }));
      return { approved: true, text: approvalText(approval), approvalId: approval.id };
    } catch (error) {
      if (!TOLD.has(/** @type {any} */ (error)?.code)) throw error;
      return refused(error);
    }
  }

  /**
   * @param {ToolCall} call
   * @returns {import("../guard.js").GuardOptions}
   */
  #guarded({ tool, input, id, signal }) {
    const { agent = "", action = "", run: _, reason, policy = "server", ...others } = this.#options;
    if (agent === "") throw invalid("`agent` is missing");
    const context = contextOf(input);
    return {
      ...others,
      agent,
      action: typeof action === "function" ? actionBy(action, tool) : `${action}${tool}`,
      context,
      // Of what is approved, not of the object: that could show something else the second time.
      reason: (typeof reason === "function" ? reason(tool, parse(context.text)) : reason) ?? null,
      policy: policy === "none" ? null : policy,
      // What approvers sign names the call, so that an approval that is found again fits no other one.
      plan: id === null ? null : { tool, run: this.#run, call: id },
      callId: id === null ? undefined : callIdOf(this.#run, id),
      signal,
    };
  }
}

/**
 * Returns whether a function runs its tool behind a gate.
 *
 * @param {unknown} run
 */
export function isGuarded(run) {
  return guarded.has(/** @type {Function} */ (run));
}

/**
 * @param {(tool: string) => string} action
 * @param {string} tool
 */
function actionBy(action, tool) {
  const name = action(tool);
  if (typeof name !== "string" || name === "") throw invalid(`\`action\` returned no name for the tool \`${printable(tool, 64)}\``);
  return name;
}

/**
 * @param {string} run
 * @param {unknown} id
 */
function callIdOf(run, id) {
  if (typeof id !== "string" || id === "") throw invalid("the tool call has no id");
  return JSON.stringify([run, id]);
}

/** What the model is told of a pending call. Anything else ends a resolver, whose calls stay pending. */
const TOLD = new Set(["rejected", "expired", "withdrawn", "policy-denied", "already-executed", "context-invalid", "limit-exceeded"]);

/**
 * @param {any} error
 * @returns {Answer}
 */
function refused(error) {
  return { approved: false, text: refusalText(error), approvalId: error.approvalId ?? null };
}

/**
 * Returns the random name of the runs of a client. Ids of tool calls are unique in a run only.
 *
 * @param {object} client
 */
function runOf(client) {
  const run = runs.get(client) ?? crypto.randomUUID();
  runs.set(client, run);
  return run;
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail: `tools: ${detail}` });
}
