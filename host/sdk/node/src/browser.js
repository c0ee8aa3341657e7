/** `@signoff/sdk` in browsers and Workers: no files, no environment, no sockets. */

import { Client as PortableClient } from "./client.js";
import { Verifier } from "./browser/verifier.js";

/** A client of one server, with the packaged verifier. It prints no token. */
export class Client extends PortableClient {
  /**
   * @param {string} url `https://…`, or `http://…` of this machine.
   * @param {import("./client.js").ClientOptions} [options]
   */
  constructor(url, options = {}) {
    super(url, { verifier: () => Verifier.load(), ...options });
  }
}

export { coreOf, Verifier } from "./browser/verifier.js";
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
/** @typedef {import("./policy/local.js").PolicyOptions} PolicyOptions */
/** @typedef {import("./transport.js").Transport} Transport */
/** @typedef {import("./verifier.js").Attempt} Attempt */
/** @typedef {import("./verifier.js").Context} Context */
/** @typedef {import("./verifier.js").Floor} Floor */
/** @typedef {import("./verifier.js").Key} Key */
/** @typedef {import("./verifier.js").Manifest} Manifest */
/** @typedef {import("./verifier.js").Proof} Proof */
/** @typedef {import("./verifier.js").Statement} Statement */
/** @typedef {import("./client.js").ClientOptions} ClientOptions */
