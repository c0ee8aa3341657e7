/** Which Unix sockets may receive the token: those that no other user could have put there. */

import { lstatSync, realpathSync } from "node:fs";
import { dirname } from "node:path";

import { Invalid } from "../errors.js";

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * A socket that was checked.
 *
 * @typedef {object} Own
 * @property {string} path Without links.
 * @property {() => boolean} isSame Whether the path still leads to the same socket.
 */

/**
 * Checks a socket before a connection is made. JavaScript cannot ask who is at the other end, so that
 * the path must be one that nobody else can change: the socket and all folders above it belong to
 * this user or to root, and others may write only in folders with the sticky bit.
 *
 * @param {string} given
 * @returns {Own}
 * @throws {Invalid} `request-invalid`: another user could answer there.
 * @throws {Error} There is no socket.
 */
export function ownSocket(given) {
  const path = realpathSync(given);
  const own = process.geteuid?.();
  if (own === undefined) return { path, isSame: () => true };
  const before = lstatSync(path);
  if (!isOurs(before, own)) throw invalid(`the socket \`${given}\` belongs to another user`);
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const stat = lstatSync(folder);
    if (!isOurs(stat, own)) throw invalid(`the folder \`${folder}\` of the socket belongs to another user`);
    if ((stat.mode & WRITABLE_BY_OTHERS) !== 0 && (stat.mode & STICKY) === 0) {
      throw invalid(`other users can write in the folder \`${folder}\` of the socket: run \`chmod go-w\` on it`);
    }
    if (folder === dirname(folder)) break;
  }
  const isSame = () => {
    const after = lstatSync(path, { throwIfNoEntry: false });
    return after !== undefined && after.dev === before.dev && after.ino === before.ino && isOurs(after, own);
  };
  return { path, isSame };
}

/**
 * @param {import("node:fs").Stats} stat
 * @param {number} own
 */
function isOurs({ uid }, own) {
  return uid === own || uid === 0;
}

/** @param {string} detail */
export function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail });
}
