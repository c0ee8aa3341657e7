// The queue of decisions on disk, through local policies of this process and of others.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Client } from "@signoff/sdk";

import { policy, PolicyHost } from "./policies.mjs";
import { AUDIENCE, problem, Server, TOKEN } from "./server.mjs";

const ATTEMPT = { agent: "deployer", action: "deploy", context: {} };

/** A server with a policy, a folder, and whether reports are accepted. */
async function setting(t) {
  const server = await Server.start();
  const host = new PolicyHost(server);
  host.activate(policy());
  const folder = mkdtempSync(join(tmpdir(), "signoff-queue-"));
  const made = { server, host, queue: join(folder, "queue"), accepts: true, opened: [] };
  host.act = ({ path }) => (path.endsWith("/decisions") && !made.accepts ? { status: 500, body: "" } : undefined);
  t.after(async () => {
    made.accepts = true;
    for (const local of made.opened) await local.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return made;
}

async function open({ server, host, queue, opened }, options = {}) {
  const client = new Client(server.url, { token: TOKEN, keys: null, audience: AUDIENCE });
  const local = await client.policy({ signers: [host.signer.public], queue, ...options });
  opened.push(local);
  return local;
}

/** Starts another process that decides for each line it gets, and prints an answer for each. */
function otherProcess(t, { server, host, queue }) {
  const program = `
    import { createInterface } from "node:readline";
    import { Client } from "@signoff/sdk";
    const client = new Client(${JSON.stringify(server.url)}, { token: "x", keys: null, audience: ${JSON.stringify(AUDIENCE)} });
    const policy = await client.policy({ signers: ${JSON.stringify([host.signer.public])}, queue: ${JSON.stringify(queue)} });
    console.log("ready");
    for await (const line of createInterface({ input: process.stdin })) {
      const { recorded } = await policy.evaluate({ agent: "deployer", action: line, context: {} });
      console.log(recorded);
    }
    await policy.close();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { cwd: fileURLToPath(new URL(".", import.meta.url)), stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value;
  return {
    ready: next(),
    decide(action) {
      child.stdin.write(`${action}\n`);
      return next();
    },
    end(signal) {
      const ended = new Promise((found) => child.once("exit", found));
      if (signal) child.kill(signal);
      else child.stdin.end();
      return ended;
    },
  };
}

function actions({ host }) {
  return host.reported.map(({ action }) => action).sort();
}

test("a decision is on disk before it is returned, for the owner alone", async (t) => {
  const made = await setting(t);
  made.accepts = false;
  const local = await open(made);
  assert.equal((await local.evaluate(ATTEMPT)).recorded, "disk");
  const [own] = readdirSync(made.queue);
  const [file] = readdirSync(join(made.queue, own));
  const modes = [made.queue, join(made.queue, own), join(made.queue, own, file)].map((path) => statSync(path).mode & 0o777);
  assert.deepEqual(modes, [0o700, 0o700, 0o600]);
  assert.equal(JSON.parse(readFileSync(join(made.queue, own, file), "utf8")).action, "deploy");
  made.accepts = true;
  assert.deepEqual(await local.close(), { pending: 0, refused: 0 });
  assert.deepEqual(readdirSync(made.queue), [], "nothing is left");
});

test("what a killed process decided is reported by the next one, once", async (t) => {
  const made = await setting(t);
  made.accepts = false;
  const other = otherProcess(t, made);
  assert.equal(await other.ready, "ready");
  assert.equal(await other.decide("first"), "disk");
  assert.equal(await other.decide("second"), "disk");
  await other.end("SIGKILL");
  // The end of a write that the process did not live to finish.
  const [own] = readdirSync(made.queue);
  for (const name of readdirSync(join(made.queue, own))) appendFileSync(join(made.queue, own, name), '{"id":"torn');
  made.accepts = true;
  const [one, two] = await Promise.all([open(made), open(made)]);
  assert.deepEqual([await one.close(), await two.close()], [{ pending: 0, refused: 0 }, { pending: 0, refused: 0 }]);
  assert.deepEqual(actions(made), ["first", "second"]);
  assert.deepEqual(readdirSync(made.queue), []);
});

test("processes share a queue without touching each other's decisions", async (t) => {
  const made = await setting(t);
  made.accepts = false;
  const others = [otherProcess(t, made), otherProcess(t, made)];
  for (const other of others) assert.equal(await other.ready, "ready");
  await others[0].decide("a");
  await others[1].decide("b");
  const local = await open(made);
  assert.equal(local.pending, 0, "running processes keep theirs");
  await local.evaluate({ ...ATTEMPT, action: "c" });
  await others[0].decide("d");
  made.accepts = true;
  await Promise.all([local.close(), ...others.map((other) => other.end())]);
  assert.deepEqual(actions(made), ["a", "b", "c", "d"]);
});

test("a queue that is closed with decisions left is reported by the next one", async (t) => {
  const made = await setting(t);
  made.accepts = false;
  const first = await open(made);
  await first.evaluate(ATTEMPT);
  assert.deepEqual(await first.close({ timeout: 0.2 }), { pending: 1, refused: 0 });
  const second = await open(made);
  assert.equal(second.pending, 1);
  made.accepts = true;
  assert.equal((await second.close()).pending, 0);
  assert.equal(made.host.reported.length, 1);
});

test("a batch keeps its key over processes, so that a lost answer is no second report", async (t) => {
  const made = await setting(t);
  const keys = [];
  let lost = true;
  made.host.act = ({ path, headers }) => {
    if (path.endsWith("/decisions")) keys.push(headers["idempotency-key"]);
  };
  made.server.lie = (exchange) => {
    if (exchange.route === "decisions" && lost) exchange.status = 500;
  };
  const first = await open(made);
  await first.evaluate(ATTEMPT);
  await first.close({ timeout: 0.5 });
  lost = false;
  const second = await open(made);
  assert.equal((await second.close()).pending, 0);
  assert.ok(keys.length >= 2);
  assert.equal(new Set(keys).size, 1);
  assert.equal(made.host.reported.length, 1);
});

test("in a container, where each start has the same process id, older subfolders are left ones", async (t) => {
  const made = await setting(t);
  made.accepts = false;
  const first = await open(made);
  await first.evaluate(ATTEMPT);
  await first.close({ timeout: 0.2 });
  const [left] = readdirSync(made.queue);
  const [own, younger] = ["0", "1"].map((digit) => join(made.queue, `node-${process.pid}-${digit.repeat(32)}`));
  renameSync(join(made.queue, left), own);
  mkdirSync(younger, { mode: 0o700 });
  utimesSync(own, 1, 1);
  const second = await open(made);
  assert.equal(second.pending, 1);
  assert.ok(existsSync(younger), "a subfolder of this process");
});

test("a batch that is refused for good is moved aside", async (t) => {
  const made = await setting(t);
  const errors = [];
  made.host.act = ({ path }) => (path.endsWith("/decisions") ? problem({ code: "request-invalid", detail: "no" }, 422) : undefined);
  const local = await open(made, { onError: ({ code }) => errors.push(code) });
  await local.evaluate(ATTEMPT);
  assert.deepEqual(await local.close(), { pending: 0, refused: 1 });
  assert.deepEqual(errors, ["request-invalid"]);
  assert.deepEqual(readdirSync(made.queue), ["refused"]);
  const [name] = readdirSync(join(made.queue, "refused"));
  assert.equal(JSON.parse(readFileSync(join(made.queue, "refused", name), "utf8")).action, "deploy");
});

test("a queue that others can read is refused, and one that cannot be made", async (t) => {
  const made = await setting(t);
  mkdirSync(made.queue);
  chmodSync(made.queue, 0o755);
  await assert.rejects(open(made), { name: "Invalid", code: "request-invalid" });
  await assert.rejects(open({ ...made, queue: "/dev/null/queue" }), { name: "Invalid", code: "request-invalid" });
});

test("a decision that cannot be kept is not made here", async (t) => {
  const made = await setting(t);
  const errors = [];
  const local = await open(made, { onError: ({ code }) => errors.push(code) });
  rmSync(made.queue, { recursive: true });
  const { decision, local: here, recorded } = await local.evaluate(ATTEMPT);
  assert.deepEqual([decision, here, recorded], ["require_approval", false, "server"]);
  assert.deepEqual(errors, ["store-unavailable"]);
});
