// The client: retries, limits, errors, and where the token goes.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";

import { Client, errorOf, SignoffError } from "@signoff/sdk";
import { Client as BrowserClient } from "@signoff/sdk/browser";

import { problem, Server, TOKEN } from "./server.mjs";

const ACTION = { agent: "deployer", action: "deploy", context: { a: 1 } };
const ID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";

async function started(t, listen) {
  const server = await Server.start(listen);
  t.after(() => server.close());
  return { server, client: new Client(server.url, { token: TOKEN, keys: null, audience: null }) };
}

/** Each transport, over which the same rules hold. */
function overBoth(name, body) {
  test(`${name}, over fetch`, (t) => started(t).then((started) => body(t, started)));
  test(`${name}, over a Unix socket`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "signoff-"));
    t.after(() => rmSync(folder, { recursive: true }));
    return body(t, await started(t, join(folder, "socket")));
  });
}

overBoth("requests carry the token and a key, and answers keep unknown members and their text", async (_, { server, client }) => {
  server.lie = (exchange) => (exchange.body = exchange.body.replace("{", '{"new_member": [1],'));
  const approval = await client.request({ ...ACTION, reason: "why", threshold: 2, groups: { sre: 1 }, expiresInSeconds: 60 });
  const [{ headers, body }] = server.seen;
  assert.equal(headers.authorization, `Bearer ${TOKEN}`);
  assert.match(headers["idempotency-key"], /^[0-9a-f]{32}$/);
  assert.deepEqual(JSON.parse(body), {
    ...ACTION, reason: "why", expires_in_seconds: 60, requirement: { threshold: 2, groups: { sre: 1 } },
  });
  assert.deepEqual(approval.new_member, [1]);
  assert.equal(approval.text, server.shown(approval.id).replace("{", '{"new_member": [1],'));
  assert.equal(Object.keys(approval).includes("text"), false);
});

overBoth("connections that break are tried again with the same key", async (_, { server, client }) => {
  let left = 2;
  server.lie = (exchange) => left-- > 0 && (exchange.status = "cut");
  await client.request(ACTION);
  const keys = server.seen.map(({ headers }) => headers["idempotency-key"]);
  assert.deepEqual(keys, [keys[0], keys[0], keys[0]]);
});

overBoth("a body that ends early is a broken connection", async (_, { server, client }) => {
  let left = 1;
  server.lie = (exchange) => {
    if (left-- <= 0) return;
    const { body } = exchange;
    exchange.headers = { "content-length": String(body.length) };
    exchange.body = (response) => (response.write(body.slice(0, 10)), response.socket.end());
  };
  await client.request(ACTION);
  assert.equal(server.seen.length, 2);
});

overBoth("429 and 503 with Retry-After are tried again, everything else is not", async (_, { server, client }) => {
  const answers = [
    { ...problem({ code: "rate-limited", detail: "" }, 429), headers: { "content-type": "application/problem+json", "retry-after": "0" } },
    { status: 503, body: "busy", headers: { "content-type": "text/plain", "retry-after": new Date().toUTCString() } },
  ];
  server.before = () => answers.shift();
  await client.request(ACTION);
  assert.equal(server.seen.length, 3);
  for (const [status, code, name] of [
    [503, "store-unavailable", "Unavailable"], [429, "rate-limited", "Unavailable"], [500, "internal-error", "Unavailable"],
    [409, "already-decided", "Conflict"], [422, "context-invalid", "Invalid"], [401, "unauthenticated", "Forbidden"],
    [418, "brand-new-code", "SignoffError"],
  ]) {
    server.seen.length = 0;
    const retryAfter = status === 429 || status === 503 ? {} : { "retry-after": "0" };
    const { headers, ...answer } = problem({ code, detail: "why" }, status);
    server.before = () => ({ ...answer, headers: { ...headers, ...retryAfter } });
    await assert.rejects(client.request(ACTION), { name, code, status, title: code, detail: "why", requestId: "req_1" });
    assert.equal(server.seen.length, 1, code);
  }
});

