// Times the verifier beside the same work of `node:crypto`, in one run:
//
//     node host/sdk/node/bench.mjs
//
// Figures are microseconds per call: the median and the best of many short batches, taken in turn.
// `node host/sdk/node/bench.mjs POLICY.wasm` also times local verdicts of a policy that `signoff policy
// build` made.

import { createHash, createHmac, generateKeyPairSync, sign, timingSafeEqual, verify } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Client, Verifier } from "@signoff/sdk";

import { PolicyHost } from "./test/policies.mjs";
import { Server } from "./test/server.mjs";

const BATCHES = 60;

const started = performance.now();
const verifier = await Verifier.load();
const loadMilliseconds = performance.now() - started;

const secret = Buffer.alloc(32, 4);
const hmacKey = { id: "hmac", algorithm: "hmac-sha256", material: secret.toString("base64url"), status: "active", use: "approve" };
const statement = {
  audience: "prod", key_id: "", approval_id: "appr_01k7s2e3m8q4w6x9y0z1a2b3c4", request_digest: "0".repeat(64),
  expires_at: 1_790_000_000, decision: "approved", approver: "alice@company.com", comment: "",
};
const v1 = verifier.sign(statement, "v1", hmacKey);
const request = JSON.stringify({ op: "signing.verify", args: { statement, signature: v1, keys: [hmacKey], accept: ["v1"] } });

const pair = generateKeyPairSync("ed25519");
const { d, x } = pair.privateKey.export({ format: "jwk" });
const edKey = { id: "alice", algorithm: "ed25519", status: "active", use: "approve", approver: "alice@company.com" };
const signed = { ...statement, key_id: "alice" };
const v2 = verifier.sign(signed, "v2", { ...edKey, material: d });
const message = Buffer.from(verifier.payload(signed, "v2").base64url, "base64url");
const signature = sign(null, message, pair.privateKey);

const context = { target: "prod", steps: Array.from({ length: 16 }, (_, step) => ({ step, command: `rollout --replicas ${step} --wait` })) };

const ROWS = [
  ["v1 verification, `callText`", 400, () => verifier.callText(request)],
  ["v1 verification, `verify`", 400, () => verifier.verify(statement, v1, [hmacKey], ["v1"])],
  ["  node:crypto, HMAC-SHA256", 400, hmac],
  ["v2 verification, Ed25519", 40, () => verifier.verify(signed, v2, [{ ...edKey, material: x }])],
  ["  node:crypto, Ed25519", 40, () => verify(null, message, pair.publicKey, signature)],
  [`digest of ${JSON.stringify(context).length} bytes`, 200, () => verifier.digest(context)],
  ["  node:crypto, JSON.stringify and SHA-256", 200, () => createHash("sha256").update(JSON.stringify(context)).digest("hex")],
];

function hmac() {
  const text = `${statement.approval_id}:approved:${statement.approver}:2026-09-21T14:13:20+00:00`;
  const made = createHmac("sha256", secret).update(text).digest("hex");
  if (!timingSafeEqual(Buffer.from(made), Buffer.from(v1))) throw new Error("another signature");
}

const times = ROWS.map(() => []);
for (let batch = 0; batch < BATCHES; batch++) {
  for (const [row, [, calls, call]] of ROWS.entries()) {
    const begun = process.hrtime.bigint();
    for (let made = 0; made < calls; made++) call();
    times[row].push(Number(process.hrtime.bigint() - begun) / calls / 1000);
  }
}

console.log(`Node ${process.versions.node}, loaded in ${loadMilliseconds.toFixed(1)} ms`);
console.log(`${"".padEnd(44)}${"median".padStart(9)}${"best".padStart(9)}  µs per call`);
for (const [row, [name]] of ROWS.entries()) {
  const sorted = times[row].sort((a, b) => a - b);
  console.log(`${name.padEnd(44)}${sorted[BATCHES / 2].toFixed(2).padStart(9)}${sorted[0].toFixed(2).padStart(9)}`);
}

if (process.argv[2]) await timePolicy(readFileSync(process.argv[2]));

/** Times verdicts one after the other, and eight at a time. */
async function timePolicy(wasm) {
  const server = await Server.start();
  const host = new PolicyHost(server);
  host.activate(wasm);
  const folder = mkdtempSync(join(tmpdir(), "signoff-bench-"));
  for (const [kept, queue] of [["in memory", null], ["on disk", join(folder, "queue")]]) {
    const client = new Client(server.url, { token: "x", keys: null, audience: host.audience });
    const policy = await client.policy({ signers: [host.signer.public], queue });
    const evaluate = () => policy.evaluate({ agent: "deployer", action: "deploy", context: { replicas: 1 } });
    if (!(await evaluate()).local) throw policy.problem;
    for (const together of [1, 8]) {
      const taken = [];
      for (let batch = 0; batch < BATCHES; batch++) {
        const begun = performance.now();
        await Promise.all(Array.from({ length: together }, evaluate));
        taken.push(((performance.now() - begun) * 1000) / together);
      }
      const sorted = taken.sort((a, b) => a - b);
      const name = `local verdict, ${kept}, ${together} at a time`;
      console.log(`${name.padEnd(44)}${sorted[BATCHES / 2].toFixed(2).padStart(9)}${sorted[0].toFixed(2).padStart(9)}`);
    }
    await policy.close();
  }
  await server.close();
  rmSync(folder, { recursive: true });
}
