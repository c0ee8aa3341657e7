"""Policies in this process: their verdicts, their limits, and what is no verdict."""

from __future__ import annotations

import pathlib
from typing import Any, Dict

import pytest
from wat_policies import RESULT, policy

from signoff._policy_component import CACHED_MAX, PolicyFailed, PolicyModule
from signoff.verdict import MalformedVerdict

LIMITS = {"fuel": 10_000_000, "memory_bytes": 1 << 20}
ATTEMPT: Dict[str, Any] = {
    "agent": "deployer",
    "action": "deploy",
    "context": '{"replicas": 3}',
    "plan": None,
    "facts": '{"requester": "agent:deployer"}',
    "now": 1_800_000_000,
}
# Ends as a trap unless the i32 on the stack is not zero.
UNLESS = "(if (i32.eqz {}) (then (unreachable)))"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "signoff"


def test_verdict_has_every_member() -> None:
    module = PolicyModule(
        policy("require_approval", "big", "é\n\t", '{"threshold": 2, "groups": {"sre": 1}}', ["a"]),
        LIMITS,
    )
    verdict = module.evaluate(ATTEMPT)
    assert (verdict.decision, verdict.rule, verdict.reason) == ("require_approval", "big", "é\n\t")
    assert verdict.requirement == {"threshold": 2, "groups": {"sre": 1}}
    assert (verdict.failed, verdict.policy, verdict.local) == (("a",), module.digest, True)


@pytest.mark.parametrize(
    "seen",
    [
        "(i32.eq (local.get 5) (i32.const 15))",  # The length of the context.
        "(i32.eq (i32.load8_u (local.get 4)) (i32.const 123))",  # Its first character.
        "(i32.eqz (local.get 6))",  # No plan.
        "(i32.eq (local.get 10) (i32.const 31))",  # The length of the facts.
        "(i64.eq (local.get 11) (i64.const 1800000000))",
    ],
)
def test_policy_sees_the_attempt(seen: str) -> None:
    assert PolicyModule(policy(body=UNLESS.format(seen)), LIMITS).evaluate(ATTEMPT).rule is None


def test_plan_is_passed() -> None:
    body = UNLESS.format("(i32.eq (local.get 8) (i32.const 2))")
    module = PolicyModule(policy(body=body), LIMITS)
    assert module.evaluate({**ATTEMPT, "plan": "{}"}).decision == "allow"
    with pytest.raises(PolicyFailed):
        module.evaluate(ATTEMPT)


def test_each_evaluation_has_a_fresh_instance() -> None:
    body = UNLESS.format("(i32.eqz (i32.load (i32.const 0)))")
    module = PolicyModule(policy(body=body + "(i32.store (i32.const 0) (i32.const 1))"), LIMITS)
    for _ in range(3):
        assert module.evaluate(ATTEMPT).decision == "allow"


# Says that 65536 rules failed, whose ids share one text of 640 KiB: 40 GiB together.
_OVERLAPPING = f"""(local $at i32) (local.set $at (i32.const 200000))
  (loop $next (i32.store (local.get $at) (i32.const 0))
    (i32.store offset=4 (local.get $at) (i32.const 655360))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $next (i32.lt_u (local.get $at) (i32.const 724288))))
  (i32.store (i32.const {RESULT + 44}) (i32.const 200000))
  (i32.store (i32.const {RESULT + 48}) (i32.const 65536))"""


@pytest.mark.parametrize(
    "wasm, why",
    [
        (policy(body="(loop (br 0))"), "fuel"),
        (policy(body="(unreachable)"), "unreachable"),
        (policy(body="(drop (i32.load (i32.const -1)))"), "out of bounds"),
        (policy(pages=17), "memory"),
        (policy(memories="(memory 1)"), "memory"),
        (
            policy(body=UNLESS.format("(i32.gt_s (memory.grow (i32.const 13)) (i32.const 0))")),
            "unreachable",
        ),
        (policy(pages=16, body=_OVERLAPPING), "policy failed"),
        (policy(imports='(import "clock" (func))'), "missing"),
        (policy(verdict='(record (field "decision" u32))'), "types"),
        (b"\0asm\1\0\0\0", "component"),
        (b"", "component"),
        (policy()[:-9], "component"),
    ],
)
def test_failure_is_no_verdict(wasm: bytes, why: str) -> None:
    with pytest.raises(PolicyFailed, match=why):
        PolicyModule(wasm, LIMITS).evaluate(ATTEMPT)


@pytest.mark.parametrize(
    "returned",
    [
        {"decision": ""},
        {"decision": "Allow"},
        {"rule": ""},
        {"rule": "a b"},
        {"rule": "a" * 129},
        {"reason": "a" * 4097},
        {"reason": "\x1b[2J"},
        {"reason": "a\rb"},
        {"reason": "\x9b"},
        {"requirement": '{"threshold": 2}'},  # With `allow`.
        {"failed": ["a", "a"]},
        {"failed": [""]},
        {"failed": [str(number) for number in range(17)]},
        *(
            {"decision": "require_approval", "requirement": requirement}
            for requirement in (
                "",
                "[]",
                '{"threshold": 0}',
                '{"threshold": 17}',
                '{"threshold": true}',
                '{"threshold": 1.0}',
                '{"threshold": 1, "threshold": 1}',
                '{"ttl_seconds": 604801}',
                '{"groups": []}',
                '{"groups": {"": 1}}',
                '{"groups": {"sre": 0}}',
                '{"approvers": 1}',
                '{"groups": {}}' + " " * (16 << 10),
            )
        ),
    ],
)
def test_malformed_verdict_is_refused(returned: Dict[str, Any]) -> None:
    module = PolicyModule(policy(**returned), LIMITS)
    with pytest.raises(MalformedVerdict):
        module.evaluate(ATTEMPT)


def test_few_compiled_policies_are_kept(own_cache: pathlib.Path) -> None:
    modules = [PolicyModule(policy(rule=str(number)), LIMITS) for number in range(CACHED_MAX + 2)]
    assert len(list(own_cache.iterdir())) == CACHED_MAX
    assert any(modules[-1].digest in kept.name for kept in own_cache.iterdir())


def test_compiled_code_is_kept_in_the_private_folder(own_cache: pathlib.Path) -> None:
    module = PolicyModule(policy(), LIMITS)
    (kept,) = own_cache.iterdir()
    assert module.digest in kept.name
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_bytes(b"damaged")
    assert PolicyModule(policy(), LIMITS).evaluate(ATTEMPT).decision == "allow"
