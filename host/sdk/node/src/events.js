/** The audit log as a stream of server-sent events. */

import { SignoffError, Unavailable } from "./errors.js";
import { backoff, Retriable } from "./http.js";
import { parse } from "./json.js";
import { Limit } from "./limit.js";

const EVENT_MAX = 16 * 1024 * 1024;
/** How long a stream may be silent: the server sends a comment each 15 s. */
const SILENCE_SECONDS = 60;
const TIMEOUT_SECONDS = 30;

/**
 * One entry of the audit log. `event` is its kind, `data` the entry, and `text` the entry as it came.
 * `reset` means that the log ends before the id that was known: another store was restored.
 *
 * @typedef {{ id: string, event: string, data: any, text: string }} LogEvent
 */

/**
 * @param {import("./http.js").Http} http
 * @param {string} path
 * @param {{ after?: string | number, signal?: AbortSignal, timeout?: number }} options
 * @returns {AsyncGenerator<LogEvent, never, undefined>}
 * @throws {SignoffError} The server's refusal, or `unreachable` for longer than `timeout`.
 */
export async function* events(http, path, { after, signal, timeout = TIMEOUT_SECONDS }) {
  let last = after === undefined ? null : String(after);
  let tries = 0;
  let connectedAt = performance.now();
  for (;;) {
    const silence = new Limit(SILENCE_SECONDS, signal);
    const received = () => {
      silence.restart();
      tries = 0;
      connectedAt = performance.now();
    };
    /** @type {Retriable} */
    let failure;
    try {
      const headers = { Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": last }) };
      const chunks = await http.open({ method: "GET", path, headers }, silence.signal);
      for await (const event of parsed(chunks, received)) {
        last = event.id;
        yield event;
      }
      failure = lost("the stream ended");
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof SignoffError && !silence.signal.aborted) throw error;
      failure = error instanceof Retriable ? error : lost("the stream broke", error);
    } finally {
      silence.end();
    }
    const pause = Math.max(failure.pause, backoff(tries++));
    if ((performance.now() - connectedAt) / 1000 + pause > timeout) throw failure.error;
    await sleep(pause, signal);
  }
}

/**
 * @param {number} seconds
 * @param {AbortSignal} [signal]
 */
async function sleep(seconds, signal) {
  const limit = new Limit(Infinity, signal);
  try {
    await limit.sleep(seconds);
  } finally {
    limit.end();
  }
}

/**
 * @param {string} detail
 * @param {unknown} [cause]
 */
function lost(detail, cause) {
  return new Retriable(new Unavailable({ code: "unreachable", detail, cause }));
}

/**
 * Parses server-sent events (the HTML standard, section 9.2.6).
 *
 * @param {AsyncIterable<Uint8Array>} chunks
 * @param {() => void} received Called for each chunk.
 * @returns {AsyncGenerator<LogEvent>}
 * @throws {Unavailable} `unreachable`: an event that is not JSON, or longer than 16 MiB.
 */
async function* parsed(chunks, received) {
  let id = "";
  let event = "";
  let data = "";
  for await (const line of lines(chunks, received)) {
    if (line === "") {
      if (data !== "") yield { id, event: event || "message", data: json(data), text: data };
      event = data = "";
      continue;
    }
    const [, name, value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line) ?? [];
    if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "event") event = value;
    else if (name === "data") data += (data === "" ? "" : "\n") + value;
    if (data.length > EVENT_MAX) throw unusable("an event is longer than 16 MiB");
  }
}

/** @param {string} text */
function json(text) {
  try {
    return parse(text);
  } catch {
    throw unusable("an event is not JSON");
  }
}

/**
 * @param {AsyncIterable<Uint8Array>} chunks
 * @param {() => void} received
 * @returns {AsyncGenerator<string>} Lines that end with LF, CR or both.
 */
async function* lines(chunks, received) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = "";
  let afterReturn = false;
  for await (const chunk of chunks) {
    received();
    let text = decoder.decode(chunk, { stream: true });
    if (text === "") continue;
    // The line feed of a line that ended with the chunk before.
    if (afterReturn && text.startsWith("\n")) text = text.slice(1);
    afterReturn = text.endsWith("\r");
    const [first = "", ...others] = text.split(/\r\n|\n|\r/);
    line += first;
    for (const next of others) {
      yield line;
      line = next;
    }
    if (line.length > EVENT_MAX) throw unusable("a line is longer than 16 MiB");
  }
}

/** @param {string} detail */
function unusable(detail) {
  return new Unavailable({ code: "unreachable", title: "No usable answer", detail });
}
