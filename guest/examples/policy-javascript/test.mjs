// The rules against `../cases.json`, in plain Node: node --test

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { decide } from './rules.js';

const cases = JSON.parse(await readFile(new URL('../cases.json', import.meta.url), 'utf8'));

for (const { name, action, context, verdict, fails } of cases) {
  test(name, () => {
    if (fails) assert.throws(() => decide(action, context), TypeError);
    else assert.deepEqual(decide(action, context), verdict);
  });
}