overBoth("a Retry-After beyond the time limit is not waited for", async (_, { server, client }) => {
  server.before = () => ({ ...problem({ code: "rate-limited", detail: "" }, 429), headers: { "content-type": "application/problem+json", "retry-after": "31" } });
  await assert.rejects(client.request(ACTION), { code: "rate-limited" });
  assert.equal(server.seen.length, 1);
});

overBoth("redirects are not followed", async (_, { server, client }) => {
  server.before = () => ({ status: 307, headers: { location: `${server.url}/elsewhere` }, body: "" });
  await assert.rejects(client.get(ID), { name: "Unavailable", code: "unreachable", status: 307 });
  assert.equal(server.seen.length, 1);
});

overBoth("answers that are not what the route returns are refused", async (_, { server, client }) => {
  for (const answer of [
    { body: "<html>", headers: { "content-type": "text/html" } },
    { body: "{", headers: {} },
    { body: "[]", headers: {} },
    { body: "null", headers: {} },
    { body: '{"id":"../../tokens"}', headers: {} },
    { body: Buffer.from('{"a":"\xff"}', "latin1"), headers: {} },
    { body: "", headers: {} },
    { status: 500, body: '{"code":"../../"}', headers: {} },
    { status: 502, body: "bad gateway", headers: { "content-type": "text/plain" } },
    { status: 204, body: "", headers: {} },
  ]) {
    server.before = () => answer;
    await assert.rejects(client.get(ID), { name: "Unavailable", code: "unreachable" });
  }
  server.before = () => undefined;
  const { id } = await client.request(ACTION);
  for (const answer of [
    { body: server.shown(id), headers: { "content-type": "text/html" } },
    { body: server.shown(id).replace(id, "../../tokens") },
    { body: server.shown(id).replace('"request_digest"', '"x"') },
    { body: server.shown(id).replace('"ballots":[]', '"ballots":[1]') },
  ]) {
    server.before = () => answer;
    await assert.rejects(client.get(id), { name: "Unavailable", code: "unreachable" });
  }
  for (const call of [() => client.list(), () => client.keys(), () => client.evaluate(ACTION), () => client.verify(ID, { signature: "x" })]) {
    server.before = () => ({ body: '{"items":[1],"decision":"maybe"}' });
    await assert.rejects(call(), { name: "Unavailable", code: "unreachable" });
  }
});

overBoth("an answer of more than 16 MiB ends the call while it streams", async (_, { server, client }) => {
  let sent = 0;
  server.before = () => ({
    body: (response) => {
      const chunk = Buffer.alloc(1024 * 1024, " ");
      const more = () => {
        // Without the limit this never ends.
        sent += 1;
        if (!response.destroyed) response.write(chunk, () => setImmediate(more));
      };
      more();
    },
  });
  await assert.rejects(client.get(ID), { name: "Unavailable", message: /longer than 16 MiB/ });
  assert.ok(sent < 64, `${sent} MiB were sent`);
});

test("a deep answer is refused before it is built", async (t) => {
  const { server, client } = await started(t);
  const { id } = await client.request(ACTION);
  const nested = (depth) => server.shown(id).replace("{", `{"deep":${"[".repeat(depth)}"]"${"]".repeat(depth)},`);
  server.before = () => ({ body: nested(127) });
  assert.equal((await client.get(id)).id, id);
  const before = process.resourceUsage().maxRSS;
  for (const [status, body] of [
    [200, nested(128)], [200, "[".repeat(8 << 20)], [200, '{"a":'.repeat(1 << 20)], [200, '"\\'.repeat(200)], [409, "[".repeat(8 << 20)],
  ]) {
    server.before = () => ({ status, body });
    await assert.rejects(client.get(id), { name: "Unavailable", code: "unreachable" });
  }
  const grown = Math.round((process.resourceUsage().maxRSS - before) / 1024);
  assert.ok(grown < 400, `the process has grown by ${grown} MiB`);
});

