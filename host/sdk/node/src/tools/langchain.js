/** `@signoff/sdk/langchain`: approvals for tools of LangChain and LangGraph agents. */

import { Invalid, printable } from "../errors.js";
import { NotRun } from "./answer.js";
import { Gate } from "./gate.js";

export { NotRun } from "./answer.js";

const DEFAULTS = { agent: "langchain" };

/** The functions that `signoffTools` made. @type {WeakSet<Function>} */
const guarded = new WeakSet();

/** @typedef {import("../client.js").Client} Client */
/** @typedef {import("./gate.js").GateOptions} SignoffOptions */

/**
 * Returns tools that run only what the policy allows or a person approved. The approval is claimed inside
 * `invoke`, after every middleware, so that nothing else makes a tool run: no `approve` and no `edit` of
 * another inbox. A tool that did not run returns the reason as its text.
 *
 * @template {{ name: string, invoke: (...args: any[]) => any }} T
 * @param {Client} client
 * @param {readonly T[]} tools
 * @param {SignoffOptions} [given]
 * @returns {T[]}
 * @throws {Invalid} `request-invalid`: an unknown or mistyped option, a tool without `invoke`, or one that is
 *   guarded already.
 */
export function signoffTools(client, tools, given = {}) {
  const gate = new Gate(client, given, DEFAULTS);
  return tools.map((tool) => guardedTool(gate, tool));
}

/**
 * @template {{ name: string, invoke: (...args: any[]) => any }} T
 * @param {Gate} gate
 * @param {T} tool
 * @returns {T}
 */
function guardedTool(gate, tool) {
  const { name, invoke } = tool;
  if (typeof invoke !== "function") throw invalid(`the tool \`${printable(String(name), 64)}\` has no \`invoke\``);
  if (guarded.has(invoke)) throw invalid(`the tool \`${printable(name, 64)}\` is guarded already`);
  const made = Object.create(Object.getPrototypeOf(tool), Object.getOwnPropertyDescriptors(tool));
  const run = async (/** @type {any} */ input, /** @type {any} */ config) => {
    // Agents pass the whole call of the model; programs pass the input alone.
    const isCall = input?.type === "tool_call";
    const call = { tool: name, input: isCall ? input.args : input, id: isCall ? input.id : null, signal: config?.signal };
    try {
      return await gate.run(call, (approved) => invoke.call(tool, isCall ? { ...input, args: approved } : approved, config));
    } catch (error) {
      if (error instanceof NotRun && isCall) return error.message;
      throw error;
    }
  };
  guarded.add(run);
  Object.defineProperty(made, "invoke", { value: run, enumerable: false, configurable: true, writable: true });
  return made;
}

/** @typedef {{ type: "approve" } | { type: "reject", message: string }} Decision */

/**
 * Turns the calls that `humanInTheLoopMiddleware` holds into approvals, waits until all are decided, and
 * returns the value for `new Command({ resume })`. If one call of a batch is rejected, LangChain runs none
 * of them and asks the model again.
 *
 * @param {Client} client
 * @param {any} result What `agent.invoke` returned, with `messages` and one interrupt.
 * @param {SignoffOptions & { signal?: AbortSignal, wait?: number }} [given] As for `signoffTools`, and how many
 *   seconds to wait; default until all are decided.
 * @returns {Promise<{ decisions: Decision[] } | null>} Null if there is no interrupt.
 * @throws {Invalid} `request-invalid`: more than one interrupt, or an action that the model did not call.
 * @throws {import("../errors.js").SignoffError} Not all are decided, or the server gives no answer. Call it again
 *   later, with the same `run` also in another process.
 */
export async function resolveApprovals(client, result, given = {}) {
  const { signal, wait, ...options } = given;
  const gate = new Gate(client, options, DEFAULTS);
  const interrupts = result?.__interrupt__ ?? [];
  if (interrupts.length === 0) return null;
  if (interrupts.length > 1) throw invalid("more than one interrupt");
  const answers = await gate.resolve(callsOf(result.messages, interrupts[0].value), { timeout: wait, signal });
  return { decisions: answers.map(decisionOf) };
}

/**
 * @param {import("./gate.js").Answer} answer
 * @returns {Decision}
 */
function decisionOf({ approved, text }) {
  return approved ? { type: "approve" } : { type: "reject", message: text };
}

/**
 * Finds the calls of an interrupt, which names no ids, in the message of the model: they have its order.
 *
 * @param {any[]} messages
 * @param {any} value
 * @returns {import("./gate.js").ToolCall[]}
 */
function callsOf(messages, value) {
  const actions = value?.actionRequests;
  if (!Array.isArray(actions)) throw invalid("the interrupt is not one of `humanInTheLoopMiddleware`");
  const left = [...(messages.findLast(({ tool_calls: calls }) => Array.isArray(calls) && calls.length > 0)?.tool_calls ?? [])];
  return actions.map(({ name, args }) => {
    const text = JSON.stringify(args);
    const at = left.findIndex((call) => call.name === name && JSON.stringify(call.args) === text);
    if (at < 0) throw invalid(`the model did not call \`${printable(String(name), 64)}\` like this`);
    const [call] = left.splice(0, at + 1).slice(-1);
    return { tool: name, input: args, id: call.id };
  });
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail });
}
