// The stream of the audit log: its format, and where it goes on after a break.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "@signoff/sdk";

import { problem, Server, TOKEN } from "./server.mjs";

const HEADERS = { "content-type": "text/event-stream" };

/** A server whose answers to the stream are these texts, in turn; each connection then ends. */
async function streaming(t, ...texts) {
  const server = await Server.start();
  t.after(() => server.close());
  server.before = () => {
    const text = texts.shift();
    if (typeof text !== "string") return text ?? { headers: HEADERS, body: () => {} };
    const halves = [text.slice(0, text.length / 2), text.slice(text.length / 2)];
    const body = (response) => response.write(halves[0], () => setImmediate(() => response.end(halves[1])));
    return { headers: HEADERS, body };
  };
  return { server, client: new Client(server.url, { token: TOKEN, keys: null, audience: null }) };
}

async function take(events, count) {
  const found = [];
  for await (const event of events) if (found.push(event) === count) break;
  return found;
}

test("events are parsed with every line end, comments, and exact numbers", async (t) => {
  const text =
    ": heartbeat\n\nid: 7\nevent: approval_requested\ndata: {\"n\": 9007199254740993}\n\n" +
    "id:8\r\nevent:x\r\ndata:[1,\r\ndata: 2]\r\n\r\nid: 9\rdata: 3\r\rretry: 5\n\ndata: {\"a\":\"é🔒\"}\n\n";
  const { client } = await streaming(t, text);
  assert.deepEqual(await take(client.events(), 4), [
    { id: "7", event: "approval_requested", data: { n: 9007199254740993n }, text: '{"n": 9007199254740993}' },
    { id: "8", event: "x", data: [1, 2], text: "[1,\n2]" },
    { id: "9", event: "message", data: 3, text: "3" },
    { id: "9", event: "message", data: { a: "é🔒" }, text: '{"a":"é🔒"}' },
  ]);
});

test("a broken stream goes on after the last event, which is whole", async (t) => {
  const busy = { ...problem({ code: "rate-limited", detail: "" }, 429), headers: { "content-type": "application/problem+json", "retry-after": "0" } };
  const { server, client } = await streaming(t, "id: 1\ndata: 1\n\nid: 2\ndata: 2", { status: "cut" }, busy, "id: 2\ndata: 2\n\n");
  const found = await take(client.events({ after: 0 }), 2);
  assert.deepEqual(found.map(({ data }) => data), [1, 2]);
  assert.deepEqual(server.seen.map(({ headers }) => headers["last-event-id"]), ["0", "1", "1", "1"]);
});

test("a reset is an event, and its id the new position", async (t) => {
  const { server, client } = await streaming(t, 'id: 3\nevent: reset\ndata: {"entries":3}\n\n', "id: 4\ndata: 4\n\n");
  assert.deepEqual((await take(client.events({ after: 99 }), 2)).map(({ event }) => event), ["reset", "message"]);
  assert.deepEqual(server.seen.map(({ headers }) => headers["last-event-id"]), ["99", "3"]);
});

test("a refusal ends the stream, and so does a server that stays away", async (t) => {
  const { client } = await streaming(t, problem({ code: "forbidden", detail: "no" }, 403));
  await assert.rejects(client.events().next(), { name: "Forbidden" });
  const gone = new Client("http://127.0.0.1:1", { token: null, keys: null });
  await assert.rejects(gone.events({ timeout: 0.3 }).next(), { name: "Unavailable", code: "unreachable" });
});

test("an abort ends the stream with its reason, and leaving the loop closes the connection", async (t) => {
  const { server, client } = await streaming(t, "id: 1\ndata: 1\n\n");
  const controller = new AbortController();
  const events = client.events({ signal: controller.signal });
  await events.next();
  const next = events.next();
  controller.abort(new Error("enough"));
  await assert.rejects(next, { message: "enough" });
  server.before = () => ({ headers: HEADERS, body: (response) => response.write("id: 1\ndata: 1\n\n") });
  await take(client.events(), 1);
  const { socket } = server.seen.at(-1);
  if (!socket.destroyed) await new Promise((resolve) => socket.once("close", resolve));
});

test("events that are not JSON or too long end the stream", async (t) => {
  for (const text of ["data: {\n\n", `data: "${"x".repeat(17 * 1024 * 1024)}"\n\n`]) {
    const { client } = await streaming(t, text, text, text, text, text, text, text, text, text, text);
    await assert.rejects(client.events({ timeout: 0.3 }).next(), { name: "Unavailable" });
  }
});
