/** The verifier component, in this process. It decides everything about trust, without I/O. */

import { coreOf, sha256, unusable } from "./component.js";
import { Invalid, Rejection, VerifierTrapped } from "./errors.js";
import { Instance } from "./instance.js";
import { encode, encodeFast, isWellFormed, parse, RawJson } from "./json.js";
import { ACTION, any, floorOf, list, object, optionsOf, text, texts, whole } from "./options.js";

/** An instance with more memory than this after a call is dropped, because memory never shrinks. */
const MEMORY_MAX = 4 * 1024 * 1024;
/** A longer request is refused here. The verifier refuses those above 16 MiB of UTF-8. */
const REQUEST_UNITS_MAX = 17 * 1024 * 1024;
/** The depth of a request: an approval and its context inside arguments. */
const REQUEST_DEPTH = 128;

const SOURCE = { url: any, bytes: any, module: any, digest: text };
const ATTEMPT = { ...ACTION, executionId: text };
const CHECK = {
  approval: text,
  id: text,
  audience: text,
  attempt: object,
  keys: list,
  accept: texts,
  now: whole,
  requestedAfter: whole,
  floor: object,
  policies: texts,
};
const RECEIPT = {
  receipt: text,
  logKeys: texts,
  id: text,
  audience: text,
  keys: list,
  accept: texts,
  checkpoint: text,
  consistency: texts,
};
const MANIFEST = { manifest: text, digest: text, slot: text, audience: text, keys: list };

/**
 * Where the verifier comes from. With `digest`, bytes whose SHA-256 differs are refused before they
 * are compiled.
 *
 * @typedef {{ url: string | URL, digest?: string }
 *   | { bytes: Uint8Array | ArrayBuffer, digest?: string }
 *   | { module: WebAssembly.Module }} VerifierSource
 *   `url` and `bytes`: the component. `module`: its core module, compiled, for runtimes that do not
 *   compile bytes.
 */

/**
 * A keyring entry, as `signoff key list --json` prints it.
 *
 * @typedef {object} Key
 * @property {string} id
 * @property {"hmac-sha256" | "ed25519"} algorithm
 * @property {string} material base64url without padding: a public key, or a secret.
 * @property {"active" | "verify-only" | "revoked"} status
 * @property {"approve" | "log" | "module"} use
 * @property {string | null} [approver]
 * @property {string[]} [groups]
 */

/**
 * What an approver signs.
 *
 * @typedef {object} Statement
 * @property {string} audience
 * @property {string} key_id
 * @property {string} approval_id
 * @property {string} request_digest
 * @property {number} expires_at Seconds since 1970.
 * @property {"approved" | "rejected"} decision
 * @property {string} approver
 * @property {string} comment
 */

/**
 * @typedef {{ [name: string]: unknown } | RawJson | string} Context A plain object, or the text of one.
 */

/**
 * @typedef {object} Attempt
 * @property {string} agent
 * @property {string} action
 * @property {Context} context
 * @property {Context | null} [plan]
 * @property {string | null} [executionId] An executed approval then passes while this execution runs.
 */

/**
 * The executor's own minimum of a requirement.
 *
 * @typedef {object} Floor
 * @property {number} [threshold]
 * @property {Record<string, number>} [groups]
 * @property {number} [ttlSeconds]
 */

/**
 * @typedef {object} ApprovalCheck
 * @property {string} approval The answer of `GET /approvals/{id}` or of a claim, exactly as it came.
 * @property {string} id The approval that was requested.
 * @property {string} audience The deployment that the executor works for.
 * @property {Attempt} attempt What is about to run.
 * @property {Key[]} keys The approvers' keys that count, and revoked ones.
 * @property {string[]} [accept] Profiles; default `v2` alone.
 * @property {number} [now] Seconds since 1970; default the clock of this machine.
 * @property {number | null} [requestedAfter] The earliest request time that counts.
 * @property {Floor | null} [floor]
 * @property {string[] | null} [policies] Digests of policies, one of which must have set the requirement.
 */

/**
 * @typedef {object} ProvenApprover
 * @property {string} approver
 * @property {string} key_id
 * @property {string[]} groups
 * @property {string} profile
 * @property {string} algorithm
 */

