// Guards that name their call: an earlier request of the same call is found again, and no other.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, rawJson } from "@signoff/sdk";

import { AUDIENCE, Server, TOKEN } from "./server.mjs";

const ACTION = { agent: "deployer", action: "deploy", context: { replicas: 3, target: "prod" }, callId: "run 1, call 1" };

async function started(t) {
  const server = await Server.start();
  t.after(() => server.close());
  return server;
}

function client(server, options = {}) {
  return new Client(server.url, { token: TOKEN, keys: [server.key.public], audience: AUDIENCE, ...options });
}

/** Requests without waiting, and returns the id. */
async function requested(server, options = {}) {
  return (await client(server).guardRequest({ ...ACTION, ...options })).id;
}

test("a guard finds the request of its call, and runs it once", async (t) => {
  const server = await started(t);
  const id = await requested(server);
  server.decide(id);
  const runs = [];
  const guarded = () => client(server).guard(ACTION, ({ approvalId, contextText }) => runs.push([approvalId, contextText]));
  await guarded();
  assert.deepEqual(runs, [[id, '{"replicas": 3, "target": "prod"}']]);
  await assert.rejects(guarded(), { name: "Conflict", code: "already-executed" });
  assert.equal(runs.length, 1);
  assert.equal(server.sent("withdraw").length, 0);
});

test("the order of members does not make another call", async (t) => {
  const server = await started(t);
  const id = await requested(server);
  assert.equal(await requested(server, { context: rawJson('{"target": "prod",   "replicas":3}') }), id);
});

test("a call that was edited in any way is a new request", async (t) => {
  const server = await started(t);
  const ids = new Set([await requested(server)]);
  for (const edited of [
    { context: { replicas: 4, target: "prod" } }, { action: "deploy2" }, { agent: "another" }, { plan: {} }, { reason: "r" },
    { threshold: 1 }, { expiresInSeconds: 60 }, { callId: "run 1, call 2" }, { floor: { ttlSeconds: 30 } }, { groups: { sre: 1 } },
  ]) {
    ids.add(await requested(server, edited));
  }
  assert.equal(ids.size, 11);
});

test("with pinned keys a request of the same call may be as old as it lives, and that of another guard may not", async (t) => {
  const server = await started(t);
  const at = (seconds) => client(server, { clock: () => Date.now() + seconds * 1000 });
  const id = await requested(server);
  server.decide(id);
  assert.equal(await at(200).guard(ACTION, ({ approvalId }) => approvalId), id);
  server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
  await assert.rejects(at(200).guard({ ...ACTION, callId: null }, () => assert.fail("ran")), { code: "request-too-old" });
  const short = { ...ACTION, callId: "short", expiresInSeconds: 100 };
  server.decide((await client(server).guardRequest(short)).id);
  await assert.rejects(at(250).guard(short, () => assert.fail("ran")), (error) => ["request-too-old", "expired"].includes(error.code));
});

test("two guards of one call at the same time run it once, and neither withdraws it", async (t) => {
  const server = await started(t);
  server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
  let runs = 0;
  const one = client(server);
  const ended = await Promise.allSettled([1, 2].map(() => one.guard(ACTION, () => ++runs)));
  assert.equal(runs, 1);
  assert.deepEqual(ended.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.equal(ended.find(({ status }) => status === "rejected").reason.code, "already-executed");
  assert.equal(server.sent("withdraw").length, 0);
});

test("a rejection names who rejected", async (t) => {
  const server = await started(t);
  server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id, "rejected", "not on Friday");
  await assert.rejects(client(server).guard(ACTION, () => assert.fail("ran")), { name: "Rejected", approver: "alice@company.com", comment: "not on Friday" });
});

test("a verdict requests nothing; with pinned keys the server's `allow` is not one", async (t) => {
  const server = await started(t);
  const says = (decision) => {
    server.before = ({ route }) => (route === "evaluate" ? { body: JSON.stringify({ decision, reason: "because" }) } : undefined);
  };
  const trusting = client(server, { keys: null, audience: null });
  const verdicts = (of, options) => of.guardVerdict({ ...ACTION, ...options }).then(({ decision }) => decision);
  says("allow");
  assert.equal(await verdicts(trusting, { policy: "server" }), "allow");
  assert.equal(await verdicts(client(server), { policy: "server" }), "require_approval");
  assert.equal(await verdicts(trusting, {}), "require_approval");
  assert.equal(await trusting.guard({ ...ACTION, policy: "server" }, ({ approvalId }) => approvalId), null);
  says("deny");
  assert.deepEqual(await trusting.guardVerdict({ ...ACTION, policy: "server" }), { decision: "deny", reason: "because" });
  await assert.rejects(trusting.guard({ ...ACTION, policy: "server" }, () => assert.fail("ran")), { name: "Denied", comment: "because" });
  says("perhaps");
  await assert.rejects(trusting.guardVerdict({ ...ACTION, policy: "server" }), { code: "unreachable" });
  assert.equal(server.sent("create").length, 0);
  await assert.rejects(trusting.guardRequest({ ...ACTION, callId: undefined }), { code: "request-invalid" });
  await assert.rejects(trusting.guard({ ...ACTION, policy: "Server" }, () => assert.fail("ran")), { code: "request-invalid" });
});
