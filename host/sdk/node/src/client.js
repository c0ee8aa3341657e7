/** The client of the HTTP API. */

import { approvalOf, evaluationOf, isApprovalId, keysOf, objectOf, pageOf, verificationOf } from "./answers.js";
import { Invalid, NotFound } from "./errors.js";
import { events } from "./events.js";
import { guard, guardDecision, guardRequest, guardVerdict } from "./guard.js";
import { Http } from "./http.js";
import { encode, RawJson, rawJson } from "./json.js";
import { Limit } from "./limit.js";
import { pinnedKeys, signerKeys } from "./keys.js";
import { ACTION, any, CALL, callback, flag, optionsOf, REQUEST, seconds, signal as signalKind, text, wholeOrText } from "./options.js";
import { fetchTransport, isPrivate, serverUrl } from "./transport.js";

/** The server waits this long for one long poll, in seconds. */
const POLL_SECONDS = 50;
/** The pause after a poll that the server answered at once although nothing changed. */
const POLL_PAUSE_SECONDS = 1;

export const CLIENT = { token: text, insecureHttp: flag, verifier: any, keys: any, audience: text, timeout: seconds, transport: callback, clock: callback };
export const POLICY = { signers: any, audience: text, maxStale: seconds, onError: callback, onChange: callback };
const WAIT = { timeout: seconds, signal: signalKind };
const EVENTS = { after: wholeOrText, signal: signalKind, timeout: seconds };

/** @typedef {import("./answers.js").Approval} Approval */
/** @typedef {import("./http.js").CallOptions} CallOptions */
/** @typedef {import("./verifier.js").Context} Context */

/**
 * @typedef {object} ClientOptions
 * @property {string | null} [token]
 * @property {boolean} [insecureHttp] Sends the token over plain HTTP to another machine.
 * @property {import("./verifier.js").Verifier | (() => Promise<import("./verifier.js").Verifier>)} [verifier]
 *   For guards; loaded when first needed.
 * @property {unknown} [keys] The pinned approvers' keys: what `signoff key list --json` or `signoff
 *   key generate` prints, parsed. Without them, a guard trusts the server.
 * @property {string | null} [audience] The deployment that this executor works for.
 * @property {number} [timeout] Seconds for each call with its retries, also those of a guard; default 30.
 * @property {import("./transport.js").Transport} [transport] Default: `fetch`.
 * @property {() => number} [clock] Milliseconds since 1970; default `Date.now`.
 */

/**
 * What an environment offers to local policies: where decisions are kept, and how a policy runs.
 *
 * @typedef {object} PolicyEnvironment
 * @property {import("./policy/memory.js").Queue} queue
 * @property {import("./policy/local.js").PolicyParts["start"]} start
 */

/**
 * @typedef {object} ActionFields
 * @property {string} agent
 * @property {string} action
 * @property {Context} context
 * @property {Context | null} [plan] What will be executed exactly.
 */

/**
 * @typedef {object} RequestFields
 * @property {string | null} [reason] For approvers; at most 4 KiB.
 * @property {number} [expiresInSeconds] 1 to 604800.
 * @property {number} [threshold] The number of approvers.
 * @property {Record<string, number>} [groups] The minimum of each group.
 */

/** A client of one server. It prints no token. */
export class Client {
  #http;
  #guard;

