// The guard, against a server in this process that is honest or lies.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, rawJson } from "@signoff/sdk";

import { atLeast } from "../src/requirement.js";
import { AUDIENCE, newKey, problem, Server, TOKEN } from "./server.mjs";

const ACTION = { agent: "deployer", action: "deploy", context: { replicas: 3, target: "prod" } };
const CANONICAL = '{"replicas": 3, "target": "prod"}';

/** Starts a server whose approver decides each request at once. */
async function approving(t, decision = "approved", comment = "") {
  const server = await Server.start();
  t.after(() => server.close());
  server.onWait = async (id) => {
    if (JSON.parse(server.shown(id)).status === "pending") server.decide(id, decision, comment);
  };
  return server;
}

function pinned(server, options = {}) {
  return new Client(server.url, { token: TOKEN, keys: [server.key.public], audience: AUDIENCE, ...options });
}

function trusting(server) {
  return new Client(server.url, { token: TOKEN, keys: null, audience: null });
}

/** Runs a guard that must refuse, and returns its error. */
async function refused(client, options, expected) {
  let runs = 0;
  const error = await client.guard(options, () => (runs += 1)).then(() => null, (found) => found);
  assert.equal(runs, 0, "the function ran");
  assert.ok(error !== null, "nothing was refused");
  assert.deepEqual([error.name, error.code], expected, String(error));
  return error;
}

/** Changes the view of a route. */
function changed(route, change) {
  return (exchange) => {
    if (exchange.route !== route || exchange.status !== 200) return;
    const view = JSON.parse(exchange.body);
    exchange.body = JSON.stringify(change(view) ?? view);
  };
}

test("an approved action runs once, on the verified texts, and its outcome is reported", async (t) => {
  const server = await approving(t);
  const seen = [];
  const plan = rawJson('{"ratio": 1.0, "big": 12345678901234567890}');
  const result = await pinned(server).guard({ ...ACTION, plan, threshold: 1, groups: { sre: 1 } }, (execution) => {
    seen.push(execution);
    return "done";
  });
  const [execution] = seen;
  assert.equal(result, "done");
  assert.equal(seen.length, 1);
  assert.equal(execution.contextText, CANONICAL);
  assert.equal(execution.planText, '{"big": 12345678901234567890, "ratio": 1.0}');
  assert.deepEqual(execution.plan, { big: 12345678901234567890n, ratio: 1 });
  assert.deepEqual(execution.context, ACTION.context);
  assert.equal(execution.reported, true);
  assert.deepEqual(execution.approvers.map(({ approver, groups }) => [approver, groups]), [["alice@company.com", ["sre"]]]);
  assert.equal(JSON.parse(server.shown(execution.approvalId)).execution.outcome, "succeeded");
  const keys = ["create", "execute", "outcome"].flatMap((route) => server.sent(route).map(({ headers }) => headers["idempotency-key"]));
  assert.equal(new Set(keys).size, 3, "each call has a key of its own");
});

test("without pinned keys the server's word is compared and trusted", async (t) => {
  const server = await approving(t);
  assert.equal(await trusting(server).guard(ACTION, ({ contextText }) => contextText), CANONICAL);
});

test("a mutated object changes nothing: the function gets what was approved", async (t) => {
  const server = await approving(t);
  const context = { replicas: 3 };
  const running = pinned(server).guard({ ...ACTION, context }, (execution) => execution.context);
  context.replicas = 300;
  assert.deepEqual(await running, { replicas: 3 });
});

test("a function that throws is reported by its type, not its text", async (t) => {
  const server = await approving(t);
  let id;
  const failing = pinned(server).guard(ACTION, (execution) => {
    id = execution.approvalId;
    throw new RangeError("password hunter2");
  });
  await assert.rejects(failing, RangeError);
  const { outcome, detail } = JSON.parse(server.shown(id)).execution;
  assert.deepEqual([outcome, detail], ["failed", "RangeError"]);
});

test("rejected, withdrawn and expired requests are their errors", async (t) => {
  const server = await approving(t, "rejected", "not on a Friday");
  const rejected = await refused(pinned(server), ACTION, ["Rejected", "rejected"]);
  assert.equal(rejected.comment, "not on a Friday");
  assert.match(rejected.approvalId, /^appr_/);
  assert.equal(server.sent("withdraw").length, 0);
  for (const [status, name] of [["withdrawn", "Withdrawn"], ["expired", "Expired"]]) {
    server.lie = changed("show", (view) => ({ ...view, status }));
    await refused(pinned(server), ACTION, [name, status]);
  }
  server.before = ({ route }) => (route === "create" ? problem({ code: "policy-denied", detail: "never on prod" }, 403) : undefined);
  const denied = await refused(pinned(server), ACTION, ["Denied", "policy-denied"]);
  assert.equal(denied.comment, "never on prod");
  assert.equal(denied.requestId, "req_1");
});

