// World `policy`, implemented with the rules. `build.mjs` builds the component.

import { decide } from './rules.js';

export const guardrails = {
  evaluate({ action, context }) {
    const { decision, rule, reason, requirement } = decide(action, JSON.parse(context));
    const text = requirement && JSON.stringify(requirement);
    // A single rule cannot fail here: a value that cannot be read makes the whole policy trap.
    return { decision, rule, reason, requirement: text, failed: [] };
  },
};

export function describe() {
  return JSON.stringify({ name: 'policy-javascript' });
}
