// What the page checks: the verifier, the values, vectors, and a guard with the server of the page.

import { Client, rawJson, Verifier } from "/dist/browser.js";

import { checkRow, isForNode } from "/test/native.mjs";

async function json(path) {
  return (await fetch(path)).json();
}

export async function checks() {
  const started = performance.now();
  const verifier = await Verifier.load();
  const loadMilliseconds = Math.round(performance.now() - started);
  const { values } = await json("/values.json");
  const rows = values.filter(isForNode);
  const { vectors } = await json("/vectors.json");
  return {
    digest: verifier.digestOfModule,
    loadMilliseconds,
    rows: rows.length,
    failures: rows.map((row) => checkRow(row, { verifier, rawJson })).filter((failure) => failure !== null),
    vectors: vectors.length,
    wrong: vectors.filter((vector) => !agrees(verifier, vector)).map(({ name }) => name),
    changed: await Verifier.load({ url: "/changed.wasm" }).then(() => "loaded", ({ code }) => code),
    ran: await guarded(),
    decided: await decided(),
    microseconds: timed(verifier),
  };
}

function agrees(verifier, { input, digest, error }) {
  try {
    return verifier.digest(input) === digest;
  } catch ({ code }) {
    return code === (error?.code ?? error ?? "context-invalid");
  }
}

async function guarded() {
  const { keys, audience, token } = await json("/settings.json");
  const client = new Client(location.origin, { token, keys, audience });
  return client.guard({ agent: "deployer", action: "deploy", context: { big: 2n ** 64n } }, ({ contextText }) => contextText);
}

async function decided() {
  const { signers, audience, token } = await json("/settings.json");
  const client = new Client(location.origin, { token, audience });
  const policy = await client.policy({ signers });
  const { decision, reason, local, recorded } = await policy.evaluate({ agent: "deployer", action: "deploy", context: { big: 1n } });
  const { pending } = await policy.close();
  return { decision, reason, local, recorded, pending };
}

/** The best of some batches of a digest, in microseconds. */
function timed(verifier) {
  const batches = Array.from({ length: 20 }, () => {
    const started = performance.now();
    for (let call = 0; call < 500; call++) verifier.digest('{"a":1}');
    return (performance.now() - started) * 2;
  });
  return Math.min(...batches).toFixed(1);
}
