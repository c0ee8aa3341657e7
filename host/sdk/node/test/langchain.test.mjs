// The adapter of LangChain, with its fake model and a real server.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { AIMessage, ToolMessage } from "@langchain/core/messages";
import { fakeModel } from "@langchain/core/testing";
import { Command, MemorySaver } from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import { createAgent, createMiddleware, humanInTheLoopMiddleware, tool, toolRetryMiddleware } from "langchain";
import { z } from "zod";

import { Client } from "@signoff/sdk";
import { resolveApprovals, signoffTools } from "@signoff/sdk/langchain";

import { Deployment, skip } from "./deployment.mjs";

/** A tool that records what it runs on. */
function recorder(name = "deploy", result = () => "deployed") {
  const ran = [];
  const schema = z.object({ target: z.string(), replicas: z.number().default(1) });
  return { tool: tool(async (input, config) => (ran.push(input), result(input, config)), { name, description: "Deploys", schema }), ran };
}

/** An agent whose model makes these calls first, `[tool, input, id?]`, and then says `done`. */
function agentOf(tools, calls, middleware = []) {
  const toolCalls = calls.map(([name, args, id], index) => ({ name, args, id: id ?? `call_${index}` }));
  const model = fakeModel();
  if (calls.length > 0) model.respondWithTools(toolCalls);
  for (let turn = 0; turn < 3; turn++) model.respond(new AIMessage("done"));
  return createAgent({ model, tools, middleware, checkpointer });
}

const checkpointer = new MemorySaver();
const asked = { messages: [{ role: "user", content: "deploy" }] };
const named = (more = {}) => ({ agent: "deployer", run: `run ${Math.random()}`, ...more });
const thread = () => ({ configurable: { thread_id: String(Math.random()) } });
const readOf = ({ messages }, id = "call_0") => messages.findLast((message) => message.tool_call_id === id)?.content;
const statusOf = ({ messages }, id = "call_0") => messages.findLast((message) => message.tool_call_id === id)?.status;
const requests = () => deployment.requests();

const deployment = skip ? null : await Deployment.start({ after });
deployment?.activate();
deployment?.decides(({ context: { target } }) => ({ approve: ["approve"], reject: ["reject", "not on Friday"], withdraw: ["withdraw"] })[target] ?? null);

test("an approved call runs once, on what was approved after every middleware, with pinned keys", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const client = deployment.client({ pinned: true });
  const rewriting = createMiddleware({
    name: "Rewriting",
    wrapToolCall: (request, handler) => handler({ ...request, toolCall: { ...request.toolCall, args: { ...request.toolCall.args, replicas: 2 } } }),
  });
  const result = await agentOf(signoffTools(client, [deploy], named()), [["deploy", { target: "approve" }]], [rewriting]).invoke(asked, thread());
  assert.deepEqual([readOf(result), statusOf(result)], ["deployed", "success"]);
  assert.deepEqual(ran, [{ target: "approve", replicas: 2 }]);
  assert.deepEqual((await client.get((await requests()).at(-1).id)).context, { target: "approve", replicas: 2 });
});