test("the client's `timeout` limits each call of a guard", async (t) => {
  const { server } = await started(t);
  const client = new Client(server.url, { token: TOKEN, keys: null, audience: null, timeout: 2 });
  for (const [silent, name, code] of [["create", "Unavailable", "unreachable"], ["execute", "TimedOut", "timed-out"]]) {
    server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
    server.before = ({ route }) => (route === silent ? { body: () => {} } : undefined);
    await assert.rejects(client.guard(ACTION, () => assert.fail("it ran")), { name, code }, silent);
  }
  server.before = () => ({ body: () => {} });
  await assert.rejects(client.get(ID), { code: "timed-out", message: /2 s/ });
  await assert.rejects(client.get(ID, { timeout: 0.1 }), { code: "timed-out", message: /0\.1 s/ });
});

overBoth("a server that does not answer ends at the timeout, and an abort at once", async (_, { server, client }) => {
  server.before = () => ({ body: () => {} });
  await assert.rejects(client.get(ID, { timeout: 0.1 }), { name: "TimedOut", code: "timed-out", status: 0 });
  const controller = new AbortController();
  server.before = () => ({ body: () => controller.abort(new Error("enough")) });
  await assert.rejects(client.get(ID, { signal: controller.signal }), { message: "enough" });
  await assert.rejects(client.get(ID, { signal: AbortSignal.abort(new Error("before")) }), { message: "before" });
});

test("a server that is not there is unreachable once the time is over", async () => {
  const client = new Client("http://127.0.0.1:1", { token: null, keys: null });
  await assert.rejects(client.get(ID, { timeout: 0.3 }), { name: "Unavailable", code: "unreachable", status: 0, requestId: null });
});

test("malformed ids never reach a path", async (t) => {
  const { server, client } = await started(t);
  for (const id of ["", "..", "appr_../../tokens0000000000000000", `${ID}/x`, `${ID}?x`, undefined]) {
    await assert.rejects(client.get(id), { name: "NotFound", code: "not-found" });
    await assert.rejects(client.withdraw(id), { name: "NotFound" });
  }
  assert.equal(server.seen.length, 0);
});

test("every method sends what its route takes", async (t) => {
  const { server, client } = await started(t);
  const { id } = await client.request(ACTION);
  server.before = ({ route }) => (route === "receipt" ? { body: '{"format":2}' } : { body: server.shown(id) });
  await client.decide(id, { decision: "approved", signature: "s", comment: "c", idempotencyKey: "mine" });
  await client.claim(id, { ...ACTION, plan: { p: 1 }, leaseSeconds: 5 });
  await client.report(id, { executionId: "exec_x", outcome: "failed", detail: "d" });
  await client.extend(id, 60);
  await client.withdraw(id);
  assert.equal(await client.receipt(id), '{"format":2}');
  server.before = () => ({ body: '{"items":[],"next_cursor":"n"}' });
  assert.deepEqual(await client.list({ status: "pending", limit: 2, cursor: "a b&c" }), { items: [], nextCursor: "n" });
  server.before = () => ({ body: '{"valid":false,"signature_valid":true}' });
  await client.verify(id, { signature: "s", context: { a: 1n } });
  const sent = server.seen.slice(1).map(({ method, path, body }) => [method, path.replace(`/api/v1/approvals/${id}`, "…"), body]);
  assert.deepEqual(sent, [
    ["POST", "…/approve", '{"decision":"approved","signature":"s","comment":"c"}'],
    ["POST", "…/execute", '{"agent":"deployer","action":"deploy","context":{"a":1},"plan":{"p":1},"lease_seconds":5}'],
    ["POST", "…/outcome", '{"execution_id":"exec_x","outcome":"failed","detail":"d"}'],
    ["POST", "…/extend", '{"expires_in_seconds":60}'],
    ["POST", "…/withdraw", "{}"],
    ["GET", "…/receipt", ""],
    ["GET", "/api/v1/approvals?status=pending&limit=2&cursor=a+b%26c", ""],
    ["POST", "…/verify", '{"signature":"s","context":{"a":1}}'],
  ]);
  assert.equal(server.seen[1].headers["idempotency-key"], "mine");
});

