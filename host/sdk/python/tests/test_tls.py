"""TLS: only servers that this machine or the given file vouches for get a token."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
import ssl
import subprocess
import threading
from typing import Iterator

import pytest
from fake import APPROVAL, Fake, approval, reply

import signoff

ID = str(APPROVAL["id"])


class TlsFake(Fake):
    """A fake server with a certificate of its own for 127.0.0.1."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__()
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=test"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.url = f"https://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._start, args=(plain,), daemon=True).start()

    def _start(self, plain: object) -> None:
        try:
            self._serve(self.context.wrap_socket(plain, server_side=True))  # type: ignore[arg-type]
        except (OSError, ssl.SSLError):
            plain.close()  # type: ignore[attr-defined]


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[TlsFake]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificate")
    server = TlsFake(tmp_path)
    server.answers.append(reply(approval()))
    with server:
        yield server


async def get(url: str, ca: str) -> signoff.Approval:
    async with signoff.AsyncClient(url, "secret", ca=ca or None, timeout=5) as client:
        return await client.get(ID)


def test_server_with_a_certificate_of_the_file(server: TlsFake) -> None:
    ca = str(server.certificate)
    with signoff.Client(server.url, "secret", ca=ca) as client:
        for _ in range(2):
            assert client.get(ID).id == ID
    assert asyncio.run(get(server.url, ca)).id == ID


@pytest.mark.parametrize("case", ["unknown authority", "another name"])
def test_other_servers_get_nothing(server: TlsFake, case: str) -> None:
    ca = "" if case == "unknown authority" else str(server.certificate)
    url = server.url.replace("127.0.0.1", "localhost") if ca else server.url
    with pytest.raises(signoff.Unavailable, match="certificate"):
        signoff.Client(url, "secret", ca=ca or None, timeout=5).get(ID)
    with pytest.raises(signoff.Unavailable, match="certificate"):
        asyncio.run(get(url, ca))
    assert not server.requests


def test_server_without_tls_gets_nothing(fake: Fake) -> None:
    fake.answers.append(reply(approval()))
    with pytest.raises(signoff.Unavailable):
        signoff.Client(fake.url.replace("http:", "https:"), "secret", timeout=0.5).get(ID)
    assert not fake.requests
