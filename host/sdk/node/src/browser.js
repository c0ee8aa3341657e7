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
export { Execution } from "./guard.js";
export { RawJson, rawJson } from "./json.js";
export * from "./errors.js";
