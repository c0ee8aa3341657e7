/** What a guard requests: the caller's own requirement, merged with this executor's floor. */

/** The server's default of an unset lifetime, in seconds. */
const LIFETIME_DEFAULT_SECONDS = 3600;

/**
 * @typedef {object} Requirement
 * @property {number} [threshold]
 * @property {Record<string, number>} [groups]
 * @property {number} [expiresInSeconds]
 */

/**
 * Returns the higher threshold, each group's higher minimum and the shorter lifetime. What neither sets
 * stays unset.
 *
 * @param {Requirement} own
 * @param {import("./verifier.js").Floor | null} [floor]
 * @returns {Requirement}
 */
export function atLeast({ threshold, groups, expiresInSeconds }, floor) {
  if (floor == null) return { threshold, groups, expiresInSeconds };
  const higher = (/** @type {number | undefined} */ one, /** @type {number} */ least) => Math.max(one ?? least, least);
  // Entries, because the name of a group may be that of a member that every object has.
  const merged = new Map(Object.entries(groups ?? {}));
  for (const [name, least] of Object.entries(floor.groups ?? {})) merged.set(name, higher(merged.get(name), least));
  const longest = floor.ttlSeconds ?? Infinity;
  const lifetime = Math.min(expiresInSeconds ?? LIFETIME_DEFAULT_SECONDS, longest);
  return {
    threshold: floor.threshold == null ? threshold : higher(threshold, floor.threshold),
    groups: merged.size === 0 ? groups : Object.fromEntries(merged),
    expiresInSeconds: expiresInSeconds === undefined && longest >= LIFETIME_DEFAULT_SECONDS ? undefined : lifetime,
  };
}

/**
 * Returns how long an approval lives that a guard with these options requests, in seconds.
 *
 * @param {Requirement & { floor?: import("./verifier.js").Floor | null }} options
 */
export function lifetimeOf({ floor, ...own }) {
  return atLeast(own, floor).expiresInSeconds ?? LIFETIME_DEFAULT_SECONDS;
}
