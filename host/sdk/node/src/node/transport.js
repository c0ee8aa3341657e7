/** The transport over a Unix socket, and over TLS with own certificate authorities: `fetch` has neither. */

import http from "node:http";
import https from "node:https";
import tls from "node:tls";

import { invalid, ownSocket } from "./socket.js";

/** @typedef {import("../transport.js").Transport} Transport */

/**
 * Returns a transport over a Unix socket.
 *
 * @param {string} given
 * @returns {Transport}
 */
export function unixTransport(given) {
  const agent = new http.Agent({ keepAlive: true });
  return async (outgoing) => {
    const { path, isSame } = ownSocket(given);
    const request = http.request({ ...optionsOf(outgoing, outgoing.path), socketPath: path, agent });
    return send(request, outgoing.body, () => {
      if (!isSame()) throw invalid(`the socket \`${given}\` was replaced while it was connected`);
    });
  };
}

/**
 * Returns a transport over TLS that trusts `ca` in addition to the machine's authorities.
 *
 * @param {URL} base
 * @param {string} ca PEM.
 * @returns {Transport}
 * @throws {Invalid} `request-invalid`: not PEM.
 */
export function caTransport(base, ca) {
  if (!ca.includes("-----BEGIN CERTIFICATE-----")) throw invalid("`ca` has no PEM certificate");
  const trusted = [...tls.rootCertificates, ca];
  const agent = new https.Agent({ keepAlive: true, ca: trusted });
  const prefix = base.pathname.replace(/\/$/, "");
  return async (outgoing) => {
    const { hostname, port } = base;
    // The agent sends the name of the host; an address in brackets is none.
    const host = hostname.replace(/^\[|\]$/g, "");
    return send(https.request({ ...optionsOf(outgoing, prefix + outgoing.path), host, port, agent }), outgoing.body);
  };
}

/**
 * @param {import("../transport.js").Outgoing} outgoing
 * @param {string} path
 */
function optionsOf({ method, headers, body, signal }, path) {
  const length = body === null ? {} : { "Content-Length": String(Buffer.byteLength(body)) };
  return { method, path, headers: { ...headers, ...length }, signal };
}

/**
 * @param {http.ClientRequest} request
 * @param {string | null} body
 * @param {(() => void) | null} [check] Called once connected; nothing is sent if it throws.
 * @returns {Promise<import("../transport.js").Incoming>}
 */
function send(request, body, check = null) {
  return new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => {
      resolve({
        status: response.statusCode ?? 0,
        header: (name) => {
          const value = response.headers[name];
          return (Array.isArray(value) ? value[0] : value) ?? null;
        },
        chunks: response,
      });
    });
    const start = () => {
      try {
        check?.();
        // Headers are sent with the end, and not before.
        request.end(body ?? undefined);
      } catch (error) {
        request.destroy(/** @type {Error} */ (error));
      }
    };
    if (check === null) request.end(body ?? undefined);
    else request.once("socket", (socket) => (socket.connecting ? socket.once("connect", start) : start()));
  });
}
