/** `@signoff/sdk/ai`: approvals for tools of the AI SDK, versions 6 and 7. */

import { Invalid, printable } from "../errors.js";
import { flag, object, optionsOf, texts } from "../options.js";
import { GATE, Gate, isGuarded, RESOLVER } from "./gate.js";

export { NotRun } from "./answer.js";

const DEFAULTS = { agent: "ai-sdk" };
const AI = { ...GATE, unguarded: texts };

const UNGUARDED = "the tool is not guarded by signoff";

/** @typedef {import("../client.js").Client} Client */

/**
 * @typedef {object} AiOptions
 * @property {string[]} [unguarded] Names of tools that may run without signoff.
 */

/** @typedef {import("./gate.js").GateOptions & AiOptions} SignoffOptions */
/** @typedef {SignoffOptions & { run: string }} RunOptions */

/**
 * What a tool has that this module changes.
 *
 * @typedef {object} AnyTool
 * @property {((input: any, options: any) => any)} [execute]
 * @property {any} [needsApproval]
 */

/**
 * Returns tools that run only what the policy allows or a person approved. The approval is claimed inside
 * `execute`, so that nothing else makes a tool run: no answer of a user interface, and no edited message.
 *
 * A tool that streams gives its last output only.
 *
 * @template {Record<string, any>} T
 * @param {Client} client
 * @param {T} tools
 * @param {(SignoffOptions & { defer?: false }) | (RunOptions & { defer: true })} [given] With `defer`,
 *   `needsApproval` is set, and `generateText` ends with a request for `resolveApprovals`. Otherwise `execute`
 *   waits.
 * @returns {T}
 * @throws {Invalid} `request-invalid`: an unknown or mistyped option, `defer` without `run`, a tool without
 *   `execute`, or one that is guarded already.
 */
export function signoffTools(client, tools, given = {}) {
  const { unguarded = [], defer = false, ...options } = optionsOf("options", given, { ...AI, defer: flag });
  const gate = new Gate(client, options, DEFAULTS);
  if (defer) gate.named("`defer`");
  const made = Object.entries(tools).map(([name, tool]) => [name, unguarded.includes(name) ? tool : guardedTool(gate, name, tool, defer)]);
  return /** @type {T} */ (Object.fromEntries(made));
}

/**
 * @param {Gate} gate
 * @param {string} name
 * @param {AnyTool} tool
 * @param {boolean} defer
 */
function guardedTool(gate, name, tool, defer) {
  const { execute, needsApproval: own } = tool ?? {};
  if (typeof execute !== "function") throw invalid(`the tool \`${printable(name, 64)}\` has no \`execute\`; name it in \`unguarded\` if it may run`);
  if (isGuarded(execute)) throw invalid(`the tool \`${printable(name, 64)}\` is guarded already`);
  const made = Object.create(Object.getPrototypeOf(tool), Object.getOwnPropertyDescriptors(tool));
  const run = (/** @type {unknown} */ input, /** @type {any} */ options) =>
    gate.run({ tool: name, input, id: options?.toolCallId, signal: options?.abortSignal }, async (approved) =>
      lastOf(await execute.call(tool, approved, options)),
    );
  gate.holds(run, name);
  define(made, "execute", run);
  if (defer) {
    define(made, "needsApproval", async (/** @type {unknown} */ input, /** @type {any} */ options) => {
      if (typeof own === "function" ? await own.call(tool, input, options) : own) return true;
      const { decision } = await gate.verdict({ tool: name, input, id: options?.toolCallId });
      return decision !== "allow";
    });
  }
  return made;
}

/**
 * Returns the function for `toolApproval` of `generateText`, `streamText` and `ToolLoopAgent` (AI SDK 7).
 *
 * What the policy allows is `approved`, what it denies and whatever fails is `denied` with the reason, and
 * everything else is `user-approval`, for `resolveApprovals`. A tool that `signoffTools` did not make is
 * `denied`.
 *
 * @param {Client} client
 * @param {RunOptions} given As for `signoffTools`.
 * @returns {(call: { toolCall: { toolName: string, toolCallId: string, input?: unknown, providerExecuted?: boolean | undefined }, tools?: Record<string, any> | undefined }) =>
 *   Promise<"not-applicable" | { type: "approved" | "denied" | "user-approval", reason?: string }>}
 * @throws {Invalid} `request-invalid`: an unknown or mistyped option, or no `run`.
 */