test("a wait that takes too long withdraws the request", async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const { approvalId } = await refused(pinned(server), { ...ACTION, timeout: 2 }, ["TimedOut", "timed-out"]);
  assert.equal(JSON.parse(server.shown(approvalId)).status, "withdrawn");
});

test("an aborted wait withdraws the request and throws the reason", async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const controller = new AbortController();
  server.onWait = async () => controller.abort(new Error("shutting down"));
  const waiting = pinned(server).guard({ ...ACTION, signal: controller.signal }, () => assert.fail("ran"));
  await assert.rejects(waiting, { message: "shutting down" });
  assert.equal(server.sent("withdraw").length, 1);
  assert.equal(server.sent("execute").length, 0);
});

for (const client of [pinned, trusting]) {
  test(`an abort between the claim and the run fails the execution, ${client.name}`, async (t) => {
    const server = await approving(t);
    const controller = new AbortController();
    server.lie = ({ route }) => route === "execute" && controller.abort(new Error("shutting down"));
    const running = client(server).guard({ ...ACTION, signal: controller.signal }, () => assert.fail("ran"));
    await assert.rejects(running, { message: "shutting down" });
    assert.equal(JSON.parse(server.sent("outcome")[0].body).outcome, "failed");
  });
}

// What a server shows before the claim, and the code that refuses it.
const LIES = {
  "not-found": (view) => ({ ...view, id: "appr_01k7s2e3m8q4w6x9y0z1a2b3c4" }),
  "audience-mismatch": (view) => ({ ...view, audience: "another" }),
  "request-invalid": (view) => ({ ...view, reason: "nothing to worry about" }),
  "signature-invalid": (view) => ({ ...view, expires_at: "2099-01-01T00:00:00Z" }),
  "already-executed": (view) => ({ ...view, status: "executed" }),
};

for (const [code, lie] of Object.entries(LIES)) {
  test(`a lie before the claim is refused: ${code}`, async (t) => {
    const server = await approving(t);
    server.lie = changed("show", lie);
    const names = { "not-found": "NotFound", "audience-mismatch": "Mismatch", "request-invalid": "Invalid", "already-executed": "Conflict" };
    await refused(pinned(server), ACTION, [names[code] ?? "Unverified", code]);
    assert.equal(server.sent("execute").length, 0);
    assert.equal(server.sent("withdraw").length, 1);
  });
}

test("a duplicate member is refused, whichever of the two this runtime reads", async (t) => {
  const server = await approving(t);
  server.lie = (exchange) => {
    if (exchange.route === "show") exchange.body = exchange.body.replace("{", '{"status":"pending",');
  };
  await refused(pinned(server), ACTION, ["Invalid", "request-invalid"]);
});

test("an approval of something else is refused", async (t) => {
  const server = await approving(t);
  server.weakens = true;
  const other = newKey("alice");
  for (const [options, client, expected] of [
    [ACTION, pinned(server, { keys: [other.public] }), ["Unverified", "signature-invalid"]],
    [ACTION, pinned(server, { keys: [newKey("bob", "bob@company.com").public] }), ["Unverified", "key-unknown"]],
    [ACTION, pinned(server, { audience: "another" }), ["Mismatch", "audience-mismatch"]],
    [{ ...ACTION, floor: { threshold: 2 } }, pinned(server), ["Unverified", "requirement-too-weak"]],
    [{ ...ACTION, floor: { ttlSeconds: 60 } }, pinned(server), ["Unverified", "requirement-too-weak"]],
    [{ ...ACTION, policies: ["0".repeat(64)] }, pinned(server), ["Mismatch", "policy-mismatch"]],
    [{ ...ACTION, accept: ["v1"] }, pinned(server), ["Unverified", "signature-malformed"]],
    [ACTION, pinned(server, { clock: () => Date.now() + 120_000 }), ["Unverified", "request-too-old"]],
  ]) {
    await refused(client, options, expected);
  }
  assert.equal(server.sent("execute").length, 0);
});