/**
 * What the signatures prove. `context` and `plan` are canonical texts: run exactly these.
 *
 * @typedef {object} Proof
 * @property {string} approval_id
 * @property {string} request_digest
 * @property {string} requested_by
 * @property {string | number} requested_at
 * @property {string | number} expires_at
 * @property {{ ttl_seconds: number, threshold: number, groups: Record<string, number> }} requirement
 * @property {string | null} policy
 * @property {string | null} rule
 * @property {string} context
 * @property {string | null} plan
 * @property {ProvenApprover[]} approvers
 */

/**
 * @typedef {object} ReceiptCheck
 * @property {string} receipt The receipt, exactly as it came.
 * @property {string[]} logKeys Log keys as `signoff audit key` prints them. Without any, the receipt
 *   is only checked for consistency.
 * @property {string | null} [id]
 * @property {string | null} [audience]
 * @property {Key[] | null} [keys] Approvers' keys that the caller pins.
 * @property {string[]} [accept] Profiles; default `v2` alone.
 * @property {string | null} [checkpoint] A checkpoint of the log that the caller holds.
 * @property {string[] | null} [consistency] The proof that connects `checkpoint` with the receipt's.
 */

/**
 * What the signer of a module says about it.
 *
 * @typedef {object} Manifest
 * @property {string} key_id The signer's key.
 * @property {string} digest
 * @property {string} slot
 * @property {string} name
 * @property {string | number} version
 * @property {{ fuel: number, memory_bytes: number }} limits
 * @property {string[]} facts The facts that it reads.
 * @property {string | null} audience The deployment that it is for; null for any.
 * @property {string | number} created
 */

/**
 * The verifier. Methods are synchronous, and throw `Rejection` where the verifier refuses,
 * `VerifierTrapped` where it fails, and `Invalid` for arguments that cannot be sent.
 */
export class Verifier {
  #module;
  #digest;
  /** @type {Instance | null} */
  #idle;

  /**
   * Use `Verifier.load`.
   *
   * @param {WebAssembly.Module} module
   * @param {WebAssembly.Instance} instance
   * @param {string | null} digest
   */
  constructor(module, instance, digest) {
    this.#module = module;
    this.#idle = new Instance(instance);
    this.#digest = digest;
  }

  /**
   * Loads a verifier. Loading takes some milliseconds; one verifier serves a whole program.
   *
   * @param {VerifierSource} source
   * @returns {Promise<Verifier>}
   * @throws {import("./errors.js").Unavailable} `unreachable`: the bytes cannot be fetched or
   *   compiled, have another digest, or are not the verifier.
   */
  static async load(source) {
    optionsOf("source", source, SOURCE);
    if ("module" in source) return new this(source.module, await instantiate(source.module), null);
    const component = "bytes" in source ? new Uint8Array(source.bytes) : await download(source.url);
    const digest = await sha256(component);
    if (source.digest !== undefined && source.digest !== digest) {
      throw unusable(`expected the digest ${source.digest}, found ${digest}`);
    }
    const module = await compile(coreOf(component));
    return new this(module, await instantiate(module), digest);
  }

  /**
   * The SHA-256 of the component, which a server shows as `verifier`; null for a ready module, whose
   * bytes are not known.
   */
  get digestOfModule() {
    return this.#digest;
  }

  /**
   * Sends a request of `wit/wire.wit`, and returns the answer; both are texts.
   *
   * @param {string} request
   * @returns {string}
   * @throws {Invalid} `limit-exceeded`: over 17 MiB; the verifier answers so from 16 MiB on.
   *   `request-invalid`: a lone surrogate.
   * @throws {VerifierTrapped}
   */
  callText(request) {
    if (request.length > REQUEST_UNITS_MAX) throw invalid("limit-exceeded", "the request is longer than 17 MiB");
    if (!isWellFormed(request)) throw invalid("request-invalid", "the request contains a lone surrogate");
    // Only an instance that answered, and whose memory is small, is used again.
    const instance = this.#idle ?? new Instance(new WebAssembly.Instance(this.#module, {}));
    this.#idle = null;
    let answer;
    try {
      answer = instance.call(request);
    } catch (cause) {
      throw new VerifierTrapped({ code: "verifier-trapped", title: "Verifier failed", detail: "the verifier trapped", cause });
    }
    if (instance.memoryBytes <= MEMORY_MAX) this.#idle = instance;
    return answer;
  }

