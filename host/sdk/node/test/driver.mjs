// The driver of this SDK for the suite that all SDKs run: one JSON command a line in, one JSON answer
// a line out. The page of the SDKs lists the commands.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

import { Client, rawJson, SignoffError, Verifier } from "@signoff/sdk";

const VERSION = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version;

const COMMANDS = { hello, corpus, threads, guard, request, wait, claim, get, evaluate, policy, policy_wait, policy_close };

async function hello() {
  const { digestOfModule } = await Verifier.load();
  return { sdk: "node", version: VERSION, digest: digestOfModule };
}

/** Replays a flat corpus: the length of a request (u32, little-endian), the request, then the same for its answer. */
export async function corpus({ path }) {
  const verifier = await Verifier.load();
  const file = readFileSync(path);
  const transcript = createHash("sha256");
  let [at, calls, wrong] = [0, 0, 0];
  const next = () => {
    const start = at + 4;
    at = start + file.readUInt32LE(at);
    if (at > file.length) throw new RangeError("the corpus is cut off");
    return file.toString("utf8", start, at);
  };
  while (at < file.length) {
    const request = next();
    const expected = next();
    const answer = verifier.callText(request);
    if (answer !== expected) wrong += 1;
    transcript.update(`${request}\n${answer}\n`);
    calls += 1;
  }
  return { calls, wrong, transcript: transcript.digest("hex") };
}

/** Each thread has a verifier of its own: JavaScript shares no objects between threads. */
export async function threads({ threads, calls }) {
  const share = (index) => Math.floor(calls / threads) + (index < calls % threads ? 1 : 0);
  const counts = await Promise.all(Array.from({ length: threads }, (_, index) => inThread(share(index), index === 0)));
  const sum = (name) => counts.reduce((total, count) => total + count[name], 0);
  return { calls: sum("calls"), wrong: sum("wrong") };
}

function inThread(calls, trap) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("thread.mjs", import.meta.url), { workerData: { calls, trap } });
    worker.on("message", resolve);
    worker.on("error", reject);
  });
}

async function guard(command) {
  const { pinned, fail, keys, audience } = command;
  const options = { token: command.token, audience: audience ?? null, keys: pinned ? keys : null, timeout: command.call_timeout };
  const answer = { runs: 0, ran_on: null, approval_id: null, reported: false, error: null };
  let execution = null;
  try {
    await new Client(command.url, options).guard(guardOptions(command), (claimed) => {
      execution = claimed;
      answer.runs += 1;
      answer.ran_on = claimed.contextText;
      if (fail) throw new Error("the function failed");
    });
  } catch (error) {
    answer.error = shown(error);
    answer.approval_id = error.approvalId ?? null;
  }
  if (execution !== null) {
    answer.approval_id = execution.approvalId;
    answer.reported = execution.reported === true;
  }
  return answer;
}

function guardOptions(command) {
  const { agent, action, reason, threshold, groups, timeout, floor, accept } = command;
  return {
    ...texts(command),
    agent,
    action,
    reason,
    threshold,
    groups,
    timeout: timeout ?? undefined,
    accept: accept ?? undefined,
    floor: floor == null ? null : { threshold: floor.threshold, groups: floor.groups, ttlSeconds: floor.ttl_seconds },
    expiresInSeconds: command.expires_in_seconds,
    leaseSeconds: command.lease_seconds,
    allowHmac: command.allow_hmac ?? false,
  };
}

function request(command) {
  const { agent, action, reason, threshold, groups, expires_in_seconds: expiresInSeconds } = command;
  return ok(() =>
    client(command).request({ ...texts(command), agent, action, reason, threshold, groups, expiresInSeconds }),
  );
}

function wait(command) {
  return ok(() => client(command).wait(command.id, { timeout: command.timeout ?? undefined }));
}

function claim(command) {
  const { id, agent, action, lease_seconds: leaseSeconds } = command;
  return ok(() => client(command).claim(id, { ...texts(command), agent, action, leaseSeconds }));
}

function get(command) {
  return ok(() => client(command).get(command.id));
}

function evaluate(command) {
  const { agent, action } = command;
  return ok(() => client(command).evaluate({ ...texts(command), agent, action }));
}

/** The local policies, by URL and signers. */
const policies = new Map();

async function policy(command) {
  const { url, signers, agent, action, call_timeout: timeout } = command;
  const { decision, rule, local, policy: digest, recorded } = await (await policyOf(command, `${url} ${signers}`)).local
    .evaluate({ ...texts(command), agent, action, timeout: timeout ?? undefined });
  return { decision, rule, local, policy: digest, recorded };
}

async function policyOf(command, key) {
  if (!policies.has(key)) {
    const changes = new Changes();
    const { signers, audience, queue, max_stale: maxStale } = command;
    const options = { signers, audience, queue: queue ?? null, maxStale: maxStale ?? undefined };
    policies.set(key, { changes, local: await client(command).policy({ ...options, onChange: (digest) => changes.add(digest) }) });
  }
  return policies.get(key);
}

/** What a local policy has followed to, and who waits for it. */
class Changes {
  #now;
  #waiting = [];

  add(digest) {
    this.#now = digest;
    for (const look of this.#waiting.splice(0)) look();
  }

  async until(digest) {
    while (this.#now !== digest) await new Promise((look) => this.#waiting.push(look));
  }
}

async function policy_wait({ url, signers, digest }) {
  await policies.get(`${url} ${signers}`).changes.until(digest ?? null);
  return {};
}

async function policy_close() {
  const closed = await Promise.all([...policies.values()].map(({ local }) => local.close()));
  policies.clear();
  return { pending: closed.reduce((sum, { pending, refused }) => sum + pending + refused, 0) };
}

function client({ url, token }) {
  return new Client(url, { token, keys: null, audience: null });
}

function texts({ context, plan }) {
  return { context: rawJson(context), plan: plan == null ? null : rawJson(plan) };
}

async function ok(call) {
  try {
    const { text, ...members } = await call();
    // The text, because its numbers are exact; a line feed in it can only be white space.
    return { ok: text === undefined ? members : rawJson(text.replaceAll("\n", " ").replaceAll("\r", " ")) };
  } catch (error) {
    return { error: shown(error) };
  }
}

function shown(error) {
  if (!(error instanceof SignoffError)) return { type: error.name ?? "Error", code: null };
  const { name: type, code, comment = null, members = [], requestId, detail, message } = error;
  return { type, code, comment, members, request_id: requestId, detail, message };
}

async function answerOf(line) {
  try {
    const { cmd, ...command } = JSON.parse(line);
    if (!Object.hasOwn(COMMANDS, cmd)) throw new Error(`unknown command \`${cmd}\``);
    return await COMMANDS[cmd](command);
  } catch (error) {
    return { error: error instanceof SignoffError ? shown(error) : { type: error.name, code: null, detail: error.message } };
  }
}

function print(answer) {
  // An approval is written as the server wrote it.
  const raw = answer.ok !== undefined && typeof answer.ok.text === "string";
  process.stdout.write(`${raw ? `{"ok":${answer.ok.text}}` : JSON.stringify(answer)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== "") print(await answerOf(line));
  }
}
