/** How requests travel. Node has a second transport, for Unix sockets and own certificate authorities. */

/**
 * @typedef {object} Outgoing
 * @property {string} method
 * @property {string} path Starts with `/`.
 * @property {Record<string, string>} headers
 * @property {string | null} body
 * @property {AbortSignal} signal Ends the request and the reading of its answer.
 */

/**
 * @typedef {object} Incoming
 * @property {number} status 0 for a redirect that the browser hides.
 * @property {(name: string) => string | null} header Reads a header by its lower-case name.
 * @property {AsyncIterable<Uint8Array>} chunks The body, once.
 */

/**
 * Sends one request, and follows no redirect. Rejects if the connection cannot be made or breaks.
 *
 * @typedef {(request: Outgoing) => Promise<Incoming>} Transport
 */

/**
 * Returns the transport by `fetch`.
 *
 * @param {URL} base
 * @param {{ withCookies: boolean }} options
 * @returns {Transport}
 */
export function fetchTransport(base, { withCookies }) {
  const prefix = base.href.replace(/\/$/, "");
  return async ({ method, path, headers, body, signal }) => {
    const response = await fetch(prefix + path, {
      method,
      headers,
      body,
      signal,
      redirect: "manual",
      cache: "no-store",
      credentials: withCookies ? "same-origin" : "omit",
      referrerPolicy: "no-referrer",
    });
    return {
      status: response.status,
      header: (name) => response.headers.get(name),
      chunks: chunksOf(response.body),
    };
  };
}

/**
 * Not every browser can iterate over a stream.
 *
 * @param {ReadableStream<Uint8Array> | null} body
 */
async function* chunksOf(body) {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } finally {
    // Whoever stops reading also closes the connection.
    reader.cancel().catch(() => {});
  }
}

/**
 * Returns the URL of a server.
 *
 * @param {string} text
 * @returns {URL | null} Null unless it is an HTTP or HTTPS URL without user, query and fragment.
 */
export function serverUrl(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  const plain = url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  return plain && (url.protocol === "http:" || url.protocol === "https:") ? url : null;
}

/**
 * Returns whether a token may be sent to this URL: with TLS, or to this machine.
 *
 * @param {URL} url
 */
export function isPrivate({ protocol, hostname }) {
  return protocol === "https:" || hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
