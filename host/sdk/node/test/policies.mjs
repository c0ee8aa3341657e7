// Policies for tests: small components written by hand, signed manifests, and the routes of a server
// that has one.

import { createHash, generateKeyPairSync, sign } from "node:crypto";

import { AUDIENCE } from "./server.mjs";

const PAYLOAD_TYPE = "application/vnd.signoff.module+json";
const EVALUATE = "signoff:approval/guardrails@0.1.0#evaluate";
const [I32, I64, FUNC] = [0x7f, 0x7e, 0x60];
const RECORD = 1024;
const HEAP = 16 * 1024;
/** The parameters of `evaluate` that are the pointer of a text. */
export const PARAMETERS = { agent: 0, action: 2, context: 4, plan: 7, facts: 9 };

/**
 * A policy that returns a verdict. `echo` names the parameter whose text is the reason. `behaves`
 * changes what it does: `trap`, `loop`, `grow` to 2 MiB, or `count`: a second call in one instance traps.
 */
export function policy({ verdict = { decision: "allow" }, echo, behaves, imports = false, cores = 1, patch = {} } = {}) {
  const core = coreModule(verdict, echo, behaves, imports, patch);
  const component = [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];
  for (let made = 0; made < cores; made++) component.push(...section(1, core));
  return Uint8Array.from(component);
}

function coreModule(verdict, echo, behaves, imports, patch) {
  const [data, end] = recordOf(echo === undefined ? verdict : { ...verdict, reason: "" }, patch);
  const realloc = [0, 0x23, 0, 0x23, 0, 0x20, 3, 0x6a, 0x24, 0, 0x0b]; // returns global 0, and adds the size to it
  const store = (offset, parameter) => [0x41, ...sleb(RECORD + offset), 0x20, parameter, 0x36, 2, 0];
  const first = {
    trap: [0x00],
    loop: [0x03, 0x40, 0x0c, 0, 0x0b],
    grow: [0x41, ...sleb(31), 0x40, 0, 0x1a],
    count: [0x23, 1, 0x04, 0x40, 0x00, 0x0b, 0x41, 1, 0x24, 1],
  };
  const at = PARAMETERS[echo];
  const echoed = at === undefined ? [] : [...store(24, at), ...store(28, at + 1)];
  const evaluate = [0, ...(first[behaves] ?? []), ...echoed, 0x41, ...sleb(patch.result ?? RECORD), 0x0b];
  const bodies = [realloc, evaluate];
  const exports = [["memory", 2, 0], ["cabi_realloc", 0, imports ? 1 : 0], [EVALUATE, 0, imports ? 2 : 1]];
  return [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector([
      [FUNC, 4, I32, I32, I32, I32, 1, I32],
      [FUNC, 12, ...Array(11).fill(I32), I64, 1, I32],
    ])),
    ...(imports ? section(2, vector([[...name("env"), ...name("clock"), 0, 0]])) : []),
    ...section(3, [2, 0, 1]),
    ...section(5, [1, 0, 1]),
    ...section(6, vector([[I32, 1, 0x41, ...sleb(Math.max(HEAP, end)), 0x0b], [I32, 1, 0x41, 0, 0x0b]])),
    ...section(7, vector(exports.map(([text, kind, index]) => [...name(text), kind, index]))),
    ...section(10, vector(bodies.map((body) => [...leb(body.length), ...body]))),
    ...section(11, vector([[0, 0x41, ...sleb(RECORD), 0x0b, ...leb(data.length), ...data]])),
  ];
}

/** The record with its texts behind it, and the address after them. */
function recordOf({ decision, rule = null, reason = null, requirement = null, failed = [] }, { bytes = {} }) {
  const record = Buffer.alloc(52 + failed.length * 8);
  const texts = [];
  let next = RECORD + record.length;
  const text = (offset, value) => {
    const encoded = Buffer.from(value);
    record.writeUInt32LE(next, offset);
    record.writeUInt32LE(encoded.length, offset + 4);
    next += encoded.length;
    texts.push(encoded);
  };
  text(0, decision);
  for (const [offset, value] of [[8, rule], [20, reason], [32, requirement]]) {
    if (value === null) continue;
    record[offset] = 1;
    text(offset + 4, value);
  }
  record.writeUInt32LE(RECORD + 52, 44);
  record.writeUInt32LE(failed.length, 48);
  for (const [index, id] of failed.entries()) text(52 + index * 8, id);
  for (const [offset, value] of Object.entries(bytes)) record.writeUInt32LE(value, Number(offset));
  return [[...Buffer.concat([record, ...texts])], next];
}

