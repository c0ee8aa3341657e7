/** One call to the server: headers, retries, limits, and errors. */

import { errorOf, printable, SignoffError, TimedOut, Unavailable } from "./errors.js";
import { parse } from "./json.js";
import { Limit } from "./limit.js";
import { CALL, optionsOf } from "./options.js";

const ANSWER_MAX = 16 * 1024 * 1024;
const TIMEOUT_SECONDS = 30;
/** Pauses between tries without `Retry-After`: the first, doubled up to the longest. */
const PAUSE_FIRST_SECONDS = 0.1;
const PAUSE_MAX_SECONDS = 5;

/**
 * What every method of the client takes.
 *
 * @typedef {object} CallOptions
 * @property {number} [timeout] Seconds for the call with its retries; default the client's.
 * @property {AbortSignal} [signal] Ends the call; its reason is thrown.
 * @property {string} [idempotencyKey] Default: a new one for each call, kept over its retries.
 */

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {string | null} [body] A JSON text.
 * @property {boolean} [keyed] Whether an idempotency key is sent.
 * @property {Record<string, string>} [headers]
 */

/** @typedef {{ text: string, requestId: string | null }} Answer */

/** Sends calls over a transport. */
export class Http {
  #transport;
  #token;

  /**
   * @param {import("./transport.js").Transport} transport
   * @param {string | null} token
   * @param {number} [timeout] Seconds for a call with its retries that has no other limit.
   */
  constructor(transport, token, timeout = TIMEOUT_SECONDS) {
    this.#transport = transport;
    this.#token = token;
    this.timeout = timeout;
  }

  /**
   * Sends a call until it is answered, and returns the answer's text.
   *
   * Retried are connections that could not be made or broke, and 429 and 503 with `Retry-After`.
   *
   * @param {Call} call
   * @param {CallOptions} [options]
   * @returns {Promise<Answer>}
   * @throws {import("./errors.js").Invalid} `request-invalid`: an unknown or mistyped option.
   * @throws {SignoffError} The server's refusal, by its code.
   * @throws {Unavailable} `unreachable`: no connection in time, more than 16 MiB, a redirect, or an
   *   answer that is not JSON.
   * @throws {TimedOut} `timed-out`
   */
  async call(call, options = {}) {
    const { timeout = this.timeout, signal, idempotencyKey } = optionsOf("options", options, CALL);
    const limit = new Limit(timeout, signal);
    try {
      const headers = this.#headers(call, idempotencyKey);
      return await retry(limit, async () => {
        const incoming = await this.#send(call, headers, limit.signal);
        const answer = { text: await textOf(incoming), requestId: incoming.header("x-request-id") };
        if (incoming.status !== 200 && incoming.status !== 201) throw refusalOf(incoming, answer);
        if (!isJson(incoming)) throw unusable("the answer is not JSON", answer, incoming.status);
        return answer;
      });
    } finally {
      limit.end();
    }
  }

  /**
   * Downloads bytes, with the retries of `call`.
   *
   * @param {Call} call
   * @param {number} max The largest number of bytes.
   * @param {CallOptions} [options]
   * @returns {Promise<Uint8Array>}
   * @throws {SignoffError} As `call`.
   */
  async download(call, max, { timeout = this.timeout, signal } = {}) {
    const limit = new Limit(timeout, signal);
    try {
      const headers = this.#headers({ ...call, headers: { Accept: "application/wasm" } });
      return await retry(limit, async () => {
        const incoming = await this.#send(call, headers, limit.signal);
        if (incoming.status === 200) return await bytesOf(incoming, max);
        throw refusalOf(incoming, { text: await textOf(incoming), requestId: incoming.header("x-request-id") });
      });
    } finally {
      limit.end();
    }
  }

  /**
   * Opens a stream of events.
   *
   * @param {Call} call
   * @param {AbortSignal} signal
   * @returns {Promise<AsyncIterable<Uint8Array>>}
   * @throws {SignoffError} As `call`, without retries.
   */
  async open(call, signal) {
    const incoming = await this.#send(call, this.#headers(call), signal);
    const isStream = /^text\/event-stream\s*(;|$)/i.test(incoming.header("content-type") ?? "");
    if (incoming.status === 200 && isStream) return incoming.chunks;
    const answer = { text: await textOf(incoming), requestId: incoming.header("x-request-id") };
    throw incoming.status === 200 ? unusable("the answer is not a stream", answer) : refusalOf(incoming, answer);
  }