test("the policy is evaluated first, and what does not run gives its reason", { skip }, async () => {
  const tools = ["read", "drop", "forgotten", "deploy"].map((name) => recorder(name));
  const guarded = signoffTools(deployment.client(), tools.map((made) => made.tool), named());
  const result = await agentOf(guarded, tools.map(({ tool: { name } }) => [name, { target: name === "deploy" ? "reject" : "withdraw" }])).invoke(asked, thread());
  assert.deepEqual(tools.map(({ ran }) => ran.length), [1, 0, 0, 0]);
  assert.equal(readOf(result, "call_1"), "The tool did not run: denied by the policy: nobody drops tables");
  assert.match(readOf(result, "call_2"), /^The tool did not run: withdrawn \(appr_/);
  assert.match(readOf(result, "call_3"), /^The tool did not run: rejected by alice@company\.com: not on Friday \(appr_/);
  assert.deepEqual([0, 1, 2, 3].map((call) => statusOf(result, `call_${call}`)), ["success", "error", "error", "error"]);
  const refusal = result.messages.find(({ tool_call_id: id }) => id === "call_3");
  assert.deepEqual([ToolMessage.isInstance(refusal), refusal.name, refusal.type], [true, "deploy", "tool"]);
});

test("errors of signoff never run a tool, and a repeated call id runs once", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const dead = new Client("http://127.0.0.1:9", { token: "sgnt_x", keys: null, audience: null, timeout: 0.5 });
  for (const [client, code] of [[dead, "unreachable"], [deployment.client({ token: `sgnt_${"0".repeat(43)}` }), "unauthenticated"]]) {
    const result = await agentOf(signoffTools(client, [deploy], named()), [["deploy", { target: "approve" }]]).invoke(asked, thread());
    assert.deepEqual([readOf(result), statusOf(result)], [`The tool did not run: refused (${code})`, "error"]);
  }
  const tools = signoffTools(deployment.client(), [deploy], named());
  await agentOf(tools, [["deploy", { target: "approve" }]]).invoke(asked, thread());
  const again = await agentOf(tools, [["deploy", { target: "approve" }]]).invoke(asked, thread());
  assert.match(readOf(again), /^The tool did not run: its approval was used before/);
  assert.equal(ran.length, 1);
  await assert.rejects(signoffTools(dead, [deploy], named())[0].invoke({ target: "approve" }), { name: "NotRun" });
  assert.throws(() => signoffTools(dead, tools), { code: "request-invalid" });
});

test("held calls become approvals, also two equal ones; an `approve` or `edit` of another inbox runs nothing", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const client = deployment.client({ pinned: true });
  const run = named();
  const tools = signoffTools(client, [deploy], run);
  const options = { ...run, tools };
  const hold = humanInTheLoopMiddleware({ interruptOn: { deploy: true } });
  const start = async (...calls) => {
    const agent = agentOf(tools, calls, [hold]);
    const config = thread();
    return { agent, config, held: await agent.invoke(asked, config) };
  };
  const before = (await requests()).length;
  const { agent, config, held } = await start(["deploy", { target: "approve" }], ["deploy", { target: "approve" }]);
  const resume = await resolveApprovals(client, held, options);
  assert.deepEqual(resume, { decisions: [{ type: "approve" }, { type: "approve" }] });
  assert.equal((await requests()).length, before + 2);
  await agent.invoke(new Command({ resume }), config);
  assert.equal(ran.length, 2);
  assert.equal((await requests()).length, before + 2);

  const rejected = await start(["deploy", { target: "reject" }, "call_r"]);
  const answer = await resolveApprovals(client, rejected.held, options);
  const ended = await rejected.agent.invoke(new Command({ resume: answer }), rejected.config);
  assert.match(readOf(ended, "call_r"), /^The tool did not run: rejected by alice@company\.com: not on Friday/);

  for (const decision of [{ type: "approve" }, { type: "edit", editedAction: { name: "deploy", args: { target: "withdraw", replicas: 9 } } }]) {
    const other = await start(["deploy", { target: "withdraw" }, `call_${decision.type}`]);
    const after = await other.agent.invoke(new Command({ resume: { decisions: [decision] } }), other.config);
    assert.match(readOf(after, `call_${decision.type}`), /withdrawn/);
  }
  assert.equal(ran.length, 2);
  assert.equal(await resolveApprovals(client, { messages: [] }, options), null);
  await assert.rejects(resolveApprovals(client, { messages: held.messages, __interrupt__: [{ value: { actionRequests: [{ name: "other", args: {} }] } }] }, options), { code: "request-invalid" });
});

test("a tool that says it failed, in each way, is reported as failed", { skip }, async () => {
  const message = new ToolMessage({ content: "no space", tool_call_id: "call_0", status: "error" });
  const failures = [() => message, () => new Command({ update: { messages: [message] } }), () => { throw new RangeError("no space"); }];
  for (const [failure, detail] of failures.map((failure, index) => [failure, index === 2 ? "RangeError" : "ToolFailed"])) {
    const { tool: deploy, ran } = recorder("deploy", failure);
    const result = await agentOf(signoffTools(deployment.client(), [deploy], named()), [["deploy", { target: "approve" }]]).invoke(asked, thread());
    assert.match(readOf(result), /no space/);
    const { execution } = (await requests()).at(-1);
    assert.deepEqual([ran.length, statusOf(result), execution.outcome, execution.detail], [1, "error", "failed", detail]);
  }
});

test("a tool that is aborted while it runs has no outcome, because it may go on", { skip }, async () => {
  const aborts = new AbortController();
  let goOn;
  const { tool: deploy, ran } = recorder("deploy", () => {
    aborts.abort(new Error("stop"));
    return new Promise((resolve) => (goOn = resolve));
  });
  const [guarded] = signoffTools(deployment.client(), [deploy], named());
  await assert.rejects(guarded.invoke({ target: "approve" }, { signal: aborts.signal }));
  goOn("deployed");
  const { status, execution } = (await requests()).at(-1);
  assert.deepEqual([ran.length, status, execution.outcome], [1, "executed", "claimed"]);
  const before = (await requests()).length;
  await assert.rejects(guarded.invoke({ target: "approve" }, { signal: aborts.signal }), { message: "stop" });
  assert.deepEqual([ran.length, (await requests()).length], [1, before]);
});

