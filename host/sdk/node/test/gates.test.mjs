// The programs of docs/gates/typescript.md, as written, with fake models and a real server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Deployment, skip } from "./deployment.mjs";

const PACKAGE = fileURLToPath(new URL("../", import.meta.url));
const PAGE = readFileSync(new URL("../../../../docs/gates/typescript.md", import.meta.url), "utf8");
const PROGRAMS = [...PAGE.matchAll(/```js\n([^]*?)```/g)].map(([, text]) => text);

/** Models that call `deploy` once, and then repeat what they read of it. */
const AI = (version, Model) => `
import { ${Model} } from "ai/test";
const usage = { inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 1, text: 1, reasoning: 0 } };
const call = { type: "tool-call", toolCallId: "call_0", toolName: "deploy", input: '{"target":"prod","replicas":3}' };
export const model = new ${Model}({
  doGenerate: async ({ prompt }) => {
    const read = prompt.flatMap(({ content }) => content).find(({ type }) => type === "tool-result");
    const content = read ? [{ type: "text", text: read.output.value ?? read.output.reason }] : [call];
    return { content, finishReason: { unified: read ? "stop" : "tool-calls", raw: undefined }, usage, warnings: [] };
  },
});
`;
const OPENAI = `
import { setTracingDisabled, Usage } from "@openai/agents";
setTracingDisabled(true);
export const model = {
  async getResponse({ input }) {
    const read = Array.isArray(input) && input.find(({ type }) => type === "function_call_result");
    const text = { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: read && (read.output.text ?? read.output) }] };
    const call = { type: "function_call", callId: "call_0", name: "deploy", status: "completed", arguments: '{"target":"prod","replicas":3}' };
    return { usage: new Usage(), output: [read ? text : call] };
  },
};
`;
const LANGCHAIN = `
import { AIMessage } from "@langchain/core/messages";
import { fakeModel } from "@langchain/core/testing";
export const model = fakeModel()
  .respondWithTools([{ name: "deploy", args: { target: "prod", replicas: 3 }, id: "call_0" }])
  .respond((messages) => new AIMessage(messages.at(-1).content));
`;
const SIX = ["AI SDK 6", { ai: "ai" }, AI(6, "MockLanguageModelV3")];
const SEVEN = ["AI SDK 7", { ai: "ai7" }, AI(7, "MockLanguageModelV4")];
const RUNS = [
  [0, ...SIX], [0, ...SEVEN], [1, ...SEVEN],
  [2, "OpenAI Agents", { "@openai/agents": "@openai/agents" }, OPENAI],
  [3, "LangChain", { langchain: "langchain", "@langchain/core": "@langchain/core" }, LANGCHAIN],
  [4, "plain functions", {}, ""],
];

const deployment = skip ? null : await Deployment.start({ after });
/** What alice does with the next request. */
let command = "approve";
deployment?.decides(() => [command, "not on Friday"]);

test("each program of the page is run", { skip }, () => {
  assert.deepEqual([...new Set(RUNS.map(([program]) => program))], PROGRAMS.map((_, index) => index));
});

for (const [program, name, packages, model] of RUNS) {
  for (const [decision, expected] of [["approve", /^3 replicas run in prod\n$/], ["reject", /^The tool did not run: rejected by alice@company\.com: not on Friday \(appr_[0-9a-z]{26}\)\n$|^not deployed: rejected\n$/]]) {
    test(`program ${program + 1}, ${name}: ${decision}`, { skip }, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "signoff-gates-"));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      for (const [link, target] of Object.entries({ ...packages, zod: "zod" })) {
        mkdirSync(join(folder, "node_modules", link, ".."), { recursive: true });
        symlinkSync(join(PACKAGE, "node_modules", target), join(folder, "node_modules", link));
      }
      mkdirSync(join(folder, "node_modules/@signoff"));
      symlinkSync(PACKAGE, join(folder, "node_modules/@signoff/sdk"));
      writeFileSync(join(folder, "model.mjs"), model);
      writeFileSync(join(folder, "alice.json"), JSON.stringify(deployment.keys));
      command = decision;
      const env = { PATH: process.env.PATH, HOME: folder, SIGNOFF_SERVER: deployment.url, SIGNOFF_TOKEN: deployment.token, SIGNOFF_KEYS: "alice.json", SIGNOFF_AUDIENCE: "live" };
      const before = (await deployment.requests()).length;
      // The runs of the page have fixed names, and a call of a run is requested once.
      const text = PROGRAMS[program].replace(/run: "([a-z]+-42)"/, `run: "$1 ${decision}"`);
      writeFileSync(join(folder, "program.mjs"), text);
      const { stdout } = await promisify(execFile)(process.execPath, ["program.mjs"], { cwd: folder, env });
      assert.match(stdout, expected);
      assert.equal((await deployment.requests()).length, before + 1);
    });
  }
}
