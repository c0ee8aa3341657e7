// The package as a user gets it: packed, installed in an empty project, type-checked and run.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { AUDIENCE, Server, TOKEN } from "./server.mjs";

const PACKAGE = fileURLToPath(new URL("../", import.meta.url));
const TSC = join(PACKAGE, "node_modules", "typescript", "bin", "tsc");
const project = mkdtempSync(join(tmpdir(), "signoff-consumer-"));

function run(command, args, options = {}) {
  try {
    return execFileSync(command, args, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], ...options });
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")}: ${error.stdout}${error.stderr}`);
  }
}

let packed;

before(() => {
  run("npm", ["pack", "--silent", "--pack-destination", project], { cwd: PACKAGE });
  const tarball = join(project, "signoff-sdk-0.1.0.tgz");
  packed = run("tar", ["tzf", tarball]).trim().split("\n");
  writeFileSync(join(project, "package.json"), '{"name":"consumer","private":true,"type":"module"}');
  run("npm", ["install", "--silent", "--offline", "--no-audit", "--no-fund", tarball]);
});

after(() => rmSync(project, { recursive: true, force: true }));

test("the tarball has the modules, their types and the component, and nothing else", () => {
  const names = packed.map((name) => name.replace(/^package\//, ""));
  for (const name of ["src/index.js", "src/browser.js", "src/digest.js", "dist/browser.js", "types/index.d.ts", "types/browser.d.ts", "verifier.wasm", "README.md", "CHANGELOG.md", "LICENSE"]) {
    assert.ok(names.includes(name), name);
  }
  assert.deepEqual(names.filter((name) => !/^(src|dist|types)\/[\w/]+\.(js|d\.ts)$|^(verifier\.wasm|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(name)), []);
  assert.deepEqual(names.filter((name) => name.startsWith("dist/node/") || name === "dist/index.js"), []);
  const installed = JSON.parse(readFileSync(join(project, "node_modules/@signoff/sdk/package.json"), "utf8"));
  assert.equal(installed.dependencies, undefined);
  const targets = (entry) => (typeof entry === "string" ? [entry] : Object.values(entry).flatMap(targets));
  for (const target of targets(installed.exports)) assert.ok(names.includes(target.slice(2)), target);
});

test("a TypeScript program compiles strictly, without the types of Node, and runs", async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
  cpSync(join(PACKAGE, "test/consumer.ts"), join(project, "consumer.ts"));
  const strict = ["--strict", "--target", "ES2022", "--module", "NodeNext", "--lib", "ES2023,DOM", "--types", "", "--exactOptionalPropertyTypes"];
  run(process.execPath, [TSC, ...strict, "consumer.ts"]);
  const settings = JSON.stringify({ url: server.url, token: TOKEN, keys: [server.key.public], audience: AUDIENCE });
  // Asynchronous, because the server is in this process.
  const { promisify } = await import("node:util");
  const { execFile } = await import("node:child_process");
  const { stdout } = await promisify(execFile)(process.execPath, ["consumer.js", settings], { cwd: project });
  assert.equal(stdout, "ran {\"replicas\": 3} for alice@company.com\nrefused context-invalid at replicas\n");
});

test("types refuse what cannot be sent", () => {
  const compile = (line) => {
    writeFileSync(join(project, "line.mts"), `import { Client, Verifier } from "@signoff/sdk";\ndeclare const client: Client, verifier: Verifier;\n${line}\n`);
    run(process.execPath, [TSC, "--strict", "--noEmit", "--target", "ES2022", "--module", "NodeNext", "--types", "", "line.mts"]);
  };
  compile("const n: number = await client.guard({ agent: 'a', action: 'b', context: { c: 1n } }, () => 1);");
  for (const line of [
    "client.guard({ agent: 'a', action: 'b' }, () => 1);",
    "client.guard({ agent: 'a', action: 'b', context: 1 }, () => 1);",
    "client.decide('x', { decision: 'maybe', signature: 's' });",
    "const n: number = await client.guard({ agent: 'a', action: 'b', context: {} }, () => 'text');",
    "verifier.digest(1);",
  ]) {
    assert.throws(() => compile(line), /error TS2/, line);
  }
});

test("every export resolves, in Node and for a browser", () => {
  const resolved = (conditions) =>
    run(process.execPath, [...conditions, "--input-type=module", "-e",
      'for (const name of ["", "/verifier", "/browser", "/tools", "/ai", "/openai-agents", "/langchain", "/verifier.wasm"]) console.log(import.meta.resolve("@signoff/sdk" + name).split("@signoff/sdk/")[1])'])
      .trim().split("\n");
  const adapters = ["index", "ai", "openai", "langchain"].map((name) => `src/tools/${name}.js`);
  assert.deepEqual(resolved([]), ["src/index.js", "src/node/verifier.js", "src/browser.js", ...adapters, "verifier.wasm"]);
});

test("only the adapter of LangChain needs a framework to load, and frameworks are optional", () => {
  const names = ["tools", "ai", "openai-agents"];
  run(process.execPath, ["--input-type=module", "-e", `await Promise.all(${JSON.stringify(names)}.map((name) => import("@signoff/sdk/" + name)))`]);
  assert.throws(() => run(process.execPath, ["--input-type=module", "-e", 'await import("@signoff/sdk/langchain")']), /Cannot find package '@langchain\/core'/);
  const imports = readdirSync(join(PACKAGE, "src/tools")).flatMap((name) => {
    const text = readFileSync(join(PACKAGE, "src/tools", name), "utf8");
    return [...text.matchAll(/(?:from|import\() ?"([^."][^"]*)"/g)].map(([, from]) => [name, from]);
  });
  assert.deepEqual(imports, [["langchain.js", "@langchain/core/messages"]]);
  assert.deepEqual(readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith(".")), ["@signoff"]);
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  assert.deepEqual(Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true), []);
});

test("the types of the adapters fit those of each framework", () => {
  const options = ["--strict", "--noEmit", "--target", "ES2022", "--module", "NodeNext", "--lib", "ES2023,DOM", "--skipLibCheck", "--types", "node"];
  run(process.execPath, [TSC, "--ignoreConfig", ...options, "test/adapters.ts"], { cwd: PACKAGE });
});
