"""Compiled code is loaded only from a folder that is this user's alone."""

from __future__ import annotations

import os
import pathlib

import pytest
import wasmtime.component

from signoff import _compiled, _component


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "signoff"


def test_what_is_written_is_read(folder: pathlib.Path) -> None:
    assert _compiled.read("code") is None
    _compiled.write("code", b"one")
    _compiled.write("code", b"two")
    assert _compiled.read("code") == b"two"
    assert [path.name for path in folder.iterdir()] == ["code"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "code").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_folder_that_others_can_access_is_ignored(folder: pathlib.Path, mode: int) -> None:
    _compiled.write("code", b"one")
    folder.chmod(mode)
    assert _compiled.read("code") is None
    _compiled.write("code", b"two")
    assert (folder / "code").read_bytes() == b"one"


def test_file_that_others_can_write_is_ignored(folder: pathlib.Path) -> None:
    _compiled.write("code", b"one")
    (folder / "code").chmod(0o666)
    assert _compiled.read("code") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_folder_and_file_of_another_user_are_ignored(folder: pathlib.Path) -> None:
    _compiled.write("code", b"one")
    os.chown(folder / "code", 12345, 12345)
    assert _compiled.read("code") is None
    os.chown(folder / "code", 0, 0)
    assert _compiled.read("code") == b"one"
    os.chown(folder, 12345, 12345)
    assert _compiled.read("code") is None


def test_link_is_not_followed(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _compiled.write("code", b"one")
    (folder / "link").symlink_to(folder / "code")
    assert _compiled.read("link") is None
    real = tmp_path / "elsewhere"
    folder.rename(real)
    folder.symlink_to(real)
    assert _compiled.read("code") is None


def test_pipe_does_not_block(folder: pathlib.Path) -> None:
    _compiled.write("code", b"one")
    os.mkfifo(folder / "pipe", 0o600)
    assert _compiled.read("pipe") is None


@pytest.mark.parametrize("cache", ["", "relative", "/proc/nothing/here"])
def test_without_a_usable_folder_nothing_is_cached(
    cache: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setenv("HOME", "/proc/nothing")
    monkeypatch.chdir(tmp_path)
    _compiled.write("code", b"one")
    assert _compiled.read("code") is None
    assert not list(tmp_path.glob("relative*"))


def test_module_loads_from_the_cache_and_replaces_a_damaged_file(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wasm = _component.PATH.read_bytes()
    _component.Module(wasm)
    (file,) = folder.iterdir()
    compiled = file.read_bytes()

    def no_compiler(*_: object) -> None:
        raise AssertionError("compiled although the code is cached")

    with monkeypatch.context() as patched:
        patched.setattr(wasmtime.component.Component, "__init__", no_compiler)
        assert _component.Module(wasm).call("{}")
    file.write_bytes(b"damaged")
    assert _component.Module(wasm).call("{}")
    assert file.read_bytes()[:64] == compiled[:64]
