// A part of the tests without a test runner, for other runtimes:
//
//     deno run --allow-all test/smoke.mjs
//     bun test/smoke.mjs

import { readFileSync } from "node:fs";

import { Client, rawJson, Verifier } from "@signoff/sdk";

import { breakable, mixedCalls, traps } from "./calls.mjs";
import { checkRow, isForNode } from "./native.mjs";
import { AUDIENCE, Server, TOKEN } from "./server.mjs";

const breakIt = breakable();
const verifier = await Verifier.load();
const trapped = traps(verifier, breakIt);
const wrong = mixedCalls(verifier, 1_000);

const { values } = JSON.parse(readFileSync(new URL("../../values.json", import.meta.url), "utf8"));
const rows = values.filter(isForNode);
const failures = rows.map((row) => checkRow(row, { verifier, rawJson })).filter((failure) => failure !== null);

const server = await Server.start();
server.onWait = async (id) => JSON.parse(server.shown(id)).status === "pending" && server.decide(id);
const client = new Client(server.url, { token: TOKEN, keys: [server.key.public], audience: AUDIENCE });
const attempt = { agent: "deployer", action: "deploy", context: { big: 12345678901234567890n } };
const ran = await client.guard(attempt, ({ context }) => context.big);
server.lie = (exchange) => (exchange.body = String(exchange.body).replace("deployer", "attacker"));
const refused = await client.guard(attempt, () => "ran").then(() => null, (error) => error.code);
await server.close();

console.log(JSON.stringify({ digest: verifier.digestOfModule, trapped, wrong, rows: rows.length, failures, ran: String(ran), refused }));
if (!trapped || wrong > 0 || failures.length > 0 || ran !== 12345678901234567890n || refused !== "request-invalid") {
  console.log("0 passed, 1 failed");
  process.exit(1);
}
console.log("1 passed, 0 failed");
