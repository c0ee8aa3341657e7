// The rules, in plain JavaScript: nothing here knows of WebAssembly.
//
// A rule that does not apply answers undefined. The strictest verdict wins: deny, then require_approval,
// then allow. What cannot be read is never allowed: a risk score that is no number throws, the policy
// traps, and the host refuses.

const STRICTEST_FIRST = ['deny', 'require_approval', 'allow'];
// More than so many changes of production at once take two people.
const CHANGES_MAX = 1000;
// From this risk on, a person looks at a quarantine.
const RISK_MIN = 70;

const DEFAULT = { decision: 'require_approval', reason: 'no rule says otherwise' };

/** The verdict on an attempt; `context` is the decoded JSON object. */
export function decide(agent, action, context) {
  const matched = RULES.map((rule) => rule(agent, action, context)).filter((verdict) => verdict !== undefined);
  const rank = ({ decision }) => STRICTEST_FIRST.indexOf(decision);
  return matched.sort((a, b) => rank(a) - rank(b))[0] ?? DEFAULT;
}

function noDeletesOfProduction(agent, action, context) {
  if (action === 'delete' && inProduction(context)) {
    return {
      decision: 'deny',
      rule: 'no-deletes-of-production',
      reason: 'nothing of production is deleted by an agent',
    };
  }
}

function largeChangesOfProduction(agent, action, context) {
  const changes = number(context, 'changes_count');
  if (action === 'apply' && inProduction(context) && changes > CHANGES_MAX) {
    return {
      decision: 'require_approval',
      rule: 'large-changes-of-production',
      reason: `${changes} changes of production are more than ${CHANGES_MAX}`,
      requirement: { threshold: 2, ttl_seconds: 3600 },
    };
  }
}

function riskyQuarantine(agent, action, context) {
  const risk = number(context, 'risk_score');
  if (action === 'quarantine' && risk >= RISK_MIN) {
    return {
      decision: 'require_approval',
      rule: 'risky-quarantine',
      reason: `risk score ${risk} is ${RISK_MIN} or more`,
      requirement: { ttl_seconds: 1800 },
    };
  }
}

function harmlessQuarantine(agent, action, context) {
  if (action === 'quarantine' && number(context, 'risk_score') < RISK_MIN) {
    return { decision: 'allow', rule: 'harmless-quarantine' };
  }
}

const RULES = [noDeletesOfProduction, largeChangesOfProduction, riskyQuarantine, harmlessQuarantine];

function inProduction(context) {
  return context.environment === 'production' || String(context.file ?? '').includes('production');
}

/** What `context` has under `name`, 0 where it has nothing. */
function number(context, name) {
  const value = Object.hasOwn(context, name) ? context[name] : 0;
  if (typeof value !== 'number') throw new TypeError(`\`${name}\` is not a number`);
  return value;
}
