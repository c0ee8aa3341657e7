// The rules, in plain JavaScript without WebAssembly.
//
// A rule that does not apply returns undefined. The strictest verdict wins: deny, then require_approval,
// then allow. A value that cannot be read never leads to `allow`: a risk score that is not a number throws,
// the policy traps, and the host refuses.

const STRICTEST_FIRST = ['deny', 'require_approval', 'allow'];
// More changes of production than this require two approvers.
const CHANGES_MAX = 1000;
// From this risk on, a quarantine requires approval.
const RISK_MIN = 70;

const DEFAULT = { decision: 'require_approval', reason: 'no rule says otherwise' };

/** Returns the verdict on an action; `context` is the decoded JSON object. */
export function decide(action, context) {
  const matched = RULES.map((rule) => rule(action, context)).filter((verdict) => verdict !== undefined);
  const rank = ({ decision }) => STRICTEST_FIRST.indexOf(decision);
  return matched.sort((a, b) => rank(a) - rank(b))[0] ?? DEFAULT;
}

function noDeletesOfProduction(action, context) {
  if (action === 'delete' && inProduction(context)) {
    return {
      decision: 'deny',
      rule: 'no-deletes-of-production',
      reason: 'nothing of production is deleted by an agent',
    };
  }
}

function largeChangesOfProduction(action, context) {
  if (action !== 'apply' || !inProduction(context)) return undefined;
  const changes = number(context, 'changes_count');
  if (changes > CHANGES_MAX) {
    return {
      decision: 'require_approval',
      rule: 'large-changes-of-production',
      reason: `${changes} changes of production are more than ${CHANGES_MAX}`,
      requirement: { threshold: 2, ttl_seconds: 3600 },
    };
  }
}

function quarantine(action, context) {
  if (action !== 'quarantine') return undefined;
  const risk = number(context, 'risk_score');
  if (risk < RISK_MIN) return { decision: 'allow', rule: 'harmless-quarantine' };
  return {
    decision: 'require_approval',
    rule: 'risky-quarantine',
    reason: `risk score ${risk} is ${RISK_MIN} or more`,
    requirement: { ttl_seconds: 1800 },
  };
}

const RULES = [noDeletesOfProduction, largeChangesOfProduction, quarantine];

function inProduction(context) {
  return text(context, 'environment') === 'production' || text(context, 'file').includes('production');
}

/** Returns the text under `name`, empty if it is missing. */
function text(context, name) {
  const value = Object.hasOwn(context, name) ? context[name] : '';
  if (typeof value !== 'string') throw new TypeError(`\`${name}\` is not a text`);
  return value;
}

/** Returns the number under `name`, which is required. */
function number(context, name) {
  const value = Object.hasOwn(context, name) ? context[name] : undefined;
  if (typeof value !== 'number') throw new TypeError(`\`${name}\` is not a number`);
  return value;
}
