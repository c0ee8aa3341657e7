// The verifier: loading, calls, limits, and traps.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { coreOf, Rejection, Verifier } from "@signoff/sdk";
import { Verifier as BrowserVerifier } from "@signoff/sdk/browser";

import { breakable, mixedCalls, STATEMENT, traps } from "./calls.mjs";
import { threads } from "./driver.mjs";

const component = readFileSync(new URL("../verifier.wasm", import.meta.url));
const DIGEST = createHash("sha256").update(component).digest("hex");

test("the digest is that of the packaged component", async () => {
  assert.equal((await Verifier.load()).digestOfModule, DIGEST);
  assert.equal((await Verifier.load({ bytes: component })).digestOfModule, DIGEST);
  assert.equal((await BrowserVerifier.load({ bytes: component })).digestOfModule, DIGEST);
});

test("bytes with another digest are refused before they are compiled", async () => {
  const changed = Uint8Array.from(component);
  changed[changed.length - 1] ^= 1;
  await assert.rejects(BrowserVerifier.load({ bytes: changed }), { name: "Unavailable", code: "unreachable", message: /digest/ });
  await assert.rejects(Verifier.load({ bytes: component, digest: "0".repeat(64) }), { message: /digest/ });
  const other = createHash("sha256").update(changed).digest("hex");
  assert.equal((await BrowserVerifier.load({ bytes: changed, digest: other })).digestOfModule, other);
});

test("bytes that are not the component are refused", async () => {
  for (const bytes of [
    new Uint8Array(0), Uint8Array.from(coreOf(component)), component.subarray(0, 8), component.subarray(0, 100),
    Uint8Array.of(...component.subarray(0, 8), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
    Uint8Array.of(...component.subarray(0, 8), 1, 4, 1, 2, 3, 4),
    // A module that exports nothing.
    Uint8Array.of(...component.subarray(0, 8), 1, 8, 0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
  ]) {
    await assert.rejects(Verifier.load({ bytes }), { name: "Unavailable", code: "unreachable" });
  }
});

test("a ready module needs no compilation from bytes, as in Workers", async (t) => {
  const module = new WebAssembly.Module(coreOf(component));
  const { compile, instantiate, Module } = WebAssembly;
  t.after(() => Object.assign(WebAssembly, { compile, instantiate, Module }));
  const forbidden = () => assert.fail("compiled from bytes");
  WebAssembly.compile = forbidden;
  WebAssembly.Module = Object.assign(function () { forbidden(); }, { imports: Module.imports });
  WebAssembly.instantiate = (given, imports) => (given instanceof Module ? instantiate(given, imports) : forbidden());
  const verifier = await BrowserVerifier.load({ module });
  assert.equal(verifier.digestOfModule, null);
  assert.equal(mixedCalls(verifier, 100), 0);
});

test("a module that imports something is refused", async () => {
  // (module (import "a" "b" (func)))
  const bytes = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 2, 7, 1, 1, 0x61, 1, 0x62, 0, 0);
  await assert.rejects(Verifier.load({ module: new WebAssembly.Module(bytes) }), { message: /imports `a`/ });
});

test("a trap is never an answer, and the next call has a new instance", async () => {
  const breakIt = breakable();
  const verifier = await Verifier.load();
  assert.ok(traps(verifier, breakIt));
  assert.equal(mixedCalls(verifier, 100), 0);
});

test("an instance with much memory is dropped", async (t) => {
  const { Instance } = WebAssembly;
  t.after(() => (WebAssembly.Instance = Instance));
  const verifier = await Verifier.load();
  let made = 0;
  WebAssembly.Instance = class extends Instance {
    constructor(...args) {
      super(...args);
      made += 1;
    }
  };
  for (let call = 0; call < 10; call++) verifier.digest("{}");
  assert.equal(made, 0);
  verifier.digest({ a: "x".repeat(1_000_000) });
  assert.equal(made, 0, "the call had the idle instance");
  for (let call = 0; call < 10; call++) verifier.digest("{}");
  assert.equal(made, 1, "the next call had a new one");
});

test("many calls do not grow the memory", async () => {
  const breakIt = breakable();
  const verifier = await Verifier.load();
  const before = breakIt.memory().buffer.byteLength;
  assert.equal(mixedCalls(verifier, 20_000), 0);
  assert.equal(breakIt.memory().buffer.byteLength, before);
});

test("byte order marks, NULs and letters of every length pass unchanged", async () => {
  const verifier = await Verifier.load();
  for (const text of ["\ufeff", "\0", "é", "請", "🔒", "\u2028", "x".repeat(100_000), "🔒".repeat(30_000)]) {
    const canonical = verifier.canonicalize({ v: text });
    assert.equal(JSON.parse(canonical).v, text);
  }
  assert.match(verifier.callText('\ufeff{"op":"describe"}'), /request-invalid/);
});

test("requests that cannot be sent are refused before the call", async () => {
  const verifier = await Verifier.load();
  assert.throws(() => verifier.callText("\ud800"), { name: "Invalid", code: "request-invalid" });
  assert.throws(() => verifier.callText("x".repeat(18 * 1024 * 1024)), { name: "Invalid", code: "limit-exceeded" });
  assert.match(verifier.callText(" ".repeat(16 * 1024 * 1024 + 1)), /limit-exceeded/);
  assert.throws(() => verifier.call("approval.verify", { requested_after: NaN }), { code: "context-invalid", path: "args.requested_after" });
  assert.throws(() => verifier.call("approval.verify", { floor: new Map() }), { code: "context-invalid", path: "args.floor" });
  const verify = (fields) => () => verifier.verifyApproval({ approval: "{}", id: "x", audience: "x", keys: [], ...fields });
  assert.throws(verify({ attempt: { agent: "a", action: "b", context: {} }, now: NaN }), { code: "request-invalid" });
  assert.throws(verify({ attempt: { agent: "a", action: "b", context: {} }, floor: { threshold: NaN } }), { code: "request-invalid" });
});

test("a rejection has the verifier's code and sentence", async () => {
  const verifier = await Verifier.load();
  const rejection = { name: "Rejection", code: "request-invalid" };
  assert.throws(() => verifier.call("no.such.op"), rejection);
  assert.throws(() => verifier.call("context.digest", { context: "{}", other: 1 }), rejection);
  assert.throws(() => verifier.digest("{"), (error) => error instanceof Rejection && error.message === error.detail);
});

test("payload, sign and verify agree, and no error shows a key", async () => {
  const verifier = await Verifier.load();
  const material = "E".repeat(43);
  const key = { id: "key", algorithm: "hmac-sha256", material, status: "active", use: "approve" };
  assert.equal(verifier.payload(STATEMENT, "v1").text, `${STATEMENT.approval_id}:approved:alice@company.com:2026-09-21T14:13:20+00:00`);
  const signature = verifier.sign(STATEMENT, "v1", key);
  assert.equal(verifier.verify(STATEMENT, signature, [key], ["v1"]), "key");
  for (const broken of [{ ...key, material: `${material}!` }, { ...key, status: "x" }]) {
    assert.throws(
      () => verifier.sign(STATEMENT, "v1", broken),
      (error) => error instanceof Rejection && !`${error.stack}${JSON.stringify(error)}`.includes(material),
    );
  }
});

test("eight threads verify at the same time, with a trap in between", async () => {
  assert.deepEqual(await threads({ threads: 8, calls: 4_000 }), { calls: 4_000, wrong: 0 });
});
