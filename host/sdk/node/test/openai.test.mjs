// The adapter of the OpenAI Agents SDK, with a fake model and a real server.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Agent, run, RunState, setTracingDisabled, tool, toolNamespace, Usage } from "@openai/agents";
import { z } from "zod";

import { Client } from "@signoff/sdk";
import { resolveApprovals, signoffTools } from "@signoff/sdk/openai-agents";

import { Deployment, skip } from "./deployment.mjs";

setTracingDisabled(true);

/** A model that makes these calls first, `[tool, input, id?]`, and then says `done`. */
class FakeModel {
  requests = [];
  #turns;

  constructor(...turns) {
    this.#turns = turns;
  }

  async getResponse(request) {
    this.requests.push(request);
    const calls = this.#turns.shift() ?? [];
    const output = calls.map(([name, input, callId, more], index) => ({
      ...more, type: "function_call", callId: callId ?? `call_${index}`, name, status: "completed",
      arguments: typeof input === "string" ? input : JSON.stringify(input),
    }));
    const said = { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: "done" }] };
    return { usage: new Usage(), output: output.length === 0 ? [said] : output };
  }

  async *getStreamedResponse(request) {
    const { output } = await this.getResponse(request);
    yield { type: "response_done", response: { id: "response", usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 }, output } };
  }

  /** What the model reads of a call in its last turn. */
  read(id = "call_0") {
    const { output } = this.requests.at(-1).input.findLast((item) => item.type === "function_call_result" && item.callId === id);
    return output.text ?? output;
  }
}

/** A tool that records what it runs on. */
function recorder(name = "deploy", more = {}) {
  const ran = [];
  const parameters = z.object({ target: z.string(), replicas: z.number().nullable().optional() });
  const made = tool({ name, description: "Deploys", parameters, execute: async (input) => (ran.push(input), "deployed"), ...more });
  return { tool: made, ran };
}

function agentOf(tools, ...turns) {
  const model = new FakeModel(...turns);
  return { agent: new Agent({ name: "operator", instructions: "deploy", model, tools }), model };
}

const named = (more = {}) => ({ agent: "deployer", run: `run ${Math.random()}`, ...more });
const requests = () => deployment.requests();

const deployment = skip ? null : await Deployment.start({ after });
deployment?.activate();
deployment?.decides(({ context: { target } }) => ({ approve: ["approve"], reject: ["reject", "not on Friday"], withdraw: ["withdraw"] })[target] ?? null);

test("an approved call runs once, on what was approved, with pinned keys", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const client = deployment.client({ pinned: true });
  const { agent, model } = agentOf(signoffTools(client, [deploy], named()), [["deploy", '{"replicas": 2,"target":"approve"}']]);
  const result = await run(agent, "deploy");
  assert.equal(result.finalOutput, "done");
  assert.deepEqual(ran, [{ target: "approve", replicas: 2 }]);
  assert.equal(model.read(), "deployed");
  const shown = await client.get((await requests()).at(-1).id);
  assert.deepEqual([shown.agent, shown.action, shown.context, shown.execution.outcome], ["deployer", "deploy", { replicas: 2, target: "approve" }, "succeeded"]);
});

test("the policy is evaluated first; a tool without a rule needs an approval", { skip }, async () => {
  const before = (await requests()).length;
  const tools = ["read", "drop", "forgotten"].map((name) => recorder(name));
  const { agent, model } = agentOf(
    signoffTools(deployment.client(), tools.map((made) => made.tool), named()),
    tools.map((made) => [made.tool.name, { target: "withdraw" }]),
  );
  await run(agent, "deploy");
  assert.deepEqual(tools.map(({ ran }) => ran.length), [1, 0, 0]);
  assert.equal(model.read("call_1"), "The tool did not run: denied by the policy: nobody drops tables");
  assert.match(model.read("call_2"), /^The tool did not run: withdrawn \(appr_/);
  assert.deepEqual((await requests()).slice(before).map(({ action, status }) => [action, status]), [["forgotten", "withdrawn"]]);
});

test("the calls of a batch are decided one by one, and expired and rejected differ", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const calls = ["approve", "reject", "approve"].map((target, replicas) => ["deploy", { target, replicas }]);
  const { agent, model } = agentOf(signoffTools(deployment.client(), [deploy], named()), calls);
  await run(agent, "deploy");
  assert.deepEqual(ran.map(({ replicas }) => replicas).sort(), [0, 2]);
  assert.match(model.read("call_1"), /^The tool did not run: rejected by alice@company\.com: not on Friday \(appr_[0-9a-z]{26}\)$/);
  const late = agentOf(signoffTools(deployment.client(), [deploy], named({ expiresInSeconds: 1 })), [["deploy", { target: "pending" }]]);
  await run(late.agent, "deploy");
  assert.match(late.model.read(), /^The tool did not run: expired \(appr_/);
  assert.equal(ran.length, 2);
});

test("errors of signoff never run a tool", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const dead = new Client("http://127.0.0.1:9", { token: "sgnt_x", keys: null, audience: null, timeout: 0.5 });
  const stranger = deployment.client({ token: `sgnt_${"0".repeat(43)}` });
  for (const [client, code, input = { target: "approve" }] of [
    [dead, "unreachable"], [stranger, "unauthenticated"], [deployment.client(), "context-invalid", '{"target":"approve","replicas":12345678901234567890}'],
    [deployment.client(), "context-invalid", '{"target":"approve"'], [deployment.client(), "context-invalid", '["approve"]'],
  ]) {
    const { agent, model } = agentOf(signoffTools(client, [deploy], named()), [["deploy", input]]);
    await run(agent, "deploy");
    // The framework itself refuses arguments that are not JSON.
    assert.match(model.read(), new RegExp(`^The tool did not run: refused \\(${code}\\)$|parsing tool arguments`));
    const deferred = agentOf(signoffTools(client, [deploy], named({ defer: true })), [["deploy", input]]);
    await run(deferred.agent, "deploy").catch((error) => assert.match(error.message, /JSON/));
  }
  assert.equal(ran.length, 0);
});

