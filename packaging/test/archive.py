"""The archive: unpacked over a prefix, and installed from source with cargo, it gives the command."""

import json
import os
import pathlib
import re

from harness import PACKAGES, PATH, ROOT, check, fresh, one, run


def unpacked(home):
    packed = one(r"signoff-.*-linux-musl\.tar\.gz")
    prefix = home / "local"
    prefix.mkdir()
    run("tar", "-xzf", packed, "-C", prefix, "--strip-components=1")
    for name in [
        "share/man/man1/signoff-serve.1",
        "share/bash-completion/completions/signoff",
        "share/zsh/site-functions/_signoff",
        "share/fish/vendor_completions.d/signoff.fish",
        "share/doc/signoff/THIRD-PARTY-LICENCES.txt",
        "share/doc/signoff/install.md",
    ]:
        check(f"it has {name}", (prefix / name).is_file())
    unit = (prefix / "lib/systemd/system/signoff.service").read_text()
    check("its unit starts the binary of /usr/local", "ExecStart=/usr/local/bin/signoff serve\n" in unit)
    owned = {member.split()[1] for member in run("tar", "--numeric-owner", "-tvzf", packed).splitlines()}
    check("its files are root's", owned == {"0/0"}, str(owned))
    return prefix / "bin" / "signoff"


def checksums():
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=PACKAGES)
    check("SHA256SUMS names every package", len((PACKAGES / "SHA256SUMS").read_text().splitlines()) == 5)


def settings(signoff, home):
    """The settings of the packages, as they are and with every example in effect."""
    text = (ROOT / "packaging" / "signoff.toml").read_text()
    examples = re.sub(r"(?m)^# (?=\[|\w+ = )", "", text)
    check("the settings of the packages have examples", "\n[signatures]\n" in examples, examples)
    for number, settings in enumerate([text, examples]):
        folder = home / f"settings-{number}"
        folder.mkdir()
        (folder / "signoff.toml").write_text(settings)
        run(signoff, "init", cwd=folder, env={"HOME": str(home)})
    (folder / "signoff.toml").write_text(examples + "unknown = 1\n")
    refused = run(signoff, "doctor", cwd=folder, env={"HOME": str(home)}, code=None)
    check("they are accepted, and an unknown one is not", "unknown" in refused, refused)


def from_source(home):
    """`cargo install`, with the crates that are compiled already."""
    flags = ["--debug", "--locked", "--quiet", "--root", home / "cargo"]
    cargo = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("CARGO", "RUSTUP"))}
    run("cargo", "install", "--path", "host", *flags, cwd=ROOT, env={**cargo, **kept})
    signoff = home / "cargo" / "bin" / "signoff"
    facts = json.loads(run(signoff, "version", "--json", env={"HOME": str(home)}))
    check("cargo installs the command", pathlib.Path(signoff).is_file() and facts["verifier"] != "", facts)


def main():
    home = fresh("archive")
    signoff = unpacked(home)
    run(signoff, "--version", env={"PATH": PATH, "HOME": str(home)})
    checksums()
    settings(signoff, home)
    from_source(home)


if __name__ == "__main__":
    main()