test("nothing weaker than the floor is requested", async (t) => {
  const server = await approving(t);
  const floor = { threshold: 1, groups: { sre: 1 }, ttlSeconds: 60 };
  const requested = async (options) => {
    await pinned(server).guard({ ...ACTION, ...options }, () => {});
    const { requirement, expires_in_seconds: lifetime } = JSON.parse(server.sent("create").at(-1).body);
    return [requirement, lifetime];
  };
  const merged = [{ threshold: 1, groups: { sre: 1 } }, 60];
  assert.deepEqual(await requested({ floor }), merged);
  assert.deepEqual(await requested({ floor, expiresInSeconds: 90 }), merged);
  assert.deepEqual(await requested({ floor, expiresInSeconds: 30 }), [merged[0], 30]);
  // Longer than the server's default: the request must not outlive it for that.
  assert.deepEqual(await requested({ floor: { ttlSeconds: 86_400 } }), [undefined, undefined]);
  assert.deepEqual(await requested({ floor: { ttlSeconds: 86_400 }, expiresInSeconds: 90_000 }), [undefined, 86_400]);
  assert.deepEqual(await requested({ groups: { sre: 1 } }), [{ groups: { sre: 1 } }, undefined]);
});

test("of each number of a floor and a request the stricter one is requested", () => {
  const floor = { threshold: 2, groups: { sre: 2, constructor: 1 } };
  const { threshold, groups } = atLeast({ threshold: 1, groups: { sre: 1, dba: 1 } }, floor);
  assert.deepEqual([threshold, groups], [2, { sre: 2, dba: 1, constructor: 1 }]);
  const strong = { threshold: 3, groups: { sre: 3 }, expiresInSeconds: undefined };
  assert.deepEqual(atLeast(strong, { threshold: 2, groups: { sre: 2 } }), strong);
  assert.deepEqual(atLeast(strong, null), strong);
});

test("keys that the server lists make pinned keys stricter, and nothing else", async (t) => {
  const server = await approving(t);
  const own = { ...server.key.public, public_key: server.key.public.material, fingerprint: "" };
  const stranger = newKey("bob", "bob@company.com").public;
  const strict = { ...ACTION, groups: { sre: 1 } };
  for (const [listed, expected] of [
    [[{ ...own, status: "revoked" }], ["Unverified", "key-revoked"]],
    [[{ ...own, id: "other", status: "revoked" }], ["Unverified", "key-revoked"]],
    [[{ ...own, groups: ["dba"] }], ["Unverified", "approver-not-allowed"]],
  ]) {
    server.listed = listed;
    await refused(pinned(server), strict, expected);
  }
  server.listed = [own, { ...stranger, public_key: stranger.material }];
  assert.equal(await pinned(server).guard(strict, () => "ran"), "ran");
  server.listed = null;
  assert.equal(await pinned(server).guard(strict, () => "ran"), "ran");
  server.before = ({ route }) => (route === "keys" ? problem({ code: "internal-error", detail: "" }, 500) : undefined);
  await refused(pinned(server), strict, ["Unavailable", "internal-error"]);
});

test("hmac keys are ignored unless allowed", async (t) => {
  const server = await approving(t);
  const hmac = { ...server.key.public, algorithm: "hmac-sha256", material: "A".repeat(43) };
  server.key = { public: hmac, private: hmac };
  await refused(pinned(server), ACTION, ["Unverified", "key-unknown"]);
  assert.equal(await pinned(server).guard({ ...ACTION, allowHmac: true }, () => "ran"), "ran");
});

test("a claim whose answer does not verify runs nothing and is reported as failed", async (t) => {
  const server = await approving(t);
  for (const [lie, expected] of [
    [(view) => ({ ...view, context_hash: "0".repeat(64) }), ["Invalid", "request-invalid"]],
    [(view) => ({ ...view, context: { replicas: 300, target: "prod" } }), ["Invalid", "request-invalid"]],
    [(view) => ({ ...view, execution: { ...view.execution, outcome: "succeeded" } }), ["Conflict", "already-executed"]],
    [(view) => ({ ...view, status: "approved", execution: null }), ["Unverified", "untrusted-answer"]],
  ]) {
    server.lie = changed("execute", lie);
    const { approvalId } = await refused(pinned(server), ACTION, expected);
    const { outcome } = JSON.parse(server.shown(approvalId)).execution;
    assert.equal(outcome, expected[1] === "untrusted-answer" ? "claimed" : "failed");
  }
});

