/** `@signoff/sdk/tools`: approvals for plain functions, and the gate behind every adapter. */

export { NotRun } from "./answer.js";
export { guarded } from "./functions.js";
export { Gate } from "./gate.js";

/** @typedef {import("./gate.js").Answer} Answer */
/** @typedef {import("./gate.js").GateOptions} GateOptions */
/** @typedef {import("./gate.js").ToolCall} ToolCall */
