// A program of a user, compiled with `tsc --strict` against the packed types.

import { Client, Invalid, Rejected, Verifier, rawJson, type Approval, type Execution, type Key, type LocalPolicy, type PolicyDecision } from "@signoff/sdk";
import { Verifier as Offline } from "@signoff/sdk/verifier";
import { Client as BrowserClient } from "@signoff/sdk/browser";

declare const process: { argv: string[], env: Record<string, string | undefined> };

const { url, token, keys, audience } = JSON.parse(process.argv[2]!) as { url: string; token: string; keys: Key[]; audience: string };
const client = new Client(url, { token, keys, audience });

const fromSettings: Client | null = process.env.SIGNOFF_SERVER === undefined ? null : new Client({ timeout: 5 });
void fromSettings;

const deploy = client.guarded(
  async ({ contextText, approvers }: Execution): Promise<string> => `ran ${contextText} for ${approvers[0]!.approver}`,
  { agent: "deployer", action: "deploy", context: (replicas: number) => ({ replicas }), floor: { threshold: 1 } },
);

console.log(await deploy(3));

try {
  await deploy(NaN);
} catch (error) {
  if (error instanceof Rejected) console.log(error.comment);
  if (error instanceof Invalid) console.log(`refused ${error.code} at ${error.path}`);
}

const verifier: Verifier = await Verifier.load();
const digest: string = verifier.digest(rawJson('{"a": 1.0}'));
if (digest !== (await Offline.load()).digest({ a: rawJson("1.0") })) throw new Error("two digests");

const approval: Approval = await new BrowserClient(url, { token }).request({ agent: "a", action: "b", context: { n: 2n ** 64n } });
const status: "pending" | "approved" | "rejected" | "executed" | "expired" | "withdrawn" = approval.status;
if (status !== "pending") throw new Error(status);

const policy: LocalPolicy = await client.policy({ signers: [], onError: (error: unknown) => void error });
policy.evaluate({ agent: "a", action: "b", context: {} }).then((made: PolicyDecision) => made.requirement?.threshold, () => null);
await policy.close({ timeout: 0.1 });
