"""Certificates by deploy/tls/make-certificates.sh, and an end of TLS for servers that were built without."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.commands import ROOT

_SCRIPT = ROOT / "deploy" / "tls" / "make-certificates.sh"
#: how a client of PostgreSQL asks for TLS before it speaks it
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def make_certificates(folder: Path, *names: str) -> Path:
    """Make an authority and certificates for these names in a folder; skips the test where openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make certificates with")
    folder.mkdir(exist_ok=True)
    environment = {"PATH": str(Path(shutil.which("openssl") or "").parent) + ":/usr/bin:/bin", "FOLDER": str(folder)}
    done = subprocess.run(["sh", _SCRIPT, *names], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@contextmanager
def tls_end(server_port: int, certificates: Path, service: str) -> Iterator[int]:
    """Speak TLS for a server on 127.0.0.1 that can't; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{service}.crt", certificates / f"{service}.key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                Thread(target=_serve_one, args=(client, context, server_port), daemon=True).start()

    Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()


def _serve_one(client: socket.socket, context: ssl.SSLContext, server_port: int) -> None:
    with suppress(OSError), client:
        if client.recv(8, socket.MSG_PEEK) == _SSL_REQUEST:
            client.recv(8)
            client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as secure,
            socket.create_connection(("127.0.0.1", server_port)) as server,
        ):
            Thread(target=_pass_on, args=(server, secure), daemon=True).start()
            _pass_on(secure, server)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