test("mismatches name the members that differ", async (t) => {
  const { server, client } = await started(t);
  const body = JSON.stringify({ title: "t", status: 403, detail: "d", code: "context-mismatch", members: ["/replicas", 1] });
  server.before = () => ({ status: 403, headers: { "content-type": "application/problem+json" }, body });
  await assert.rejects(client.claim(ID, ACTION), { name: "Mismatch", members: ["/replicas"] });
});

test("a wait goes on over polls until the status changes", async (t) => {
  const { server, client } = await started(t);
  const { id } = await client.request(ACTION);
  let polls = 0;
  server.onWait = async () => (polls += 1) === 2 && server.decide(id);
  const approval = await client.wait(id);
  assert.equal(approval.status, "approved");
  assert.equal(server.seen.at(-1).path, `/api/v1/approvals/${id}?wait=50&while=pending`);
});

test("a wait ends where the approval expires", async (t) => {
  const { server, client } = await started(t);
  const { id } = await client.request(ACTION);
  server.lie = (exchange) => (exchange.body = exchange.body.replace(/"expires_at":"[^"]*"/, '"expires_at":"2025-01-01T00:00:00Z"'));
  assert.equal((await client.wait(id)).status, "pending");
});

test("a token never goes to another machine without TLS", () => {
  for (const make of [(url, options) => new Client(url, options), (url, options) => new BrowserClient(url, options)]) {
    for (const url of ["http://example.com", "http://127.0.0.1.example.com", "http://localhost.example.com", "http://[::2]"]) {
      assert.throws(() => make(url, { token: TOKEN, keys: null }), { name: "Invalid", code: "request-invalid" });
      make(url, { token: null, keys: null });
      make(url, { token: TOKEN, keys: null, insecureHttp: true });
    }
    for (const url of ["https://example.com", "http://127.0.0.1:1", "http://127.9.9.9", "http://localhost:1", "http://[::1]:1"]) {
      make(url, { token: TOKEN, keys: null });
    }
    for (const url of ["", "ftp://x", "file:///x", "https://user@x", "https://x?y", "https://x#y"]) {
      assert.throws(() => make(url, { token: TOKEN, keys: null }), { name: "Invalid" });
    }
    assert.throws(() => make("https://x", { token: "a\nb", keys: null }), { name: "Invalid" });
  }
});

test("a client and its errors show no token and no key", () => {
  const material = "E".repeat(43);
  const keys = [{ id: "k", algorithm: "hmac-sha256", material, status: "active", use: "approve" }];
  const client = new Client("https://example.com", { token: TOKEN, keys, audience: "x" });
  assert.doesNotMatch(inspect(client, { depth: 9, showHidden: true }), new RegExp(`${TOKEN}|${material}`));
  assert.throws(
    () => new Client("https://example.com", { token: TOKEN, keys: [{ ...keys[0], id: 1 }] }),
    (error) => error.code === "request-invalid" && !inspect(error).includes(material),
  );
});

test("texts of a server cannot imitate the program's own words in a message", () => {
  const error = errorOf({ code: "forbidden", detail: "no\n\u001b[2Kapproved\u202e" });
  assert.equal(error.message, "forbidden: no\\u{a}\\u{1b}[2Kapproved\\u{202e}");
  assert.equal(error.detail, "no\n\u001b[2Kapproved\u202e");
  assert.equal(errorOf({ code: "forbidden", detail: "x".repeat(10_000) }).message.length, 512);
  const rejected = errorOf({ code: "rejected", detail: "the request is rejected", comment: `a\n${"x".repeat(4096)}` });
  assert.match(rejected.message, /^rejected: the request is rejected: a\\u\{a\}x{998}…$/);
  assert.equal(errorOf({ code: "policy-denied", detail: "no", comment: "no" }).message, "policy-denied: no");
  assert.ok(errorOf({ code: "constructor" }) instanceof SignoffError);
});
