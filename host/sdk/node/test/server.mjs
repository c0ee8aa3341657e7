// A server for tests, in this process: the routes of the API over the verifier's own `lifecycle`
// operations, one approver with an Ed25519 key, and hooks to misbehave.

import { generateKeyPairSync } from "node:crypto";
import http from "node:http";

import { Verifier } from "@signoff/sdk";

export const AUDIENCE = "tests";
export const TOKEN = "sgnt_test";
const APPROVER = "alice@company.com";
const REQUESTER = "agent:deployer";

const verifier = await Verifier.load();
let made = 0;

/** A new Ed25519 key of an approver: its public entry, and the entry that signs. */
export function newKey(id = "alice", approver = APPROVER) {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d, x } = privateKey.export({ format: "jwk" });
  const entry = { id, algorithm: "ed25519", status: "active", use: "approve", approver, groups: ["sre"] };
  return { public: { ...entry, material: x }, private: { ...entry, material: d } };
}

export class Server {
  /** Requests as they came: `{method, path, headers, body}`. */
  seen = [];
  key = newKey();
  /** Answers of `GET /keys`; null answers 403. */
  listed = null;
  /** Called with each exchange `{route, status, headers, body}` before it is sent; may change it. */
  lie = () => {};
  /** Called with each request before it is handled; an answer that it returns or resolves to is sent instead. */
  before = () => undefined;
  /** Whether it drops what requests require. */
  weakens = false;
  #approvals = new Map();
  #answers = new Map();
  #server = http.createServer((request, response) => this.#serve(request, response));

