// Makes `policy.wasm`, or the file that is named.
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
  // All there are. Without them the engine has no clock, no random numbers and no output, so that the
  // component imports nothing.
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await writeFile(process.argv[2] ?? here('policy.wasm'), component);
