// World `policy` on top of the rules. `build.mjs` makes the component of it.

import { decide } from './rules.js';

export const guardrails = {
  evaluate({ action, context }) {
    const { decision, rule, reason, requirement } = decide(action, JSON.parse(context));
    const text = requirement && JSON.stringify(requirement);
    // No rule here fails alone: what cannot be read makes the policy trap.
    return { decision, rule, reason, requirement: text, failed: [] };
  },
};

export function describe() {
  return JSON.stringify({ name: 'policy-javascript' });
}