  /**
   * Calls an operation, such as `call("context.digest", {context: text})`. Names are those of `wit/`
   * in snake_case; JSON texts are passed as strings.
   *
   * @param {string} op
   * @param {{ [name: string]: unknown }} [args]
   * @returns {any} The value of `ok`. Whole numbers above 2^53 - 1 are `bigint`.
   * @throws {Rejection} The verifier refuses.
   * @throws {Invalid} `context-invalid`: the arguments have no JSON form.
   * @throws {VerifierTrapped}
   */
  call(op, args = {}) {
    const answer = /** @type {any} */ (parse(this.callText(encodeFast({ op, args }, { depth: REQUEST_DEPTH }))));
    if (answer.error !== undefined) throw new Rejection(answer.error.code, answer.error.message);
    return answer.ok;
  }

  /**
   * Returns the canonical form of a context or plan: what CPython's `json.dumps(…, sort_keys=True)`
   * prints.
   *
   * @param {Context} context
   * @returns {string}
   * @throws {Rejection} `context-invalid`.
   * @throws {Invalid} `context-invalid`, with the `path` of a value that has no JSON form.
   */
  canonicalize(context) {
    return this.call("context.canonicalize", { context: textOf(context) }).canonical;
  }

  /**
   * Returns the SHA-256 of the canonical form, in lower-case hex.
   *
   * @param {Context} context
   * @returns {string}
   * @throws {Rejection} `context-invalid`.
   * @throws {Invalid} `context-invalid`, with the `path` of a value that has no JSON form.
   */
  digest(context) {
    return this.call("context.digest", { context: textOf(context) }).digest;
  }

  /**
   * Returns the message that a signature covers.
   *
   * @param {Statement} statement
   * @param {"v1" | "v2"} profile
   * @returns {{ profile: string, base64url: string, text: string | null }}
   * @throws {Rejection} As `signing.payload`.
   */
  payload(statement, profile) {
    return this.call("signing.payload", { statement, profile });
  }

  /**
   * Returns the signature of a statement. The material of an Ed25519 key is its private seed here.
   *
   * @param {Statement} statement
   * @param {"v1" | "v2"} profile
   * @param {Key} key
   * @returns {string}
   * @throws {Rejection} As `signing.sign`.
   */
  sign(statement, profile, key) {
    return this.call("signing.sign", { statement, profile, key: wireKey(key) }).signature;
  }

  /**
   * Verifies a signature, and returns the id of the key that made it.
   *
   * @param {Statement} statement
   * @param {string} signature
   * @param {Key[]} keys
   * @param {string[]} [accept] Profiles; default `v2` alone.
   * @returns {string}
   * @throws {Rejection} As `signing.verify`.
   */
  verify(statement, signature, keys, accept = ["v2"]) {
    return this.call("signing.verify", { statement, signature, keys: keys.map(wireKey), accept }).key_id;
  }

  /**
   * Verifies that an executor may run an attempt, and returns what is proven.
   *
   * @param {ApprovalCheck} check
   * @returns {Proof}
   * @throws {Invalid} `request-invalid`: an unknown or mistyped member.
   * @throws {Rejection} As `approval.verify`.
   */
  verifyApproval(check) {
    const { approval, id, audience, attempt, keys, accept, now = clock(), requestedAfter, floor, policies } =
      optionsOf("check", check, CHECK);
    const { agent, action, context, plan = null, executionId = null } = optionsOf("attempt", attempt, ATTEMPT);
    return this.call("approval.verify", {
      approval,
      id,
      audience,
      attempt: {
        agent,
        action,
        context: textOf(context),
        ...(plan === null ? {} : { plan: textOf(plan) }),
        ...(executionId === null ? {} : { execution_id: executionId }),
      },
      keys: keys.map(wireKey),
      accept: accept ?? null,
      now,
      requested_after: requestedAfter ?? null,
      floor: floor ? wireFloor(floor) : null,
      policies: policies ?? null,
    });
  }

