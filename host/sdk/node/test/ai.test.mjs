// The adapter of the AI SDK, with its versions 6 and 7, their fake models and a real server.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import * as six from "ai";
import { MockLanguageModelV3, simulateReadableStream } from "ai/test";
import * as seven from "ai7";
import { MockLanguageModelV4 } from "ai7/test";
import { z } from "zod";

import { resolveApprovals, signoff, signoffTools } from "@signoff/sdk/ai";

import { Deployment, skip } from "./deployment.mjs";

const VERSIONS = [
  { name: "AI SDK 6", ai: six, Model: MockLanguageModelV3 },
  { name: "AI SDK 7", ai: seven, Model: MockLanguageModelV4 },
];

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};

/** A model that makes these calls first, `[tool, input, id?]`, and then says `done`. */
function model(Model, ...calls) {
  let turns = 0;
  return new Model({
    doGenerate: async () => ({
      content: turns++ === 0 ? calls.map(([toolName, input, id], index) => callPart(toolName, input, id ?? `call_${index}`)) : [{ type: "text", text: "done" }],
      finishReason: { unified: turns === 1 ? "tool-calls" : "stop", raw: undefined },
      usage,
      warnings: [],
    }),
  });
}

function callPart(toolName, input, toolCallId) {
  return { type: "tool-call", toolCallId, toolName, input: JSON.stringify(input) };
}

/** A tool that records what it runs on. */
function recorder(ai, result = () => "deployed") {
  const ran = [];
  const inputSchema = z.object({ target: z.string(), replicas: z.number().optional() });
  const tool = ai.tool({ description: "Deploys", inputSchema, execute: async (input) => (ran.push(input), result(input)) });
  return { tool, ran };
}

/** What the model reads of a call. */
function outputOf(messages, id = "call_0") {
  const parts = messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const { type, value, reason } = parts.find((part) => part.type === "tool-result" && part.toolCallId === id).output;
  return [type, value ?? reason];
}

const run = (name) => ({ agent: "deployer", run: `${name} ${Math.random()}` });

if (skip) test("the adapter of the AI SDK", { skip }, () => {});

const deployment = skip ? null : await Deployment.start({ after });
// The target of a call says what alice does; a call without one waits.
deployment?.decides(({ context: { target } }) => ({ approve: ["approve"], reject: ["reject", "not on\u2028Friday"] })[target] ?? null);

for (const { name, ai, Model } of skip ? [] : VERSIONS) {
  const generate = (options, calls) =>
    ai.generateText({ model: model(Model, ...calls), prompt: "deploy", stopWhen: ai.stepCountIs(5), ...options });

  test(`${name}: an approved call runs once, on what was approved, with pinned keys`, async () => {
    const { tool, ran } = recorder(ai);
    const client = deployment.client({ pinned: true });
    const options = run(name);
    const { response, text } = await generate({ tools: signoffTools(client, { deploy: tool }, options) }, [["deploy", { target: "approve", replicas: 2 }]]);
    assert.equal(text, "done");
    assert.deepEqual(ran, [{ replicas: 2, target: "approve" }]);
    assert.deepEqual(outputOf(response.messages), ["text", "deployed"]);
    const [approval] = (await deployment.requests()).slice(-1);
    const shown = await client.get(approval.id);
    assert.deepEqual([shown.agent, shown.action, shown.context, shown.execution.outcome], ["deployer", "deploy", { target: "approve", replicas: 2 }, "succeeded"]);
  });
}
