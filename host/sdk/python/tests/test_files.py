"""Files of settings: what is not a regular file of this user is refused, and at once."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import threading
from typing import Any, Callable, Dict

import pytest

import signoff
from signoff.settings import home_file

Read = Callable[[pathlib.Path], Any]
KEY: Dict[str, Any] = {"id": "a", "algorithm": "ed25519", "material": "NH_TRRKpTEpjiMonZA3OI02F"}


def read_home(path: pathlib.Path) -> Any:
    home = home_file()
    assert home is not None
    home.parent.mkdir(parents=True)
    home.symlink_to(path)
    return signoff.Client()


def read_ca(path: pathlib.Path) -> Any:
    return signoff.Client("https://127.0.0.1:1", ca=str(path))


CONTENT: Dict[Read, str] = {
    read_home: json.dumps({"server": "http://127.0.0.1:1"}),
    signoff.read_keys: json.dumps(KEY),
    read_ca: "",
}


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "file"


def write(path: pathlib.Path, read: Read) -> None:
    path.write_text(CONTENT[read])
    path.chmod(0o600)


@pytest.mark.parametrize("read", [read_home, signoff.read_keys])
def test_regular_file_of_this_user_is_read(path: pathlib.Path, read: Read) -> None:
    write(path, read)
    assert read(path)


@pytest.mark.parametrize("read", CONTENT)
def test_fifo_is_refused_at_once(path: pathlib.Path, read: Read) -> None:
    """A writer waits, so that one who opens and reads the FIFO gets what is in a regular file."""
    os.mkfifo(path, 0o600)

    def write_once() -> None:
        try:
            path.write_text(CONTENT[read])
        except BrokenPipeError:
            pass

    threading.Thread(target=write_once, daemon=True).start()
    with pytest.raises(signoff.Invalid, match="not a regular file"):
        read(path)


@pytest.mark.parametrize("read", CONTENT)
def test_fifo_without_a_writer_is_refused(path: pathlib.Path, read: Read) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(signoff.Invalid, match="not a regular file"):
        read(path)


@pytest.mark.parametrize("read", CONTENT)
@pytest.mark.parametrize("kind", ["folder", "device", "socket", "absent"])
def test_what_is_no_file_is_refused(tmp_path: pathlib.Path, read: Read, kind: str) -> None:
    path = {"folder": tmp_path, "device": pathlib.Path("/dev/null")}.get(kind, tmp_path / "x")
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "socket":
            listener.bind(str(path))
        with pytest.raises(signoff.Invalid):
            read(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("read", [read_home, signoff.read_keys])
def test_file_of_another_user_is_refused(path: pathlib.Path, read: Read) -> None:
    write(path, read)
    os.chown(path, 12345, 12345)
    with pytest.raises(signoff.Invalid, match="another user"):
        read(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write files of root")
def test_keys_of_root_count_for_others_and_its_home_file_does_not(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So root may pin keys that the executor itself cannot change."""
    write(path, signoff.read_keys)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert signoff.read_keys(path)
    write(path, read_home)
    with pytest.raises(signoff.Invalid, match="another user"):
        read_home(path)
