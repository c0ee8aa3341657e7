// Values: what the strict encoder accepts and refuses, and what the parser keeps.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

import { Client, Invalid, rawJson, Verifier } from "@signoff/sdk";

import { checkRow, isForNode } from "./native.mjs";
import { Server, TOKEN } from "./server.mjs";

const { values } = JSON.parse(readFileSync(new URL("../../values.json", import.meta.url), "utf8"));
const verifier = await Verifier.load();

for (const row of values.filter(isForNode)) {
  test(`value: ${row.name}`, () => assert.equal(checkRow(row, { verifier, rawJson }), null));
}

function refusal(value) {
  try {
    verifier.canonicalize(value);
  } catch (error) {
    assert.ok(error instanceof Invalid, String(error));
    return [error.code, error.path];
  }
  return assert.fail("not refused");
}

test("a refusal names the path of the value", () => {
  assert.deepEqual(refusal({ a: [{ b: undefined }] }), ["context-invalid", "a[0].b"]);
  assert.deepEqual(refusal({ a: { "\ud800": 1 } }), ["context-invalid", "a.\ud800"]);
});

test("what JSON.stringify changes silently is refused", () => {
  class Secret {
    #value = 1;
    shown = 2;
  }
  const matched = "ab".match(/(a)(b)/);
  for (const value of [
    new Secret(), new Date(NaN), new Number(1), /x/, Promise.resolve(1), new Error("x"), matched,
    Object.assign([1], { extra: 1 }), { [Symbol("s")]: 1 }, new ArrayBuffer(1), Buffer.from("x"), new Float64Array(1),
  ]) {
    assert.deepEqual(refusal({ v: value })[0], "context-invalid");
  }
});

test("plain objects of other realms, objects without prototype and toJSON are values", () => {
  const foreign = vm.runInNewContext("({ a: [1, { b: null }] })");
  assert.equal(verifier.canonicalize({ v: foreign }), '{"v": {"a": [1, {"b": null}]}}');
  assert.equal(verifier.canonicalize({ v: Object.assign(Object.create(null), { a: 1 }) }), '{"v": {"a": 1}}');
  assert.equal(verifier.canonicalize({ v: new URL("https://example.com/") }), '{"v": "https://example.com/"}');
  assert.deepEqual(refusal({ v: { toJSON: () => NaN } }), ["context-invalid", "v"]);
});

test("a value that refers to itself many times ends", () => {
  const loop = {};
  loop.a = loop.b = loop;
  assert.deepEqual(refusal({ loop }), ["context-invalid", "loop.b"]);
  let shared = ["x"];
  for (let level = 0; level < 60; level++) shared = [shared, shared];
  assert.throws(() => verifier.canonicalize({ v: shared }), { code: "limit-exceeded" });
});

test("numbers of an answer are exact, and no text can pass for one", async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const client = new Client(server.url, { token: TOKEN, keys: null, audience: null });
  const text =
    '{"a": 9007199254740993, "b": [-12345678901234567890, 1.0, 1e+16, 0.12345678901234567], "c": "9007199254740993", ' +
    '"d": "x\\\\\\"9007199254740993", "9007199254740995": 9007199254740991, "__proto__": {"e": 9007199254740993}}';
  const { context } = await client.request({ agent: "deployer", action: "deploy", context: text });
  assert.equal(context.a, 9007199254740993n);
  assert.deepEqual(context.b, [-12345678901234567890n, 1, 1e16, 0.12345678901234567]);
  assert.equal(context.c, "9007199254740993");
  assert.equal(context.d, 'x\\"9007199254740993');
  assert.equal(context["9007199254740995"], Number.MAX_SAFE_INTEGER);
  assert.deepEqual(Object.getOwnPropertyDescriptor(context, "__proto__").value, { e: 9007199254740993n });
});
