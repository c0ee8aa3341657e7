"""A copy of this system, and systemd as its first process: in namespaces, of which nothing remains."""

import os
import pathlib
import shutil
import subprocess
import sys

from harness import PATH, ROOT, run, until

UNITS = pathlib.Path("/etc/systemd/system")
# What the first process of the copy does before it becomes systemd, which mounts the credentials of a
# service in a namespace that shares its mounts. The group in the hierarchy of
# cgroup2 is systemd's root from here on.
START = """echo $$ >"$1/cgroup.procs"
exec unshare --pid --fork --mount --cgroup --kill-child sh -c '
    mount -t proc proc /proc && mount -t tmpfs -o mode=755 none /run && mkdir -p /sys/fs/cgroup &&
    mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
    mount --make-rshared / &&
    exec env -i container=signoff-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
        /lib/systemd/systemd --system --unit=signoff-test.target --log-target=null --show-status=no'
"""


def with_copy_of_this_system():
    """Starts this script again in a copy of this system: an overlay whose changes are in memory."""
    if os.environ.get("SIGNOFF_TEST_INSIDE"):
        return
    script = pathlib.Path(__file__).with_name("copy.sh")
    flags = ["--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child"]
    again = [sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]]
    command = ["unshare", *flags, "bash", script, ROOT, *again]
    environment = {**os.environ, "SIGNOFF_TEST_INSIDE": "1"}
    sys.exit(subprocess.run([str(word) for word in command], env=environment).returncode)


class Machine:
    """systemd, and nothing that it would start by itself. Used as a context."""

    def __init__(self):
        # Units of devices, the kernel's settings and mounts would act on the real machine.
        for place in [UNITS, pathlib.Path("/lib/systemd/system")]:
            for wants in place.glob("*.wants"):
                shutil.rmtree(wants)
        pathlib.Path("/etc/fstab").write_text("")
        pathlib.Path("/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        target = "[Unit]\nDescription=the test\nDefaultDependencies=no\n"
        (UNITS / "signoff-test.target").write_text(target)
        self.hierarchy = pathlib.Path("/cgroup")
        self.group = self.hierarchy / f"signoff-test-{os.getpid()}"

    def __enter__(self):
        self.hierarchy.mkdir()
        run("mount", "-t", "cgroup2", "cgroup2", self.hierarchy)
        self.group.mkdir()
        self.outer = subprocess.Popen(
            ["sh", "-c", START, "sh", self.group], env={"PATH": PATH}, stdin=subprocess.DEVNULL
        )
        children = pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")
        self.first = int(until("the first process starts", children.read_text).split()[0])
        until("systemd answers", lambda: self.systemctl("is-active", "signoff-test.target", code=None) == "active\n")
        return self

    def __exit__(self, *_):
        self.outer.kill()
        self.outer.wait()
        # Children first; a group is free once its last process is gone.
        folders = [pathlib.Path(folder) for folder, _, _ in os.walk(self.group, topdown=False)]
        for folder in folders:
            until(f"{folder} is free", lambda: self._removed(folder))
        run("umount", self.hierarchy)

    @staticmethod
    def _removed(folder):
        try:
            folder.rmdir()
        except OSError:
            return False
        return True

    def run(self, *command, code=0, **options):
        """Runs a command beside systemd."""
        beside = ["nsenter", "--target", self.first, "--mount", "--pid", "--cgroup"]
        return run(*beside, *command, code=code, **options)

    def systemctl(self, *arguments, code=0):
        return self.run("systemctl", "--no-pager", *arguments, code=code)

    def of_unit(self, name, unit="signoff.service"):
        """A property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()


def is_possible():
    """Whether this kernel has the hierarchy that systemd needs."""
    return "nodev\tcgroup2" in pathlib.Path("/proc/filesystems").read_text()