  static async start(listen = { host: "127.0.0.1", port: 0 }) {
    const server = new Server();
    await new Promise((resolve) => server.#server.listen(listen, resolve));
    const address = server.#server.address();
    server.url = typeof address === "string" ? `unix:${address}` : `http://127.0.0.1:${address.port}`;
    return server;
  }

  async [Symbol.asyncDispose]() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  close() {
    return this[Symbol.asyncDispose]();
  }

  /** Casts a ballot. */
  decide(id, decision = "approved", comment = "") {
    const approval = this.#approvals.get(id);
    const statement = verifier.call("signing.statement", {
      id, approval: approval.record, decision, approver: APPROVER, key_id: this.key.public.id, comment,
    }).statement;
    const signature = verifier.sign(statement, "v2", this.key.private);
    const ballot = JSON.stringify({ decision, approver: APPROVER, signature, ...(comment ? { comment } : {}) });
    this.#change(id, "lifecycle.decide", { ballot, keys: [this.key.public], accept: ["v2"] });
  }

  /** The view of an approval, as the server really has it. */
  shown(id) {
    const { record, context, plan } = this.#approvals.get(id);
    const { view } = verifier.call("lifecycle.show", { id, approval: record, now: now() });
    return viewOf(view, context, plan);
  }

  /** The requests of a route, such as `execute`. */
  sent(route) {
    return this.seen.filter(({ method, path }) => routeOf(method, path) === route);
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, url: path, headers } = request;
    const incoming = { method, path, headers, body: Buffer.concat(chunks).toString(), socket: request.socket };
    this.seen.push(incoming);
    const exchange = { route: routeOf(method, path), status: 200, headers: { "content-type": "application/json" }, body: "" };
    Object.assign(exchange, (await this.before({ ...incoming, route: exchange.route })) ?? (await this.#answer(incoming)));
    this.lie(exchange);
    if (exchange.status === "cut") return request.socket.destroy();
    response.writeHead(exchange.status, { "content-type": "application/json", "x-request-id": "req_1", ...exchange.headers });
    if (typeof exchange.body === "function") return exchange.body(response);
    response.end(exchange.body);
  }

  async #answer(incoming) {
    const key = incoming.headers["idempotency-key"];
    const kept = key && this.#answers.get(key);
    if (kept) return kept;
    const answer = await this.#handle(incoming).catch(problem);
    if (key) this.#answers.set(key, answer);
    return answer;
  }

  async #handle({ method, path, body }) {
    const route = routeOf(method, path);
    const id = /appr_\w+/.exec(path)?.[0];
    const sent = body === "" ? {} : JSON.parse(body);
    switch (route) {
      case "create":
        return { status: 201, body: this.#open(body, sent) };
      case "show":
        return { body: await this.#show(id, path) };
      case "execute":
        return { body: this.#claim(id, body, sent) };
      case "outcome":
        this.#change(id, "lifecycle.settle", { outcome: JSON.stringify({ ...sent, actor: actor() }) });
        return { body: this.shown(id) };
      case "withdraw":
        this.#change(id, "lifecycle.withdraw", { withdrawal: JSON.stringify({ actor: actor() }) });
        return { body: this.shown(id) };
      case "keys":
        if (this.listed === null) return problem({ code: "forbidden", detail: "not you" }, 403);
        return { body: JSON.stringify({ items: this.listed }) };
      default:
        return problem({ code: "not-found", detail: "no such route" }, 404);
    }
  }

  #open(body, { agent, action, reason, requirement, expires_in_seconds: ttl }) {
    const id = `appr_0${String(++made).padStart(25, "0")}`;
    const required = this.weakens ? {} : { requirement, ttl_seconds: ttl };
    const request = { id, audience: AUDIENCE, agent, action, reason, requested_by: REQUESTER, ...required };
    const context = member(body, "context");
    const plan = member(body, "plan") ?? null;
    const opened = verifier.call("lifecycle.open", {
      request: JSON.stringify(request), context, plan, accept: ["v2"], now: now(),
    });
    this.#approvals.set(id, { record: opened.record, context: opened.context, plan: opened.plan });
    return this.shown(id);
  }

  async #show(id, path) {
    if (!this.#approvals.has(id)) throw { code: "not-found", detail: "no such approval" };
    // A long poll ends with the next change, which a test makes; without one it answers at once.
    if (path.includes("wait=") && this.onWait) await this.onWait(id);
    return this.shown(id);
  }

  #claim(id, body, { agent, action, lease_seconds }) {
    const claim = { agent, action, claimed_by: REQUESTER, execution_id: `exec_0${String(++made).padStart(25, "0")}`, lease_seconds };
    this.#change(id, "lifecycle.claim", {
      claim: JSON.stringify(claim), context: member(body, "context"), plan: member(body, "plan") ?? null,
      keys: [this.key.public], accept: ["v2"],
    });
    return this.shown(id);
  }

  #change(id, op, args) {
    const approval = this.#approvals.get(id);
    const { record } = verifier.call(op, { id, approval: approval?.record ?? null, ...args, now: now() });
    if (record) approval.record = record;
  }
}

function routeOf(method, path) {
  const [, , , first, second, third] = path.split(/[/?]/);
  if (first === "approvals" && second === undefined) return method === "POST" ? "create" : "list";
  if (first === "approvals" && method === "GET") return third === "receipt" ? "receipt" : "show";
  return third ?? second ?? first;
}

/** The text of a member: the last one of a body that the SDK wrote, so that its numbers stay exact. */
function member(body, name) {
  const start = body.indexOf(`"${name}":`);
  if (start < 0) return undefined;
  for (let end = start + name.length + 4; end <= body.length; end++) {
    const text = body.slice(start + name.length + 3, end);
    if (text.endsWith("}") && isJson(text)) return text;
  }
  return undefined;
}

function isJson(text) {
  try {
    return Boolean(JSON.parse(text));
  } catch {
    return false;
  }
}

function viewOf(view, context, plan) {
  return `${view.slice(0, -1)},"verifier":"${verifier.digestOfModule}","context":${context},"plan":${plan}}`;
}

function actor() {
  return { subject: REQUESTER, roles: ["requester", "executor"] };
}

export function problem({ code, detail }, status = 409) {
  const body = JSON.stringify({ title: code, status, detail, code });
  return { status, headers: { "content-type": "application/problem+json" }, body };
}

function now() {
  return Math.floor(Date.now() / 1000);
}
