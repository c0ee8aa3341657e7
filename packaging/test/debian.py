"""The Debian package, really installed, and its unit under systemd: in a copy of this system that is
thrown away."""

import os
import pathlib
import time

import service
import systemd
from harness import ROOT, check, loopback_up, one, run

DATA = pathlib.Path("/var/lib/signoff")
SETTINGS = pathlib.Path("/etc/signoff/signoff.toml")


def installed_files(package):
    files = run("dpkg", "-L", "signoff")
    for name in [
        "/usr/bin/signoff",
        "/usr/lib/systemd/system/signoff.service",
        "/usr/share/man/man1/signoff.1.gz",
        "/usr/share/doc/signoff/copyright",
        "/usr/share/doc/signoff/docs/install.md",
    ]:
        check(f"it installs {name}", name in files.splitlines(), files)
    owners = run("getent", "passwd", "signoff").split(":")
    check("its user has no shell", owners[5:7] == [str(DATA), "/usr/sbin/nologin\n"], str(owners))
    state = DATA.stat()
    check("the store's folder is of that user alone",
          (state.st_uid, state.st_mode & 0o777) == (int(owners[2]), 0o700))
    conffiles = run("dpkg-query", "--show", "--showformat=${Conffiles}", "signoff")
    check("the settings are a configuration file", str(SETTINGS) in conffiles, conffiles)
    lines = run("/usr/bin/signoff", "version", env={"HOME": "/root"})
    version = lines.split()[1]
    check("the package's version is the binary's", f"Version: {version}-1\n" in run("dpkg", "-s", "signoff"))
    check("the package's checksums are right", run("dpkg", "--verify", "signoff") == "")


def manual_pages():
    pages = sorted(pathlib.Path("/usr/share/man/man1").glob("signoff*.1.gz"))
    check("there is a manual page for each command", len(pages) > 50, str(pages))
    warned = run("sh", "-c", 'for page; do man --warnings -l -P cat "$page" 2>&1 >/dev/null; done', "sh", *pages)
    check("each is rendered without a warning", warned == "", warned)
    shown = run("man", "-P", "cat", "signoff-key-generate", env={"MANWIDTH": "100"})
    check("`man` finds one by its command", "--approver" in shown and "SEE ALSO" in shown, shown)


def completions():
    bash = """source /usr/share/bash-completion/bash_completion
        _completion_loader signoff
        COMP_WORDS=(signoff key gen) COMP_CWORD=2 COMP_LINE='signoff key gen' COMP_POINT=15
        _signoff signoff gen key; echo "${COMPREPLY[@]}" """
    check("bash completes commands", run("bash", "-c", bash) == "generate\n")
    zsh = """fpath=(/usr/share/zsh/vendor-completions $fpath); autoload -Uz compinit
        compinit -u -d /tmp/dump; print $_comps[signoff]; autoload +X _signoff && print loaded"""
    check("zsh finds its completions", run("zsh", "-fc", zsh) == "_signoff\nloaded\n")
    fish = "complete --do-complete 'signoff key gen'"
    shown = run("fish", "--no-config", "-c", f"source /usr/share/fish/vendor_completions.d/signoff.fish; {fish}",
                env={"HOME": "/tmp"})
    check("fish completes commands", shown.startswith("generate\t"), shown)


def removal(package):
    SETTINGS.write_text(SETTINGS.read_text() + "\n# edited\n")
    run("dpkg", "--install", package)
    check("an upgrade keeps edited settings", "# edited" in SETTINGS.read_text())
    (DATA / "precious").write_text("")
    run("dpkg", "--remove", "signoff")
    check("a removal keeps settings and data", SETTINGS.exists() and (DATA / "precious").exists())
    check("a removal removes the command", not pathlib.Path("/usr/bin/signoff").exists())
    run("dpkg", "--purge", "signoff")
    check("a purge removes the settings", not SETTINGS.parent.exists())
    left = sorted(path.name for path in DATA.iterdir())
    check("a purge keeps the data, and nothing else", "precious" in left and "signoff.toml" not in left, left)
    for place in ["/usr/share", "/usr/lib/systemd", "/etc", "/var/cache"]:
        found = run("find", place, "-xdev", "-name", "*signoff*").split()
        # What this test made: the unit's additions, and what `man` rendered.
        found = [p for p in found if "/systemd/system/" not in p and not p.startswith("/var/cache/man/")]
        check(f"nothing is left in {place}", found == [], found)
    run("rm", "-r", DATA)
    run("dpkg", "--install", package)
    run("dpkg", "--purge", "signoff")
    check("a purge without data removes the folder", not DATA.exists())


def main():
    package = one(r"signoff_.*\.deb")
    if not os.environ.get("SIGNOFF_TEST_INSIDE"):
        shown = run("lintian", "--fail-on", "error", "--tag-display-limit", "0", package, env={"HOME": "/root"})
        print(shown, end="")
        check("lintian finds no error", True)
        unit = ROOT / "packaging" / "systemd" / "signoff.service"
        shown = run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit)
        check(f"systemd-analyze security: {shown.strip().splitlines()[-1]}", True)
    systemd.with_copy_of_this_system()
    loopback_up()
    begun = time.monotonic()
    run("dpkg", "--install", package)
    shown = run("/usr/bin/signoff", "demo", cwd="/tmp", env={"HOME": "/tmp"})
    seconds = time.monotonic() - begun
    check(f"install and demo without a compiler, in {seconds:.0f} s", "All checks passed." in shown, shown)
    installed_files(package)
    shown = run("systemd-analyze", "verify", "signoff.service", code=None)
    check("systemd-analyze verifies the unit", "signoff" not in shown, shown)
    manual_pages()
    completions()
    if systemd.is_possible():
        service.test()
    else:
        print("skipped: the unit under systemd, because this system has no cgroup2 to mount")
    removal(package)


if __name__ == "__main__":
    main()
