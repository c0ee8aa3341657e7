/** The approvals that this process claimed. */

/** No approval lives longer, whatever a server shows. */
const TTL_MAX_MS = 7 * 24 * 3600 * 1000;
/** How long an id is kept beyond its approval, for clocks that differ or are set. */
const MARGIN_MS = 300 * 1000;

/**
 * Remembers ids until their approvals expired. The wall clock only says how long that is: afterwards
 * the time is the monotonic clock's, because a wall clock that is set forward would forget ids, and
 * back again, would let them be claimed twice.
 */
export class ClaimedIds {
  /** @type {Map<string, number>} Deadlines of the monotonic clock, in milliseconds. */
  #deadlines = new Map();

  /**
   * Adds an id, and returns whether it is new.
   *
   * @param {string} id
   * @param {number} expiresAt Milliseconds since 1970.
   * @param {number} now Milliseconds since 1970.
   */
  add(id, expiresAt, now) {
    const time = performance.now();
    for (const [other, deadline] of this.#deadlines) if (deadline <= time) this.#deadlines.delete(other);
    if (this.#deadlines.has(id)) return false;
    this.#deadlines.set(id, time + Math.min(Math.max(expiresAt - now, 0), TTL_MAX_MS) + MARGIN_MS);
    return true;
  }
}