function section(id, content) {
  return [id, ...leb(content.length), ...content];
}

function vector(items) {
  return [...leb(items.length), ...items.flat()];
}

function name(text) {
  return [...leb(text.length), ...Buffer.from(text)];
}

function leb(number) {
  return number < 0x80 ? [number] : [(number & 0x7f) | 0x80, ...leb(number >>> 7)];
}

function sleb(number) {
  return number < 0x40 ? [number] : [(number & 0x7f) | 0x80, ...sleb(number >>> 7)];
}

/** A module signer: `public` is its entry, `sign(wasm, changes)` makes a manifest. */
export function newSigner(id = "policy-team", groups = ["policy"]) {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { x } = privateKey.export({ format: "jwk" });
  return {
    public: { id, algorithm: "ed25519", material: x, status: "active", use: "module", approver: null, groups },
    sign(wasm, changes = {}) {
      const fields = { format: 1, digest: sha256(wasm), slot: "policy", name: "suite", version: 1, created: "2026-11-30T14:27:30Z" };
      const payload = Buffer.from(JSON.stringify({ ...fields, ...changes }));
      const signed = Buffer.concat([Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `), payload]);
      const signature = { keyid: id, sig: sign(null, signed, privateKey).toString("base64") };
      return { payloadType: PAYLOAD_TYPE, payload: payload.toString("base64"), signatures: [signature] };
    },
  };
}

export function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Adds the routes of a policy to a server. */
export class PolicyHost {
  signer = newSigner();
  facts = { requester: "agent:deployer" };
  audience = AUDIENCE;
  /** The answer of an evaluation by the server. */
  said = { decision: "require_approval", reason: "the server says so", failed: [], policy: null };
  /** Decisions that were accepted, with the key of their batch. */
  reported = [];
  /** Called with each request; an answer that it returns is sent instead. */
  act = () => undefined;
  #active = null;
  #keys = new Set();
  #changed = [];

  constructor(server) {
    this.server = server;
    server.before = (incoming) => this.act(incoming) ?? this.#answer(incoming);
  }

  /** Makes a policy active; null for none. Returns its digest. */
  activate(wasm, changes) {
    this.#active = wasm && { digest: sha256(wasm), manifest: this.signer.sign(wasm, changes), wasm };
    for (const changed of this.#changed.splice(0)) changed();
    return this.#active?.digest ?? null;
  }

  async #answer({ method, path, body, headers, socket }) {
    const [route, query] = path.replace("/api/v1/guardrails/", "").split("?");
    if (route === "policy") {
      const asked = new URLSearchParams(query);
      if (asked.has("wait") && asked.get("while") === (this.#active?.digest ?? "none")) {
        await new Promise((changed) => {
          this.#changed.push(changed);
          socket.once("close", changed);
        });
      }
      const { digest, manifest } = this.#active ?? {};
      const policy = this.#active && { digest, manifest };
      return { body: JSON.stringify({ policy, facts: this.facts, audience: this.audience, at: new Date().toISOString() }) };
    }
    if (route === `policy/${this.#active?.digest}/wasm`) {
      const bytes = this.#active.wasm;
      return { headers: { "content-type": "application/wasm" }, body: (response) => response.end(bytes) };
    }
    if (route === "evaluate") return { body: JSON.stringify(this.said) };
    if (route === "decisions" && method === "POST") return this.#report(headers["idempotency-key"], JSON.parse(body).decisions);
    return undefined;
  }

  #report(key, decisions) {
    if (!this.#keys.has(key)) this.reported.push(...decisions.map((decision) => ({ ...decision, key })));
    this.#keys.add(key);
    return { body: JSON.stringify({ recorded: decisions.length }) };
  }
}
