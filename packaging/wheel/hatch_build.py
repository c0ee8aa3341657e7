"""Puts the static binary into the wheel, and names the systems that it runs on."""

import os
import struct
from typing import Any, Dict

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# A static binary needs no C library, so it is within the oldest tags of both that pip knows.
TAGS = {62: "x86_64", 183: "aarch64"}
SYSTEMS = "manylinux_2_17_{0}.manylinux2014_{0}.musllinux_1_1_{0}"


class BinaryHook(BuildHookInterface):
    """The hook of pyproject.toml. `SIGNOFF_BINARY` is the path of the binary."""

    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        binary = os.environ["SIGNOFF_BINARY"]
        with open(binary, "rb") as file:
            head = file.read(20)
        if head[:4] != b"\x7fELF":
            raise ValueError(f"`{binary}` is not an ELF file")
        processor = TAGS[struct.unpack_from("<H", head, 18)[0]]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{SYSTEMS.format(processor)}"
        build_data["shared_scripts"][binary] = "signoff"
        stage = os.path.dirname(os.path.dirname(binary))
        repository = os.path.join(self.root, "..", "..")
        for folder, name in [
            (stage, "THIRD-PARTY-LICENCES.txt"),
            (repository, "LICENSE-MIT"),
            (repository, "LICENSE-APACHE"),
        ]:
            build_data["extra_metadata"][os.path.join(folder, name)] = name