  /**
   * Verifies a receipt, and returns the report of `receipt.verify`.
   *
   * @param {ReceiptCheck} check
   * @returns {{ [name: string]: any }}
   * @throws {Invalid} `request-invalid`: an unknown or mistyped member.
   * @throws {Rejection} As `receipt.verify`.
   */
  verifyReceipt(check) {
    const { receipt, logKeys, id, audience, keys, accept = ["v2"], checkpoint, consistency } = optionsOf("check", check, RECEIPT);
    return this.call("receipt.verify", {
      // The server and files end it with a line feed, which the verifier refuses.
      receipt: withoutSpace(receipt),
      log_keys: logKeys,
      id: id ?? null,
      audience: audience ?? null,
      keys: keys?.map(wireKey) ?? null,
      accept,
      checkpoint: checkpoint ?? null,
      consistency: consistency ?? null,
    });
  }

  /**
   * Verifies the signed manifest of a module, and returns it.
   *
   * @param {{ manifest: string, digest: string, slot: "policy" | "verifier", audience?: string | null, keys: Key[] }} check
   *   `digest`: the SHA-256 of the bytes that the caller has. `keys`: the signers that the caller trusts.
   * @returns {Manifest}
   * @throws {Invalid} `request-invalid`: an unknown or mistyped member.
   * @throws {Rejection} As `manifest.verify`.
   */
  verifyManifest(check) {
    const { manifest, digest, slot, audience = null, keys } = optionsOf("check", check, MANIFEST);
    return this.call("manifest.verify", { manifest, digest, slot, audience, keys: keys.map(wireKey) });
  }
}

/**
 * Returns the text of a context: a string is taken as the text itself.
 *
 * @param {Context} context
 * @returns {string}
 */
export function textOf(context) {
  return typeof context === "string" ? context : encode(context);
}

/**
 * Returns a JSON text without white space before and after it.
 *
 * @param {string} text
 */
function withoutSpace(text) {
  const isSpace = (/** @type {number} */ at) => " \t\r\n".includes(text.charAt(at));
  let [start, end] = [0, text.length];
  while (start < end && isSpace(start)) start++;
  while (end > start && isSpace(end - 1)) end--;
  return text.slice(start, end);
}

/** The time in whole seconds since 1970. */
function clock() {
  return Math.floor(Date.now() / 1000);
}

/**
 * @param {Key} key
 * @returns {Key} Without other members, which the verifier refuses.
 */
function wireKey({ id, algorithm, material, status, use, approver = null, groups = [] }) {
  return { id, algorithm, material, status, use, approver, groups };
}

/** @param {Floor} floor */
function wireFloor(floor) {
  const { threshold, groups, ttlSeconds } = floorOf(floor);
  return {
    ...(threshold === undefined ? {} : { threshold }),
    ...(groups === undefined ? {} : { groups }),
    ...(ttlSeconds === undefined ? {} : { ttl_seconds: ttlSeconds }),
  };
}

/** @param {Uint8Array} core */
async function compile(core) {
  try {
    return await WebAssembly.compile(/** @type {Uint8Array<ArrayBuffer>} */ (core));
  } catch (cause) {
    throw unusable("cannot be compiled; a page needs `script-src 'wasm-unsafe-eval'`", cause);
  }
}

/** @param {WebAssembly.Module} module */
async function instantiate(module) {
  const imports = WebAssembly.Module.imports(module);
  if (imports.length > 0) throw unusable(`the module imports \`${imports[0]?.module}\`; it must import nothing`);
  return WebAssembly.instantiate(module, {});
}

/**
 * @param {string | URL} url
 * @returns {Promise<Uint8Array>}
 */
async function download(url) {
  let response;
  try {
    response = await fetch(url, { redirect: "error", credentials: "same-origin" });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw unusable("cannot be fetched", cause);
  }
  throw unusable(`cannot be fetched: the status is ${response.status}`);
}

/**
 * @param {string} code
 * @param {string} detail
 */
function invalid(code, detail) {
  return new Invalid({ code, detail });
}
