/** `@signoff/sdk/openai-agents`: approvals for function tools of the OpenAI Agents SDK. */

import { Invalid, printable } from "../errors.js";
import { flag, optionsOf } from "../options.js";
import { NotRun } from "./answer.js";
import { GATE, Gate } from "./gate.js";

export { NotRun } from "./answer.js";

const DEFAULTS = { agent: "openai-agents" };
/** What a tool returns by default in place of its error. The outcome is `failed` then. */
const FAILURE = "An error occurred while running the tool. Please try again.";

/** The functions that `signoffTools` made. @type {WeakSet<Function>} */
const guarded = new WeakSet();

/** @typedef {import("../client.js").Client} Client */
/** @typedef {import("./gate.js").GateOptions} SignoffOptions */

/**
 * A function tool, as far as this module knows it.
 *
 * @typedef {object} FunctionTool
 * @property {string} type
 * @property {string} name
 * @property {(context: any, input: string, details?: any) => Promise<any>} invoke
 * @property {(context: any, input: any, callId?: string) => Promise<boolean>} needsApproval
 */

/**
 * Returns tools that run only what the policy allows or a person approved. The approval is claimed inside
 * `invoke`, so that nothing else makes a tool run: no `alwaysApprove`, and no edited state.
 *
 * @template {{ type: string, name: string }} T
 * @param {Client} client
 * @param {readonly T[]} tools Function tools.
 * @param {SignoffOptions & { defer?: boolean }} [given] With `defer`, a call that needs an approval interrupts the
 *   run, for `resolveApprovals`. Otherwise the tool waits.
 * @returns {T[]}
 * @throws {Invalid} `request-invalid`: an unknown or mistyped option, a tool that is not a function tool, or
 *   one that is guarded already.
 */
export function signoffTools(client, tools, given = {}) {
  const { defer = false, ...options } = optionsOf("options", given, { ...GATE, defer: flag });
  const gate = new Gate(client, options, DEFAULTS);
  return tools.map((tool) => /** @type {T} */ (/** @type {unknown} */ (guardedTool(gate, /** @type {any} */ (tool), defer))));
}

/**
 * @param {Gate} gate
 * @param {FunctionTool} tool
 * @param {boolean} defer
 */
function guardedTool(gate, tool, defer) {
  const { type, name, invoke, needsApproval: own } = tool;
  if (type !== "function" || typeof invoke !== "function") throw invalid(`the tool \`${printable(String(name), 64)}\` is not a function tool`);
  if (guarded.has(invoke)) throw invalid(`the tool \`${printable(name, 64)}\` is guarded already`);
  const made = Object.create(Object.getPrototypeOf(tool), Object.getOwnPropertyDescriptors(tool));
  const run = async (/** @type {any} */ context, /** @type {string} */ text, /** @type {any} */ details) => {
    try {
      const call = { tool: name, input: inputOf(text), id: details?.toolCall?.callId, signal: details?.signal };
      return await gate.run(call, async (_, { contextText }) => {
        const result = await invoke.call(tool, context, contextText, details);
        if (result === FAILURE) throw new ToolFailed(result);
        return result;
      });
    } catch (error) {
      if (error instanceof ToolFailed) return error.result;
      if (error instanceof NotRun) return error.message;
      throw error;
    }
  };
  guarded.add(run);
  define(made, "invoke", run);
  if (defer) {
    define(made, "needsApproval", async (/** @type {any} */ context, /** @type {unknown} */ input, /** @type {string} */ callId) => {
      if (typeof own === "function" ? await own.call(tool, context, input, callId) : own) return true;
      const { decision } = await gate.verdict({ tool: name, input, id: callId });
      return decision !== "allow";
    });
  }
  return made;
}

/** The tool's own error, which it turned into a text for the model. */
class ToolFailed extends Error {
  /** @param {string} result */
  constructor(result) {
    super("the tool failed");
    this.result = result;
  }
}

/**
 * Turns the interruptions of a run into approvals, waits until all are decided, and approves or rejects each
 * call in the state. Then run the agent with the state again.
 *
 * Only calls of tools that `signoffTools` made are answered, each by itself and never for later calls.
 *
 * @template T
 * @param {Client} client
 * @param {{ readonly state: any } | { getInterruptions(): T[] }} result What `run` returned, or a `RunState`.
 * @param {SignoffOptions & { signal?: AbortSignal, wait?: number }} [given] As for `signoffTools`, and how many
 *   seconds to wait; default until all are decided.
 * @returns {Promise<{ answered: number, others: T[] }>} How many calls were answered, and the interruptions of
 *   other tools, which stay.
 * @throws {import("../errors.js").SignoffError} Not all are decided, or the server gives no answer. The state is as
 *   it was: call it again later, with the same `run` also in another process.
 */
export async function resolveApprovals(client, result, given = {}) {
  const { signal, wait, ...options } = given;
  const gate = new Gate(client, options, DEFAULTS);
  const state = /** @type {any} */ ("getInterruptions" in result ? result : result.state);
  /** @type {any[]} */
  const items = state.getInterruptions();
  const own = items.filter(isGuarded);
  const answers = await gate.resolve(own.map(callOf), { timeout: wait, signal });
  answers.forEach(({ approved, text }, index) => {
    if (approved) state.approve(own[index]);
    else state.reject(own[index], { message: text });
  });
  return { answered: own.length, others: items.filter((item) => !own.includes(item)) };
}

/** @param {any} item A `RunToolApprovalItem`. */
function callOf({ rawItem }) {
  return { tool: rawItem.name, input: inputOf(rawItem.arguments), id: rawItem.callId };
}

/**
 * Returns whether the tool of an interruption is certainly one that `signoffTools` made.
 *
 * @param {any} item
 */
function isGuarded({ rawItem, agent }) {
  if (rawItem?.type !== "function_call" || !Array.isArray(agent?.tools)) return false;
  const named = agent.tools.filter((/** @type {any} */ tool) => tool?.name === rawItem.name);
  return named.length === 1 && guarded.has(named[0].invoke);
}

/**
 * Parses the arguments as the tool would. A text that is not JSON is refused as an input later.
 *
 * @param {unknown} text
 */
function inputOf(text) {
  try {
    return JSON.parse(/** @type {string} */ (text));
  } catch {
    return undefined;
  }
}

/**
 * @param {object} object
 * @param {string} name
 * @param {unknown} value
 */
function define(object, name, value) {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail });
}
