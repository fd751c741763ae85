"""Who may read the pages, and what a browser may do with them."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Response, abort, make_response, render_template, request

from bench.errors import InputError

#: a shorter token could be guessed
MIN_TOKEN_LENGTH = 16

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    # The report and the charts bring their styles with them.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
}
#: what a page of nobody's may be asked for with any cookie
_OPEN_TO_ALL = ("/style.css",)


@dataclass(frozen=True)
class Door:
    """Who is let in: whoever knows the token, or without one whoever is on this machine."""

    token: str | None = None
    #: port of the server, which keeps the cookies of two of them apart
    port: int = 0

    @property
    def cookie_name(self) -> str:
        """The cookie in which a browser keeps that it was let in."""
        return f"benchbeat_web_{self.port}"

    @property
    def cookie_value(self) -> str:
        """What stands in it: made of the token, which can't be had from it."""
        return hmac.new((self.token or "").encode(), b"benchbeat web", hashlib.sha256).hexdigest()

    def is_token(self, given: str) -> bool:
        """Whether this is the token, in a time that does not tell how much of it is right."""
        return self.token is not None and hmac.compare_digest(given.encode(errors="replace"), self.token.encode())

    def is_known(self, cookie: str) -> bool:
        """Whether this is the cookie of someone who was let in."""
        return hmac.compare_digest(cookie.encode(errors="replace"), self.cookie_value.encode())


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which no other machine reaches."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_token(host: str, token: str | None) -> None:
    """Raise InputError where the pages would stand open to others, or behind a token that can be guessed."""
    if token is None and not is_loopback(host):
        raise InputError(
            f"other machines reach {host}, so whoever reads needs a token; set BENCHBEAT_WEB_TOKEN to "
            f"{MIN_TOKEN_LENGTH} characters or more, or stay with 127.0.0.1",
            where="--host",
        )
    if token is not None and (len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable()):
        raise InputError(
            f"a token has {MIN_TOKEN_LENGTH} printable ASCII characters or more; "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(24))'` makes one",
            where="--token",
        )


def guard(app: Flask, door: Door) -> None:
    """Let the application answer those only who may read, and tell browsers to do nothing but show."""

    @app.before_request
    def _look() -> Response | None:
        if request.method not in ("GET", "HEAD"):
            abort(405)
        if (
            request.headers.get("Sec-Fetch-Site") == "cross-site"
            and request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            abort(403, "Another site's page may not read these")
        if door.token is None:
            _check_host()
            return None
        return _check_who(door)

    @app.after_request
    def _tell(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _check_host() -> None:
    """Refuse a name that only pretends to be this machine's: a page elsewhere could read through it."""
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        name = None
    if name is None or not is_loopback(name):
        abort(421, "These pages are asked for as 127.0.0.1 or localhost only")


def _check_who(door: Door) -> Response | None:
    given = request.args.get("token")
    if given is not None and door.is_token(given):
        # A redirect would not carry the cookie where another site led here; a page that goes on by itself does.
        response = make_response(render_template("entered.html", target=_without_token()))
        response.set_cookie(
            door.cookie_name, door.cookie_value, httponly=True, samesite="Strict", secure=request.is_secure
        )
        return response
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and door.is_token(bearer.strip()):
        return None
    if door.is_known(request.cookies.get(door.cookie_name, "")) or request.path in _OPEN_TO_ALL:
        return None
    response = make_response(render_template("locked.html", is_wrong=given is not None), 401)
    response.headers["WWW-Authenticate"] = 'Bearer realm="benchbeat"'
    return response


def _without_token() -> str:
    """Return the address that was asked for, on this server whatever stands in it, without the token."""
    from urllib.parse import quote, urlencode

    pairs = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
    path = "/" + quote(request.path).lstrip("/\\")
    return f"{path}?{urlencode(pairs)}" if pairs else path
