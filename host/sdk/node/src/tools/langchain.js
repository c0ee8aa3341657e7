/** `@signoff/sdk/langchain`: approvals for tools of LangChain and LangGraph agents. */

import { ToolMessage } from "@langchain/core/messages";

import { Invalid, printable } from "../errors.js";
import { OutcomeUnknown } from "../guard.js";
import { list, optionsOf } from "../options.js";
import { NotRun } from "./answer.js";
import { Gate, isGuarded, RESOLVER } from "./gate.js";

export { NotRun } from "./answer.js";

const DEFAULTS = { agent: "langchain" };

/** Other ways to run a tool than `invoke`, on which all others of the framework are based. */
const WAYS = /** @type {const} */ (["call", "_call", "func"]);

/** @typedef {import("../client.js").Client} Client */
/** @typedef {import("./gate.js").GateOptions} SignoffOptions */

/**
 * Returns tools that run only what the policy allows or a person approved. The approval is claimed inside
 * `invoke`, after every middleware, so that nothing else makes a tool run: no `approve` and no `edit` of
 * another inbox. A call of the model that did not run gives a `ToolMessage` with the reason and the status
 * `error`; otherwise `invoke` throws `NotRun`.
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
  if (isGuarded(invoke)) throw invalid(`the tool \`${printable(name, 64)}\` is guarded already`);
  const made = Object.create(Object.getPrototypeOf(tool), Object.getOwnPropertyDescriptors(tool));
  const run = async (/** @type {any} */ input, /** @type {any} */ config) => {
    // Agents pass the whole call of the model; programs pass the input alone.
    const isCall = input?.type === "tool_call";
    const { args, id } = isCall ? input : { args: input, id: null };
    const signal = config?.signal;
    try {
      return await gate.run({ tool: name, input: args, id, signal }, async (approved) => {
        let result;
        try {
          result = await invoke.call(tool, isCall ? { name, args: approved, id, type: "tool_call" } : approved, config);
        } catch (error) {
          // The framework ends the wait for an aborted tool, not the tool.
          throw signal?.aborted ? new OutcomeUnknown(error) : error;
        }
        if (hasFailed(result)) throw new ToolFailed(result);
        return result;
      });
    } catch (error) {
      if (error instanceof ToolFailed) return error.result;
      if (error instanceof NotRun && isCall) return new ToolMessage({ content: error.message, tool_call_id: id, name, status: "error" });
      throw error;
    }
  };
  gate.holds(run, name);
  define(made, "invoke", run);
  for (const way of WAYS) {
    if (typeof (/** @type {any} */ (tool)[way]) === "function") define(made, way, () => Promise.reject(invalid(`a guarded tool is run by \`invoke\`, not by \`${way}\``)));
  }
  return made;
}

/** A result with which a tool says that it failed. */
class ToolFailed extends Error {
  /** @param {any} result */
  constructor(result) {
    super("the tool failed");
    this.result = result;
  }
}

/**
 * Returns whether a result is, or has in a `Command`, the message of a failure.
 *
 * @param {any} result
 * @returns {boolean}
 */
function hasFailed(result) {
  if (Array.isArray(result)) return result.some(hasFailed);
  if (result?.lg_name === "Command") return hasFailed(result.update?.messages ?? result.update);
  return ToolMessage.isInstance(result) && result.status === "error";
}

/**
 * @param {object} object
 * @param {string} name
 * @param {unknown} value
 */
function define(object, name, value) {
  Object.defineProperty(object, name, { value, enumerable: false, configurable: true, writable: true });
}

/** @typedef {{ type: "approve" } | { type: "reject", message: string }} Decision */

/**
 * Turns the calls that `humanInTheLoopMiddleware` holds into approvals, waits until all are decided, and
 * returns the value for `new Command({ resume })`. If one call of a batch is rejected, LangChain runs none
 * of them and asks the model again.
 *
 * Each held call must be of a tool that `signoffTools` made: nothing would claim the approval of another.
 *
 * @param {Client} client
 * @param {any} result What `agent.invoke` returned, with `messages` and one interrupt.
 * @param {SignoffOptions & import("./gate.js").ResolverOptions & { tools: readonly any[] }} given As for
 *   `signoffTools`, with the `tools` of the agent.
 * @returns {Promise<{ decisions: Decision[] } | null>} Null if there is no interrupt.
 * @throws {Invalid} `request-invalid`: no `run` or no `tools`, more than one interrupt, an action that the model did
 *   not call, or whose tool `signoffTools` did not make or made with another `run`, or one that cannot be both
 *   approved and rejected.
 * @throws {import("../errors.js").SignoffError} Not all are decided, or the server gives no answer, or one that does
 *   not verify. Call it again later, with the same `run` also in another process.
 */
export async function resolveApprovals(client, result, given) {
  const { signal, wait, tools, ...options } = optionsOf("options", given ?? {}, { ...RESOLVER, tools: list });
  const gate = new Gate(client, options, DEFAULTS).named("`resolveApprovals`");
  if (tools === undefined) throw invalid("`resolveApprovals` needs `tools`: set it to the tools of the agent");
  const interrupts = result?.__interrupt__ ?? [];
  if (interrupts.length === 0) return null;
  if (interrupts.length > 1) throw invalid("more than one interrupt");
  const calls = callsOf(result.messages, interrupts[0].value);
  for (const { tool } of calls) {
    const named = tools.filter(({ name }) => name === tool);
    if (named.length !== 1 || gate.toolOf(named[0].invoke) !== tool) throw invalid(`the tool \`${printable(tool, 64)}\` is not one that \`signoffTools\` made`);
  }
  const answers = await gate.resolve(calls, { timeout: wait, signal });
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
  for (const { actionName, allowedDecisions } of value.reviewConfigs ?? []) {
    if (!["approve", "reject"].every((one) => allowedDecisions.includes(one))) throw invalid(`\`${printable(String(actionName), 64)}\` must allow the decisions \`approve\` and \`reject\``);
  }
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
