// Settings: arguments, then the environment, then the user's home; files, sockets and authorities.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Client } from "@signoff/sdk";

import { newKey, Server } from "./server.mjs";

const ACTION = { agent: "deployer", action: "deploy", context: {} };
const NAMES = ["SIGNOFF_SERVER", "SIGNOFF_TOKEN", "SIGNOFF_CA", "SIGNOFF_KEYS", "SIGNOFF_AUDIENCE", "XDG_CONFIG_HOME"];

/** A folder for the test, which is also the home, and an environment without settings. */
function home(t) {
  const folder = mkdtempSync(join(tmpdir(), "signoff-"));
  const before = NAMES.map((name) => [name, process.env[name]]);
  for (const name of NAMES) delete process.env[name];
  process.env.XDG_CONFIG_HOME = folder;
  t.after(() => {
    rmSync(folder, { recursive: true });
    for (const [name, value] of before) value === undefined ? delete process.env[name] : (process.env[name] = value);
  });
  mkdirSync(join(folder, "signoff"));
  return join(folder, "signoff");
}

function write(folder, members, mode = 0o600) {
  const path = join(folder, "client.json");
  writeFileSync(path, typeof members === "string" ? members : JSON.stringify(members));
  chmodSync(path, mode);
}

async function tokenSent(server, client) {
  server.seen.length = 0;
  await client.request(ACTION);
  return server.seen[0].headers.authorization;
}

test("arguments come before the environment, and that before the home", async (t) => {
  const folder = home(t);
  const server = await Server.start();
  t.after(() => server.close());
  assert.throws(() => new Client(), { code: "request-invalid", message: /signoff login/ });
  write(folder, { server: server.url, token: "of-home", unknown: 1 });
  assert.equal(await tokenSent(server, new Client()), "Bearer of-home");
  process.env.SIGNOFF_TOKEN = "of-environment";
  assert.equal(await tokenSent(server, new Client()), "Bearer of-environment");
  assert.equal(await tokenSent(server, new Client(undefined, { token: "of-argument" })), "Bearer of-argument");
  assert.equal(await tokenSent(server, new Client(undefined, { token: null })), undefined);
  process.env.SIGNOFF_SERVER = "http://127.0.0.1:1";
  await assert.rejects(new Client().request({ ...ACTION, timeout: 0.1 }), { code: "unreachable" });
  assert.equal(await tokenSent(server, new Client(server.url)), "Bearer of-environment");
});

test("the token and the authorities of the home file are for its server alone", async (t) => {
  const folder = home(t);
  const server = await Server.start();
  t.after(() => server.close());
  const wrong = join(folder, "not.pem");
  writeFileSync(wrong, "x");
  for (const other of ["https://example.com", `${server.url}/`, server.url.replace("127.0.0.1", "localhost"), undefined]) {
    write(folder, { server: other, token: "of-home", ca: "not.pem" });
    assert.equal(await tokenSent(server, new Client(server.url)), undefined, other);
    process.env.SIGNOFF_SERVER = server.url;
    assert.equal(await tokenSent(server, new Client()), undefined, other);
    delete process.env.SIGNOFF_SERVER;
    new Client("https://other.example.com");
  }
  write(folder, { server: server.url, token: "of-home" });
  assert.equal(await tokenSent(server, new Client(server.url)), "Bearer of-home");
  write(folder, { server: "https://example.com", token: "of-home", ca: "not.pem" });
  assert.throws(() => new Client("https://example.com"), { code: "request-invalid", message: /PEM/ });
});

test("a home file that is a pipe, a folder or of another user is refused, and a link is followed", (t) => {
  const folder = home(t);
  const path = join(folder, "client.json");
  execFileSync("mkfifo", ["-m", "600", path]);
  assert.throws(() => new Client(), { code: "request-invalid", message: /not a regular file/ });
  rmSync(path);
  mkdirSync(path, { mode: 0o700 });
  assert.throws(() => new Client(), { code: "request-invalid", message: /not a regular file/ });
  rmSync(path, { recursive: true });
  const own = join(folder, "own.json");
  writeFileSync(own, '{"server":"http://127.0.0.1:1"}', { mode: 0o600 });
  symlinkSync(own, path);
  new Client();
  if (process.geteuid?.() !== 0) return t.diagnostic("another user's file needs root");
  execFileSync("chown", ["65534", own]);
  assert.throws(() => new Client(), { code: "request-invalid", message: /another user/ });
});

test("a home file that others can read, or that is malformed, is refused", (t) => {
  const folder = home(t);
  for (const mode of [0o644, 0o640, 0o602]) {
    write(folder, { server: "http://127.0.0.1:1" }, mode);
    assert.throws(() => new Client(), { code: "request-invalid", message: /chmod 600/ });
  }
  for (const text of ["{", "[1]", "null", '{"server":1}', '"sgnt_secret"']) {
    write(folder, text);
    assert.throws(() => new Client(), (error) => error.code === "request-invalid" && !String(error).includes("sgnt"));
  }
});

