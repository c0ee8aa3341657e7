/** `@signoff/sdk` in Node, Deno and Bun. */

export { Client } from "./node/client.js";
export { coreOf, Verifier } from "./node/verifier.js";
export { Execution } from "./guard.js";
export { RawJson, rawJson } from "./json.js";
export * from "./errors.js";
