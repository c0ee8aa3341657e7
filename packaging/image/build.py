"""Makes a container image of the static binary, without a container engine or a registry.

The image is an OCI image layout in a tar file: `podman load`, `docker load` and
`skopeo copy oci-archive:FILE …` read it. It has one layer: the binary, certificate authorities, a user,
and an empty `/data`. `--rootfs` is that layer by itself, for `packaging/image/Dockerfile`. The same
arguments and files give the same bytes.
"""

import argparse
import datetime
import hashlib
import io
import json
import pathlib
import stat
import struct
import tarfile

# Like the user `nonroot` of other minimal images.
USER = 65532
PROCESSORS = {62: "amd64", 183: "arm64"}
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
CONFIG = {
    "User": f"{USER}:{USER}",
    "Env": [
        "PATH=/usr/bin",
        "SIGNOFF_STORE=/data/signoff.redb",
        "SIGNOFF_CACHE_DIR=/data/cache",
    ],
    "Entrypoint": ["/usr/bin/signoff"],
    "Cmd": ["serve"],
    "WorkingDir": "/data",
    "Volumes": {"/data": {}},
    "ExposedPorts": {"8787/tcp": {}},
    # Not in the specification; container engines read it nevertheless.
    "Healthcheck": {
        "Test": ["CMD", "/usr/bin/signoff", "ready", "--server", "http://127.0.0.1:8787"],
        "Interval": 30 * 10**9,
        "Timeout": 10 * 10**9,
        "StartPeriod": 60 * 10**9,
    },
    "StopSignal": "SIGTERM",
}


class Tar:
    """A tar file whose members have one time and come in the order of the calls."""

    def __init__(self, time):
        self.time = time
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.USTAR_FORMAT)

    def folder(self, name, mode=0o755, user=0):
        self._add(name, mode, user, tarfile.DIRTYPE, b"")

    def file(self, name, content, mode=0o644):
        self._add(name, mode, 0, tarfile.REGTYPE, content)

    def _add(self, name, mode, user, kind, content):
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.mtime = kind, mode, self.time
        member.uid = member.gid = user
        member.size = len(content)
        self.tar.addfile(member, io.BytesIO(content))

    def close(self):
        self.tar.close()
        return self.bytes.getvalue()


def processor(binary):
    """The processor of a static ELF binary. A dynamic one would not start: there is no loader."""
    if binary[:6] != b"\x7fELF\x02\x01":
        raise SystemExit("the binary is not a 64-bit little-endian ELF file")
    machine = struct.unpack_from("<H", binary, 18)[0]
    offset, size, count = (struct.unpack_from("<Q", binary, 32) + struct.unpack_from("<HH", binary, 54))
    kinds = {struct.unpack_from("<I", binary, offset + i * size)[0] for i in range(count)}
    if 3 in kinds:  # PT_INTERP
        raise SystemExit("the binary is not static: it names a loader")
    if machine not in PROCESSORS:
        raise SystemExit(f"the binary is for an unknown processor ({machine})")
    return PROCESSORS[machine]


def layer(arguments, binary):
    tar = Tar(arguments.time)
    tar.folder("data", 0o700, USER)
    for name in ["etc", "etc/ssl", "etc/ssl/certs"]:
        tar.folder(name)
    tar.file("etc/group", f"root:x:0:\nsignoff:x:{USER}:\n".encode())
    users = f"root:x:0:0:root:/:/sbin/nologin\nsignoff:x:{USER}:{USER}:signoff:/data:/sbin/nologin\n"
    tar.file("etc/passwd", users.encode())
    tar.file(AUTHORITIES[1:], arguments.authorities.read_bytes())
    tar.folder("tmp", 0o1777)
    for name in ["usr", "usr/bin"]:
        tar.folder(name)
    tar.file("usr/bin/signoff", binary, 0o755)
    for name in ["usr/share", "usr/share/doc", "usr/share/doc/signoff"]:
        tar.folder(name)
    for path in sorted(arguments.licences, key=lambda path: path.name):
        tar.file(f"usr/share/doc/signoff/{path.name}", path.read_bytes())
    return tar.close()


def image(arguments, binary, rootfs):
    """An OCI image layout: blobs named by their digests, and an index that names the manifest."""
    blobs = {}

    def blob(kind, content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def text(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    created = datetime.datetime.fromtimestamp(arguments.time, datetime.timezone.utc)
    created = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {
        "org.opencontainers.image.title": "signoff",
        "org.opencontainers.image.version": arguments.version,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        "org.opencontainers.image.created": created,
    }
    # Not compressed: what compresses it differs between machines, and registries do it again.
    packed = blob("application/vnd.oci.image.layer.v1.tar", rootfs)
    platform = {"architecture": processor(binary), "os": "linux"}
    config = {
        **platform,
        "created": created,
        "config": {**CONFIG, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [packed["digest"]]},
        "history": [{"created": created, "created_by": "packaging/image/build.py"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("application/vnd.oci.image.config.v1+json", text(config)),
        "layers": [packed],
        "annotations": labels,
    }
    named = blob(manifest["mediaType"], text(manifest))
    named["platform"] = platform
    named["annotations"] = {
        "org.opencontainers.image.ref.name": arguments.version,
        "io.containerd.image.name": f"localhost/signoff:{arguments.version}",
    }
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [named],
    }
    tar = Tar(arguments.time)
    tar.folder("blobs")
    tar.folder("blobs/sha256")
    for digest in sorted(blobs):
        tar.file(f"blobs/sha256/{digest}", blobs[digest])
    tar.file("index.json", text(index))
    tar.file("oci-layout", text({"imageLayoutVersion": "1.0.0"}))
    return tar.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = pathlib.Path
    parser.add_argument("--binary", type=path, required=True, help="a static signoff")
    parser.add_argument("--version", required=True)
    parser.add_argument("--time", type=int, required=True, help="of all files, in seconds since 1970")
    parser.add_argument("--authorities", type=path, default=path(AUTHORITIES), help="a PEM file")
    parser.add_argument("--licences", type=path, nargs="*", default=[], help="files for the image")
    parser.add_argument("--rootfs", type=path, help="write the layer to this file")
    parser.add_argument("--image", type=path, help="write the image to this file")
    arguments = parser.parse_args()
    binary = arguments.binary.read_bytes()
    if not arguments.binary.stat().st_mode & stat.S_IXUSR:
        raise SystemExit(f"`{arguments.binary}` is not executable")
    processor(binary)
    rootfs = layer(arguments, binary)
    if arguments.rootfs:
        arguments.rootfs.write_bytes(rootfs)
    if arguments.image:
        arguments.image.write_bytes(image(arguments, binary, rootfs))


if __name__ == "__main__":
    main()