export function signoff(client, given) {
  const { unguarded = [], ...options } = optionsOf("options", given ?? {}, AI);
  const gate = new Gate(client, options, DEFAULTS).named("`signoff`");
  return async ({ toolCall, tools }) => {
    const { toolName, toolCallId, input } = toolCall;
    if (unguarded.includes(toolName)) return "not-applicable";
    const tool = gate.toolOf(executeOf(tools, toolCall));
    if (tool === null) return { type: "denied", reason: UNGUARDED };
    const { decision, text, reason } = await gate.verdict({ tool, input, id: toolCallId });
    if (decision === "allow") return { type: "approved", reason: text };
    if (decision === "deny") return { type: "denied", reason: text };
    return reason === null || reason === "" ? { type: "user-approval" } : { type: "user-approval", reason: printable(reason, 1000) };
  };
}

/** @typedef {{ type: "tool-approval-response", approvalId: string, approved: boolean, reason: string }} ApprovalResponse */

/**
 * Turns the pending calls at the end of a conversation into approvals, waits until all are decided, and
 * returns the message with the answers. Append it, and call `generateText` again.
 *
 * A call of a tool that `signoffTools` did not make is denied: nothing would claim its approval. A program that
 * decides on such calls itself answers them before.
 *
 * @param {Client} client
 * @param {readonly any[]} messages Model messages; of a user interface, what `convertToModelMessages` returns.
 * @param {SignoffOptions & import("./gate.js").ResolverOptions & { tools: Record<string, any> }} given As for
 *   `signoffTools`, with the `tools` that `generateText` gets.
 * @returns {Promise<{ role: "tool", content: ApprovalResponse[] } | null>} Null if nothing is pending.
 * @throws {Invalid} `request-invalid`: no `run` or no `tools`, or tools that are guarded with another `run`.
 * @throws {import("../errors.js").SignoffError} Not all are decided, or the server gives no answer, or one that does
 *   not verify. Nothing is answered then: call it again later, with the same `run` also in another process.
 */
export async function resolveApprovals(client, messages, given) {
  const { signal, wait, tools, unguarded: _, ...options } = optionsOf("options", given ?? {}, { ...AI, ...RESOLVER, tools: object });
  const gate = new Gate(client, options, DEFAULTS).named("`resolveApprovals`");
  if (tools === undefined || Array.isArray(tools)) throw invalid("`resolveApprovals` needs `tools`: set it to the tools that `generateText` gets");
  const pending = pendingIn(messages).map(({ approvalId, call }) => {
    const tool = gate.toolOf(executeOf(tools, call));
    return { approvalId, call: tool === null ? null : { tool, input: call.input, id: call.toolCallId } };
  });
  if (pending.length === 0) return null;
  const answers = await gate.resolve(pending.flatMap(({ call }) => call ?? []), { timeout: wait, signal });
  const content = pending.map(({ approvalId, call }) => {
    const { approved, text } = (call === null ? null : answers.shift()) ?? { approved: false, text: UNGUARDED };
    return { type: /** @type {const} */ ("tool-approval-response"), approvalId, approved, reason: text };
  });
  return { role: "tool", content };
}

/**
 * Returns the function that runs a call, as the AI SDK finds it; none for a call that runs at the provider.
 *
 * @param {Record<string, any> | undefined} tools
 * @param {{ toolName: string, providerExecuted?: boolean | undefined }} call
 */
function executeOf(tools, { toolName, providerExecuted }) {
  return tools !== undefined && providerExecuted !== true && Object.hasOwn(tools, toolName) ? tools[toolName]?.execute : undefined;
}

/** @typedef {{ approvalId: string, call: { toolName: string, toolCallId: string, input: unknown, providerExecuted?: boolean } }} Pending */

/**
 * Returns the requests without an answer, each with its call.
 *
 * @param {readonly any[]} messages
 * @returns {Pending[]}
 * @throws {Invalid} `request-invalid`: two requests with one id, or one without its call.
 */
function pendingIn(messages) {
  const parts = messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const done = new Set(parts.filter(({ type }) => type === "tool-approval-response").map(({ approvalId }) => approvalId));
  const calls = new Map(parts.filter(({ type }) => type === "tool-call").map((call) => [call.toolCallId, call]));
  const pending = parts.filter(({ type, approvalId, isAutomatic }) => type === "tool-approval-request" && !done.has(approvalId) && isAutomatic !== true);
  if (new Set(pending.map(({ approvalId }) => approvalId)).size !== pending.length) throw invalid("two approval requests have one id");
  return pending.map(({ approvalId, toolCallId }) => {
    const call = calls.get(toolCallId);
    if (call === undefined) throw invalid("an approval request has no tool call");
    return { approvalId, call };
  });
}

/**
 * @param {any} output What `execute` returned: a value, or outputs one after the other.
 */
async function lastOf(output) {
  if (output === null || typeof output !== "object" || typeof output[Symbol.asyncIterator] !== "function") return output;
  let last;
  for await (const value of output) last = value;
  return last;
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
