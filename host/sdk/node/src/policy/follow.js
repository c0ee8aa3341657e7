/** Follows the server's active policy, and says whether it may be evaluated here now. */

import { objectOf } from "../answers.js";
import { sha256, solePolicyCore } from "../component.js";
import { Rejection, SignoffError, TimedOut, Unavailable } from "../errors.js";
import { backoff } from "../http.js";
import { encode, rawJson } from "../json.js";
import { checkShape } from "./instance.js";
import { Pause } from "./pause.js";
import { moduleInvalid, untrusted } from "./problems.js";

const DIGEST = /^[0-9a-f]{64}$/;
/** The longest poll that the server takes, in seconds. */
const POLL_SECONDS_MAX = 60;
/** How long `client.policy` waits for a server that does not answer, in seconds. */
const FIRST_SECONDS_MAX = 5;
/** The largest module that a server takes. */
const MODULE_BYTES_MAX = 64 * 1024 * 1024;
const FACTS_BYTES_MAX = 16 * 1024;
/** How far the clocks may differ: the server refuses reports of a later future. */
const CLOCK_SKEW_SECONDS = 300;
/** Facts of every server; `claimed_by` only has a value at a claim. */
const FACTS = ["requester", "claimed_by"];

/**
 * An active policy that may be evaluated here.
 *
 * @typedef {object} Usable
 * @property {string} digest
 * @property {string | null} facts The canonical text; null where they depend on the agent.
 * @property {import("./inplace.js").Evaluator} evaluator
 */

/**
 * @typedef {object} FollowOptions
 * @property {import("../http.js").Http} http
 * @property {import("../verifier.js").Verifier} verifier
 * @property {import("../verifier.js").Key[]} signers
 * @property {string} audience
 * @property {number} maxStale Seconds.
 * @property {() => number} clock Milliseconds since 1970.
 * @property {(module: WebAssembly.Module, memoryMax: number) => import("./inplace.js").Evaluator} start
 * @property {(error: unknown) => void} onError
 * @property {(digest: string | null) => void} onChange
 */

export class Follower {
  #options;
  #pause = new Pause();
  #controller = new AbortController();
  /** The first time of either clock at which the policy is stale, in milliseconds. */
  #staleAt = { monotonic: -Infinity, wall: -Infinity };
  /** @type {string | null} */
  #digest = null;
  #manifest = "";
  /** @type {import("./inplace.js").Evaluator | null} */
  #evaluator = null;
  /** @type {string | null} */
  #facts = null;
  #ready = false;
  /** Whether the policy must be fetched again. */
  #again = false;
  /** @type {string[]} */
  #needed = [];
  #failures = 0;
  /** @type {SignoffError | null} */
  #problem = null;
  /** @type {Promise<void>} */
  #loop = Promise.resolve();

  /** @param {FollowOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** Polls once, and then until `close`. Resolves after the first poll, whether or not it was answered. */
  async start() {
    this.#loop = this.#follow(await this.#step(true));
  }

  async close() {
    this.#controller.abort();
    this.#pause.wake();
    await this.#loop;
    await this.#evaluator?.close();
  }

  /** The digest of the active policy, as far as known; null without one. */
  get digest() {
    return this.#digest;
  }

  /** Why the policy is not evaluated here, or null. */
  get problem() {
    if (this.#problem !== null || this.#digest === null || this.#isFresh) return this.#problem;
    return new Unavailable({ code: "unreachable", detail: `the server did not answer for ${this.#options.maxStale} s` });
  }

  get #isFresh() {
    // The monotonic clock stops while the machine sleeps, and the wall clock may be set back.
    const { monotonic, wall } = this.#staleAt;
    return performance.now() < monotonic && this.#options.clock() < wall && !this.#controller.signal.aborted;
  }

