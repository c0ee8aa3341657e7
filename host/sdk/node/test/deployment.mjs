// A real server with a policy, an approver and an executor, for the tests of the adapters.

import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

import { Client } from "@signoff/sdk";

const { SIGNOFF_BIN } = process.env;
export const skip = SIGNOFF_BIN === undefined && "SIGNOFF_BIN is not set: it names the signoff binary";
const binary = SIGNOFF_BIN && resolve(SIGNOFF_BIN);

/** `read` is allowed, `drop` denied, `forgotten` has no rule. */
const RULES = `
format = 1
name = "tools"
default = "require_approval"

[[rule]]
id = "reading"
action = "read"
verdict = "allow"
reason = "reading changes nothing"

[[rule]]
id = "dropping"
action = "drop"
verdict = "deny"
reason = "nobody drops tables"

[[test]]
name = "reading"
agent = "a"
action = "read"
context = {}
expect = "allow"

[[test]]
name = "dropping"
agent = "a"
action = "drop"
context = {}
expect = "deny"
`;

export class Deployment {
  #environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SIGNOFF_")));
  #stop = new AbortController();
  home = mkdtempSync(join(tmpdir(), "signoff-tools-"));

  static async start(t) {
    const deployment = new Deployment();
    await deployment.#start();
    t.after(() => deployment.close());
    return deployment;
  }

  async #start() {
    for (const folder of ["server", "alice"]) mkdirSync(join(this.home, folder));
    const admin = JSON.parse(this.#signoff("server", "init", "--audience", "live", "--json")).admin_token;
    const { entry } = JSON.parse(this.#signoff("alice", "key", "generate", "--id", "alice", "--approver", "alice@company.com", "--json"));
    this.keys = [entry];
    writeFileSync(join(this.home, "alice.json"), JSON.stringify(entry));
    this.#signoff("server", "key", "import", "../alice.json", "--approver", "alice@company.com", "--yes");
    this.#signoff("alice", "key", "generate", "--id", "team", "--use", "module", "--slot", "policy");
    writeFileSync(join(this.home, "team.json"), JSON.stringify(JSON.parse(this.#signoff("alice", "key", "show", "team", "--json")).entry));
    this.#signoff("server", "key", "import", "../team.json", "--use", "module", "--slot", "policy", "--yes");
    await this.serve();
    this.#environment.SIGNOFF_TOKEN = admin;
    this.admin = admin;
    this.token = this.#token("agent:deployer", "requester,executor");
    this.approver = this.#token("alice@company.com", "approver");
  }

  /** Starts the server, also again after `stop`. */
  async serve() {
    const { SIGNOFF_SERVER: _, SIGNOFF_TOKEN: __, ...own } = this.#environment;
    const environment = { ...own, SIGNOFF_CACHE_DIR: join(this.home, "cache") };
    const listen = this.url === undefined ? "127.0.0.1:0" : new URL(this.url).host;
    this.server = spawn(binary, ["serve", "--listen", listen], { cwd: join(this.home, "server"), env: environment, stdio: ["ignore", "pipe", "pipe"] });
    this.url = await listening(this.server);
    this.#environment.SIGNOFF_SERVER = this.url;
  }

  async stop() {
    const ended = new Promise((exit) => this.server.once("exit", exit));
    this.server.kill();
    await ended;
  }

  async close() {
    this.#stop.abort();
    await this.stop();
    rmSync(this.home, { recursive: true });
  }

  /** Activates the policy. */
  activate() {
    writeFileSync(join(this.home, "alice", "rules.toml"), RULES);
    this.#signoff("alice", "policy", "build", "rules.toml", "-o", "policy.wasm");
    this.#signoff("alice", "module", "sign", "policy.wasm", "--slot", "policy", "--name", "tools", "--version", "1", "--key", "team");
    this.#environment.SIGNOFF_TOKEN = this.#token("team@company.com", "policy");
    const { digest } = JSON.parse(this.#signoff("alice", "module", "push", "policy.wasm", "--json"));
    this.#signoff("alice", "module", "activate", digest);
    this.#environment.SIGNOFF_TOKEN = this.admin;
  }

  /** A client that trusts the server, or with `pinned` one that verifies. */
  client({ pinned = false, ...options } = {}) {
    const trust = pinned ? { keys: this.keys, audience: "live" } : { keys: null, audience: null };
    return new Client(this.url, { token: this.token, ...trust, ...options });
  }

  /**
   * Decides each request as a person would, by the command line: `approve`, `reject` or null, and a comment. With
   * `withdraw` the agent takes it back: a call ends without a decision, and no test waits for a time-out.
   */
  decides(choose) {
    const client = new Client(this.url, { token: this.approver, keys: null, audience: null });
    const decided = new Set();
    const follow = async () => {
      for await (const { event, data } of client.events({ after: 0, signal: this.#stop.signal })) {
        const id = data.event.approval_id;
        if (event !== "approval_requested" || decided.has(id)) continue;
        decided.add(id);
        const approval = await client.get(id);
        const [command, comment] = [await choose(approval)].flat();
        if (command === "withdraw") await this.client().withdraw(id);
        else if (command && approval.status === "pending") await this.decide(command, id, comment);
      }
    };
    follow().catch((error) => this.#stop.signal.aborted || Promise.reject(error));
  }

  async decide(command, id, comment) {
    const said = comment === undefined ? [] : ["--comment", comment];
    const env = { ...this.#environment, SIGNOFF_TOKEN: this.approver };
    await promisify(execFile)(binary, [command, id, "--yes", ...said], { cwd: join(this.home, "alice"), env });
  }

  /** All approvals, oldest first. */
  async requests() {
    const { items } = await this.client().list({ limit: 100 });
    return items.reverse();
  }

  #signoff(where, ...args) {
    return execFileSync(binary, args, { cwd: join(this.home, where), env: this.#environment, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  #token(subject, role) {
    return JSON.parse(this.#signoff("server", "token", "create", "--subject", subject, "--role", role, "--json")).token;
  }
}

/** Returns the URL that the server prints once it listens. */
export function listening(server) {
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