test("a call id that is repeated runs once; with another input it is a new request", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const before = (await requests()).length;
  const tools = signoffTools(deployment.client(), [deploy], named());
  const again = (input) => agentOf(tools, [["deploy", input, "same"]]);
  for (const expected of [/^deployed$/, /^The tool did not run: its approval was used before \(appr_/]) {
    const { agent, model } = again({ target: "approve" });
    await run(agent, "deploy");
    assert.match(model.read("same"), expected);
  }
  assert.equal((await requests()).length, before + 1);
  await run(again({ target: "approve", replicas: 1 }).agent, "deploy");
  assert.equal((await requests()).length, before + 2);
  assert.equal(ran.length, 2);
});

test("an aborted run and a tool's own time limit withdraw the request, and the tool does not run", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const before = (await requests()).length;
  const aborts = new AbortController();
  const { agent } = agentOf(signoffTools(deployment.client(), [deploy], named()), [["deploy", { target: "pending" }]]);
  const running = run(agent, "deploy", { signal: aborts.signal }).then(() => null, (error) => error);
  await eventually(async () => (await requests())[before]);
  aborts.abort();
  await running;
  await eventually(async () => (await requests())[before].status === "withdrawn");
  const short = recorder("deploy", { timeoutMs: 3000 });
  const timed = agentOf(signoffTools(deployment.client(), [short.tool], named()), [["deploy", { target: "pending" }]]);
  await run(timed.agent, "deploy");
  await eventually(async () => (await requests())[before + 1].status === "withdrawn");
  assert.deepEqual([ran.length, short.ran.length], [0, 0]);
});

test("a tool that fails is reported as failed, and the model reads the tool's text", { skip }, async () => {
  const failing = recorder("deploy", { execute: async () => { throw new RangeError("secret"); } });
  const { agent, model } = agentOf(signoffTools(deployment.client(), [failing.tool], named()), [["deploy", { target: "approve" }]]);
  await run(agent, "deploy");
  assert.equal(model.read(), "An error occurred while running the tool. Please try again.");
  const { execution } = (await requests()).at(-1);
  assert.deepEqual([execution.outcome, execution.detail], ["failed", "ToolFailed"]);
});

