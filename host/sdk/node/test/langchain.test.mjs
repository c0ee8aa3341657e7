// The adapter of LangChain, with its fake model and a real server.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { AIMessage } from "@langchain/core/messages";
import { fakeModel } from "@langchain/core/testing";
import { Command, MemorySaver } from "@langchain/langgraph";
import { createAgent, createMiddleware, humanInTheLoopMiddleware, tool } from "langchain";
import { z } from "zod";

import { Client } from "@signoff/sdk";
import { resolveApprovals, signoffTools } from "@signoff/sdk/langchain";

import { Deployment, skip } from "./deployment.mjs";

/** A tool that records what it runs on. */
function recorder(name = "deploy") {
  const ran = [];
  const schema = z.object({ target: z.string(), replicas: z.number().default(1) });
  return { tool: tool(async (input) => (ran.push(input), "deployed"), { name, description: "Deploys", schema }), ran };
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
  assert.equal(readOf(result), "deployed");
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
});

test("errors of signoff never run a tool, and a repeated call id runs once", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const dead = new Client("http://127.0.0.1:9", { token: "sgnt_x", keys: null, audience: null, timeout: 0.5 });
  for (const [client, code] of [[dead, "unreachable"], [deployment.client({ token: `sgnt_${"0".repeat(43)}` }), "unauthenticated"]]) {
    const result = await agentOf(signoffTools(client, [deploy], named()), [["deploy", { target: "approve" }]]).invoke(asked, thread());
    assert.equal(readOf(result), `The tool did not run: refused (${code})`);
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
