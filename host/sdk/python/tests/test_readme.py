"""The README's example works when it is pasted, and its other listings are Python."""

from __future__ import annotations

import ast
import os
import pathlib
import re
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
    (path / "python3").symlink_to(sys.executable)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")},
        "PATH": f"{path}:{os.environ['PATH']}",
        "PYTHONPATH": str(pathlib.Path(signoff.__file__).resolve().parents[1]),
        "SIGNOFF_CACHE_DIR": str(tmp_path / "cache"),
    }
    ran = subprocess.run(
        ["bash", "-euc", server + write + run],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "approved by alice@company.com\ndeploying 3 replicas to prod\n" in ran.stdout


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
    for section, kind in (("## Client", signoff.Client), ("## Verifier", signoff.Verifier)):
        text = README.split(section)[1].split("\n## ")[0]
        for name in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.M):
            for method in re.findall(r"\w+", name):
                if method not in ("call_text", "digest"):
                    assert hasattr(kind, method), method
    for name in re.findall(r"`([A-Z]\w+)`", README.split("## Errors")[1].split("\n## ")[0]):
        assert hasattr(signoff, name), name