test("keys are read from what the commands print, with paths relative to the home file", async (t) => {
  const folder = home(t);
  const server = await Server.start();
  t.after(() => server.close());
  server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
  const { material, ...shared } = server.key.public;
  const listed = { ...shared, public_key: material, fingerprint: "x", private: false };
  const log = { ...listed, id: "log", use: "log", approver: null };
  const hmac = { ...listed, id: "hmac", algorithm: "hmac-sha256", public_key: undefined };
  for (const printed of [
    { items: [log, hmac, listed], keyring: "x" }, [log, listed], { ...shared, material },
    { entry: { ...shared, material }, key: listed, import: "x" },
  ]) {
    writeFileSync(join(folder, "keys.json"), JSON.stringify(printed));
    write(folder, { server: server.url, keys: "keys.json", audience: "tests" });
    const approvers = await new Client().guard(ACTION, (execution) => execution.approvers);
    assert.equal(approvers[0].algorithm, "ed25519", "verified offline");
  }
  for (const printed of ["{", "{}", "[]", "null", "1", '"x"', '[{"use":"approve","material":1}]', JSON.stringify([log, hmac])]) {
    writeFileSync(join(folder, "keys.json"), printed);
    assert.throws(() => new Client(), { code: "request-invalid" }, printed);
  }
  // Two files put together.
  const lines = join(folder, "lines.json");
  writeFileSync(lines, `${JSON.stringify(newKey().public)}\n\n${JSON.stringify(newKey().public)}\n`);
  new Client(server.url, { keys: lines, audience: "tests" });
  writeFileSync(lines, `${JSON.stringify(newKey().public)}\nsecret\n`);
  assert.throws(() => new Client(server.url, { keys: lines, audience: "tests" }), { code: "request-invalid" });
  assert.throws(() => new Client(server.url, { keys: join(folder, "missing") }), { code: "request-invalid" });
  new Client(server.url, { keys: newKey().public });
  new Client(server.url, { keys: { keys: [{ ...newKey().public, private: null }] } });
  new Client(server.url, { keys: { items: [{ ...newKey().public, private: true }] } });
  const entry = { ...newKey().public, private: newKey().private.material };
  for (const given of [entry, [newKey().public, entry], { keys: [entry] }, { items: [entry] }, { entry }]) {
    assert.throws(() => new Client(server.url, { keys: given }), { code: "request-invalid", message: /contain a private key/ });
  }
});

test("a certificate authority of a file is trusted in addition", async (t) => {
  const folder = home(t);
  const [key, ca] = [join(folder, "key.pem"), join(folder, "ca.pem")];
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", ca,
    "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
  ], { stdio: "ignore" });
  const view = JSON.stringify({
    id: "appr_01k7s2e3m8q4w6x9y0z1a2b3c4", audience: "x", status: "pending", agent: "a", action: "b", requested_by: "c",
    requested_at: "2025-01-01T00:00:00Z", expires_at: "2025-01-01T00:00:00Z", context_hash: "", request_digest: "",
    requirement: {}, ballots: [],
  });
  const paths = [];
  const server = https.createServer({ key: readFileSync(key), cert: readFileSync(ca) }, (request, response) => {
    paths.push(request.url);
    response.writeHead(200, { "content-type": "application/json" }).end(view);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (server.closeAllConnections(), server.close()));
  const url = `https://localhost:${server.address().port}/behind/`;
  const { id } = JSON.parse(view);
  assert.equal((await new Client(url, { token: "t", ca }).get(id)).id, id);
  assert.deepEqual(paths, [`/behind/api/v1/approvals/${id}`]);
  await assert.rejects(new Client(url, { token: "t" }).get(id, { timeout: 3 }), { code: "unreachable" });
  // The certificate does not name the address.
  const address = url.replace("localhost", "127.0.0.1");
  await assert.rejects(new Client(address, { token: "t", ca }).get(id, { timeout: 3 }), { code: "unreachable" });
  assert.equal(paths.length, 1);
  writeFileSync(join(folder, "not.pem"), "x");
  assert.throws(() => new Client(url, { token: "t", ca: join(folder, "not.pem") }), { code: "request-invalid" });
});

/** A server at a Unix socket, in a folder that `t` removes. */
async function atSocket(t) {
  const folder = join(home(t), "of-the-socket");
  mkdirSync(folder, { mode: 0o700 });
  const path = join(folder, "socket");
  const server = await Server.start(path);
  t.after(() => server.close());
  const request = (at = path) => new Client(`unix:${at}`, { token: "t", keys: null, audience: null }).request({ ...ACTION, timeout: 5 });
  const refused = async (message, asked = request()) => {
    await assert.rejects(asked, { name: "Invalid", code: "request-invalid", message });
    assert.equal(server.seen.length, 0, "something was sent");
  };
  return { folder, path, server, request, refused };
}

test("a Unix socket where other users may put another one is refused", async (t) => {
  const { folder, path, server, request, refused } = await atSocket(t);
  for (const mode of [0o702, 0o720, 0o777]) {
    chmodSync(folder, mode);
    await refused(/other users can write/);
  }
  chmodSync(folder, 0o700);
  const above = join(folder, "..");
  chmodSync(above, 0o777);
  await refused(/other users can write/);
  chmodSync(above, 0o700);
  chmodSync(folder, 0o1777);
  await request();
  const link = join(above, "link");
  symlinkSync(path, link);
  await request(link);
  assert.equal(server.seen.length, 2);
});

test("a Unix socket that is replaced while the client connects gets nothing", async (t) => {
  const { path, server, request, refused } = await atSocket(t);
  const other = await Server.start(`${path}2`);
  t.after(() => other.close());
  const asked = request();
  renameSync(`${path}2`, path);
  await refused(/replaced/, asked);
  assert.deepEqual([server.seen.length, other.seen.length], [0, 0]);
});

test("a Unix socket of another user, or in a folder of another user, is refused", { skip: process.geteuid?.() !== 0 && "needs root" }, async (t) => {
  const { folder, path, refused } = await atSocket(t);
  execFileSync("chown", ["65534", path]);
  await refused(/socket.*another user/);
  execFileSync("chown", ["0", path]);
  execFileSync("chown", ["65534", folder]);
  await refused(/folder.*another user/);
});
