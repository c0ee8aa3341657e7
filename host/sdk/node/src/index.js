/** `@signoff/sdk` in Node, Deno and Bun. */

export { Client } from "./node/client.js";
export { coreOf, Verifier } from "./node/verifier.js";
export { Execution } from "./execution.js";
export { RawJson, rawJson } from "./json.js";
export * from "./errors.js";

/** @typedef {import("./answers.js").Approval} Approval */
/** @typedef {import("./answers.js").Ballot} Ballot */
/** @typedef {import("./answers.js").Evaluation} Evaluation */
/** @typedef {import("./answers.js").ListedKey} ListedKey */
/** @typedef {import("./answers.js").Verification} Verification */
/** @typedef {import("./events.js").LogEvent} LogEvent */
/** @typedef {import("./guard.js").GuardOptions} GuardOptions */
/** @typedef {import("./http.js").CallOptions} CallOptions */
/** @typedef {import("./policy/local.js").LocalPolicy} LocalPolicy */
/** @typedef {import("./policy/local.js").PolicyDecision} PolicyDecision */
/** @typedef {import("./node/client.js").PolicyOptions} PolicyOptions */
/** @typedef {import("./transport.js").Transport} Transport */
/** @typedef {import("./verifier.js").Attempt} Attempt */
/** @typedef {import("./verifier.js").Context} Context */
/** @typedef {import("./verifier.js").Floor} Floor */
/** @typedef {import("./verifier.js").Key} Key */
/** @typedef {import("./verifier.js").Manifest} Manifest */
/** @typedef {import("./verifier.js").Proof} Proof */
/** @typedef {import("./verifier.js").Statement} Statement */
/** @typedef {import("./node/client.js").ClientOptions} ClientOptions */
