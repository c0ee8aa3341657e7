// Writes what is made from the component beside this file: its digest.
//
//     host/sdk/embed && node host/sdk/node/build.mjs

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const component = readFileSync(new URL("verifier.wasm", import.meta.url));
const digest = createHash("sha256").update(component).digest("hex");
writeFileSync(
  new URL("src/digest.js", import.meta.url),
  `/** The SHA-256 of \`verifier.wasm\` of this package. Written by \`build.mjs\`. */\nexport const DIGEST = "${digest}";\n`,
);
