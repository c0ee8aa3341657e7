/** The transport over a Unix socket, and over TLS with own certificate authorities: `fetch` has neither. */

import { statSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import tls from "node:tls";

import { Invalid } from "../errors.js";

/** @typedef {import("../transport.js").Transport} Transport */

/**
 * Returns a transport over a Unix socket.
 *
 * @param {string} path
 * @returns {Transport}
 */
export function unixTransport(path) {
  const agent = new http.Agent({ keepAlive: true });
  return async (outgoing) => {
    refuseForeign(path);
    return send(http.request({ ...optionsOf(outgoing, outgoing.path), socketPath: path, agent }), outgoing.body);
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
 * @returns {Promise<import("../transport.js").Incoming>}
 */
function send(request, body) {
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
    request.end(body ?? undefined);
  });
}

/**
 * Refuses a socket that another user could have put there to receive the token.
 *
 * @param {string} path
 */
function refuseForeign(path) {
  const stat = statSync(path);
  const own = process.geteuid?.();
  if (own !== undefined && stat.uid !== own && stat.uid !== 0) throw invalid(`the socket \`${path}\` belongs to another user`);
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail });
}
