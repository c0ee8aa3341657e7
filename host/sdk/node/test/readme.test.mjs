// The five minutes of the README, as written, with the binary that SIGNOFF_BIN names.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const { SIGNOFF_BIN } = process.env;
const PACKAGE = fileURLToPath(new URL("../", import.meta.url));
const README = readFileSync(join(PACKAGE, "README.md"), "utf8");
const INSTALL = "npm install @signoff/sdk\n";

function blocks(language) {
  return [...README.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, "g"))].map(([, text]) => text);
}

async function freePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** A project in which the package is installed. */
function project(t) {
  const folder = mkdtempSync(join(tmpdir(), "signoff-readme-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "node_modules", "@signoff"), { recursive: true });
  symlinkSync(PACKAGE, join(folder, "node_modules", "@signoff", "sdk"));
  return folder;
}

const skip = SIGNOFF_BIN === undefined && "SIGNOFF_BIN is not set: it names the signoff binary";

test("the first guarded call runs as written", { skip }, async (t) => {
  const folder = project(t);
  const port = String(await freePort());
  const [install, start, run] = blocks("sh");
  assert.equal(install, INSTALL);
  writeFileSync(join(folder, "deploy.mjs"), blocks("js")[0]);
  mkdirSync(join(folder, "bin"));
  symlinkSync(resolve(SIGNOFF_BIN), join(folder, "bin", "signoff"));
  const script = `set -e\ntrap 'kill $(jobs -p)' EXIT\n${start}${run}`
    .replace("signoff serve --quiet", `signoff serve --quiet --listen 127.0.0.1:${port}`)
    .replaceAll(":8787", `:${port}`);
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("SIGNOFF_") && !name.startsWith("XDG_"));
  const env = { ...Object.fromEntries(own), HOME: folder, PATH: `${join(folder, "bin")}${delimiter}${process.env.PATH}` };
  const { stdout } = await promisify(execFile)("bash", ["-c", script], { cwd: folder, env });
  assert.match(stdout, /^deploying to prod with 3 replicas, approved by alice@company\.com$/m);
});

test("the verifier's example runs as written", async (t) => {
  const folder = project(t);
  writeFileSync(join(folder, "verify.mjs"), blocks("js").find((text) => text.includes("Verifier.load")));
  const { stdout } = await promisify(execFile)(process.execPath, ["verify.mjs"], { cwd: folder });
  assert.match(stdout, /^[0-9a-f]{64} \d+\.\d+\.\d+\n$/);
});