test("every way to run a guarded tool is guarded or refused", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const [guarded] = signoffTools(deployment.client(), [deploy], named());
  const input = { target: "reject" };
  const copies = [guarded, Object.create(guarded), guarded.withConfig({ tags: ["a"] }), guarded.withRetry({ stopAfterAttempt: 2 })];
  for (const copy of copies) await assert.rejects(copy.invoke(input), (error) => /rejected by alice/.test(error.message));
  await assert.rejects(guarded.batch([input]), /rejected by alice/);
  await assert.rejects(async () => { for await (const _ of await guarded.stream(input)); }, /rejected by alice/);
  await assert.rejects(async () => { for await (const _ of guarded.streamEvents(input, { version: "v2" })); }, /rejected by alice/);
  await assert.rejects(guarded.pipe((output) => output).invoke(input), /rejected by alice/);
  for (const way of ["call", "_call", "func"]) await assert.rejects(async () => guarded[way]({ target: "approve" }), { code: "request-invalid", message: /run by `invoke`/ });
  assert.equal(ran.length, 0);
  assert.deepEqual(await guarded.batch([{ target: "approve" }, { target: "approve" }]), ["deployed", "deployed"]);
  assert.equal(ran.length, 2);
  // What the framework passes is not what the tool gets, but what was approved.
  let type = 0;
  const call = { name: "other", args: { target: "approve", replicas: 3 }, id: "call_x", get type() { return type++ === 0 ? "tool_call" : "other"; } };
  await guarded.invoke(call);
  assert.deepEqual(ran.at(-1), { target: "approve", replicas: 3 });
});

test("a tool node of a graph, a retry and a call without an id", { skip }, async () => {
  const failing = recorder("deploy", () => { throw new RangeError("no space"); });
  const before = (await requests()).length;
  const retried = await agentOf(signoffTools(deployment.client(), [failing.tool], named()), [["deploy", { target: "approve" }]], [toolRetryMiddleware({ maxRetries: 2, initialDelayMs: 1 })]).invoke(asked, thread());
  assert.deepEqual([failing.ran.length, (await requests()).length], [1, before + 1]);
  assert.match(readOf(retried), /its approval was used before/);
  const { tool: deploy, ran } = recorder();
  const node = new ToolNode(signoffTools(deployment.client(), [deploy], named()));
  const calls = [{ name: "deploy", args: { target: "approve" }, id: "a" }, { name: "deploy", args: { target: "approve" }, id: "a" }, { name: "deploy", args: { target: "approve" } }, { name: "__proto__", args: {}, id: "b" }];
  const { messages } = await node.invoke({ messages: [new AIMessage({ content: "", tool_calls: calls })] });
  assert.equal(ran.length, 1);
  assert.deepEqual(messages.map(({ status }) => status).sort(), ["error", "error", "error", "success"]);
});

test("a resolver answers only calls of guarded tools, of its own run, that can be approved and rejected", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const raw = recorder("raw");
  const client = deployment.client();
  const run = named();
  const [guarded] = signoffTools(client, [deploy], run);
  const before = (await requests()).length;
  const held = (tools, calls, interruptOn) => agentOf(tools, calls, [humanInTheLoopMiddleware({ interruptOn })]).invoke(asked, thread());
  const both = await held([guarded, raw.tool], [["deploy", { target: "approve" }], ["raw", { target: "approve" }]], { deploy: true, raw: true });
  const refused = (result, options, message) => assert.rejects(resolveApprovals(client, result, { ...run, ...options }), { code: "request-invalid", message });
  await refused(both, { tools: [guarded, raw.tool] }, /`raw` is not one that `signoffTools` made/);
  await refused(both, { tools: [guarded] }, /`raw` is not one/);
  const one = await held([guarded], [["deploy", { target: "approve" }]], { deploy: true });
  await refused(one, { tools: [deploy] }, /`deploy` is not one/);
  await refused(one, { tools: [guarded, deploy] }, /`deploy` is not one/);
  await refused(one, { tools: [guarded], run: "another" }, /`deploy` is guarded with another `run`/);
  const unrejectable = await held([guarded], [["deploy", { target: "approve" }]], { deploy: { allowedDecisions: ["approve"] } });
  await refused(unrejectable, { tools: [guarded] }, /`deploy` must allow the decisions `approve` and `reject`/);
  assert.equal((await requests()).length, before);
  assert.deepEqual(await resolveApprovals(client, one, { ...run, tools: [guarded] }), { decisions: [{ type: "approve" }] });
  assert.deepEqual([ran.length, raw.ran.length], [0, 0]);
});
