"""Pinned keys: their forms, and that a server can only take away from them."""

from __future__ import annotations

import json
import pathlib
from typing import Any, Dict

import pytest

import signoff
from signoff.keys import approving, read_keys, stricter

ALICE: Dict[str, Any] = {
    "id": "alice",
    "algorithm": "ed25519",
    "material": "NH_TRRKpTEpjiMonZA3OI02FQo0ejc-tnBxSxeanj78",
    "status": "active",
    "use": "approve",
    "approver": "alice@company.com",
    "groups": ["dev", "sre"],
}
LISTED = {**{k: v for k, v in ALICE.items() if k != "material"}, "public_key": ALICE["material"]}
HMAC = {**ALICE, "id": "shared", "algorithm": "hmac-sha256", "material": "c2VjcmV0"}


@pytest.mark.parametrize(
    "form",
    [
        ALICE,
        [ALICE],
        {"format": 1, "keys": [{**ALICE, "private": None}]},
        {"items": [{**LISTED, "fingerprint": "00", "private": True}], "keyring": "x"},
    ],
)
def test_every_form_is_read(form: Any, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(form))
    assert read_keys(form) == read_keys(file) == read_keys(str(file)) == [ALICE]


@pytest.mark.parametrize("wrap", [lambda key: key, lambda key: [ALICE, key], lambda key: {"keys": [key]}])
def test_private_keys_are_refused(wrap: Any, tmp_path: pathlib.Path) -> None:
    form = wrap({**ALICE, "private": "c2VjcmV0"})
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(form))
    for keys in (form, file):
        with pytest.raises(signoff.Invalid, match="contain a private key") as refused:
            read_keys(keys)
        assert "c2VjcmV0" not in str(refused.value)
    assert str(file) in refused.value.detail


def test_output_of_key_generate_is_read(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"created key alice\n{json.dumps(ALICE)}\nimport it:\n  {{not this}}\n")
    assert read_keys(file) == [ALICE]


def test_hmac_key_without_its_secret_is_skipped() -> None:
    listed = {name: value for name, value in HMAC.items() if name != "material"}
    assert read_keys({"items": [listed, LISTED]}) == [ALICE]


@pytest.mark.parametrize(
    "form", [[1], ["x"], {}, {"id": "a"}, {**ALICE, "groups": "dev"}, {**ALICE, "material": None}]
)
def test_malformed_keys_are_refused(form: Any) -> None:
    with pytest.raises(signoff.Invalid):
        read_keys(form)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\xff", b"{", b"null", b'"/etc/passwd"', b'{"keys": 1}']
)
def test_malformed_file_is_refused(content: bytes, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(signoff.Invalid):
        read_keys(file)
    with pytest.raises(signoff.Invalid):
        read_keys(tmp_path / "none")


def test_hmac_and_other_uses_count_only_where_allowed() -> None:
    keys = [ALICE, HMAC, {**ALICE, "use": "log"}]
    assert approving(keys, allow_hmac=False) == [ALICE]
    assert approving(keys, allow_hmac=True) == [ALICE, HMAC]


@pytest.mark.parametrize(
    "listed, status, groups",
    [
        ([], "active", ["dev", "sre"]),
        ([LISTED], "active", ["dev", "sre"]),
        ([{**LISTED, "status": "revoked"}], "revoked", ["dev", "sre"]),
        ([{**LISTED, "id": "other", "status": "revoked"}], "revoked", ["dev", "sre"]),
        ([{"id": "alice", "status": "revoked"}], "revoked", []),
        ([{**LISTED, "groups": ["sre", "root"]}], "active", ["sre"]),
        ([{**LISTED, "groups": None}], "active", []),
        ([{**LISTED, "id": "other", "groups": []}], "active", ["dev", "sre"]),
    ],
)
def test_server_only_takes_away(listed: Any, status: str, groups: Any) -> None:
    (key,) = stricter([ALICE], listed)
    assert (key["status"], key["groups"]) == (status, groups)
    assert {**key, "status": 0, "groups": 0} == {**ALICE, "status": 0, "groups": 0}


def test_server_does_not_activate_a_revoked_key() -> None:
    (key,) = stricter([{**ALICE, "status": "revoked"}], [LISTED])
    assert key["status"] == "revoked"