test("without pinned keys another approval than the requested one is refused", async (t) => {
  const server = await approving(t);
  for (const lie of [
    (view) => ({ ...view, id: "appr_01k7s2e3m8q4w6x9y0z1a2b3c4" }),
    (view) => ({ ...view, agent: "other" }),
    (view) => ({ ...view, action: "other" }),
    (view) => ({ ...view, context_hash: "0".repeat(64) }),
    (view) => ({ ...view, plan_hash: "0".repeat(64) }),
    (view) => ({ ...view, status: "no-such-status" }),
    (view) => ({ ...view, status: "toString" }),
  ]) {
    server.lie = changed("show", lie);
    await refused(trusting(server), ACTION, ["Unverified", "untrusted-answer"]);
    assert.equal(server.sent("execute").length, 0);
  }
});

test("an approval that this process claimed is not claimed again", async (t) => {
  const server = await approving(t);
  let first;
  await pinned(server).guard(ACTION, ({ approvalId }) => (first = approvalId));
  const decided = JSON.stringify({ ...JSON.parse(server.shown(first)), status: "approved", execution: null, executed_at: null });
  server.before = ({ route }) => (route === "create" || route === "show" ? { status: route === "create" ? 201 : 200, body: decided } : undefined);
  await refused(pinned(server), ACTION, ["Unverified", "untrusted-answer"]);
  assert.equal(server.sent("execute").length, 1);
});

test("a clock that is set forward and back forgets no claim", async (t) => {
  const server = await approving(t);
  let ahead = 0;
  const client = new Client(server.url, { token: TOKEN, keys: null, audience: null, clock: () => Date.now() + ahead });
  let first;
  await client.guard(ACTION, ({ approvalId }) => (first = approvalId));
  const decided = JSON.stringify({ ...JSON.parse(server.shown(first)), status: "approved", execution: null, executed_at: null });
  // Claims another one while the first seems to have expired, and also one that seems to have expired itself.
  ahead = 30 * 24 * 3600 * 1000;
  let second;
  await client.guard(ACTION, ({ approvalId }) => (second = approvalId));
  const late = decided.replaceAll(first, second);
  ahead = 0;
  for (const body of [decided, late]) {
    server.before = ({ route }) => (route === "create" || route === "show" ? { status: route === "create" ? 201 : 200, body } : undefined);
    await refused(client, ACTION, ["Unverified", "untrusted-answer"]);
  }
  assert.equal(server.sent("execute").length, 2);
});

test("an outcome that cannot be reported leaves the result", async (t) => {
  const server = await approving(t);
  server.before = ({ route }) => (route === "outcome" ? problem({ code: "store-tampered", detail: "" }, 500) : undefined);
  let execution;
  assert.equal(await pinned(server).guard(ACTION, (claimed) => ((execution = claimed), "done")), "done");
  assert.equal(execution.reported, false);
});

test("lost answers are asked for again with the same key, and nothing runs twice", async (t) => {
  const server = await approving(t);
  const lost = new Set();
  server.lie = (exchange) => {
    if (lost.has(exchange.route)) return;
    lost.add(exchange.route);
    exchange.status = "cut";
  };
  let runs = 0;
  await pinned(server).guard(ACTION, () => (runs += 1));
  assert.equal(runs, 1);
  for (const route of ["create", "execute", "outcome"]) {
    const keys = server.sent(route).map(({ headers }) => headers["idempotency-key"]);
    assert.deepEqual(keys, [keys[0], keys[0]], route);
  }
});

test("settings are checked before anything is requested", async (t) => {
  const server = await approving(t);
  await refused(pinned(server, { audience: null }), ACTION, ["Invalid", "request-invalid"]);
  const { path } = await refused(pinned(server), { ...ACTION, context: { a: [{ b: NaN }] } }, ["Invalid", "context-invalid"]);
  assert.equal(path, "a[0].b");
  await refused(pinned(server), { ...ACTION, context: '{"a":1,"a":2}' }, ["Invalid", "context-invalid"]);
  assert.equal(server.seen.length, 0);
});

test("a guarded function takes the arguments of its call", async (t) => {
  const server = await approving(t);
  const deploy = pinned(server).guarded(async ({ context }) => `deployed ${context.target}`, {
    agent: "deployer",
    action: "deploy",
    context: (target) => ({ target }),
    reason: (target) => `deploy to ${target}`,
  });
  assert.equal(await deploy("prod"), "deployed prod");
  assert.equal(JSON.parse(server.sent("create")[0].body).reason, "deploy to prod");
});
