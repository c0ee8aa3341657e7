"""Settings: their order, what is refused, and what a token is never sent to."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any, Dict, List, Optional

import pytest

import signoff
from signoff._endpoint import Endpoint
from signoff.settings import Settings


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "config" / "signoff" / "client.json"
    file.parent.mkdir(parents=True)
    return file


def write(file: pathlib.Path, members: Any, mode: int = 0o600) -> None:
    file.write_text(members if isinstance(members, str) else json.dumps(members))
    file.chmod(mode)


SERVER = "https://localhost:1"
HOME: Dict[str, Any] = {"server": "http://127.0.0.1:1", "token": "home", "keys": "k.json", "x": 1}


def test_arguments_come_before_the_environment_before_the_home(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, HOME)
    found = Settings.find()
    assert (found.url, found.token, found.audience) == ("http://127.0.0.1:1", "home", None)
    assert found.keys == str(home.parent / "k.json")
    monkeypatch.setenv("SIGNOFF_TOKEN", "environment")
    monkeypatch.setenv("SIGNOFF_AUDIENCE", "prod")
    assert Settings.find().token == "environment"
    assert Settings.find().audience == "prod"
    assert Settings.find(token="argument").token == "argument"


def home_of(file: pathlib.Path, server: Optional[str], **members: str) -> None:
    write(file, members if server is None else {"server": server, **members})


@pytest.mark.parametrize("kind", [signoff.Client, signoff.AsyncClient])
@pytest.mark.parametrize("source", ["argument", "environment"])
@pytest.mark.parametrize("server", [None, "", f"{SERVER}/", SERVER.upper(), "https://localhost:2"])
def test_token_and_authorities_of_the_home_file_are_for_no_other_server(
    home: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    source: str,
    server: Optional[str],
) -> None:
    # A client that used the file of authorities, which is absent, could not be made.
    home_of(home, server, token="home", ca="none.pem")
    if source == "environment":
        monkeypatch.setenv("SIGNOFF_SERVER", SERVER)
    client = kind(SERVER) if source == "argument" else kind()
    assert "Authorization" not in client._headers
    assert client._settings.ca is None
    assert "Authorization" in kind(SERVER, "own")._headers


@pytest.mark.parametrize("kind", [signoff.Client, signoff.AsyncClient])
@pytest.mark.parametrize("given", [[], [SERVER]])
def test_token_and_authorities_of_the_home_file_are_for_its_server(
    home: pathlib.Path, kind: Any, given: List[str]
) -> None:
    home_of(home, SERVER, token="home")
    assert kind(*given)._headers["Authorization"] == "Bearer home"
    home_of(home, SERVER, token="home", ca="none.pem")
    with pytest.raises(signoff.Invalid, match=r"none\.pem"):
        kind(*given)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_home_file_that_others_can_access_is_refused(home: pathlib.Path, mode: int) -> None:
    write(home, HOME, mode)
    with pytest.raises(signoff.Invalid) as refused:
        Settings.find()
    assert "chmod 600" in refused.value.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_home_file_of_another_user_is_refused(home: pathlib.Path) -> None:
    write(home, HOME)
    os.chown(home, 12345, 12345)
    with pytest.raises(signoff.Invalid):
        Settings.find()


@pytest.mark.parametrize("members", ["", "[]", "{", {"token": 1}, "\udcff"])
def test_malformed_home_file_is_refused(home: pathlib.Path, members: Any) -> None:
    if members == "\udcff":
        home.write_bytes(b"\xff")
        home.chmod(0o600)
    else:
        write(home, members)
    with pytest.raises(signoff.Invalid):
        Settings.find()


def test_no_server_is_refused() -> None:
    with pytest.raises(signoff.Invalid) as refused:
        signoff.Client()
    assert "SIGNOFF_SERVER" in refused.value.detail


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:1", "ftp://a", "http://", "http://a?b", "http://a#b", "http://a:x"),
        *("http://user:secret@a", "http://a b", "http://a\r\nb", "http://ä", "http://[::1"),
        "unix:",
    ],
)
def test_malformed_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(signoff.Invalid) as refused:
        Endpoint.parse(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url, host, port, base, authority",
    [
        ("http://a", "a", 80, "", "a"),
        ("https://a:443/", "a", 443, "", "a"),
        ("https://a:8443/x/", "a", 8443, "/x", "a:8443"),
        ("http://[::1]:1", "::1", 1, "", "[::1]:1"),
    ],
)
def test_address_is_parsed(url: str, host: str, port: int, base: str, authority: str) -> None:
    found = Endpoint.parse(url)
    assert (found.host, found.port, found.base, found.authority) == (host, port, base, authority)


@pytest.mark.parametrize("url", ["http://example.com", "http://10.0.0.1", "http://127.0.0.1.x.com"])
def test_token_over_plain_http_to_another_machine_is_refused(url: str) -> None:
    with pytest.raises(signoff.Invalid) as refused:
        signoff.Client(url, "token")
    assert "plain text" in refused.value.detail
    signoff.Client(url)
    signoff.Client(url, "token", insecure_http=True)


@pytest.mark.parametrize("url", ["http://localhost", "http://127.9.9.9", "http://[::1]", "unix:/x"])
def test_token_to_this_machine_is_fine(url: str) -> None:
    signoff.Client(url, "token")


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "ä", "x" * 5000])
def test_malformed_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(signoff.Invalid) as refused:
        signoff.Client("http://127.0.0.1:1", token)
    assert token not in str(refused.value)


def test_token_is_not_shown() -> None:
    client = signoff.Client("http://127.0.0.1:1", "secret")
    assert "secret" not in repr(client) + repr(client._settings)


@pytest.mark.parametrize("ca", ["/nonexistent", __file__])
def test_unusable_authorities_are_refused(ca: str) -> None:
    with pytest.raises(signoff.Invalid):
        signoff.Client("https://127.0.0.1:1", ca=ca)