  /**
   * @param {Call} call
   * @param {string} [idempotencyKey]
   */
  #headers({ body, keyed, headers }, idempotencyKey) {
    return {
      Accept: "application/json",
      ...(this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` }),
      ...(body == null ? {} : { "Content-Type": "application/json" }),
      ...(keyed ? { "Idempotency-Key": idempotencyKey ?? newKey() } : {}),
      ...headers,
    };
  }

  /**
   * @param {Call} call
   * @param {Record<string, string>} headers
   * @param {AbortSignal} signal
   */
  async #send({ method, path, body = null }, headers, signal) {
    try {
      return await this.#transport({ method, path, headers, body, signal });
    } catch (cause) {
      throw cause instanceof SignoffError ? cause : broken(cause);
    }
  }
}

/** An error after which the same call may be sent again, and when. */
export class Retriable extends Error {
  /**
   * @param {SignoffError} error
   * @param {number} [pause] Seconds that the server wants.
   */
  constructor(error, pause = 0) {
    super();
    this.error = error;
    this.pause = pause;
  }
}

/**
 * @template T
 * @param {Limit} limit
 * @param {() => Promise<T>} attempt
 * @returns {Promise<T>}
 */
export async function retry(limit, attempt) {
  /** @type {SignoffError | null} */
  let last = null;
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const { aborted, reason } = limit.signal;
      // The error before says more than that the time is over.
      if (aborted && !(error instanceof SignoffError)) throw reason instanceof TimedOut && last !== null ? last : reason;
      if (!(error instanceof Retriable)) throw error;
      last = error.error;
      const pause = Math.max(error.pause, backoff(tries));
      if (pause >= limit.left) throw last;
      await limit.sleep(pause);
    }
  }
}

/**
 * @param {number} tries
 * @returns {number} Seconds, with jitter: clients that failed together return one by one.
 */
export function backoff(tries) {
  const longest = Math.min(PAUSE_MAX_SECONDS, PAUSE_FIRST_SECONDS * 2 ** Math.min(tries, 20));
  return longest * (0.5 + Math.random() / 2);
}

/**
 * Returns the error of a connection that could not be made or broke.
 *
 * @param {unknown} cause
 */
function broken(cause) {
  return new Retriable(
    new Unavailable({ code: "unreachable", title: "Server not reachable", detail: "the server is not reachable", cause }),
  );
}

/**
 * Reads an answer's body as text.
 *
 * @param {import("./transport.js").Incoming} incoming
 */
async function textOf(incoming) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const answer = { text: "", requestId: incoming.header("x-request-id") };
  for await (const chunk of chunksOf(incoming, ANSWER_MAX)) {
    answer.text += decode(decoder, answer, incoming.status, chunk);
  }
  return answer.text + decode(decoder, answer, incoming.status);
}

/**
 * Reads an answer's body.
 *
 * @param {import("./transport.js").Incoming} incoming
 * @param {number} max
 */
async function bytesOf(incoming, max) {
  const chunks = [];
  for await (const chunk of chunksOf(incoming, max)) chunks.push(chunk);
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * @param {import("./transport.js").Incoming} incoming
 * @param {number} max The largest number of bytes.
 */
async function* chunksOf({ chunks, status, header }, max) {
  const parts = chunks[Symbol.asyncIterator]();
  let size = 0;
  try {
    for (;;) {
      const read = await parts.next().catch((cause) => {
        throw broken(cause);
      });
      if (read.done) return;
      size += read.value.length;
      if (size > max) throw unusable(`the answer is longer than ${max / 2 ** 20} MiB`, { requestId: header("x-request-id") }, status);
      yield read.value;
    }
  } finally {
    await parts.return?.();
  }
}

/**
 * @param {TextDecoder} decoder
 * @param {Answer} answer
 * @param {number} status
 * @param {Uint8Array} [bytes] None at the end.
 */
function decode(decoder, answer, status, bytes) {
  try {
    return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch {
    throw unusable("the answer is not UTF-8", answer, status);
  }
}

/** @param {import("./transport.js").Incoming} incoming */
function isJson(incoming) {
  return /^application\/(problem\+)?json\s*(;|$)/i.test(incoming.header("content-type") ?? "");
}

/**
 * Returns the error of an answer that is not a success.
 *
 * @param {import("./transport.js").Incoming} incoming
 * @param {Answer} answer
 * @returns {SignoffError | Retriable}
 */
function refusalOf(incoming, answer) {
  const { status } = incoming;
  if (status === 0 || (status >= 300 && status < 400)) return unusable("redirects are not followed", answer, status);
  const error = problemOf(incoming, answer) ?? unusable(`the status is ${status}`, answer, status);
  const after = status === 429 || status === 503 ? retryAfter(incoming.header("retry-after")) : null;
  return after === null ? error : new Retriable(error, after);
}

/**
 * @param {import("./transport.js").Incoming} incoming
 * @param {Answer} answer
 * @returns {SignoffError | null} Null if the answer is not a problem of RFC 9457 with a code.
 */
function problemOf(incoming, { text, requestId }) {
  if (!isJson(incoming)) return null;
  /** @type {any} */
  let problem;
  try {
    problem = parse(text);
  } catch {
    return null;
  }
  if (typeof problem?.code !== "string" || !/^[a-z0-9-]{1,64}$/.test(problem.code)) return null;
  const { code, title, detail, members } = problem;
  return errorOf({
    code,
    title: typeof title === "string" ? title : "",
    detail: typeof detail === "string" ? detail : "",
    status: incoming.status,
    requestId,
    comment: code === "policy-denied" && typeof detail === "string" ? detail : null,
    members: Array.isArray(members) ? members.filter((member) => typeof member === "string") : [],
  });
}

/**
 * @param {string | null} header Seconds, or a date.
 * @returns {number | null} Seconds.
 */
function retryAfter(header) {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, (date - Date.now()) / 1000);
}

/**
 * Returns the error of an answer that is not what the route returns.
 *
 * @param {string} detail
 * @param {{ requestId: string | null }} answer
 * @param {number} [status]
 */
export function unusable(detail, { requestId }, status = 200) {
  return new Unavailable({ code: "unreachable", title: "No usable answer", detail: printable(detail), status, requestId });
}

/** Returns a new idempotency key: 128 random bits in hex. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
