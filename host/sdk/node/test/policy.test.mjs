// Local policies, against a server in this process.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Client, rawJson, Verifier } from "@signoff/sdk";
import { Client as PortableClient } from "@signoff/sdk/browser";

import { newSigner, policy, PolicyHost } from "./policies.mjs";
import { AUDIENCE, problem, Server, TOKEN } from "./server.mjs";

const verifier = await Verifier.load();
const ATTEMPT = { agent: "deployer", action: "deploy", context: { b: 1n, a: rawJson("1.0") } };

async function host(t, wasm = policy(), changes = {}) {
  const server = await Server.start();
  const made = Object.assign(new PolicyHost(server), { clients: [] });
  t.after(async () => {
    // First the clients: without their server they would try to report until their time is over.
    for (const client of made.clients) await client.close();
    await server.close();
  });
  made.activate(wasm, changes);
  return made;
}

async function local({ server, signer, clients }, options = {}, SomeClient = Client, settings = {}) {
  const client = new SomeClient(server.url, { token: TOKEN, keys: null, audience: AUDIENCE, verifier, ...settings });
  const made = await client.policy({ signers: [signer.public], ...options });
  clients.push(made);
  return Object.assign(made, { client });
}

/** Checks that the server decides, and why. */
async function decidedByServer(made, code, attempt = ATTEMPT) {
  const { decision, local: here, recorded } = await made.evaluate(attempt);
  assert.deepEqual([decision, here, recorded, made.problem?.code ?? null], ["require_approval", false, "server", code], String(made.problem));
}