test("interruptions become approvals, and the batch comes back with decisions", { skip }, async () => {
  const [first, other] = [recorder(), recorder("unguarded", { needsApproval: true })];
  const before = (await requests()).length;
  const client = deployment.client({ pinned: true });
  const options = named();
  const tools = [...signoffTools(client, [first.tool], { ...options, defer: true }), other.tool];
  const calls = [["deploy", { target: "approve" }], ["deploy", { target: "reject" }], ["unguarded", { target: "approve" }]];
  const { agent, model } = agentOf(tools, calls);
  const result = await run(agent, "deploy");
  assert.equal(result.interruptions.length, 3);
  assert.equal(first.ran.length, 0);
  const { answered, others } = await resolveApprovals(client, result, options);
  assert.deepEqual([answered, others.map(({ name }) => name)], [2, ["unguarded"]]);
  const still = await run(agent, result.state);
  assert.deepEqual(still.interruptions.map(({ name }) => name), ["unguarded"]);
  assert.equal(other.ran.length, 0, "what is not guarded is not approved");
  still.state.reject(still.interruptions[0]);
  const ended = await run(agent, still.state);
  assert.equal(ended.finalOutput, "done");
  assert.deepEqual(first.ran, [{ target: "approve" }]);
  assert.match(model.read("call_1"), /^The tool did not run: rejected by alice@company\.com: not on Friday \(appr_/);
  assert.equal((await requests()).length, before + 2);
});

test("a decision is for one call, and the next call of the tool interrupts again", { skip }, async () => {
  for (const target of ["approve", "reject"]) {
    const { tool: deploy, ran } = recorder();
    const client = deployment.client();
    const options = named();
    const { agent } = agentOf(signoffTools(client, [deploy], { ...options, defer: true }), [["deploy", { target }]], [["deploy", { target }, "call_1"]]);
    const first = await run(agent, "deploy");
    await resolveApprovals(client, first, options);
    const second = await run(agent, await RunState.fromString(agent, first.state.toString()));
    assert.deepEqual(second.interruptions.map(({ rawItem }) => rawItem.callId), ["call_1"]);
    assert.equal(ran.length, target === "approve" ? 1 : 0);
  }
});

test("a sticky approval, an approval that signoff did not give, and an edited state run nothing", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const client = deployment.client();
  const options = named();
  const tools = signoffTools(client, [deploy], { ...options, defer: true });
  const { agent, model } = agentOf(tools, [["deploy", { target: "withdraw" }]], [["deploy", { target: "withdraw" }, "call_9"]]);
  const result = await run(agent, "deploy");
  result.state.approve(result.interruptions[0], { alwaysApprove: true });
  await run(agent, await RunState.fromString(agent, result.state.toString()));
  assert.match(model.read("call_9"), /withdrawn/);
  assert.match(model.read("call_0"), /withdrawn/);

  const edited = agentOf(tools, [["deploy", { target: "approve" }]]);
  const approved = await run(edited.agent, "deploy");
  await resolveApprovals(client, approved, options);
  const text = approved.state.toString().replaceAll('{\\"target\\":\\"approve\\"}', '{\\"target\\":\\"withdraw\\"}');
  assert.ok(text.includes("withdraw"));
  await run(edited.agent, await RunState.fromString(edited.agent, text)).catch(() => {});
  assert.equal(ran.length, 0);
});

test("after a restart of the agent and the server the same approval is found", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const options = named();
  const before = (await requests()).length;
  const made = () => {
    const client = deployment.client({ pinned: true });
    return { client, ...agentOf(signoffTools(client, [deploy], { ...options, defer: true }), ...(ran.started ? [] : [[["deploy", { target: "later" }]]])) };
  };
  const first = made();
  ran.started = true;
  const kept = (await run(first.agent, "deploy")).state.toString();
  const restored = async (agent) => RunState.fromString(agent, kept);
  await assert.rejects(resolveApprovals(first.client, await restored(first.agent), { ...options, wait: 0.2 }), { name: "TimedOut" });
  await deployment.stop();
  await assert.rejects(resolveApprovals(deployment.client({ timeout: 0.5 }), await restored(first.agent), options), { name: "Unavailable" });
  await deployment.serve();
  const [{ id }] = (await requests()).slice(before);
  await deployment.decide("approve", id);
  const second = made();
  const state = await restored(second.agent);
  assert.deepEqual(await resolveApprovals(second.client, state, options), { answered: 1, others: [] });
  assert.equal((await run(second.agent, state)).finalOutput, "done");
  assert.deepEqual([...ran], [{ target: "later" }]);
  assert.equal((await requests()).length, before + 1);
});

test("streams, copies, clones and equal calls of one turn are guarded", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const [guarded] = signoffTools(deployment.client(), [deploy], named());
  for (const copy of [guarded, { ...guarded }, Object.create(guarded)]) {
    const { agent, model } = agentOf([copy], [["deploy", { target: "reject" }, `call ${Math.random()}`]]);
    await run(agent.clone({ name: "clone" }), "deploy");
    assert.match(JSON.stringify(model.requests.at(-1).input), /The tool did not run: rejected/);
    const streamed = agentOf([copy], [["deploy", { target: "reject" }, `call ${Math.random()}`]]);
    const result = await run(streamed.agent, "deploy", { stream: true });
    await result.completed;
    assert.match(JSON.stringify(streamed.model.requests.at(-1).input), /The tool did not run: rejected/);
  }
  assert.equal(ran.length, 0);
  const { agent } = agentOf([guarded], [["deploy", { target: "approve" }, "twice"], ["deploy", { target: "approve" }, "twice"]]);
  await run(agent, "deploy").catch(() => {});
  assert.ok(ran.length <= 1, "one approval, one run");
});

