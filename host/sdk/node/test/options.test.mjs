// Options: what is unknown or mistyped is refused, and names the member.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Client, Verifier } from "@signoff/sdk";
import { Client as BrowserClient } from "@signoff/sdk/browser";

import { AUDIENCE, newKey, Server, TOKEN } from "./server.mjs";

const ACTION = { agent: "deployer", action: "deploy", context: { replicas: 3 } };
const ID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";
const verifier = await Verifier.load();

async function approving(t) {
  const server = await Server.start();
  t.after(() => server.close());
  server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
  return server;
}

function trusting(server, SomeClient = Client) {
  const settings = SomeClient === Client ? { keys: null, audience: null } : { verifier };
  return new SomeClient(server.url, { token: TOKEN, ...settings });
}

/** Checks that a call is refused before anything is sent, with a message that names the member. */
async function refused(server, call, member) {
  const before = server.seen.length;
  const error = await Promise.resolve().then(call).then(() => null, (found) => found);
  assert.deepEqual([error?.name, error?.code], ["Invalid", "request-invalid"], `${member}: ${error}`);
  assert.ok(error.message.includes(member), `${error.message} does not name ${member}`);
  assert.equal(server.seen.length, before, "something was sent");
}

class Floor {
  threshold = 2;
}

for (const SomeClient of [Client, BrowserClient]) {
  const where = SomeClient === Client ? "in Node" : "in a browser";

  test(`a floor that would be ignored in part is refused, ${where}`, async (t) => {
    const server = await approving(t);
    const client = new SomeClient(server.url, { token: TOKEN, keys: [server.key.public], audience: AUDIENCE, verifier });
    for (const [floor, member] of [
      [{ Threshold: 2 }, "`Threshold`"], [{ min_threshold: 2 }, "`min_threshold`"], [{ ttl_seconds: 60 }, "`ttl_seconds`"],
      [{ threshold: 0 }, "`threshold`"], [{ ttlSeconds: -1 }, "`ttlSeconds`"], [{ groups: { sre: 0 } }, "`groups`"],
      [{ threshold: "2" }, "`threshold`"], [{ threshold: NaN }, "`threshold`"], [{ threshold: 1.5 }, "`threshold`"],
      [{ groups: ["sre"] }, "`groups`"], [{ groups: new Map([["sre", 1]]) }, "`groups`"], [{ groups: { sre: "1" } }, "`groups`"],
      [{ [Symbol("threshold")]: 2 }, "Symbol(threshold)"], [new Map([["threshold", 2]]), "floor"], [new Floor(), "floor"],
      [Object.create({ threshold: 2 }), "floor"], [[2], "floor"], ["threshold=2", "`floor`"], [2, "`floor`"],
    ]) {
      await refused(server, () => client.guard({ ...ACTION, floor }, () => assert.fail("it ran")), member);
    }
    assert.equal(await client.guard({ ...ACTION, floor: { threshold: 1, groups: null, ttlSeconds: undefined } }, () => "ran"), "ran");
  });

  test(`unknown and mistyped options of a guard are refused, ${where}`, async (t) => {
    const server = await approving(t);
    const client = trusting(server, SomeClient);
    for (const [options, member] of [
      [{ polices: ["x"] }, "`polices`"], [{ lease_seconds: 5 }, "`lease_seconds`"], [{ agent: 1 }, "`agent`"],
      [{ threshold: "2" }, "`threshold`"], [{ groups: "sre" }, "`groups`"], [{ timeout: "5" }, "`timeout`"],
      [{ timeout: NaN }, "`timeout`"], [{ leaseSeconds: 1.5 }, "`leaseSeconds`"], [{ expiresInSeconds: "60" }, "`expiresInSeconds`"],
      [{ reason: 5 }, "`reason`"], [{ signal: {} }, "`signal`"], [{ audience: 1 }, "`audience`"], [{ accept: "v2" }, "`accept`"],
      [{ policies: [1] }, "`policies`"], [{ policy: "x" }, "`policy`"], [{ allowHmac: 1 }, "`allowHmac`"],
    ]) {
      await refused(server, () => client.guard({ ...ACTION, ...options }, () => assert.fail("it ran")), member);
      const deploy = client.guarded(() => assert.fail("it ran"), { ...ACTION, ...options, context: () => ({}), reason: options.reason && (() => options.reason) });
      await refused(server, () => deploy(), member);
    }
    await refused(server, () => client.guard(new Map(Object.entries(ACTION)), () => assert.fail("it ran")), "guard");
    await refused(server, () => client.guard(undefined, () => assert.fail("it ran")), "guard");
  });

  test(`keys that are given to a guard are pinned, ${where}`, async (t) => {
    const server = await approving(t);
    const client = trusting(server, SomeClient);
    const own = { ...ACTION, keys: [server.key.public], audience: AUDIENCE };
    assert.equal(await client.guard(own, ({ approvers }) => approvers[0].algorithm), "ed25519");
    const stranger = { ...own, keys: [newKey().public] };
    await assert.rejects(client.guard(stranger, () => assert.fail("it ran")), { name: "Unverified", code: "signature-invalid" });
    const deploy = client.guarded(() => assert.fail("it ran"), { ...stranger, context: (replicas) => ({ replicas }) });
    await assert.rejects(deploy(3), { name: "Unverified", code: "signature-invalid" });
    const pinned = new SomeClient(server.url, { token: TOKEN, keys: [newKey().public], audience: AUDIENCE, verifier });
    assert.equal(await pinned.guard(own, () => "ran"), "ran", "they come before the client's");
    await assert.rejects(pinned.guard({ ...own, keys: null }, () => assert.fail("it ran")), { code: "signature-invalid" }, "null unpins nothing");
    await refused(server, () => client.guard({ ...own, keys: [] }, () => assert.fail("it ran")), "keys");
    await refused(server, () => client.guard({ ...own, keys: "/nowhere.json" }, () => assert.fail("it ran")), SomeClient === Client ? "/nowhere.json" : "keys");
    await refused(server, () => client.guard({ ...own, audience: null }, () => assert.fail("it ran")), "`audience`");
  });

  test(`options that mean nothing without keys are refused, ${where}`, async (t) => {
    const server = await approving(t);
    const client = trusting(server, SomeClient);
    for (const options of [{ floor: { threshold: 1 } }, { floor: {} }, { accept: ["v2"] }, { policies: [] }, { allowHmac: true }]) {
      await refused(server, () => client.guard({ ...ACTION, ...options }, () => assert.fail("it ran")), "needs `keys`");
    }
    assert.equal(await client.guard({ ...ACTION, floor: null, accept: undefined, policies: null, allowHmac: false }, () => "ran"), "ran");
  });

  test(`unknown and mistyped options of other methods are refused, ${where}`, async (t) => {
    const server = await approving(t);
    const client = trusting(server, SomeClient);
    const events = async (options) => (await client.events(options).next()).value;
    for (const [call, member] of [
      [() => client.request({ ...ACTION, treshold: 2 }), "`treshold`"], [() => client.request({ ...ACTION, threshold: "2" }), "`threshold`"],
      [() => client.get(ID, { timeOut: 1 }), "`timeOut`"], [() => client.get(ID, { timeout: "1" }), "`timeout`"],
      [() => client.get(ID, { signal: new AbortController() }), "`signal`"], [() => client.list({ stauts: "pending" }), "`stauts`"],
      [() => client.wait(ID, { timeuot: 1 }), "`timeuot`"], [() => client.verify(ID, { signature: "x", audience: "x" }), "`audience`"],
      [() => client.claim(ID, { ...ACTION, lease: 5 }), "`lease`"], [() => client.decide(ID, { decision: "approved", signature: "x", commment: "x" }), "`commment`"],
      [() => client.extend(ID, 60, { idempotency_key: "x" }), "`idempotency_key`"], [() => client.evaluate({ ...ACTION, plam: {} }), "`plam`"],
      [() => client.policy({ signers: [], audiense: "x" }), "`audiense`"], [() => client.policy({ signers: [], audience: "x", maxStale: "5" }), "`maxStale`"],
      [() => events({ afetr: 1 }), "`afetr`"], [() => events({ after: {} }), "`after`"],
      [() => new SomeClient(server.url, { key: [] }), "`key`"], [() => new SomeClient(server.url, { insecureHttp: "no" }), "`insecureHttp`"],
      [() => new SomeClient(server.url, { audience: 1 }), "`audience`"], [() => new SomeClient(server.url, { clock: 5 }), "`clock`"],
    ]) {
      await refused(server, call, member);
    }
  });
}

