/** Settings: arguments come first, then the environment, then the user's home. */

import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";

import { Invalid } from "../errors.js";

/**
 * @typedef {object} Settings
 * @property {string} url
 * @property {string | null} token
 * @property {string | null} ca The text of a PEM file.
 * @property {unknown} keys Parsed; null without.
 * @property {string | null} audience
 */

/**
 * @typedef {object} Arguments
 * @property {string} [url]
 * @property {string | null} [token] Null: none, whatever the environment has.
 * @property {string | null} [ca] The path of a PEM file.
 * @property {unknown} [keys] The path of a file, or its parsed content. Null: none.
 * @property {string | null} [audience]
 */

/**
 * Returns the settings. The token and the authorities of the home file are for its `server` alone, so
 * that no other server gets the token.
 *
 * @param {Arguments} given
 * @param {NodeJS.ProcessEnv} [environment]
 * @returns {Settings}
 * @throws {Invalid} `request-invalid`: no URL, a file that cannot be read, or a home file that belongs to
 *   another user, that other users can read or write, or that is not a regular file.
 */
export function settingsOf(given, environment = process.env) {
  const home = new Home(environment);
  const url = given.url ?? (environment.SIGNOFF_SERVER || home.text("server"));
  if (url === null) throw invalid("there is no server: pass a URL, set SIGNOFF_SERVER, or run `signoff login`");
  const ofServer = (/** @type {() => string | null} */ member) => (home.text("server") === url ? member() : null);
  const token = given.token === undefined ? environment.SIGNOFF_TOKEN || ofServer(() => home.text("token")) : given.token;
  const audience = given.audience === undefined ? environment.SIGNOFF_AUDIENCE || home.text("audience") : given.audience;
  const ca = given.ca === undefined ? environment.SIGNOFF_CA || ofServer(() => home.path("ca")) : given.ca;
  const keys = given.keys === undefined ? environment.SIGNOFF_KEYS || home.path("keys") : given.keys;
  return {
    url,
    token,
    ca: ca === null ? null : read(ca),
    keys: keysIn(keys),
    audience,
  };
}

/** The file `client.json` of the user's home, read when first needed. */
class Home {
  #file;
  /** @type {Record<string, unknown> | null} */
  #members = null;

  /** @param {NodeJS.ProcessEnv} environment */
  constructor({ XDG_CONFIG_HOME }) {
    this.#file = join(XDG_CONFIG_HOME || join(homedir(), ".config"), "signoff", "client.json");
  }

  /**
   * @param {string} member
   * @returns {string | null}
   */
  text(member) {
    this.#members ??= this.#read();
    const value = Object.hasOwn(this.#members, member) ? this.#members[member] : null;
    if (value !== null && typeof value !== "string") throw invalid(`\`${this.#file}\`: \`${member}\` must be a text`);
    return value;
  }

  /** @param {string} member */
  path(member) {
    const path = this.text(member);
    return path === null ? null : resolve(dirname(this.#file), path);
  }

  #read() {
    const text = readOwn(this.#file);
    if (text === null) return {};
    const members = parsed(this.#file, text);
    if (typeof members !== "object" || members === null) throw invalid(`\`${this.#file}\` is not a JSON object`);
    return /** @type {Record<string, unknown>} */ (members);
  }
}

/**
 * Returns the keys in a file, or keys that are parsed already.
 *
 * @param {unknown} keys
 * @throws {Invalid} `request-invalid`: a file that cannot be read or is not JSON.
 */
export function keysIn(keys) {
  // A file with `null` has no keys, and does not mean that none are pinned.
  return typeof keys === "string" ? (parsed(keys, asList(read(keys))) ?? {}) : keys;
}

/**
 * Makes one list of entries that stand in lines of their own, as files put together have them.
 *
 * @param {string} text
 */
function asList(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const areEntries = lines.length > 1 && lines.every((line) => line.startsWith("{") && line.endsWith("}"));
  return areEntries ? `[${lines.join(",")}]` : text;
}

/**
 * @param {string} path
 * @param {string} text
 */
function parsed(path, text) {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the file, which may hold secrets.
    throw invalid(`\`${path}\` is not JSON`);
  }
}

/**
 * Reads a file that holds a token. It is checked after it is opened: what is checked is what is read.
 *
 * @param {string} path A link to an own file is fine.
 * @returns {string | null} Null if there is none.
 */
function readOwn(path) {
  let file;
  try {
    // Opening a pipe would otherwise wait for its writer.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes(/** @type {NodeJS.ErrnoException} */ (cause).code ?? "")) return null;
    throw invalid(`\`${path}\` cannot be read`, cause);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw invalid(`\`${path}\` is not a regular file`);
    // Windows has neither owners nor such modes here.
    const user = process.geteuid?.();
    if (user !== undefined && stat.uid !== user) throw invalid(`\`${path}\` belongs to another user`);
    if (user !== undefined && (stat.mode & 0o077) !== 0) {
      throw invalid(`\`${path}\` can be read or written by other users: run \`chmod 600\` on it`);
    }
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw invalid(`\`${path}\` cannot be read`, cause);
  }
}

/**
 * @param {string} detail
 * @param {unknown} [cause]
 */
function invalid(detail, cause) {
  return new Invalid({ code: "request-invalid", detail, cause });
}
