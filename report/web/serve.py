"""Serving the pages until Ctrl-C."""

import errno
import socket
import sys
from collections.abc import Callable
from dataclasses import replace

from bench.errors import InputError
from report.web.app import Site, make_app
from report.web.guard import check_token

#: requests that are answered at once
THREADS = 8
_MAX_HEADER_BYTES = 64 << 10
#: how long the thread that makes the report may keep Python's lock while a page waits for it, which SQLite lets go with
#: every row: at Python's own 5 ms a page of fifty rows would wait a quarter of a second
_SWITCH_SECONDS = 0.0005


def serve(site: Site, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer at a host and a port (0 takes a free one) until SystemExit; `ready` is told the address.

    Raises InputError where the port is taken, or where the pages would stand open to other machines.
    """
    import waitress

    check_token(host, site.door.token)
    sys.setswitchinterval(_SWITCH_SECONDS)
    with _bound(host, port) as listener:
        bound_port: int = listener.getsockname()[1]
        app = make_app(replace(site, door=replace(site.door, port=bound_port)))
        server = waitress.create_server(
            app,
            sockets=[listener],
            threads=THREADS,
            ident="",
            max_request_header_size=_MAX_HEADER_BYTES,
            max_request_body_size=1,
            channel_timeout=60,
        )
        ready(f"http://{f'[{host}]' if ':' in host else host}:{bound_port}/")
        server.run()


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise InputError(f"{host!r} is no address of this machine; 127.0.0.1 is", where="--host") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _explained(error, host, port) from None
    return listener


def _explained(error: OSError, host: str, port: int) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError(f"port {port} is taken; choose another one, or 0 for any that is free", where="--port")
    if error.errno == errno.EACCES:
        return InputError(f"this user may not use port {port}; choose one from 1024 on", where="--port")
    return InputError(f"{host} can't be served ({error.strerror}); 127.0.0.1 can", where="--host")
