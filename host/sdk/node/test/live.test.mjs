// The SDK with a real server and a real approver:
//
//     SIGNOFF_BIN=target/debug/signoff node --test host/sdk/node/test/live.test.mjs

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

import { Client, rawJson, Verifier } from "@signoff/sdk";

import { corpus } from "./driver.mjs";

const { SIGNOFF_BIN } = process.env;
const options = { skip: SIGNOFF_BIN === undefined && "SIGNOFF_BIN is not set: it names the signoff binary" };
const binary = SIGNOFF_BIN && resolve(SIGNOFF_BIN);
const ACTION = { agent: "deployer", action: "deploy", context: { replicas: 3, target: "prod" } };

const RULES = `
format = 1
name = "live"

[[rule]]
id = "small"
action = "deploy"
when = "context.replicas <= 3 && facts.requester == 'agent:deployer'"
verdict = "allow"

[[test]]
name = "small"
agent = "deployer"
action = "deploy"
context = { replicas = 1 }
facts = { requester = "agent:deployer" }
expect = "allow"
`;

const office = { environment: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SIGNOFF_"))) };

function signoff(where, ...args) {
  const folder = join(office.home, where);
  return execFileSync(binary, args, { cwd: folder, env: office.environment, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function token(subject, role) {
  return JSON.parse(signoff("server", "token", "create", "--subject", subject, "--role", role, "--json")).token;
}

before(async () => {
  if (!binary) return;
  office.home = mkdtempSync(join(tmpdir(), "signoff-live-"));
  for (const folder of ["server", "alice"]) mkdirSync(join(office.home, folder));
  const admin = JSON.parse(signoff("server", "init", "--audience", "live", "--json")).admin_token;
  const { entry } = JSON.parse(signoff("alice", "key", "generate", "--id", "alice", "--approver", "alice@company.com", "--json"));
  office.keys = join(office.home, "alice.json");
  writeFileSync(office.keys, JSON.stringify(entry));
  signoff("server", "key", "import", office.keys, "--approver", "alice@company.com", "--yes");
  const serve = ["serve", "--listen", "127.0.0.1:0", "--listen", `unix:${join(office.home, "socket")}`];
  const environment = { ...office.environment, SIGNOFF_CACHE_DIR: join(office.home, "cache") };
  office.server = spawn(binary, serve, { cwd: join(office.home, "server"), env: environment, stdio: ["ignore", "pipe", "pipe"] });
  office.url = await listening(office.server);
  office.environment.SIGNOFF_SERVER = office.url;
  office.environment.SIGNOFF_TOKEN = admin;
  office.admin = admin;
  office.token = token("agent:deployer", "requester,executor");
  office.approver = token("alice@company.com", "approver");
});

after(async () => {
  if (office.server) {
    office.server.kill();
    await new Promise((ended) => office.server.once("exit", ended));
  }
  if (office.home) rmSync(office.home, { recursive: true });
});

/** Returns the URL that the server prints once it listens. */
function listening(server) {
  return new Promise((found, failed) => {
    let printed = "";
    const read = (chunk) => {
      printed += chunk;
      const url = /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(printed)?.[0];
      if (url) found(url);
    };
    server.stdout.on("data", read);
    server.stderr.on("data", read);
    server.once("exit", () => failed(new Error(`the server exited: ${printed}`)));
  });
}

/** Decides the next request as a person would, by the command line. */
async function decideNext(command) {
  const client = new Client(office.url, { token: office.approver, keys: null, audience: null });
  for await (const { event, data } of client.events({ after: 0 })) {
    const id = data.event.approval_id;
    if (event !== "approval_requested" || (await client.get(id)).status !== "pending") continue;
    office.environment.SIGNOFF_TOKEN = office.approver;
    signoff("alice", command, id, "--yes");
    office.environment.SIGNOFF_TOKEN = office.admin;
    return id;
  }
}

function executor(url = office.url, settings = {}) {
  return new Client(url, { token: office.token, keys: office.keys, audience: "live", ...settings });
}

test("a guarded call runs what alice approved, over HTTP and a Unix socket", options, async () => {
  for (const client of [executor(), executor(`unix:${join(office.home, "socket")}`)]) {
    const context = rawJson('{"ratio": 1.0, "big": 12345678901234567890}');
    let execution;
    const running = client.guard({ ...ACTION, context, plan: { steps: [1] } }, (claimed) => ((execution = claimed), "done"));
    await decideNext("approve");
    assert.equal(await running, "done");
    assert.equal(execution.contextText, '{"big": 12345678901234567890, "ratio": 1.0}');
    assert.deepEqual(execution.approvers.map(({ approver, key_id }) => [approver, key_id]), [["alice@company.com", "alice"]]);
    assert.equal(execution.reported, true);
    assert.equal((await client.get(execution.approvalId)).execution.outcome, "succeeded");
    const receipt = await client.receipt(execution.approvalId);
    const report = (await Verifier.load()).verifyReceipt({ receipt, logKeys: [], id: execution.approvalId });
    assert.deepEqual([report.status, report.requirement_met, report.signer], ["executed", true, null]);
  }
});

test("what alice rejects does not run, and another audience's approval neither", options, async () => {
  const rejected = executor().guard(ACTION, () => assert.fail("ran"));
  await Promise.all([assert.rejects(rejected, { name: "Rejected", code: "rejected" }), decideNext("reject")]);
  const other = executor(office.url, { audience: "another" }).guard(ACTION, () => assert.fail("ran"));
  await Promise.all([assert.rejects(other, { name: "Mismatch", code: "audience-mismatch" }), decideNext("approve")]);
});

test("a request that nobody decides is withdrawn, or expires", options, async () => {
  const late = await executor().guard({ ...ACTION, timeout: 3 }, () => assert.fail("ran")).catch((error) => error);
  assert.equal(late.code, "timed-out");
  assert.equal((await executor().get(late.approvalId)).status, "withdrawn");
  const expired = executor().guard({ ...ACTION, expiresInSeconds: 1 }, () => assert.fail("ran"));
  await assert.rejects(expired, { name: "Expired", code: "expired" });
});

test("the server evaluates, lists and refuses", options, async () => {
  const client = executor();
  assert.equal((await client.evaluate(ACTION)).decision, "require_approval");
  const { items, nextCursor } = await client.list({ limit: 1 });
  assert.equal(items.length, 1);
  assert.notEqual((await client.list({ limit: 1, cursor: nextCursor })).items[0].id, items[0].id);
  await assert.rejects(new Client(office.url, { token: "sgnt_wrong", keys: null, audience: null }).list(), { name: "Forbidden", code: "unauthenticated" });
  await assert.rejects(client.get("appr_01k7s2e3m8q4w6x9y0z1a2b3c4"), { name: "NotFound" });
  await assert.rejects(client.request({ ...ACTION, context: '{"a":1,"a":2}' }), { name: "Invalid", code: "context-invalid" });
});

test("the packaged verifier is the server's, and gives its answers to the whole corpus", options, async () => {
  const { items } = await executor().list({ limit: 1 });
  assert.equal((await Verifier.load()).digestOfModule, items[0].verifier, "run host/sdk/embed");
  const path = join(office.home, "corpus");
  const exported = JSON.parse(signoff("alice", "module", "export", "verifier", "--flat-corpus", "-o", path, "--json"));
  assert.deepEqual(await corpus({ path }), { calls: exported.calls, wrong: 0, transcript: exported.transcript });
});

test("a local policy decides as the server does, and its decisions are in the log", options, async () => {
  signoff("alice", "key", "generate", "--id", "team", "--use", "module", "--slot", "policy");
  const { entry } = JSON.parse(signoff("alice", "key", "show", "team", "--json"));
  const signers = join(office.home, "signers.json");
  writeFileSync(signers, JSON.stringify(entry));
  signoff("server", "key", "import", signers, "--use", "module", "--slot", "policy", "--yes");
  writeFileSync(join(office.home, "alice", "rules.toml"), RULES);
  signoff("alice", "policy", "build", "rules.toml", "-o", "policy.wasm");
  signoff("alice", "module", "sign", "policy.wasm", "--slot", "policy", "--name", "live", "--version", "1", "--key", "team");
  office.environment.SIGNOFF_TOKEN = token("team@company.com", "policy");
  const { digest } = JSON.parse(signoff("alice", "module", "push", "policy.wasm", "--json"));
  const client = executor();
  const log = client.events();
  const local = await client.policy({ signers, queue: join(office.home, "queue") });
  const attempt = (replicas) => ({ agent: "deployer", action: "deploy", context: { replicas } });
  assert.equal((await local.evaluate(attempt(1))).local, false, "no policy is active yet");
  const active = new Promise((found) => (office.followed = found));
  const following = await client.policy({ signers, onChange: office.followed, maxStale: 3 });
  signoff("alice", "module", "activate", digest);
  office.environment.SIGNOFF_TOKEN = office.admin;
  assert.equal(await active, digest);
  for (const replicas of [1, 5]) {
    const [made, said] = await Promise.all([following.evaluate(attempt(replicas)), client.evaluate(attempt(replicas))]);
    assert.deepEqual([made.decision, made.rule, made.policy, made.local], [said.decision, said.rule, said.policy, true]);
  }
  assert.deepEqual(await following.close(), { pending: 0, refused: 0 });
  await local.close();
  await log.return();
});
