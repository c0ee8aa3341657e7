// A client made by openapi-typescript and openapi-fetch: requests, reads, and gets a problem.
// Settings are JSON in SETTINGS: url, executor (a token), stranger (no token of the server).

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Approval = components["schemas"]["Approval"];
type Problem = components["schemas"]["Problem"];

interface Settings {
  url: string;
  executor: string;
  stranger: string;
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

function clientOf(token: string) {
  return createClient<paths>({ baseUrl: settings.url, headers: { Authorization: `Bearer ${token}` } });
}

const settings = JSON.parse(process.env["SETTINGS"] ?? "") as Settings;
const client = clientOf(settings.executor);

const requested = await client.POST("/api/v1/approvals", {
  params: { header: { "Idempotency-Key": "typescript-1" } },
  body: {
    agent: "deployer",
    action: "deploy",
    context: { service: "web", replicas: 3, zones: ["a", "b"], canary: { percent: 5 } },
    requirement: { threshold: 2, groups: { sre: 1 } },
  },
});
check(requested.response.status === 201, `status ${requested.response.status}`);
const approval: Approval | undefined = requested.data;
check(approval !== undefined, "no approval");
check(approval.status === "pending", approval.status);
check(requested.response.headers.get("location") === `/api/v1/approvals/${approval.id}`, "location");

const shown = await client.GET("/api/v1/approvals/{id}", { params: { path: { id: approval.id }, query: { wait: 0 } } });
check(shown.data?.context?.["service"] === "web", "the context came back");
check(shown.data.requirement.groups["sre"] === 1, "the requirement came back");

const refused = await client.POST("/api/v1/approvals/{id}/execute", {
  params: { path: { id: approval.id } },
  body: { agent: "deployer", action: "deploy", context: { service: "web", replicas: 3, zones: ["a", "b"], canary: { percent: 5 } } },
});
const problem: Problem | undefined = refused.error;
check(problem?.code === "not-approved", problem?.code ?? "no problem");

const unknown = await clientOf(settings.stranger).GET("/api/v1/approvals");
check(unknown.response.status === 401, `status ${unknown.response.status}`);
check(unknown.error?.code === "unauthenticated", unknown.error?.code ?? "no problem");

console.log("typescript: request, get, two problems");
