// World `policy` on top of the rules. `build.mjs` makes the component of it.

import { decide } from './rules.js';

export const guardrails = {
  evaluate({ action, context }) {
    const { decision, rule, reason, requirement } = decide(action, JSON.parse(context));
    return { decision, rule, reason, requirement: requirement && JSON.stringify(requirement) };
  },
};

export function describe() {
  return JSON.stringify({ name: 'policy-javascript' });
}