  /**
   * The policy, while it may be evaluated here.
   *
   * @returns {Usable | null}
   */
  get usable() {
    if (!this.#isFresh || !this.#ready || this.#digest === null || this.#evaluator === null) return null;
    return { digest: this.#digest, facts: this.#facts, evaluator: this.#evaluator };
  }

  /** @param {number} pause */
  async #follow(pause) {
    while (!this.#controller.signal.aborted) {
      await this.#pause.sleep(pause);
      if (!this.#controller.signal.aborted) pause = await this.#step(false);
    }
  }

  /**
   * Polls once, and returns the seconds until the next poll.
   *
   * @param {boolean} isFirst The first poll does not wait for a change.
   */
  async #step(isFirst) {
    const third = this.#options.maxStale / 3;
    const seconds = isFirst ? 0 : Math.min(POLL_SECONDS_MAX, Math.floor(third));
    const before = this.#digest;
    const sent = performance.now();
    const sentAt = this.#options.clock();
    try {
      const longest = isFirst ? Math.min(FIRST_SECONDS_MAX, third) : seconds + third;
      await this.#poll(seconds, { monotonic: sent, wall: sentAt }, Math.max(1, longest));
      this.#failures = 0;
    } catch (error) {
      if (this.#controller.signal.aborted) return 0;
      this.#problem = error instanceof SignoffError ? error : new Unavailable({ code: "unreachable", cause: error });
      // Only the first of a row: the server may be away for long.
      if (this.#failures === 0) this.#options.onError(this.#problem);
      return Math.min(third, backoff(this.#failures++));
    }
    if (isFirst || this.#digest !== before) return 0;
    // An answer that came early although nothing changed.
    return Math.max(0, Math.min(third, POLL_SECONDS_MAX) - (performance.now() - sent) / 1000);
  }

  /**
   * @param {number} seconds
   * @param {{ monotonic: number, wall: number }} sent Milliseconds.
   * @param {number} timeout Seconds.
   */
  async #poll(seconds, sent, timeout) {
    const query = seconds > 0 ? `?wait=${seconds}&while=${this.#digest ?? "none"}` : "";
    const { http, clock } = this.#options;
    const call = { method: "GET", path: `/api/v1/guardrails/policy${query}` };
    const answer = objectOf(await http.call(call, { timeout, signal: this.#controller.signal }));
    // What follows may refuse this answer, and then the policy of the one before is not used either.
    this.#ready = false;
    const { digest, manifest } = activeOf(answer);
    const before = this.#digest;
    if (digest !== before || manifest !== this.#manifest || this.#again) await this.#replace(digest, manifest);
    if (this.#evaluator !== null) {
      this.#facts = this.#factsOf(answer);
      this.#checkAnswer(answer, Date.parse(answer.at) / 1000 - clock() / 1000);
      this.#problem = null;
    }
    this.#ready = true;
    const fresh = this.#options.maxStale * 1000;
    this.#staleAt = { monotonic: sent.monotonic + fresh, wall: sent.wall + fresh };
    if (digest !== before) this.#options.onChange(digest);
  }

  /**
   * @param {string | null} digest
   * @param {string} manifest
   */
  async #replace(digest, manifest) {
    await this.#evaluator?.close();
    this.#evaluator = null;
    [this.#digest, this.#manifest, this.#again] = [digest, manifest, false];
    this.#problem = null;
    if (digest === null) return;
    try {
      this.#evaluator = await this.#load(digest, manifest);
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      this.#problem = refusalOf(error);
      // Bytes that could not be fetched are fetched again with the next poll.
      this.#again = error instanceof Unavailable || error instanceof TimedOut;
      this.#options.onError(this.#problem);
    }
  }

  /**
   * @param {string} digest
   * @param {string} manifest
   */
  async #load(digest, manifest) {
    const { http, verifier, signers, audience, start } = this.#options;
    const signed = verifier.verifyManifest({ manifest, digest, slot: "policy", audience, keys: signers });
    this.#needed = signed.facts ?? [];
    const call = { method: "GET", path: `/api/v1/guardrails/policy/${digest}/wasm` };
    const wasm = await http.download(call, MODULE_BYTES_MAX, { signal: this.#controller.signal });
    if ((await sha256(wasm)) !== digest) throw untrusted("the bytes of the policy have another digest");
    const core = solePolicyCore(wasm);
    if (core === null) throw moduleInvalid("only a component of one core module without imports can");
    const module = await compile(core);
    checkShape(module);
    return start(module, signed.limits.memory_bytes);
  }

  /**
   * @param {any} answer
   * @returns {string | null}
   */
  #factsOf({ facts }) {
    if (facts === null) return null;
    const text = encode(facts);
    const canonical = this.#options.verifier.canonicalize(rawJson(text));
    if (new TextEncoder().encode(canonical).length > FACTS_BYTES_MAX) throw untrusted("the facts are longer than 16 KiB");
    return canonical;
  }

  /**
   * @param {any} answer
   * @param {number} ahead Seconds.
   */
  #checkAnswer({ audience, facts }, ahead) {
    if (audience !== this.#options.audience) throw untrusted("the server is another deployment");
    const missing = this.#needed.find((fact) => !FACTS.includes(fact) && !Object.hasOwn(facts ?? {}, fact));
    if (missing !== undefined) throw moduleInvalid("the server does not provide all of its facts");
    if (!(Math.abs(ahead) <= CLOCK_SKEW_SECONDS)) throw untrusted(`the clocks differ by more than ${CLOCK_SKEW_SECONDS} s`);
  }
}

/**
 * @param {any} answer
 * @returns {{ digest: string | null, manifest: string }}
 */
function activeOf({ policy }) {
  if (policy === null) return { digest: null, manifest: "" };
  const { digest, manifest } = policy ?? {};
  if (typeof digest !== "string" || !DIGEST.test(digest)) throw untrusted("the answer names no policy");
  return { digest, manifest: encode(manifest ?? null) };
}

/** @param {Uint8Array} core */
async function compile(core) {
  try {
    return await WebAssembly.compile(/** @type {Uint8Array<ArrayBuffer>} */ (core));
  } catch (cause) {
    throw moduleInvalid("it cannot be compiled", cause);
  }
}

/** @param {unknown} error */
function refusalOf(error) {
  if (error instanceof Rejection) return untrusted(`the manifest is not accepted: ${error.detail}`);
  return error instanceof SignoffError ? error : moduleInvalid("it cannot be loaded", error);
}
