"""Prints the licences of all crates that are compiled into the binary, for those who pass it on.

    python3 packaging/licences.py TARGET

Fails if a crate states no licence. A crate whose package has no licence file is listed with its
expression; each distinct text is printed once, with the crates that bring it.
"""

import json
import pathlib
import subprocess
import sys

ROOT = "signoff"
NAMES = ("LICENSE", "LICENCE", "COPYING", "UNLICENSE", "NOTICE", "COPYRIGHT")


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def compiled(graph):
    """Packages that the binary is made of: normal dependencies of the root, and theirs."""
    packages = {package["id"]: package for package in graph["packages"]}
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    members = set(graph["workspace_members"])
    waiting = [i for i in members if packages[i]["name"] == ROOT]
    found = set()
    while waiting:
        node = nodes[waiting.pop()]
        if node["id"] in found:
            continue
        found.add(node["id"])
        for edge in node["deps"]:
            if any(kind["kind"] is None for kind in edge["dep_kinds"]):
                waiting.append(edge["pkg"])
    chosen = [packages[i] for i in found - members]
    return sorted(chosen, key=lambda package: (package["name"], package["version"]))


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name.upper().startswith(NAMES):
            yield path.read_text(encoding="utf-8", errors="replace").strip()


def main():
    packages = compiled(metadata(sys.argv[1]))
    by_text = {}
    print("signoff is compiled from these packages, under the licences that each states.\n")
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if not package["license"] and not package["license_file"]:
            sys.exit(f"{name} states no licence")
        print(f"{name}: {package['license'] or package['license_file']}")
        for text in texts(package):
            by_text.setdefault(text, []).append(name)
    for text, names in by_text.items():
        print(f"\n{'=' * 100}\n{', '.join(names)}\n{'-' * 100}\n\n{text}")


if __name__ == "__main__":
    main()
