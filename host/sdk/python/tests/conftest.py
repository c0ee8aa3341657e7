"""Fixtures: a fake server in this process, and a real one if `SIGNOFF_BIN` names the binary."""

from __future__ import annotations

import os
import pathlib
from typing import Iterator

import pytest
from desk import Desk
from fake import Fake
from live import Office
from live_policy import PolicyOffice

import signoff


@pytest.fixture(autouse=True)
def own_settings(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings of the user who runs it."""
    for name in list(os.environ):
        if name.startswith("SIGNOFF_") and name != "SIGNOFF_BIN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A server that answers as the test says."""
    with Fake() as server:
        yield server


@pytest.fixture(scope="session")
def office() -> Iterator[Office]:
    """A real server, two approvers and an agent."""
    binary = os.environ.get("SIGNOFF_BIN")
    if not binary:
        pytest.skip("SIGNOFF_BIN is unset: it names the signoff binary for tests with a server")
    opened = Office(binary)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def policy_office() -> Iterator[PolicyOffice]:
    """A real server with a signer of policies."""
    binary = os.environ.get("SIGNOFF_BIN")
    if not binary:
        pytest.skip("SIGNOFF_BIN is unset: it names the signoff binary for tests with a server")
    opened = PolicyOffice(binary)
    yield opened
    opened.close()


@pytest.fixture
def client(office: Office) -> signoff.Client:
    """A client with the token of an agent that requests and executes."""
    return signoff.Client(office.url, office.agent)


@pytest.fixture
def desk(office: Office) -> Iterator[Desk]:
    """Approvers who decide what the tools of this test request."""
    with Desk(office) as opened:
        yield opened
