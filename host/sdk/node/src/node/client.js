/** The client in Node, Deno and Bun: with settings of the environment and the user's home. */

import { CLIENT, Client as PortableClient, POLICY } from "../client.js";
import { Invalid } from "../errors.js";
import { GUARD } from "../guard.js";
import { optionsOf, text } from "../options.js";
import { serverUrl } from "../transport.js";
import { keysIn, settingsOf } from "./settings.js";
import { caTransport, unixTransport } from "./transport.js";
import { Verifier } from "./verifier.js";

/**
 * Options of the client. `keys` may also be the path of a file. Unset ones come from the environment
 * (`SIGNOFF_TOKEN`, `SIGNOFF_CA`, `SIGNOFF_KEYS`, `SIGNOFF_AUDIENCE`), then from `client.json` in
 * `~/.config/signoff`; null means none.
 *
 * @typedef {import("../client.js").ClientOptions & { ca?: string | null }} ClientOptions
 *   `ca`: the path of a PEM file of certificate authorities, in addition to the machine's.
 */

/**
 * Options of a local policy. `signers` may also be the path of a file.
 *
 * @typedef {import("../policy/local.js").PolicyOptions & { queue?: string | null }} PolicyOptions
 *   `queue`: a folder of this machine in which decisions are kept until the server has them. Without
 *   it they are kept in memory, and may be lost with the process.
 */

/** A client of one server. It prints no token. */
export class Client extends PortableClient {
  /**
   * @param {string | ClientOptions} [first] `http://…`, `https://…` or `unix:PATH`; or the options, and
   *   then the URL is `SIGNOFF_SERVER`, else the `server` of the home file.
   * @param {ClientOptions} [second] The options, if the first argument is a URL.
   * @throws {Invalid} `request-invalid`: no URL, a malformed setting or file, or a token for another
   *   machine without TLS.
   */
  constructor(first, second) {
    const [url, options = {}] = argumentsOf(first, second);
    const { ca: _, ...checked } = optionsOf("client", options, { ...CLIENT, ca: text });
    // Null means none here, and not the default.
    const { token, ca, keys, audience } = options;
    const { url: server, ca: authority, ...settings } = settingsOf({ url, token, ca, keys, audience });
    const transport = options.transport ?? transportOf(server, authority);
    super(server, { verifier: () => Verifier.load(), ...checked, ...settings, ...(transport ? { transport } : {}) });
  }

  /**
   * As the portable guard; `keys` may also be the path of a file.
   *
   * @override
   * @template T
   * @param {import("../guard.js").GuardOptions} options
   * @param {(execution: import("../execution.js").Execution) => T | Promise<T>} run
   * @returns {Promise<T>}
   */
  async guard(options, run) {
    return super.guard(withKeys(options), run);
  }

  /**
   * As the portable method; `keys` may also be the path of a file.
   *
   * @override
   * @param {import("../guard.js").GuardOptions} options
   */
  async guardVerdict(options) {
    return super.guardVerdict(withKeys(options));
  }

  /**
   * As the portable method; `keys` may also be the path of a file.
   *
   * @override
   * @param {import("../guard.js").GuardOptions & { callId: string }} options
   */
  async guardRequest(options) {
    return super.guardRequest(withKeys(options));
  }

  /**
   * Evaluates the server's active policy in this process, in a thread of its own with a time limit.
   *
   * @override
   * @param {PolicyOptions} given
   * @returns {Promise<import("../policy/local.js").LocalPolicy>}
   * @throws {Invalid} `request-invalid`: malformed signers, no audience, a `queue` that other users can
   *   read or write, or one that cannot be made.
   */
  async policy(given) {
    const { queue = null, signers, ...options } = optionsOf("policy", given, { ...POLICY, queue: text });
    const [{ DiskQueue }, { MemoryQueue }, { inThread }] = await Promise.all([
      import("./policy/queue.js"),
      import("../policy/memory.js"),
      import("./policy/evaluator.js"),
    ]);
    const keys = keysIn(signers);
    const kept = queue === null ? new MemoryQueue() : await DiskQueue.open(queue);
    try {
      return await super.policy({ ...options, signers: keys }, { queue: kept, start: inThread });
    } catch (error) {
      await kept.close();
      throw error;
    }
  }
}

/**
 * Returns the options of a guard with the keys that their file has.
 *
 * @template {import("../guard.js").GuardOptions} T
 * @param {T} options
 * @returns {T}
 */
function withKeys(options) {
  const { keys, ...others } = optionsOf("guard", options, GUARD);
  return /** @type {T} */ ({ ...others, keys: keysIn(keys) });
}

/**
 * @param {string | ClientOptions} [first]
 * @param {ClientOptions} [second]
 * @returns {[string | undefined, ClientOptions | undefined]}
 */
function argumentsOf(first, second) {
  if (first == null || typeof first === "string") return [first ?? undefined, second];
  if (second !== undefined) throw invalid("client: expected a URL before the options");
  return [undefined, first];
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail });
}

/**
 * @param {string} url
 * @param {string | null} ca
 * @returns {import("../transport.js").Transport | null} Null for the one by `fetch`.
 */
function transportOf(url, ca) {
  if (url.startsWith("unix:")) return unixTransport(url.slice("unix:".length));
  if (ca === null) return null;
  const base = serverUrl(url);
  if (base?.protocol === "https:") return caTransport(base, ca);
  // Plain HTTP needs no authority, and the portable client refuses other URLs.
  return null;
}
