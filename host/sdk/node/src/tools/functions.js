/** Approvals for plain functions. */

import { Invalid } from "../errors.js";
import { callback, optionsOf, text } from "../options.js";
import { NotRun } from "./answer.js";
import { GATE, Gate } from "./gate.js";

/** @typedef {import("../client.js").Client} Client */
/** @typedef {import("../execution.js").Execution} Execution */

/**
 * @template I
 * @typedef {Omit<import("./gate.js").GateOptions, "action" | "agent"> & {
 *   agent: string,
 *   action?: string,
 *   call?: (input: I) => string,
 * }} FunctionOptions `action`: default the name of the function. `call`: returns the id of a call that may be
 *   repeated; by default each call is a new request.
 */

/**
 * Returns a function that runs only on what the policy allows or a person approved.
 *
 * @template {Record<string, any>} I
 * @template T
 * @param {Client} client
 * @param {(input: I, execution: Execution) => T | Promise<T>} run Receives the approved input, parsed back, never
 *   the object that the caller passed.
 * @param {FunctionOptions<I>} given
 * @returns {(input: I, options?: { signal?: AbortSignal }) => Promise<T>} It throws what `client.guard` throws.
 * @throws {Invalid} `request-invalid`: an unknown or mistyped option, no agent, or no name.
 */
export function guarded(client, run, given) {
  const { action = run.name, call, ...options } = optionsOf("guarded", given, { ...GATE, action: text, call: callback });
  if (action === "") throw invalid("the function has no name: set `action`");
  if (!options.agent) throw invalid("`agent` is missing");
  const gate = new Gate(client, options);
  return async (input, { signal } = {}) => {
    const id = call === undefined ? null : call(input);
    return gate.run({ tool: action, input, id, signal }, run).catch(unwrapped);
  };
}

/**
 * @param {unknown} error
 * @returns {never}
 */
function unwrapped(error) {
  throw error instanceof NotRun ? error.cause : error;
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail: `guarded: ${detail}` });
}
