// The SDK in Chromium, on a page with a strict content security policy, and its size.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

import { Verifier } from "@signoff/sdk";

import { policy as newPolicy, PolicyHost } from "./policies.mjs";
import { AUDIENCE, Server, TOKEN } from "./server.mjs";

const PACKAGE = new URL("../", import.meta.url);
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };
const CHROMIUM = process.env.CHROMIUM ?? ["chromium", "chromium-browser", "google-chrome"].find(isInstalled);
/** What a page loads, in bytes after brotli: the scripts, and all with the component. */
const SCRIPTS_MAX = 22_000;
const ALL_MAX = 300_000;

/** The browser's files, made as `npm run build` makes them; other tests may build those at the same time. */
const built = mkdtempSync(join(tmpdir(), "signoff-browser-"));

before(() => {
  const tsc = fileURLToPath(new URL("node_modules/typescript/bin/tsc", PACKAGE));
  const project = fileURLToPath(new URL("tsconfig.browser.json", PACKAGE));
  execFileSync(process.execPath, [tsc, "-p", project, "--outDir", join(built, "dist")], { stdio: "inherit" });
});

after(() => rmSync(built, { recursive: true, force: true }));

/** Where a file that the page loads is. */
function locate(file) {
  return new URL(file, file.startsWith("dist/") ? `${pathToFileURL(built)}/` : PACKAGE);
}

function isInstalled(name) {
  try {
    return Boolean(execFileSync("which", [name], { stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    return false;
  }
}

/** A server of the page and of the API, of one origin. */
async function site(t, policy) {
  const server = await Server.start();
  t.after(() => server.close());
  const host = new PolicyHost(server);
  host.activate(newPolicy({ echo: "context" }));
  const api = server.before;
  server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
  const vectors = JSON.parse(readFileSync(new URL("../../../tests/vectors/context.json", PACKAGE), "utf8")).vectors;
  const changed = readFileSync(new URL("verifier.wasm", PACKAGE));
  changed[changed.length - 1] ^= 1;
  const made = {
    "/values.json": () => readFileSync(new URL("../values.json", PACKAGE)),
    "/vectors.json": () => JSON.stringify({ vectors: vectors.filter(({ input }) => typeof input === "string") }),
    "/settings.json": () => JSON.stringify({ signers: [host.signer.public], keys: [server.key.public], audience: AUDIENCE, token: TOKEN }),
    "/changed.wasm": () => changed,
  };
  server.files = new Set();
  server.result = new Promise((found) => {
    server.before = (incoming) => {
      const { path, body } = incoming;
      if (path.startsWith("/api/")) return api(incoming);
      if (path === "/result") found(JSON.parse(body));
      const headers = { "content-security-policy": policy, "content-type": TYPES[extname(path)] ?? "text/plain" };
      if (path === "/result") return { headers, body: "" };
      if (made[path]) return { headers, body: made[path]() };
      if (!/^\/(dist|test)\/[\w/.-]+$|^\/verifier\.wasm$/.test(path) || path.includes("..")) return { status: 404, headers, body: "" };
      server.files.add(path.slice(1));
      return { headers, body: readFileSync(locate(path.slice(1))) };
    };
  });
  return server;
}

/** Opens the page in Chromium, and returns what it sent. */
async function visit(t, policy = POLICY) {
  const server = await site(t, policy);
  const profile = mkdtempSync(join(tmpdir(), "signoff-chromium-"));
  const browser = spawn(
    CHROMIUM,
    ["--headless=new", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`, "--remote-debugging-pipe", `${server.url}/test/browser/index.html`],
    // A group of its own, so that its helpers end with it.
    { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"], detached: true },
  );
  let printed = "";
  browser.stderr.on("data", (chunk) => (printed += chunk));
  const ended = new Promise((resolve) => browser.once("exit", resolve));
  const failed = ended.then(() => assert.fail(`Chromium ended before the page did: ${printed}`));
  try {
    return { result: await Promise.race([server.result, failed]), files: [...server.files] };
  } finally {
    failed.catch(() => {});
    process.kill(-browser.pid, "SIGKILL");
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
  }
}

const options = { skip: CHROMIUM === undefined && "Chromium is not installed; CHROMIUM names it" };

test("a page with a strict policy verifies, and runs a guarded action", options, async (t) => {
  const { result, files } = await visit(t);
  assert.equal(result.error, undefined);
  assert.deepEqual(result.violations, []);
  assert.equal(result.digest, (await Verifier.load()).digestOfModule);
  assert.deepEqual([result.failures, result.wrong], [[], []]);
  assert.ok(result.rows > 40 && result.vectors > 100, `${result.rows} values, ${result.vectors} vectors`);
  assert.equal(result.changed, "unreachable", "a component with another digest is refused");
  assert.equal(result.ran, '{"big": 18446744073709551616}');
  assert.deepEqual(result.decided, { decision: "allow", reason: '{"big": 1}', local: true, recorded: "memory", pending: 0 });
  t.diagnostic(`${/Chrome\/[\d.]+/.exec(result.agent)}: loaded in ${result.loadMilliseconds} ms, a digest takes ${result.microseconds} µs`);

  // Local policies are loaded by pages that have them.
  const loaded = files.filter((file) => !/^test\/|^dist\/policy\//.test(file));
  const [scripts, all] = [loaded.filter((file) => file.endsWith(".js")), loaded];
  const size = (list, compress) => list.reduce((sum, file) => sum + compress(readFileSync(locate(file))).length, 0);
  const gzip = (bytes) => gzipSync(bytes, { level: 9 });
  t.diagnostic(`scripts ${size(scripts, gzip)} bytes gzip, ${size(scripts, brotliCompressSync)} brotli; with the component ${size(all, gzip)} gzip, ${size(all, brotliCompressSync)} brotli`);
  assert.ok(size(scripts, brotliCompressSync) < SCRIPTS_MAX);
  assert.ok(size(all, brotliCompressSync) < ALL_MAX);
  assert.ok(!scripts.some((file) => file.includes("/node/")), "a page loads nothing of Node");
});

test("without `wasm-unsafe-eval` the page says what is missing", options, async (t) => {
  const { result } = await visit(t, POLICY.replace(" 'wasm-unsafe-eval'", ""));
  assert.match(result.error, /wasm-unsafe-eval/);
  assert.notDeepEqual(result.violations, []);
});

test("the portable modules import nothing of Node", () => {
  const seen = new Set();
  const walk = (file) => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(new URL(file, PACKAGE), "utf8");
    for (const [, from] of text.matchAll(/^(?:import|export)[^;"]*from "([^"]+)";$|^import "([^"]+)";$/gm)) {
      assert.match(from, /^\.{1,2}\//, `${file} imports ${from}`);
      walk(fileURLToPath(new URL(from, new URL(file, PACKAGE))).replace(fileURLToPath(PACKAGE), ""));
    }
  };
  walk("src/browser.js");
  assert.ok(seen.has("src/guard.js") && seen.has("src/verifier.js") && !seen.has("src/index.js"));
});
