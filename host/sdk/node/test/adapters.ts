// Programs of users of each framework, type-checked with the types of the package and of the frameworks.

import { Agent, run, tool as functionTool } from "@openai/agents";
import { generateText, streamText, tool, ToolLoopAgent, type LanguageModel, type ModelMessage } from "ai";
import * as seven from "ai7";
import { createAgent, humanInTheLoopMiddleware, tool as structuredTool } from "langchain";
import { z } from "zod";

import { Client } from "@signoff/sdk";
import * as ai from "@signoff/sdk/ai";
import * as langchain from "@signoff/sdk/langchain";
import * as openai from "@signoff/sdk/openai-agents";
import { guarded, NotRun } from "@signoff/sdk/tools";

declare const model: LanguageModel, model7: seven.LanguageModel;
const client = new Client();
const options = { agent: "deployer", run: "chat 1", floor: { threshold: 2 } };

export async function six(messages: ModelMessage[]): Promise<string> {
  const deploy = tool({ inputSchema: z.object({ target: z.string() }), execute: async ({ target }) => target.length });
  const tools = ai.signoffTools(client, { deploy }, { ...options, defer: true });
  const output: PromiseLike<number> | number | AsyncIterable<number> = tools.deploy.execute!({ target: "a" }, { toolCallId: "1", messages: [] });
  void output;
  const answers = await ai.resolveApprovals(client, messages, { ...options, tools, wait: 60 });
  if (answers !== null) messages.push(answers);
  streamText({ model, tools, messages });
  return (await generateText({ model, tools, messages })).text;
}

export async function sevenTools(messages: seven.ModelMessage[]): Promise<string> {
  const deploy = seven.tool({ inputSchema: z.object({ target: z.string() }), execute: async ({ target }) => target });
  const read = seven.tool({ inputSchema: z.object({}), execute: async () => 1 });
  const tools = ai.signoffTools(client, { deploy, read }, options);
  const answers = await ai.resolveApprovals(client, messages, { ...options, tools });
  if (answers !== null) messages.push(answers);
  new seven.ToolLoopAgent({ model: model7, tools, toolApproval: ai.signoff(client, options) });
  seven.streamText({ model: model7, tools, messages, toolApproval: ai.signoff(client, { ...options, unguarded: ["search"] }) });
  return (await seven.generateText({ model: model7, tools, messages, toolApproval: ai.signoff(client, options) })).text;
}

void new ToolLoopAgent({ model, tools: ai.signoffTools(client, { deploy: tool({ inputSchema: z.object({}), execute: () => 1 }) }) });

export async function agents(): Promise<unknown> {
  const deploy = functionTool({ name: "deploy", description: "", parameters: z.object({ target: z.string() }), execute: async () => "done" });
  const agent = new Agent({ name: "a", tools: openai.signoffTools(client, [deploy], { ...options, defer: true }) });
  let result = await run(agent, "deploy");
  while (result.interruptions.length > 0) {
    const { answered, others }: { answered: number; others: unknown[] } = await openai.resolveApprovals(client, result, options);
    if (answered === 0) throw new Error(`${others.length}`);
    result = await run(agent, result.state);
  }
  return result.finalOutput;
}

export async function chain(): Promise<unknown> {
  const deploy = structuredTool(async ({ target }: { target: string }) => target, { name: "deploy", schema: z.object({ target: z.string() }) });
  const middleware = [humanInTheLoopMiddleware({ interruptOn: { deploy: true } })];
  const tools = langchain.signoffTools(client, [deploy], options);
  const agent = createAgent({ model: "fake", tools, middleware });
  return langchain.resolveApprovals(client, await agent.invoke({ messages: [] }), { ...options, tools });
}

/** What is found again between two runs needs the name of the run, and a resolver the tools. */
export function refused(messages: ModelMessage[], list: { name: string; invoke: () => unknown }[], functions: { type: string; name: string }[]): void {
  // @ts-expect-error
  void ai.signoff(client, { agent: "deployer" });
  // @ts-expect-error
  void ai.signoffTools(client, {}, { defer: true });
  // @ts-expect-error
  void openai.signoffTools(client, functions, { defer: true });
  // @ts-expect-error
  void ai.resolveApprovals(client, messages, options);
  // @ts-expect-error
  void ai.resolveApprovals(client, messages, { agent: "deployer", tools: {} });
  // @ts-expect-error
  void langchain.resolveApprovals(client, {}, { agent: "deployer", tools: list });
  // @ts-expect-error
  void openai.resolveApprovals(client, { state: {} }, { agent: "deployer" });
}

export async function plain(): Promise<number> {
  const deploy = guarded(client, ({ target }: { target: string }, { approvalId }) => target.length + (approvalId ?? "").length, { agent: "deployer", action: "deploy" });
  try {
    return await deploy({ target: "prod" });
  } catch (error) {
    if (error instanceof NotRun) return error.code.length;
    throw error;
  }
}
