// Calls of the verifier with known answers, for tests of many calls.

import { Rejection, VerifierTrapped } from "@signoff/sdk";

const SECRET = "A".repeat(43);
const KEY = { id: "key", algorithm: "hmac-sha256", material: SECRET, status: "active", use: "approve" };
export const STATEMENT = {
  audience: "",
  key_id: "",
  approval_id: "appr_01k7s2e3m8q4w6x9y0z1a2b3c4",
  request_digest: "",
  expires_at: 1_790_000_000,
  decision: "approved",
  approver: "alice@company.com",
  comment: "",
};

/** Makes calls in turn, and returns how many answers are wrong. */
export function mixedCalls(verifier, calls) {
  const signature = verifier.sign(STATEMENT, "v1", KEY);
  const digest = verifier.digest({ a: 1 });
  const checks = [
    () => verifier.verify(STATEMENT, signature, [KEY], ["v1"]) === "key",
    () => verifier.digest('{ "a": 1 }') === digest,
    () => rejectedWith("signature-invalid", () => verifier.verify(STATEMENT, "0".repeat(64), [KEY], ["v1"])),
    () => rejectedWith("context-invalid", () => verifier.digest('{"a":1,"a":1}')),
  ];
  let wrong = 0;
  for (let call = 0; call < calls; call++) if (!checks[call % checks.length]()) wrong += 1;
  return wrong;
}

function rejectedWith(code, call) {
  try {
    call();
    return false;
  } catch (error) {
    return error instanceof Rejection && error.code === code;
  }
}

/**
 * Watches the memories of the instances that are made from now on. Returns a function that overwrites
 * the newest one, which makes the next call on it trap.
 */
export function breakable() {
  const { instantiate } = WebAssembly;
  let memory;
  WebAssembly.instantiate = async (...args) => {
    const instance = await instantiate(...args);
    memory = instance.exports.memory;
    return instance;
  };
  return Object.assign(() => new Uint8Array(memory.buffer).fill(0xff), { memory: () => memory });
}

/** Breaks the verifier's instance, and returns whether the next call traps. */
export function traps(verifier, breakIt) {
  breakIt();
  try {
    verifier.digest("{}");
    return false;
  } catch (error) {
    return error instanceof VerifierTrapped && error.code === "verifier-trapped";
  }
}
