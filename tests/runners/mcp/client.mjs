// The official TypeScript clients, driven by lines of JSON: `client.mjs client` is the client of both eras,
// `client.mjs sdk` the one before it. See `driver.py` for the commands.
import { createInterface } from "node:readline";

const [which] = process.argv.slice(2);
const modern = which === "client";
const { Client, StreamableHTTPClientTransport } = modern
  ? await import("@modelcontextprotocol/client")
  : { ...(await import("@modelcontextprotocol/sdk/client/index.js")), ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")) };
const { StdioClientTransport } = modern
  ? await import("@modelcontextprotocol/client/stdio")
  : await import("@modelcontextprotocol/sdk/client/stdio.js");
const elicitation = modern ? "elicitation/create" : (await import("@modelcontextprotocol/sdk/types.js")).ElicitRequestSchema;

// Standard output has nothing but answers.
for (const level of ["log", "debug", "info"]) console[level] = console.error;
const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const controllers = new Map();
const answers = new Map();
let client, transport;
let asked = 0;

/** Offers the version that the runner wants; the clients always offer their newest. */
function offering(transport, version) {
  const send = transport.send.bind(transport);
  transport.send = (message, options) => {
    if (message.method === "initialize") message.params.protocolVersion = version;
    return send(message, options);
  };
  return transport;
}

async function connect({ stdio, environment, url, headers, version, elicitation: asks }) {
  transport = url
    ? new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
    : new StdioClientTransport({ command: stdio[0], args: stdio.slice(1), env: environment, stderr: "inherit" });
  const capabilities = asks ? { elicitation: { url: {} } } : {};
  const options = { capabilities };
  if (version === "2026-07-28") options.versionNegotiation = { mode: "auto" };
  client = new Client({ name: "runner", version: "1" }, options);
  if (asks) {
    client.setRequestHandler(elicitation, async (request) => {
      const number = ++asked;
      write({ event: "elicitation", number, params: request.params });
      const action = await new Promise((resolve) => answers.set(number, resolve));
      if (action === "error") throw new Error("the elicitation failed");
      return { action };
    });
  }
  let negotiated = version;
  const remember = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (version) => {
    negotiated = version;
    remember?.(version);
  };
  await client.connect(version === "2026-07-28" ? transport : offering(transport, version));
  const named = client.getNegotiatedProtocolVersion?.();
  return { version: named ?? negotiated, capabilities: client.getServerCapabilities() };
}

/** Lists all that the server has. */
async function list({ resources, prompts }) {
  return {
    tools: (await client.listTools()).tools,
    resources: resources ? (await client.listResources()).resources : [],
    templates: resources ? (await client.listResourceTemplates()).resourceTemplates : [],
    prompts: prompts ? (await client.listPrompts()).prompts : [],
  };
}

async function run(command) {
  switch (command.do) {
    case "connect":
      return connect(command);
    case "list":
      return list(client.getServerCapabilities());
    case "tools":
      return (await client.listTools()).tools;
    case "read":
      return client.readResource({ uri: command.uri });
    case "prompt":
      return client.getPrompt({ name: command.name, arguments: command.arguments });
    case "call": {
      const controller = new AbortController();
      controllers.set(command.id, controller);
      const options = { signal: controller.signal, timeout: 600_000 };
      if (command.progress) {
        options.onprogress = ({ progress, message }) => write({ event: "progress", of: command.id, done: progress, message });
      }
      const params = { name: command.name, arguments: command.arguments };
      return modern ? client.callTool(params, options) : client.callTool(params, undefined, options);
    }
    case "cancel":
      return controllers.get(command.of).abort();
    case "answer":
      return answers.get(command.number)(command.action);
    case "close":
      if (transport.terminateSession) await transport.terminateSession();
      return client.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  run(command).then(
    (ok) => write({ id: command.id, ok: ok ?? null }),
    (error) => {
      if (controllers.get(command.id)?.signal.aborted) write({ id: command.id, cancelled: true });
      else if (typeof error.code === "number") write({ id: command.id, error: { code: error.code, message: error.message } });
      else write({ id: command.id, failed: String(error.stack ?? error) });
    },
  );
}
process.exit(0);