test("keys of a guard are also read from a file", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "signoff-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const server = await approving(t);
  const path = join(folder, "keys.json");
  writeFileSync(path, JSON.stringify({ items: [server.key.public] }));
  const client = trusting(server);
  const own = { ...ACTION, keys: path, audience: AUDIENCE };
  assert.equal(await client.guard(own, ({ approvers }) => approvers[0].algorithm), "ed25519");
  writeFileSync(path, JSON.stringify({ items: [newKey().public] }));
  await assert.rejects(client.guard(own, () => assert.fail("it ran")), { code: "signature-invalid" });
  await refused(server, () => new Client(server.url, { ca: 0, keys: null }), "`ca`");
  await refused(server, () => client.policy({ signers: [], audience: AUDIENCE, queue: 1 }), "`queue`");
});

test("the verifier refuses unknown and mistyped members, and sources with a misspelt digest", async () => {
  const check = { approval: "{}", id: ID, audience: "x", attempt: ACTION, keys: [] };
  for (const [call, member] of [
    [() => verifier.verifyApproval({ ...check, flor: {} }), "`flor`"], [() => verifier.verifyApproval({ ...check, floor: { ttl_seconds: 5 } }), "`ttl_seconds`"],
    [() => verifier.verifyApproval({ ...check, requestedAfter: NaN }), "`requestedAfter`"], [() => verifier.verifyApproval({ ...check, now: "5" }), "`now`"],
    [() => verifier.verifyApproval({ ...check, attempt: { ...ACTION, execution_id: "x" } }), "`execution_id`"],
    [() => verifier.verifyReceipt({ receipt: "{}", logKeys: [], audiense: "x" }), "`audiense`"],
    [() => verifier.verifyManifest({ manifest: "{}", digest: "", slot: "policy", keys: [], audiense: "x" }), "`audiense`"],
  ]) {
    assert.throws(call, (error) => error.name === "Invalid" && error.code === "request-invalid" && error.message.includes(member), member);
  }
  const bytes = readFileSync(new URL("../verifier.wasm", import.meta.url));
  await assert.rejects(Verifier.load({ bytes, digst: "0".repeat(64) }), { code: "request-invalid", message: /digst/ });
});