  /**
   * @param {string} url `http://…` or `https://…`, with a path if the server is behind one.
   * @param {ClientOptions} [given]
   * @throws {Invalid} `request-invalid`: a malformed URL or token, a token for another machine
   *   without TLS, malformed keys, or an unknown or mistyped option.
   */
  constructor(url, given = {}) {
    const options = optionsOf("client", given, CLIENT);
    const { token = null, insecureHttp = false, keys = null, audience = null, clock = Date.now } = options;
    if (token !== null && !/^[!-~]{1,4096}$/.test(token)) throw invalid("the token is malformed");
    this.#http = new Http(options.transport ?? overFetch(url, token, insecureHttp), token, options.timeout);
    this.#guard = {
      keys: keys === null ? null : pinnedKeys(keys),
      audience,
      clock,
      timeout: this.#http.timeout,
      verifier: verifierOf(options.verifier),
    };
  }

  /**
   * Requests an approval.
   *
   * @param {ActionFields & RequestFields & CallOptions} fields
   * @returns {Promise<Approval>}
   */
  async request(fields) {
    const { agent, action, context, plan, reason, expiresInSeconds, threshold, groups, ...options } =
      optionsOf("request", fields, { ...ACTION, ...REQUEST, ...CALL });
    const requirement = { ...present({ threshold, groups }) };
    const body = {
      ...attempt({ agent, action, context, plan }),
      ...present({ reason, expires_in_seconds: expiresInSeconds }),
      ...(Object.keys(requirement).length === 0 ? {} : { requirement }),
    };
    return approvalOf(await this.#post("/approvals", body, options));
  }

  /**
   * Returns an approval.
   *
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Approval>}
   */
  async get(id, options) {
    return approvalOf(await this.#get(path(id), options));
  }

  /**
   * Returns a page of approvals, newest first, without context and plan.
   *
   * @param {{ status?: string, agent?: string, action?: string, prefix?: string, limit?: number, cursor?: string }
   *   & CallOptions} [filter] `cursor` is the `nextCursor` of the page before.
   * @returns {Promise<import("./answers.js").Page>}
   */
  async list({ status, agent, action, prefix, limit, cursor, ...options } = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(present({ status, agent, action, prefix, limit, cursor }))) {
      query.set(name, String(value));
    }
    return pageOf(await this.#get(`/approvals?${query}`, options));
  }

  /**
   * Waits until an approval is no longer pending, or has expired, and returns it.
   *
   * @param {string} id
   * @param {{ timeout?: number, signal?: AbortSignal }} [options] `timeout` in seconds; default
   *   until the approval expires.
   * @returns {Promise<Approval>}
   * @throws {TimedOut} `timed-out`: still pending.
   */
  async wait(id, options = {}) {
    const { timeout = Infinity, signal } = optionsOf("options", options, WAIT);
    const limit = new Limit(timeout, signal);
    try {
      for (;;) {
        const started = performance.now();
        const seconds = Math.max(0, Math.min(POLL_SECONDS, Math.floor(limit.left)));
        const approval = await this.#poll(id, seconds, limit);
        if (approval.status !== "pending" || Date.parse(approval.expires_at) <= this.#guard.clock()) return approval;
        limit.signal.throwIfAborted();
        if (performance.now() - started < POLL_PAUSE_SECONDS * 1000) await limit.sleep(POLL_PAUSE_SECONDS);
      }
    } catch (error) {
      throw limit.signal.aborted ? limit.signal.reason : error;
    } finally {
      limit.end();
    }
  }

  /**
   * @param {string} id
   * @param {number} seconds
   * @param {Limit} limit
   */
  async #poll(id, seconds, limit) {
    // The server may take as long as it was asked to, and then as long as for other calls.
    const options = { timeout: seconds + this.#http.timeout, signal: limit.signal };
    return approvalOf(await this.#get(`${path(id)}?wait=${seconds}&while=pending`, options));
  }

  /**
   * Casts a ballot.
   *
   * @param {string} id
   * @param {{ decision: "approved" | "rejected", signature: string, approver?: string, comment?: string }
   *   & CallOptions} ballot
   * @returns {Promise<Approval>}
   */
  async decide(id, { decision, signature, approver, comment, ...options }) {
    const body = { decision, signature, ...present({ approver, comment }) };
    return approvalOf(await this.#post(`${path(id)}/approve`, body, options));
  }

  /**
   * Asks the server whether an executor may proceed now. Members that are present must match.
   *
   * @param {string} id
   * @param {{ signature: string, agent?: string, action?: string, context?: Context, plan?: Context | null }
   *   & CallOptions} attempt
   * @returns {Promise<import("./answers.js").Verification>}
   */
  async verify(id, { signature, agent, action, context, plan, ...options }) {
    const texts = { context: context == null ? null : json(context), plan: plan == null ? null : json(plan) };
    const body = encode({ signature, ...present({ agent, action, ...texts }) });
    return verificationOf(await this.#http.call({ method: "POST", path: api(`${path(id)}/verify`), body }, options));
  }

  /**
   * Claims an approval for one execution. The approval is used up, whether or not the action runs.
   *
   * @param {string} id
   * @param {ActionFields & { leaseSeconds?: number } & CallOptions} fields
   * @returns {Promise<Approval>} With `execution`, and without context and plan.
   */
  async claim(id, { agent, action, context, plan, leaseSeconds, ...options }) {
    const body = { ...attempt({ agent, action, context, plan }), ...present({ lease_seconds: leaseSeconds }) };
    return approvalOf(await this.#post(`${path(id)}/execute`, body, options));
  }

  /**
   * Reports how an execution ended.
   *
   * @param {string} id
   * @param {{ executionId: string, outcome: "succeeded" | "failed", detail?: string } & CallOptions} fields
   * @returns {Promise<Approval>}
   */
  async report(id, { executionId, outcome, detail, ...options }) {
    const body = { execution_id: executionId, outcome, ...present({ detail }) };
    return approvalOf(await this.#post(`${path(id)}/outcome`, body, options));
  }

  /**
   * Withdraws an approval before it is claimed.
   *
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Approval>}
   */
  async withdraw(id, options) {
    return approvalOf(await this.#post(`${path(id)}/withdraw`, {}, options));
  }

  /**
   * Moves the expiry to a later time, as long as there is no ballot.
   *
   * @param {string} id
   * @param {number} seconds The new lifetime, counted from now.
   * @param {CallOptions} [options]
   * @returns {Promise<Approval>}
   */
  async extend(id, seconds, options) {
    return approvalOf(await this.#post(`${path(id)}/extend`, { expires_in_seconds: seconds }, options));
  }

  /**
   * Returns a receipt as it came, for `Verifier.verifyReceipt`.
   *
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<string>}
   */
  async receipt(id, options) {
    const answer = await this.#get(`${path(id)}/receipt`, options);
    objectOf(answer);
    return answer.text;
  }

  /**
   * Lists the server's keys. Do not pin what this returns: pinned keys come from the approvers.
   *
   * @param {CallOptions} [options]
   * @returns {Promise<import("./answers.js").ListedKey[]>}
   */
  async keys(options) {
    return keysOf(await this.#get("/keys", options));
  }

  /**
   * Evaluates the policy for an attempt.
   *
   * @param {ActionFields & CallOptions} fields
   * @returns {Promise<import("./answers.js").Evaluation>}
   */
  async evaluate({ agent, action, context, plan, ...options }) {
    const body = attempt({ agent, action, context, plan });
    return evaluationOf(await this.#post("/guardrails/evaluate", body, options));
  }

  /**
   * Evaluates the server's active policy in this process, for executors that cannot ask for each
   * action. Follows the policy until it is closed.
   *
   * @param {import("./policy/local.js").PolicyOptions} given
   * @param {PolicyEnvironment} [environment] Default: decisions are kept in memory, and the policy runs
   *   in the calling thread.
   * @returns {Promise<import("./policy/local.js").LocalPolicy>} Also while the server is unreachable:
   *   `problem` says why the policy is not evaluated here yet.
   * @throws {Invalid} `request-invalid`: an unknown or mistyped option, malformed signers, no audience, or
   *   no `verifier`.
   */
  async policy(given, environment) {
    const options = optionsOf("policy", given, POLICY);
    // Loaded only by programs that have local policies.
    const [{ LocalPolicy }, { MemoryQueue }, { inPlace }] = await Promise.all([
      import("./policy/local.js"),
      import("./policy/memory.js"),
      import("./policy/inplace.js"),
    ]);
    const { verifier, clock, audience } = this.#guard;
    const parts = {
      http: this.#http,
      verifier: await verifier(),
      ask: (/** @type {ActionFields & CallOptions} */ fields) => this.evaluate(fields),
      clock,
      signers: signerKeys(options.signers),
      ...(environment ?? { queue: new MemoryQueue(), start: inPlace }),
    };
    return new LocalPolicy(parts, { ...options, audience: options.audience ?? audience }).start();
  }

  /**
   * Streams the audit log, and reconnects where it stopped. Ends when the signal aborts, with its
   * reason, or when the loop is left.
   *
   * @param {{ after?: string | number, signal?: AbortSignal, timeout?: number }} [options] `after`: the
   *   id of the last event that is known, `0` for all; default only new events. `timeout`: the
   *   seconds without a connection after which it fails; default 30.
   * @returns {AsyncGenerator<import("./events.js").LogEvent, never, undefined>}
   */
  events(options = {}) {
    return events(this.#http, api("/events"), optionsOf("events", options, EVENTS));
  }

  /**
   * Requests an approval, waits for it, verifies it, claims it, calls the function, and reports the
   * outcome. The function is called at most once.
   *
   * @template T
   * @param {import("./guard.js").GuardOptions} options
   * @param {(execution: import("./execution.js").Execution) => T | Promise<T>} run Works on the execution's
   *   `context`, never on the object that the caller passed.
   * @returns {Promise<T>} What the function returned.
   * @throws {import("./errors.js").SignoffError} Nothing ran; or what the function threw.
   */
  guard(options, run) {
    return guard(this, this.#guard, options, run);
  }

  /**
   * Evaluates the `policy` of a guard with these options, and requests nothing. Without a `policy` every
   * action needs an approval.
   *
   * @param {import("./guard.js").GuardOptions} options
   * @returns {Promise<import("./guard.js").GuardVerdict>}
   */
  async guardVerdict(options) {
    return guardVerdict(this, this.#guard, options);
  }

  /**
   * Requests the approval that a guard with these options and their `callId` finds later, and does not
   * wait. The policy is not evaluated.
   *
   * @param {import("./guard.js").GuardOptions & { callId: string }} options
   * @returns {Promise<Approval>} As it was requested, for `wait`.
   * @throws {Invalid} `request-invalid`: no `callId`.
   */
  async guardRequest(options) {
    if (typeof options?.callId !== "string") throw invalid("guard: `callId` is missing");
    return guardRequest(this, this.#guard, options);
  }

  /**
   * Requests the approval that a guard with these options and their `callId` finds later, waits until it is
   * decided, and checks it as that guard does before its claim. Nothing is claimed, and nothing withdrawn: an
   * approval that stays undecided can be waited for again. The policy is not evaluated.
   *
   * @param {import("./guard.js").GuardOptions & { callId: string }} options Its `timeout` ends the wait only: with 0
   *   the approval is requested all the same.
   * @returns {Promise<{ id: string, approvers: import("./check.js").Approver[] }>} The approval, and who approved.
   * @throws {Invalid} `request-invalid`: no `callId`. Otherwise what `guard` throws.
   */
  async guardDecision(options) {
    if (typeof options?.callId !== "string") throw invalid("guard: `callId` is missing");
    return guardDecision(this, this.#guard, options);
  }

  /**
   * Returns a function that passes `guard` with each call.
   *
   * @template {any[]} A
   * @template T
   * @param {(execution: import("./execution.js").Execution) => T | Promise<T>} run
   * @param {Omit<import("./guard.js").GuardOptions, "context" | "plan" | "reason"> & {
   *   context: (...args: A) => Context,
   *   plan?: (...args: A) => Context | null,
   *   reason?: string | ((...args: A) => string),
   * }} options `context`, `plan` and `reason` are made from the arguments of the call.
   * @returns {(...args: A) => Promise<T>}
   */
  guarded(run, { context, plan, reason, ...options }) {
    return async (...args) =>
      this.guard(
        {
          ...options,
          context: context(...args),
          plan: plan?.(...args) ?? null,
          reason: (typeof reason === "function" ? reason(...args) : reason) ?? null,
        },
        run,
      );
  }

  /**
   * @param {string} route
   * @param {CallOptions} [options]
   */
  #get(route, options) {
    return this.#http.call({ method: "GET", path: api(route) }, options);
  }

  /**
   * @param {string} route
   * @param {object} body
   * @param {CallOptions} [options]
   */
  #post(route, body, options) {
    // Contexts in it are texts already, which `json` checked.
    return this.#http.call({ method: "POST", path: api(route), body: encode(body), keyed: true }, options);
  }
}

/**
 * @param {string} url
 * @param {string | null} token
 * @param {boolean} insecureHttp
 */
function overFetch(url, token, insecureHttp) {
  const base = serverUrl(url);
  if (base === null) throw invalid("the URL must be `http://…` or `https://…`, without user, query and fragment");
  if (token !== null && !insecureHttp && !isPrivate(base)) {
    throw invalid("a token goes over plain HTTP to another machine only with `insecureHttp`");
  }
  return fetchTransport(base, { withCookies: token === null });
}

/** @param {ClientOptions["verifier"]} given */
function verifierOf(given) {
  /** @type {Promise<import("./verifier.js").Verifier> | null} */
  let loaded = null;
  return () => {
    if (given === undefined) return Promise.reject(invalid("a guard needs a `verifier`"));
    loaded ??= typeof given === "function" ? given() : Promise.resolve(given);
    // A load that failed is tried again by the next guard.
    loaded.catch(() => (loaded = null));
    return loaded;
  };
}

/** @param {string} route */
function api(route) {
  return `/api/v1${route}`;
}

/**
 * @param {string} id
 * @throws {NotFound} As the server answers for a malformed id.
 */
function path(id) {
  if (!isApprovalId(id)) throw new NotFound({ code: "not-found", title: "Approval not found", detail: "the id is malformed" });
  return `/approvals/${id}`;
}

/** @param {ActionFields} fields */
function attempt({ agent, action, context, plan }) {
  return { agent, action, context: json(context), ...present({ plan: plan == null ? null : json(plan) }) };
}

/**
 * Serializes a context once.
 *
 * @param {Context} context
 * @returns {RawJson}
 */
function json(context) {
  if (context instanceof RawJson) return context;
  return rawJson(typeof context === "string" ? context : encode(context));
}

/**
 * @template {object} T
 * @param {T} fields
 * @returns {Partial<T>} Without those that are unset.
 */
function present(fields) {
  return /** @type {Partial<T>} */ (Object.fromEntries(Object.entries(fields).filter(([, value]) => value != null)));
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail });
}
