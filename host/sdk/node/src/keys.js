/** The pinned approvers' keys, and what the server may say about them. */

import { Invalid } from "./errors.js";

/** @typedef {import("./verifier.js").Key} Key */

const PRIVATE = "the keys contain a private key: pin public keys only, as `signoff key list --json` prints them";

/**
 * Returns the approvers' keys in what `signoff key list --json`, `signoff key generate` or `signoff
 * key generate --json` prints: `{items: […]}`, `[…]`, `{entry: {…}}` or one key, or `{keys: […]}`. Keys with another
 * use, and HMAC keys without their secret, are left out: they cannot verify an approval.
 *
 * @param {unknown} printed
 * @returns {Key[]}
 * @throws {Invalid} `request-invalid`: malformed, a private key, or no key.
 */
export function pinnedKeys(printed) {
  const keys = entriesOf(printed).filter((entry) => entry.use === "approve" && materialOf(entry) !== null).map(keyOf);
  if (keys.length === 0) throw invalid("there is no approver's key");
  return keys;
}

/**
 * Returns the module signers' keys in what the same commands print. There may be none: then no policy
 * is evaluated here.
 *
 * @param {unknown} printed
 * @returns {Key[]}
 * @throws {Invalid} `request-invalid`: malformed, or a private key.
 */
export function signerKeys(printed) {
  return entriesOf(printed).filter((entry) => entry.use === "module" && materialOf(entry) !== null).map(keyOf);
}

/**
 * @param {any} printed
 * @returns {any[]}
 */
function entriesOf(printed) {
  const list = Array.isArray(printed) ? printed : (printed?.items ?? printed?.keys ?? [printed?.entry ?? printed]);
  if (!Array.isArray(list) || !list.every((entry) => typeof entry === "object" && entry !== null)) {
    throw invalid("expected what `signoff key list --json` prints");
  }
  // In that list it is true or false.
  if (list.some((entry) => typeof entry.private === "string")) throw invalid(PRIVATE);
  return list;
}

/** @param {any} entry */
function materialOf(entry) {
  return entry.material ?? entry.public_key ?? null;
}

/**
 * @param {any} entry
 * @returns {Key}
 */
function keyOf(entry) {
  const { id, algorithm, status, use, approver = null, groups = [] } = entry;
  const material = materialOf(entry);
  const texts = [id, algorithm, status, use, material];
  const named = approver === null || typeof approver === "string";
  if (!texts.every(isText) || !named || !Array.isArray(groups) || !groups.every(isText)) {
    throw invalid("a key has a missing or malformed member");
  }
  return { id, algorithm, material, status, use, approver, groups: [...groups] };
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === "string";
}

/**
 * Returns the pinned keys as the server's list restricts them: a key that it lists as revoked, by
 * id or by material, is revoked, and its groups are those that both name. The list adds nothing.
 *
 * @param {Key[]} pinned
 * @param {import("./answers.js").ListedKey[]} listed
 * @returns {Key[]}
 */
export function restricted(pinned, listed) {
  return pinned.map((key) => {
    const same = listed.filter(({ id, public_key }) => id === key.id || public_key === key.material);
    return {
      ...key,
      status: same.some(({ status }) => status === "revoked") ? "revoked" : key.status,
      groups: (key.groups ?? []).filter((group) => same.every(({ groups }) => groups.includes(group))),
    };
  });
}

/** @param {string} detail */
function invalid(detail) {
  return new Invalid({ code: "request-invalid", detail: `keys: ${detail}` });
}
