/** `@signoff/sdk/openai-agents`: approvals for function tools of the OpenAI Agents SDK. */

import { Invalid, printable } from "../errors.js";
import { flag, optionsOf } from "../options.js";
import { NotRun } from "./answer.js";
import { GATE, Gate, isGuarded, RESOLVER } from "./gate.js";

export { NotRun } from "./answer.js";

const DEFAULTS = { agent: "openai-agents" };
/** What a tool returns by default in place of its error. The outcome is `failed` then. */
const FAILURE = "An error occurred while running the tool. Please try again.";

/** The description of the symbol under which a tool has its namespace. */
const NAMESPACE = "functionToolNamespace";

/** @typedef {import("../client.js").Client} Client */
/** @typedef {import("./gate.js").GateOptions} SignoffOptions */
/** @typedef {SignoffOptions & { run: string }} RunOptions */

/**
 * A function tool, as far as this module knows it.
 *
 * @typedef {object} FunctionTool
 * @property {string} type
 * @property {string} name
 * @property {(context: any, input: string, details?: any) => Promise<any>} invoke
 * @property {(context: any, input: any, callId?: string) => Promise<boolean>} needsApproval
 * @property {unknown} [on] Of an agent as a tool.
 */

/**
 * Returns tools that run only what the policy allows or a person approved. The approval is claimed inside
 * `invoke`, so that nothing else makes a tool run: no `alwaysApprove`, and no edited state.
 *
 * @template {{ type: string, name: string }} T
 * @param {Client} client
 * @param {readonly T[]} tools Function tools.
 * @param {(SignoffOptions & { defer?: false }) | (RunOptions & { defer: true })} [given] With `defer`, a call that
 *   needs an approval interrupts the run, for `resolveApprovals`. Otherwise the tool waits.
 * @returns {T[]}
 * @throws {Invalid} `request-invalid`: an unknown or mistyped option, `defer` without `run`, a tool that is not a
 *   function tool, that is an agent with tools of its own, or that is guarded already.
 */
export function signoffTools(client, tools, given = {}) {
  const { defer = false, ...options } = optionsOf("options", given, { ...GATE, defer: flag });
  const gate = new Gate(client, options, DEFAULTS);
  if (defer) gate.named("`defer`");
  return tools.map((tool) => /** @type {T} */ (/** @type {unknown} */ (guardedTool(gate, /** @type {any} */ (tool), defer))));
}

/**
 * @param {Gate} gate
 * @param {FunctionTool} tool
 * @param {boolean} defer
 */
function guardedTool(gate, tool, defer) {
  const { type, name, invoke, needsApproval: own, on } = tool;
  if (type !== "function" || typeof invoke !== "function") throw invalid(`the tool \`${printable(String(name), 64)}\` is not a function tool`);
  // What `agent.asTool` makes has `on`. A pause inside runs it again, and its agent's tools would run unguarded.
  if (on !== undefined) throw invalid(`the tool \`${printable(name, 64)}\` is an agent: guard the tools of that agent`);
  if (isGuarded(invoke)) throw invalid(`the tool \`${printable(name, 64)}\` is guarded already`);
  const made = Object.create(Object.getPrototypeOf(tool), Object.getOwnPropertyDescriptors(tool));
  const run = async (/** @type {any} */ context, /** @type {string} */ text, /** @type {any} */ details) => {
    try {
      const call = { tool: qualified(name, details?.toolCall?.namespace), input: inputOf(text), id: details?.toolCall?.callId, signal: details?.signal };
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
  gate.holds(run, name);
  define(made, "invoke", run);
  if (defer) {
    /**
     * @this {object} The tool, or its copy with a namespace.
     * @param {any} context
     * @param {unknown} input
     * @param {string} callId
     */
    async function needsApproval(context, input, callId) {
      if (typeof own === "function" ? await own.call(tool, context, input, callId) : own) return true;
      const { decision } = await gate.verdict({ tool: qualified(name, namespaceOf(this)), input, id: callId });
      return decision !== "allow";
    }
    define(made, "needsApproval", needsApproval);
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
 * @param {SignoffOptions & import("./gate.js").ResolverOptions} given As for `signoffTools`.
 * @returns {Promise<{ answered: number, others: T[] }>} How many calls were answered, and the interruptions of
 *   other tools, which stay.
 * @throws {Invalid} `request-invalid`: no `run`, or tools that are guarded with another one.
 * @throws {import("../errors.js").SignoffError} Not all are decided, or the server gives no answer, or one that does
 *   not verify. The state is as it was: call it again later, with the same `run` also in another process.
 */
export async function resolveApprovals(client, result, given) {
  const { signal, wait, ...options } = optionsOf("options", given ?? {}, RESOLVER);
  const gate = new Gate(client, options, DEFAULTS).named("`resolveApprovals`");
  const state = /** @type {any} */ ("getInterruptions" in result ? result : result.state);
  /** @type {any[]} */
  const items = state.getInterruptions();
  const tools = await Promise.all(items.map((item) => toolOf(item, state)));
  const own = items.flatMap((item, index) => {
    const name = gate.toolOf(tools[index]?.invoke);
    return name === null ? [] : { item, call: callOf(name, item.rawItem) };
  });
  const answers = await gate.resolve(own.map(({ call }) => call), { timeout: wait, signal });
  own.forEach(({ item }, index) => {
    const { approved, text } = /** @type {import("./gate.js").Answer} */ (answers[index]);
    if (approved) state.approve(item);
    else state.reject(item, { message: text });
  });
  const answered = new Set(own.map(({ item }) => item));
  return { answered: own.length, others: items.filter((item) => !answered.has(item)) };
}

/**
 * @param {string} name Of the tool.
 * @param {any} call Of the model.
 */
function callOf(name, { namespace, arguments: text, callId }) {
  return { tool: qualified(name, namespace), input: inputOf(text), id: callId };
}

/**
 * Returns the tool of an interruption, or undefined if it is not certain which one it is.
 *
 * @param {any} item
 * @param {any} state
 */
async function toolOf({ rawItem, agent }, state) {
  if (rawItem?.type !== "function_call" || !Array.isArray(agent?.tools)) return undefined;
  const listed = agent.mcpServers?.length > 0 ? await agent.getMcpTools(state._context) : [];
  const isNamed = (/** @type {any} */ tool) => tool?.name === rawItem.name && qualified(tool.name, namespaceOf(tool)) === qualified(rawItem.name, rawItem.namespace);
  const found = [...agent.tools, ...listed].filter(isNamed);
  return found.length === 1 ? found[0] : undefined;
}

/**
 * Returns the name of a tool with its namespace, as the framework calls it.
 *
 * @param {string} name
 * @param {unknown} namespace
 */
function qualified(name, namespace) {
  return typeof namespace === "string" && namespace !== "" && namespace !== name ? `${namespace}.${name}` : name;
}

/** @param {object} tool */
function namespaceOf(tool) {
  const symbol = Object.getOwnPropertySymbols(tool).find(({ description }) => description === NAMESPACE);
  return symbol && /** @type {any} */ (tool)[symbol];
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
