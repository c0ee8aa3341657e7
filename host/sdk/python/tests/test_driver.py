"""The driver of the suite: what a command says is what the SDK is given."""

from __future__ import annotations

from typing import Any, Dict, List

import driver
import pytest
from fake import Fake, problem

import signoff

GUARD: Dict[str, Any] = {
    "cmd": "guard",
    "agent": "deployer",
    "action": "deploy",
    "context": "{}",
    "pinned": False,
}


@pytest.mark.parametrize("more, timeout", [({}, 30.0), ({"call_timeout": 7}, 7)])
def test_guard_has_the_limit_of_calls(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, more: Dict[str, Any], timeout: float
) -> None:
    fake.answers.append(problem("forbidden", 403))
    limits: List[float] = []

    class Noting(signoff.Client):
        def guard(self, *given: Any, **options: Any) -> Any:
            limits.append(self._api.timeout)
            return super().guard(*given, **options)

    monkeypatch.setattr(signoff, "Client", Noting)
    answer = driver.guard({**GUARD, "url": fake.url, **more})
    assert (answer["runs"], answer["error"]["code"]) == (0, "forbidden")
    assert limits == [timeout]
