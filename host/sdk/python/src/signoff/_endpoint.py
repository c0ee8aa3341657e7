"""Where the server is, and what a connection must prove before a token is sent to it."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import socket
import ssl
import struct
import urllib.parse
from typing import Optional

from ._files import check_regular
from .errors import Invalid, Unavailable

UNIX_SCHEME = "unix:"
_TOKEN = re.compile(r"[!-~]{1,4096}\Z")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A parsed server address."""

    name: str
    """How messages call the server."""
    host: str
    port: int
    tls: bool
    base: str
    """The path before `/api/v1`, if a proxy adds one."""
    socket_path: Optional[str]
    authority: str
    """The value of the header `Host`."""

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Parses `http://…`, `https://…` and `unix:PATH`.

        Raises `Invalid` with `request-invalid`.
        """
        if url.startswith(UNIX_SCHEME):
            path = url[len(UNIX_SCHEME) :]
            if not path or "\0" in path:
                raise _malformed("expected a path after `unix:`")
            return cls(url, "localhost", 0, False, "", path, "localhost")
        if "@" in url:
            # Not quoted: the part before the `@` may be a password.
            raise _malformed("the address of a server must not contain `@`: pass a token instead")
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _malformed(f"`{url}` is not an address") from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise _malformed(f"`{url}` is not an http://, https:// or unix: address")
        if not re.fullmatch(r"[!-~]+", url):
            raise _malformed("the address of a server must be printable ASCII")
        tls = parts.scheme == "https"
        usual = 443 if tls else 80
        shown = f"[{host}]" if ":" in host else host
        authority = shown if port in (None, usual) else f"{shown}:{port}"
        return cls(url, host, port or usual, tls, parts.path.rstrip("/"), None, authority)

    def check_token(self, token: Optional[str], insecure_http: bool) -> None:
        """Refuses a malformed token, and one that would cross a network in plain text.

        Raises `Invalid` with `request-invalid`.
        """
        if token is None:
            return
        if not _TOKEN.match(token):
            raise _malformed("malformed token: expected printable ASCII characters")
        if not (self.tls or self.is_loopback or insecure_http):
            raise _malformed(
                f"a token to `{self.name}` would be sent in plain text: use https://, or "
                "insecure_http=True if the connection is encrypted otherwise"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether requests stay on this machine."""
        if self.socket_path is not None or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def tls_context(self, ca: Optional[str]) -> Optional[ssl.SSLContext]:
        """Returns the TLS settings: this machine's authorities, and those of the file `ca`.

        Raises `Invalid` with `request-invalid` if the file is not readable, or not a regular one.
        """
        if not self.tls:
            return None
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if ca is not None:
            try:
                check_regular(ca)
                context.load_verify_locations(cafile=ca)
            except (OSError, ssl.SSLError) as error:
                raise _malformed(f"certificate authorities in `{ca}`: {error}") from None
            # Lets a certificate of the file count that is no authority itself.
            context.verify_flags |= getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)
        return context

    def check_socket_file(self) -> None:
        """Refuses a socket file of another user, who would get the token.

        Raises `Unavailable`; `OSError` if there is no such file.
        """
        if self.socket_path is not None:
            _check_owner(os.stat(self.socket_path).st_uid, self.name)

    def check_peer(self, connected: socket.socket) -> None:
        """Refuses a socket whose server runs as another user. Checks before anything is sent.

        Raises `Unavailable`.
        """
        peer = getattr(socket, "SO_PEERCRED", None)
        if self.socket_path is not None and peer is not None:
            size = struct.calcsize("3i")
            _, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, peer, size))
            _check_owner(uid, self.name)


def _check_owner(uid: int, name: str) -> None:
    if uid not in (0, os.geteuid()):
        raise Unavailable("unreachable", f"the socket `{name}` belongs to another user")


def _malformed(why: str) -> Invalid:
    return Invalid("request-invalid", why)
