// Runs the vectors against the verifier's core module:
//
//     node tests/runners/node/run.mjs verifier-core.wasm
//
// Needs only Node. tests/vectors/README.md describes the vectors.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { Verifier } from "./verifier.mjs";

const FILES = ["context", "signing", "signing_v2", "lifecycle", "lifecycle_v2", "approval", "receipt", "manifest", "wire"];
const DIRECTORY = new URL("../../vectors/", import.meta.url);

function main([path, ...rest]) {
  if (path === undefined || rest.length > 0) {
    console.error("usage: node run.mjs VERIFIER-CORE.wasm");
    return 2;
  }
  const verifier = new Verifier(readFileSync(path));
  const transcript = createHash("sha256");
  const door = (request) => {
    const answer = verifier.call(request);
    transcript.update(`${request}\n${answer}\n`);
    return answer;
  };
  const counts = [];
  const failures = [];
  for (const name of FILES) {
    const file = JSON.parse(readFileSync(new URL(`${name}.json`, DIRECTORY), "utf8"));
    if (file.format !== 1 || !(file.vectors?.length > 0)) {
      throw new Error(`${name}.json has no vectors of format 1`);
    }
    counts.push(`${name} ${file.vectors.length}`);
    failures.push(...runFile(name, file, door));
  }
  failures.push(...runBytes(verifier));
  for (const failure of failures) console.error(failure);
  console.log(`vectors: ${counts.join(", ")}; ${failures.length} failed; transcript ${transcript.digest("hex")}`);
  return failures.length === 0 ? 0 : 1;
}

// Sends bytes that are not UTF-8, which no vector can hold, in place of a context's text.
function* runBytes(verifier) {
  const [before, after] = ['{"op":"context.digest","args":{"context":"{\\"a\\":\\"', '\\"}"}}'];
  const encode = (text) => [...new TextEncoder().encode(text)];
  const answer = (bytes) =>
    JSON.parse(verifier.callBytes(Uint8Array.from([...encode(before), ...bytes, ...encode(after)])));
  const digest = answer(encode("é")).ok?.digest;
  if (typeof digest !== "string") yield "bytes: UTF-8 gets no digest";
  for (const bytes of [[0xed, 0xa0, 0x80], [0xff], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
    const found = mismatch({ code: "request-invalid", message: `request is not UTF-8 at byte ${before.length}` },
      answer(bytes).error ?? null, "error");
    if (found !== null) yield `bytes ${bytes}: ${found}`;
  }
}

function* runFile(name, file, door) {
  const shared = { ...file.define };
  const broken = [...runSteps(`${name}: setup`, file.setup ?? [], shared, door)];
  yield* broken;
  if (broken.length > 0) return; // every vector needs the setup
  for (const vector of file.vectors) {
    yield* runSteps(`${name}: ${vector.name}`, stepsOf(vector), { ...shared }, door);
  }
}

function stepsOf(vector) {
  if (vector.steps !== undefined) return vector.steps;
  if (vector.op !== undefined || vector.request !== undefined) return [vector];
  const args = { context: vector.input ?? { $repeat: vector.input_parts } };
  const { canonical, digest } = vector;
  const known = canonical !== undefined;
  const steps = [
    { op: "context.canonicalize", args, ok: known ? { canonical } : { $has: {} } },
    { op: "context.digest", args, ok: { digest } },
    { op: "context.read", args, ok: known ? { canonical, digest } : { $has: { digest } } },
  ];
  return vector.error === undefined ? steps : steps.map(({ op }) => ({ op, args, error: vector.error }));
}

function* runSteps(name, steps, scope, door) {
  for (const [index, step] of steps.entries()) {
    const answer = JSON.parse(door(requestOf(step, scope)));
    const found = difference(step, answer);
    if (found !== null) {
      yield `${name}, step ${index + 1}: ${found}`;
      return; // later steps need this one
    }
    if (step.as !== undefined) scope[step.as] = answer.ok;
  }
}

function requestOf(step, scope) {
  if (step.request !== undefined) return resolve(step.request, scope);
  return text({ op: resolve(step.op, scope), args: resolve(step.args, scope) });
}

function resolve(value, scope) {
  if (Array.isArray(value)) return value.map((item) => resolve(item, scope));
  if (value === null || typeof value !== "object") return value;
  if ("$ref" in value) return at(scope, value.$ref.split("."));
  if ("$json" in value) return text(resolve(value.$json, scope));
  if ("$edit" in value) return edited(value, scope);
  if ("$repeat" in value) return value.$repeat.map(([part, times]) => part.repeat(times)).join("");
  if ("$copies" in value) return Array(value.$copies[1]).fill(resolve(value.$copies[0], scope));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, scope)]));
}

function edited({ $edit, set, remove = [] }, scope) {
  const document = JSON.parse(resolve($edit, scope));
  const parent = (path) => at(document, path.split(".").slice(0, -1));
  const last = (path) => path.split(".").at(-1);
  for (const [path, value] of Object.entries(set)) parent(path)[last(path)] = resolve(value, scope);
  for (const path of remove) delete parent(path)[last(path)];
  return text(document);
}

function at(value, path) {
  for (const key of path) {
    if (!Object.hasOwn(value, key)) throw new Error(`nothing at \`${path.join(".")}\``);
    value = value[key];
  }
  return value;
}

// Encodes compact JSON with sorted keys, so that every runner sends the same bytes.
function text(value) {
  if (Array.isArray(value)) return `[${value.map(text).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${text(value[key])}`).join(",")}}`;
}

// Returns how an answer differs from the expected one, or null.
function difference(step, answer) {
  if (step.error === undefined) {
    return mismatch(step.ok, answer.ok, "ok") ?? mismatch(["ok"], Object.keys(answer), "answer");
  }
  const code = step.error.code ?? step.error;
  const { message } = answer.error ?? {};
  if (typeof message !== "string" || message === "") return `expected ${code}, found ${shown(answer)}`;
  const { offset } = step.error;
  if (offset !== undefined && !message.endsWith(` at byte ${offset}`)) {
    return `expected byte ${offset}, found ${shown(answer)}`;
  }
  return mismatch({ error: { code, message } }, answer, "answer");
}

function mismatch(expected, actual, path) {
  const wrong = () => `${path}: expected ${shown(expected)}, found ${shown(actual)}`;
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) return wrong();
    return first(expected.map((item, index) => mismatch(item, actual[index], `${path}.${index}`)));
  }
  if (!isObject(expected)) return expected === actual ? null : wrong();
  if ("$json" in expected) return typeof actual === "string" ? mismatch(expected.$json, JSON.parse(actual), path) : wrong();
  if (!isObject(actual)) return wrong();
  const members = expected.$has ?? expected;
  if (expected.$has === undefined && Object.keys(actual).length !== Object.keys(members).length) return wrong();
  return first(Object.keys(members).map((key) =>
    Object.hasOwn(actual, key) ? mismatch(members[key], actual[key], `${path}.${key}`) : wrong()));
}

function first(found) {
  return found.find((item) => item !== null) ?? null;
}

function shown(value) {
  const whole = JSON.stringify(value) ?? "nothing";
  return whole.length > 500 ? `${whole.slice(0, 500)}…` : whole;
}

process.exitCode = main(process.argv.slice(2));