for (const [where, SomeClient] of [["in a thread", Client], ["in place", PortableClient]]) {
  test(`a verdict is made ${where}, in a new instance each time, and reported`, async (t) => {
    const verdict = { decision: "require_approval", rule: "r", requirement: '{"threshold":2,"groups":{"sre":1}}', failed: ["x", "y"] };
    const made = await host(t, policy({ verdict, echo: "context", behaves: "count" }));
    const evaluated = await local(made, {}, SomeClient);
    for (let call = 0; call < 3; call++) {
      const { requirement, ...decision } = await evaluated.evaluate(ATTEMPT);
      assert.deepEqual(decision, {
        decision: "require_approval", rule: "r", reason: '{"a": 1.0, "b": 1}', failed: ["x", "y"],
        policy: evaluated.digest, local: true, recorded: "memory",
      });
      assert.deepEqual(requirement, { threshold: 2, groups: { sre: 1 } });
    }
    assert.equal(evaluated.pending, 3);
    assert.deepEqual(await evaluated.close(), { pending: 0, refused: 0 });
    assert.equal(new Set(made.reported.map(({ id }) => id)).size, 3);
    const [{ key, id, decided_at: at, context_hash: hash, ...reported }] = made.reported;
    assert.match(`${id} ${hash} ${at}`, /^[0-9a-f]{32} [0-9a-f]{64} \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual(reported, {
      agent: "deployer", action: "deploy", plan_hash: null, decision: "require_approval", rule: "r", policy: evaluated.digest,
    });
    assert.ok(!made.server.seen.some(({ path }) => path.endsWith("/evaluate")), "the server was asked");
  });
}

test("the policy sees each part of the attempt, and the server's facts", async (t) => {
  const attempt = { agent: "Deployer", action: "deploy", context: { c: "ë" }, plan: { p: 1 } };
  const expected = { agent: "Deployer", action: "deploy", context: '{"c": "\\u00eb"}', plan: '{"p": 1}', facts: '{"requester": "agent:Deployer"}' };
  for (const [echo, text] of Object.entries(expected)) {
    const made = await host(t, policy({ echo }));
    made.facts = { requester: "agent:Deployer" };
    assert.equal((await (await local(made)).evaluate(attempt)).reason, text, echo);
  }
  const made = await host(t, policy({ echo: "facts" }));
  made.facts = null;
  assert.equal((await (await local(made)).evaluate(attempt)).reason, '{"requester": "agent:deployer"}');
});

test("a policy that fails leaves the decision to the server", async (t) => {
  const allow = { decision: "allow" };
  const long = "x".repeat(129);
  for (const [what, wasm, changes] of [
    ["a trap", policy({ behaves: "trap" })],
    ["too much memory", policy({ behaves: "grow" }), { limits: { memory_bytes: 1024 * 1024 } }],
    ["another decision", policy({ verdict: { decision: "ALLOW" } })],
    ["a malformed rule", policy({ verdict: { ...allow, rule: "a b" } })],
    ["an empty rule", policy({ verdict: { ...allow, rule: "" } })],
    ["a long rule", policy({ verdict: { ...allow, rule: long } })],
    ["a control character", policy({ verdict: { ...allow, reason: "\u001b[2J" } })],
    ["a C1 control character", policy({ verdict: { ...allow, reason: "\u009b" } })],
    ["a long reason", policy({ verdict: { ...allow, reason: "x".repeat(4097) } })],
    ["a requirement that allows", policy({ verdict: { ...allow, requirement: "{}" } })],
    ...['{"threshold":0}', '{"threshold":17}', '{"threshold":1.0}', '{"threshold":1,"threshold":2}', '{"x":1}', "[]", "{",
      '{"groups":{"a b":1}}', '{"groups":null}', '{"ttl_seconds":604801}', '{"groups":{"a":true}}']
      .map((requirement) => [`the requirement ${requirement}`, policy({ verdict: { decision: "require_approval", requirement } })]),
    ["a rule that failed twice", policy({ verdict: { ...allow, failed: ["a", "a"] } })],
    ["17 rules that failed", policy({ verdict: { ...allow, failed: Array.from({ length: 17 }, (_, rule) => `r${rule}`) } })],
    ["a malformed rule that failed", policy({ verdict: { ...allow, failed: [""] } })],
    ["a record outside of the memory", policy({ patch: { result: 65_528 } })],
    ["an unaligned record", policy({ patch: { result: 1026 } })],
    ["a text outside of the memory", policy({ patch: { bytes: { 0: 0xffff_fff0 } } })],
    ["a text that wraps around", policy({ patch: { bytes: { 0: 0xffff_ffff, 4: 5 } } })],
    ["a text behind the memory", policy({ patch: { bytes: { 20: 1, 24: 65_536, 28: 5 } } })],
    ["a list outside of the memory", policy({ patch: { bytes: { 44: 65_532, 48: 2 } } })],
    ["an option of 2", policy({ patch: { bytes: { 8: 2 } } })],
    // The second byte of the reason alone; the decision before it has 5 bytes.
    ["a text that is not UTF-8", policy({ verdict: { ...allow, reason: "\u00ff" }, patch: { bytes: { 24: 1024 + 52 + 5 + 1, 28: 1 } } })],
  ]) {
    const made = await host(t, wasm, changes ?? {});
    const evaluated = await local(made);
    await t.test(what, () => decidedByServer(evaluated, "policy-trapped"));
    assert.equal(evaluated.pending, 0, "nothing was decided here");
    await evaluated.close();
  }
});

test("a policy that loops is stopped, and blocks neither the thread nor the next policy", async (t) => {
  const made = await host(t, policy({ behaves: "loop" }));
  const { promise: changed, resolve } = withResolvers();
  const evaluated = await local(made, { onChange: (digest) => digest === second && resolve() });
  const evaluations = [1, 2].map(() => decidedByServer(evaluated, "policy-trapped"));
  await Promise.all(evaluations);
  const second = made.activate(policy());
  await changed;
  assert.equal((await evaluated.evaluate(ATTEMPT)).local, true);
});

function withResolvers() {
  let resolve;
  const promise = new Promise((found) => (resolve = found));
  return { promise, resolve };
}

test("a policy that is not trusted or cannot run here is not evaluated", async (t) => {
  const wasm = policy();
  const changed = Uint8Array.from(wasm);
  changed[changed.length - 1] ^= 1;
  for (const [what, code, set, options] of [
    ["no signers", "untrusted-answer", () => {}, { signers: [] }],
    ["another signer with the same id", "untrusted-answer", () => {}, { signers: [newSigner().public] }],
    ["a signer of another slot", "untrusted-answer", (made) => (made.signer.public.groups = ["verifier"])],
    ["a revoked signer", "untrusted-answer", (made) => (made.signer.public.status = "revoked")],
    ["a manifest of another audience", "untrusted-answer", (made) => made.activate(wasm, { audience: ["other"] })],
    ["a manifest of another digest", "untrusted-answer", (made) => made.activate(wasm, { digest: "0".repeat(64) })],
    ["a server of another deployment", "untrusted-answer", (made) => (made.audience = "other")],
    ["malformed facts", "context-invalid", (made) => (made.facts = ["x"])],
    ["a fact that the server does not provide", "module-invalid", (made) => made.activate(wasm, { facts: ["requester", "moon"] })],
    ["two core modules", "module-invalid", (made) => made.activate(policy({ cores: 2 }))],
    ["no core module", "module-invalid", (made) => made.activate(policy({ cores: 0 }))],
    ["imports", "module-invalid", (made) => made.activate(policy({ imports: true }))],
    ["an answer without a policy's digest", "untrusted-answer", (made) => (made.act = ({ path }) => {
      if (path.endsWith("/policy")) return { body: '{"policy":{"digest":"../x"},"facts":null}' };
    })],
    ["other bytes", "untrusted-answer", (made) => (made.act = ({ path }) => {
      if (path.endsWith("/wasm")) return { headers: { "content-type": "application/wasm" }, body: (response) => response.end(changed) };
    })],
    ["no bytes", "not-found", (made) => (made.act = ({ path }) => (path.endsWith("/wasm") ? problem({ code: "not-found", detail: "x" }, 404) : undefined))],
  ]) {
    const made = await host(t, wasm);
    set(made);
    const errors = [];
    const evaluated = await local(made, { onError: (error) => errors.push(error.code), ...options });
    await t.test(what, () => decidedByServer(evaluated, code));
    assert.ok(errors.includes(code), `${what}: ${errors}`);
    await evaluated.close();
  }
});

test("a clock that differs from the server's decides nothing", async (t) => {
  const made = await host(t);
  const evaluated = await local(made, {}, Client, { clock: () => Date.now() - 400_000 });
  await decidedByServer(evaluated, "untrusted-answer");
});

test("without a policy, or without a server, nothing is allowed here", async (t) => {
  const made = await host(t, null);
  await decidedByServer(await local(made), null);
  const evaluated = await local({ server: { url: "http://127.0.0.1:9" }, signer: made.signer, clients: made.clients }, { maxStale: 1 });
  await assert.rejects(evaluated.evaluate({ ...ATTEMPT, timeout: 0.2 }), { code: "unreachable" });
});

test("an activation is followed, and a stale policy is not used", async (t) => {
  const made = await host(t);
  let followed;
  const evaluated = await local(made, { maxStale: 1, onChange: (digest) => followed?.(digest) });
  assert.equal((await evaluated.evaluate(ATTEMPT)).decision, "allow");
  const change = new Promise((found) => (followed = found));
  const digest = made.activate(policy({ verdict: { decision: "deny" } }));
  assert.equal(await change, digest);
  assert.deepEqual((({ decision, policy }) => [decision, policy])(await evaluated.evaluate(ATTEMPT)), ["deny", digest]);
  // From now on the server hides what is active.
  made.act = ({ path }) => (path.includes("/policy") ? { status: "cut" } : undefined);
  while ((await evaluated.evaluate(ATTEMPT)).local);
  assert.match(evaluated.problem?.code, /^(unreachable|timed-out)$/);
  await decidedByServer(evaluated, evaluated.problem.code);
});

test("a policy is stale once either clock says so", async (t) => {
  const made = await host(t);
  let slept = 0;
  const evaluated = await local(made, { maxStale: 60 }, Client, { clock: () => Date.now() + slept });
  assert.equal((await evaluated.evaluate(ATTEMPT)).local, true);
  // The machine slept: the monotonic clock stood still, and the poll is not answered yet.
  slept = 61_000;
  await decidedByServer(evaluated, "unreachable");
  slept = 0;
  // The wall clock stands still.
  const frozen = Date.now();
  const other = await local(made, { maxStale: 1 }, Client, { clock: () => frozen });
  made.act = ({ path }) => (path.includes("/policy") ? { status: "cut" } : undefined);
  while ((await other.evaluate(ATTEMPT)).local);
});

test("an agent that the token does not certainly act for is first evaluated by the server", async (t) => {
  const made = await host(t);
  const evaluated = await local(made);
  const other = { ...ATTEMPT, agent: "other" };
  assert.equal((await evaluated.evaluate(other)).local, false);
  assert.equal((await evaluated.evaluate(other)).local, true, "the server took it");
  made.act = ({ path }) => (path.endsWith("/evaluate") ? problem({ code: "forbidden", detail: "not yours" }, 403) : undefined);
  for (let call = 0; call < 2; call++) await assert.rejects(evaluated.evaluate({ ...ATTEMPT, agent: "third" }), { code: "forbidden" });
  assert.equal(evaluated.pending, 1);
});

test("a malformed attempt is refused before anything is decided", async (t) => {
  const evaluated = await local(await host(t));
  await assert.rejects(evaluated.evaluate({ ...ATTEMPT, context: '{"a":1,"a":2}' }), { name: "Invalid", code: "context-invalid" });
  await assert.rejects(evaluated.evaluate({ ...ATTEMPT, context: { a: NaN } }), { name: "Invalid", path: "a" });
  await evaluated.close();
  await assert.rejects(evaluated.evaluate(ATTEMPT), { name: "Invalid", code: "request-invalid" });
});

test("malformed options are refused", async (t) => {
  const { server, signer } = await host(t);
  const client = new Client(server.url, { token: TOKEN, keys: null, audience: null });
  const signers = [signer.public];
  for (const options of [{ signers }, { signers, audience: AUDIENCE, maxStale: 0 }, { signers, audience: AUDIENCE, maxStale: NaN },
    { signers: "/nowhere", audience: AUDIENCE }, { signers: [{ use: "module", material: "x" }], audience: AUDIENCE }]) {
    await assert.rejects(client.policy(options), { name: "Invalid", code: "request-invalid" });
  }
});

test("a guard runs an allowed action at once, and refuses a denied one", async (t) => {
  const made = await host(t, policy({ verdict: { decision: "allow", rule: "small" } }));
  const evaluated = await local(made);
  const options = { ...ATTEMPT, policy: evaluated };
  const seen = await evaluated.client.guard(options, (execution) => execution);
  assert.deepEqual([seen.contextText, seen.approvalId, seen.decision.rule, seen.approvers], ['{"a": 1.0, "b": 1}', null, "small", []]);
  assert.equal(made.server.sent("create").length, 0);

  const denies = await host(t, policy({ verdict: { decision: "deny", reason: "never" } }));
  const denying = await local(denies);
  await assert.rejects(denying.client.guard({ ...ATTEMPT, policy: denying }, () => assert.fail("it ran")), { name: "Denied", comment: "never" });
});

test("a guard requests an approval where the policy requires one, or cannot be evaluated", async (t) => {
  for (const wasm of [policy({ verdict: { decision: "require_approval" } }), policy({ behaves: "trap" })]) {
    const made = await host(t, wasm);
    const { server } = made;
    server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
    const evaluated = await local(made);
    const { approvalId, decision } = await evaluated.client.guard({ ...ATTEMPT, policy: evaluated }, (execution) => execution);
    assert.match(approvalId, /^appr_/);
    assert.equal(decision, null);
  }
});

test("with pinned keys an `allow` of the server's own goes through an approval", async (t) => {
  const made = await host(t, null);
  const { server } = made;
  made.said = { decision: "allow", reason: null, failed: [], policy: null };
  server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
  const evaluated = await local(made);
  const options = { ...ATTEMPT, policy: evaluated };
  assert.equal((await evaluated.evaluate(ATTEMPT)).decision, "allow");
  assert.equal(await evaluated.client.guard(options, ({ approvalId }) => approvalId), null, "without keys the server is trusted");
  const ways = {
    "the guard's keys": () => evaluated.client.guard({ ...options, keys: [server.key.public] }, (execution) => execution),
    "the client's keys": () =>
      new Client(server.url, { token: TOKEN, keys: [server.key.public], audience: AUDIENCE }).guard(options, (execution) => execution),
  };
  for (const [what, run] of Object.entries(ways)) {
    server.seen.length = 0;
    const { approvalId, approvers, decision } = await run();
    assert.match(approvalId, /^appr_/, what);
    assert.deepEqual([approvers.length, decision, server.sent("execute").length], [1, null, 1], what);
  }
});

test("reports are repeated with the same key until the server accepts them", async (t) => {
  const made = await host(t);
  const evaluated = await local(made);
  const faults = ["cut", { status: 500, body: "" }, problem({ code: "store-unavailable", detail: "x" }, 503)];
  const keys = [];
  made.act = ({ path, headers }) => {
    if (!path.endsWith("/decisions")) return undefined;
    keys.push(headers["idempotency-key"]);
    const fault = faults.shift();
    return fault === "cut" ? { status: "cut" } : fault;
  };
  await Promise.all(Array.from({ length: 300 }, () => evaluated.evaluate(ATTEMPT)));
  assert.deepEqual(await evaluated.close(), { pending: 0, refused: 0 });
  assert.equal(made.reported.length, 300);
  assert.equal(new Set(keys).size, 2, "256 and 44 decisions");
});

test("a report that is refused for good is counted and told", async (t) => {
  const made = await host(t);
  const errors = [];
  const evaluated = await local(made, { onError: (error) => errors.push(error.code) });
  made.act = ({ path }) => (path.endsWith("/decisions") ? problem({ code: "forbidden", detail: "not yours" }, 403) : undefined);
  await evaluated.evaluate(ATTEMPT);
  assert.deepEqual(await evaluated.close(), { pending: 0, refused: 1 });
  assert.deepEqual(errors, ["forbidden"]);
});

test("closing ends at its time limit, and a callback that throws disturbs nothing", async (t) => {
  const made = await host(t);
  const evaluated = await local(made, {
    onError: () => {
      throw new Error("the callback failed");
    },
  });
  made.act = ({ path }) => (path.endsWith("/decisions") ? { status: 500, body: "" } : undefined);
  await evaluated.evaluate(ATTEMPT);
  assert.deepEqual(await evaluated.close({ timeout: 0.3 }), { pending: 1, refused: 0 });
});

test("a process ends once its local policy is closed", async (t) => {
  const made = await host(t);
  const folder = mkdtempSync(join(tmpdir(), "signoff-policy-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const program = `
    import { Client } from "@signoff/sdk";
    const client = new Client(${JSON.stringify(made.server.url)}, { token: "x", keys: null, audience: ${JSON.stringify(AUDIENCE)} });
    const policy = await client.policy({ signers: ${JSON.stringify([made.signer.public])}, queue: ${JSON.stringify(join(folder, "q"))} });
    const { decision, local, recorded } = await policy.evaluate({ agent: "deployer", action: "deploy", context: {} });
    console.log(decision, local, recorded, JSON.stringify(await policy.close()));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { cwd: fileURLToPath(new URL(".", import.meta.url)) });
  assert.equal(stdout, 'allow true disk {"pending":0,"refused":0}\n');
  assert.equal(made.reported.length, 1);
});
