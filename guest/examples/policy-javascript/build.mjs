// Builds `policy.wasm`, or FILE.
//
// node build.mjs [FILE]

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const { component } = await componentize({
  sourcePath: here('policy.js'),
  witPath: here('../../../wit'),
  worldName: 'policy',
  // All features. Without them the engine has no clock, no random numbers and no output, so the component
  // imports nothing.
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await writeFile(process.argv[2] ?? here('policy.wasm'), component);
