/** The approvals that this process claimed. */

/** No approval lives longer, whatever a server shows. */
const TTL_MAX_MS = 7 * 24 * 3600 * 1000;

/** Remembers ids until their approvals expire. */
export class ClaimedIds {
  /** @type {Map<string, number>} */
  #expiries = new Map();

  /**
   * Adds an id, and returns whether it is new.
   *
   * @param {string} id
   * @param {number} expiresAt Milliseconds since 1970.
   * @param {number} now Milliseconds since 1970.
   */
  add(id, expiresAt, now) {
    for (const [other, expiry] of this.#expiries) if (expiry <= now) this.#expiries.delete(other);
    if (this.#expiries.has(id)) return false;
    this.#expiries.set(id, Math.min(expiresAt, now + TTL_MAX_MS));
    return true;
  }
}
