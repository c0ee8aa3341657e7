"""World `policy`, implemented with the rules. `componentize-py` builds the component."""

import json

from wit_world import exports
from wit_world.exports import guardrails

import rules


class Guardrails(exports.Guardrails):
    def evaluate(self, attempt: guardrails.Attempt) -> guardrails.Verdict:
        verdict = rules.decide(attempt.action, json.loads(attempt.context))
        requirement = verdict.requirement
        return guardrails.Verdict(
            decision=verdict.decision,
            rule=verdict.rule,
            reason=verdict.reason,
            requirement=None if requirement is None else json.dumps(requirement),
            # A single rule cannot fail here: a value that cannot be read makes the whole policy trap.
            failed=[],
        )


class WitWorld:
    def describe(self) -> str:
        return json.dumps({"name": "policy-python"})
