"""The README's example works when it is pasted, and its other listings are Python."""

from __future__ import annotations

import ast
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

import signoff

HERE = pathlib.Path(__file__).resolve().parent
README = (HERE.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)


def test_five_minutes(tmp_path: pathlib.Path) -> None:
    binary = os.environ.get("SIGNOFF_BIN")
    if not binary:
        pytest.skip("SIGNOFF_BIN is unset: it names the signoff binary for tests with a server")
    server, run = [code for kind, code in BLOCKS if kind == "bash"]
    agent = next(code for kind, code in BLOCKS if kind == "python")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = server.replace(
        "signoff serve --quiet", f"signoff serve --quiet --listen 127.0.0.1:{port}"
    )
    server = server.replace("8787", str(port))
    write = f"cat > deploy.py <<'END'\n{agent}END\n"
    path = tmp_path / "bin"
    path.mkdir()
    (path / "signoff").symlink_to(os.path.abspath(binary))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")},
        "PATH": os.pathsep.join([str(path), os.path.dirname(sys.executable), os.environ["PATH"]]),
        "PYTHONPATH": str(pathlib.Path(signoff.__file__).resolve().parents[1]),
        "SIGNOFF_CACHE_DIR": str(tmp_path / "cache"),
    }
    script = subprocess.Popen(
        ["bash", "-euc", server + write + run],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        # If the agent fails, the example waits for its request for ever.
        out, err = script.communicate(timeout=300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(script.pid, signal.SIGTERM)
    assert script.returncode == 0, err
    assert "approved by alice@company.com\ndeploying 3 replicas to prod\n" in out


def test_listings_are_python() -> None:
    listings = [code for kind, code in BLOCKS if kind == "python"]
    assert len(listings) >= 5
    for code in listings:
        ast.parse("async def listing():\n" + textwrap.indent(code, "    "))


def test_source_is_python_3_9() -> None:
    files = list((HERE.parent / "src").rglob("*.py"))
    assert len(files) > 30
    for file in files:
        ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_names_in_the_tables_exist() -> None:
    text = README.split("## Client")[1].split("\n## ")[0]
    methods = re.findall(r"\w+", "".join(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.M)))
    assert len(methods) > 12
    for method in methods:
        assert hasattr(signoff.Client, method), method
    for name in re.findall(r"`([A-Z]\w+)`", README.split("## Errors")[1].split("\n## ")[0]):
        assert hasattr(signoff, name), name