test("the namespace of a tool is part of its name, also in a state that was edited", { skip }, async () => {
  const [files, crm] = [recorder(), recorder()];
  const client = deployment.client({ pinned: true });
  const options = named();
  const spaced = (made, name) => toolNamespace({ name, description: name, tools: signoffTools(client, [made.tool], { ...options, defer: true }) });
  const tools = [...spaced(files, "files"), ...spaced(crm, "crm")];
  const { agent } = agentOf(tools, [["deploy", { target: "approve" }, "call_0", { namespace: "files" }]]);
  const result = await run(agent, "deploy");
  assert.equal(result.interruptions.length, 1);
  assert.deepEqual(await resolveApprovals(client, result, options), { answered: 1, others: [] });
  const { id } = (await requests()).at(-1);
  const shown = await client.get(id);
  assert.deepEqual([shown.action, shown.plan.tool], ["files.deploy", "files.deploy"]);
  const text = result.state.toString();
  await run(agent, result.state);
  assert.deepEqual([files.ran.length, crm.ran.length], [1, 0]);
  assert.equal((await requests()).at(-1).id, id, "the tool found this approval");
  const edited = text.replaceAll('"namespace":"files"', '"namespace":"crm"').replaceAll("files.deploy", "crm.deploy");
  assert.notEqual(edited, text);
  const aborts = new AbortController();
  const restored = await RunState.fromString(agent, edited).catch(() => null);
  if (restored !== null) {
    const before = (await requests()).length;
    const running = run(agent, restored, { signal: aborts.signal }).catch(() => {});
    await Promise.race([running, eventually(async () => (await requests())[before])]);
    aborts.abort();
    await running;
  }
  assert.deepEqual([files.ran.length, crm.ran.length], [1, 0]);
});

test("a resolver leaves what it cannot tell to be guarded: a replaced tool, and one of an MCP server", { skip }, async () => {
  const [own, raw] = [recorder(), recorder("deploy", { needsApproval: true })];
  const client = deployment.client();
  const options = named();
  const [guarded] = signoffTools(client, [own.tool], { ...options, defer: true });
  const before = (await requests()).length;
  const held = async (change) => {
    const { agent } = agentOf([guarded], [["deploy", { target: "approve" }]]);
    const result = await run(agent, "deploy");
    change(agent);
    const { answered, others } = await resolveApprovals(client, result, options);
    return [answered, others.length];
  };
  assert.deepEqual(await held((agent) => (agent.tools = [raw.tool])), [0, 1]);
  assert.deepEqual(await held((agent) => agent.tools.push(raw.tool)), [0, 1]);
  assert.deepEqual(await held((agent) => (agent.tools = [])), [0, 1]);
  assert.deepEqual(await held((agent) => {
    agent.mcpServers = [{ name: "server" }];
    agent.getMcpTools = async () => [raw.tool];
  }), [0, 1]);
  assert.equal((await requests()).length, before, "something was requested");
  const { agent } = agentOf([guarded], [["deploy", { target: "approve" }]]);
  await assert.rejects(resolveApprovals(client, await run(agent, "deploy"), { ...options, run: "another" }), { code: "request-invalid", message: /`deploy` is guarded with another `run`/ });
});

test("an agent as a tool is refused; tools of its own are guarded, also when they pause the run", { skip }, async () => {
  const { tool: deploy, ran } = recorder();
  const client = deployment.client();
  const options = named();
  const inner = agentOf(signoffTools(client, [deploy], { ...options, defer: true }), [["deploy", { target: "approve" }]]);
  const asTool = inner.agent.asTool({ toolName: "operate", toolDescription: "Operates" });
  assert.throws(() => signoffTools(client, [asTool]), { code: "request-invalid", message: /`operate` is an agent: guard the tools of that agent/ });
  const outer = agentOf([asTool], [["operate", { input: "deploy" }, "call_outer"]]);
  const result = await run(outer.agent, "deploy");
  assert.deepEqual([result.interruptions.map(({ name }) => name), ran.length], [["deploy"], 0]);
  assert.deepEqual(await resolveApprovals(client, result, options), { answered: 1, others: [] });
  const ended = await run(outer.agent, result.state);
  assert.equal(ended.finalOutput, "done");
  assert.deepEqual(ran, [{ target: "approve" }]);
});

test("what signoff cannot hold is refused where tools are wrapped", { skip }, () => {
  const client = deployment.client();
  const { tool: deploy } = recorder();
  const refused = (tools, options, text) => assert.throws(() => signoffTools(client, tools, options), (error) => error.code === "request-invalid" && error.message.includes(text));
  refused([{ type: "hosted_tool", name: "web_search" }], {}, "`web_search` is not a function tool");
  refused(signoffTools(client, [deploy]), {}, "`deploy` is guarded already");
  refused([deploy], { always: true }, "`always`");
});

/** Waits until a function returns something. */
async function eventually(find) {
  for (;;) {
    const found = await find();
    if (found) return found;
    await new Promise((next) => setTimeout(next, 20));
  }
}
