"""What a guard refuses before anything is sent, and what it never shows."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, List

import pytest
from fake import Fake, problem
from live import must_not_run

import signoff
from signoff import runbook

ATTEMPT: Dict[str, Any] = {"agent": "deployer", "action": "deploy", "context": {"to": "prod"}}
SECRET = "c2VjcmV0LW1hdGVyaWFs"
KEY: Dict[str, Any] = {"id": "alice", "algorithm": "ed25519", "material": SECRET}
NEEDS_KEYS: List[Dict[str, Any]] = [
    {"floor": {"threshold": 2}},
    {"floor": {}},
    {"accept": ["v2"]},
    {"accept": []},
    {"policies": ["0" * 64]},
    {"allow_hmac": True},
]


async def must_not_be_awaited(_: signoff.Execution) -> None:
    raise AssertionError("ran")


def guarded(fake: Fake, **options: Any) -> None:
    """Guards with both clients: both refuse, with the same words."""
    fake.answers.append(problem("forbidden", 403))
    refusals: List[str] = []
    with signoff.Client(fake.url) as client:
        with pytest.raises(signoff.Invalid) as refused:
            client.guard(must_not_run, **ATTEMPT, **options)
        refusals.append(refused.value.detail)

    async def work() -> None:
        async with signoff.AsyncClient(fake.url) as client:
            await client.guard(must_not_be_awaited, **ATTEMPT, **options)

    with pytest.raises(signoff.Invalid) as refused:
        asyncio.run(work())
    assert refusals == [refused.value.detail]
    assert fake.requests == []
    raise refused.value


@pytest.mark.parametrize("option", NEEDS_KEYS)
def test_what_only_pinned_keys_enforce_is_refused_without_them(
    fake: Fake, option: Dict[str, Any]
) -> None:
    with pytest.raises(signoff.Invalid, match="needs keys") as refused:
        guarded(fake, **option)
    assert refused.value.code == "request-invalid"
    assert f"`{next(iter(option))}`" in refused.value.detail


@pytest.mark.parametrize("option", NEEDS_KEYS)
@pytest.mark.parametrize("approval_id", [None, "appr_01k7s2e3m8q4w6x9y0z1a2b3c4"])
def test_executor_of_the_runbook_refuses_it_too(
    fake: Fake, option: Dict[str, Any], approval_id: Any
) -> None:
    fake.answers.append(problem("forbidden", 403))
    db = runbook.Session(signoff.Client(fake.url))
    executor = runbook.Executor(db, db, run=must_not_run, **option)
    with pytest.raises(signoff.Invalid, match="needs keys"):
        asyncio.run(executor.execute(plan=ATTEMPT, approval_id=approval_id))
    assert fake.requests == []


@pytest.mark.parametrize(
    "floor", [{"treshold": 2}, {"threshold": 1, "Threshold": 2}, {"": 1}, {1: 1}, [], "threshold"]
)
def test_floor_with_unknown_members_is_refused(fake: Fake, floor: Any) -> None:
    with pytest.raises(signoff.Invalid, match="`floor`"):
        guarded(fake, floor=floor, keys=[KEY], audience="tests")


@pytest.mark.parametrize(
    "floor",
    [
        {"threshold": "2"},
        {"threshold": 0},
        {"threshold": True},
        {"threshold": 1.5},
        {"ttl_seconds": -1},
        {"groups": ["sre"]},
        {"groups": {"sre": "1"}},
        {"groups": {"sre": 0}},
        {"groups": {1: 1}},
    ],
)
def test_floor_with_malformed_members_is_refused(fake: Fake, floor: Any) -> None:
    with pytest.raises(signoff.Invalid):
        guarded(fake, floor=floor, keys=[KEY], audience="tests")


@pytest.mark.parametrize(
    "own", [{"threshold": "1"}, {"groups": ["sre"]}, {"groups": {"sre": "1"}}, {"groups": "sre"}]
)
def test_request_that_cannot_be_merged_with_the_floor_is_refused(fake: Fake, own: Any) -> None:
    floor = {"threshold": 2, "groups": {"sre": 1}}
    with pytest.raises(signoff.Invalid):
        guarded(fake, **own, floor=floor, keys=[KEY], audience="tests")


@pytest.mark.parametrize(
    "own, floor, expected",
    [
        ((None, None, None), {}, (None, None, None)),
        ((2, {"sre": 1}, 60), {}, (2, {"sre": 1}, 60)),
        ((None, None, None), {"threshold": 2}, (2, None, None)),
        ((3, None, None), {"threshold": 2}, (3, None, None)),
        ((1, None, None), {"threshold": 2}, (2, None, None)),
        ((None, {"dba": 1}, None), {"groups": {"sre": 2}}, (None, {"dba": 1, "sre": 2}, None)),
        ((None, {"sre": 1}, None), {"groups": {"sre": 2}}, (None, {"sre": 2}, None)),
        ((None, {"sre": 3}, None), {"groups": {"sre": 2}}, (None, {"sre": 3}, None)),
        ((None, None, None), {"ttl_seconds": 60}, (None, None, 60)),
        ((None, None, 600), {"ttl_seconds": 60}, (None, None, 60)),
        ((None, None, 30), {"ttl_seconds": 60}, (None, None, 30)),
        # Longer than the server's default: the request must not outlive it for that.
        ((None, None, None), {"ttl_seconds": 86400}, (None, None, None)),
        ((None, None, 90000), {"ttl_seconds": 86400}, (None, None, 86400)),
    ],
)
def test_nothing_weaker_than_the_floor_is_requested(own: Any, floor: Any, expected: Any) -> None:
    threshold, groups, expires_in_seconds = own
    given = {"threshold": threshold, "groups": groups, "expires_in_seconds": expires_in_seconds}
    requested = signoff.Attempt(**ATTEMPT, **given, floor=floor, keys=[KEY]).requested()
    shown = (requested.threshold, requested.groups, requested.expires_in_seconds)
    assert shown == expected
    assert groups is None or groups == own[1], "the caller's own groups changed"


@pytest.mark.parametrize(
    "keys",
    [
        KEY,
        [KEY, {**KEY, "algorithm": "hmac-sha256", "private": SECRET}],
        (KEY,),
        {"format": 1, "keys": [KEY]},
        {"items": [{**KEY, "public_key": SECRET}]},
        [{"material": SECRET}],
        [SECRET],
        SECRET.encode(),
    ],
)
def test_keys_are_not_shown(keys: Any) -> None:
    attempt = signoff.Attempt(**ATTEMPT, keys=keys)
    with signoff.Client("http://127.0.0.1:1", "token") as client:
        approved = client.approved(**ATTEMPT, keys=keys)
        for shown in (repr(attempt), str(attempt), f"{[attempt]}", repr(approved), repr(client)):
            assert SECRET not in shown
    assert attempt.keys is keys


def test_attempt_shows_the_rest() -> None:
    shown = repr(signoff.Attempt(**ATTEMPT, keys=[KEY], audience="tests"))
    assert "keys=[{'id': 'alice', 'algorithm': 'ed25519'}], audience='tests'" in shown
    assert "context={'to': 'prod'}" in shown
    assert "keys='alice.json'" in repr(signoff.Attempt(**ATTEMPT, keys="alice.json"))
