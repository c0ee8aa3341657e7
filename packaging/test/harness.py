"""What the tests of the packages share: commands, checks, servers, and namespaces of their own."""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "target" / "packages"
# Compiled modules: the parts of one run share them, as the commands of one user do.
CACHE = PACKAGES / "cache"
# What a program of the tests may see of the environment of the tests.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def check(what, holds, shown=""):
    """Prints the rule, and ends the test if it does not hold."""
    if not holds:
        sys.exit(f"FAILED  {what}\n{shown}")
    print(f"ok      {what}", flush=True)


def run(*command, code=0, cwd=None, env=None, stdin=None):
    """Runs a command; returns its output. Ends the test if it exits with another code."""
    clean = {"PATH": PATH, "LC_ALL": "C.UTF-8", "SIGNOFF_CACHE_DIR": str(CACHE), **(env or {})}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if code is not None and done.returncode != code:
        shown = " ".join(str(word) for word in command)
        sys.exit(f"`{shown}` exited with {done.returncode}, expected {code}\n{done.stdout}{done.stderr}")
    return done.stdout if code == 0 else done.stdout + done.stderr


def until(what, look):
    """Waits until `look` returns something; the limit is only there to end a hang."""
    for _ in range(3000):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"gave up waiting until {what}")


@contextlib.contextmanager
def running(*command, **options):
    """A program that is killed at the end, if it has not ended by then."""
    process = subprocess.Popen([str(word) for word in command], **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def with_namespaces(*flags):
    """Starts this script again in namespaces of its own, unless it is there already. Whatever it
    mounts and whichever port it opens is seen by nobody else, and ends with it."""
    if os.environ.get("SIGNOFF_TEST_INSIDE"):
        return
    os.environ["SIGNOFF_TEST_INSIDE"] = "1"
    script = [sys.executable, *sys.argv]
    command = ["unshare", *flags, "--kill-child", *script]
    sys.exit(subprocess.run(command).returncode)


def loopback_up():
    """Turns on the loopback interface of a new network namespace."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS


def one(pattern):
    """The one package whose name matches."""
    found = [path for path in PACKAGES.iterdir() if re.fullmatch(pattern, path.name)]
    check(f"there is one package {pattern}", len(found) == 1, str(found))
    return found[0]


def fresh(name):
    """An empty folder of a test, in target/packages."""
    path = PACKAGES / "test" / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
