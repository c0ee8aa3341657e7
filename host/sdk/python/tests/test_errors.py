"""The table of errors is that of the codes, and messages are safe to show."""

from __future__ import annotations

import inspect
import pathlib
import pickle
import re

import pytest

import signoff
from signoff.attempt import Attempt
from signoff.errors import class_of, rejection, table_name

ROOT = pathlib.Path(__file__).resolve().parents[4]
TABLE = (ROOT / "wit" / "codes.md").read_text(encoding="utf-8")
CODES = dict(re.findall(r"^\| `([a-z-]+)` \| \d+ \| (.*?) \|", TABLE, re.M))
SHARED = (ROOT / "host" / "sdk" / "README.md").read_text(encoding="utf-8")


def test_every_code_has_its_class() -> None:
    assert len(CODES) > 40
    assert [code for code in CODES if class_of(code) is signoff.SignoffError] == []
    assert {code: rejection(code, "").title for code in CODES} == CODES


def test_table_is_the_one_that_all_sdks_share() -> None:
    table = SHARED.split("### Errors")[1].split("## Guard")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.M)
    assert len(rows) > 12
    for name, text in rows:
        if name in ("SignoffError", "NotApproved", "VerifierTrapped"):
            continue
        for code in re.findall(r"`([a-z]+(?:-[a-z]+)*)`", text.split(";")[0]):
            if code not in ("comment", "members"):
                assert class_of(code).__name__ == name, code


@pytest.mark.parametrize("code", ["context-mismatch", "not-of-this-version"])
def test_rejection_and_error_of_the_server_are_one(code: str) -> None:
    error = rejection(code, "why")
    assert isinstance(error, signoff.Rejection) and isinstance(error, class_of(code))
    assert table_name(error) == class_of(code).__name__


def test_message_is_one_printable_line() -> None:
    error = signoff.Rejected(
        "rejected", "a\nb\x1b[31m", comment="c\u202e\u2028d", members=["/\x07"]
    )
    text = str(error)
    assert text.isprintable()
    assert r"a\u{a}b\u{1b}[31m" in text and r"c\u{202e}\u{2028}d" in text
    assert len(str(signoff.SignoffError("x", "y" * 10_000))) < 5000


def test_hierarchy_is_that_of_the_table() -> None:
    for error in (signoff.Rejected, signoff.Expired, signoff.Withdrawn, signoff.Denied):
        assert issubclass(error, signoff.NotApproved)
    assert issubclass(signoff.VerifierTrapped, signoff.SignoffError)


def test_guard_options_are_typed_as_the_attempt() -> None:
    source = inspect.getsource(inspect.getmodule(Attempt))  # type: ignore[arg-type]
    dicts = re.findall(
        r"class (?:_Required|CallOptions|GuardOptions)\(.*?(?=\n\n\n|\n    class)", source, re.S
    )
    assert len(dicts) == 3
    typed = re.findall(r"^        (\w+): ", "".join(dicts), re.M)
    assert sorted(typed) == sorted(Attempt.__dataclass_fields__)


def test_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(signoff.Mismatch("context-mismatch", "why", members=["/a"])))
    assert (error.code, error.detail, error.members) == ("context-mismatch", "why", ("/a",))
