"""The broker: which Redis carries the rings, whether it can be reached, and how to name it without its password."""

import re
import uuid
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from bench.errors import UnavailableError
from scheduler.redis_server import Embedded, ensure_embedded, find_embedded, find_server_binary, stop_embedded

__all__ = [
    "Embedded",
    "broker_url",
    "check_broker",
    "check_taker",
    "ensure_embedded",
    "find_embedded",
    "find_server_binary",
    "safe_url",
    "split_tls",
    "stop_embedded",
]

#: How long `check_broker` waits for one answer, and for all of it (name look-up included), in seconds.
ANSWER_SECONDS = 2.0
CHECK_SECONDS = 3.0

_SCHEMES = ("redis", "rediss")
_SECRET_WORDS = ("pass", "pwd", "secret", "token")
_START = "Start one with `redis-server`, or unset BENCHBEAT_BROKER_URL to use the embedded one."
_CORRECT = "Correct BENCHBEAT_BROKER_URL, or unset it to use the embedded one."


def broker_url(home: Path, configured: str | None) -> str:
    """Return the URL of the broker: the configured one, else that of the home's embedded Redis, started if needed.

    Raises UnavailableError if the embedded Redis can't be had; the configured one is not looked at.
    """
    return configured or ensure_embedded(home)


def check_broker(url: str) -> None:
    """Make sure, in 3 s at most, that the Redis at `url` answers and lets us in.

    Raises UnavailableError with the reason and with the URL without its password.
    """
    name = safe_url(url)
    if url.partition("://")[0] not in _SCHEMES:
        raise UnavailableError(f"The broker {name} isn't a Redis: write it as redis:// or rediss://. {_CORRECT}")
    # In a thread, since no time limit can be set on looking up a host's name.
    outcome: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=lambda: outcome.put(_trouble(url, name)), daemon=True).start()
    try:
        trouble = outcome.get(timeout=CHECK_SECONDS)
    except Empty:
        trouble = _unreachable(name, f"no answer within {CHECK_SECONDS:g} s")
    if trouble:
        raise UnavailableError(trouble)


def check_taker(url: str) -> None:
    """Make sure that the Redis at `url`, which answers, lets us take rings, which a submitter's login may not.

    Raises UnavailableError.
    """
    from redis import Redis
    from redis.exceptions import NoPermissionError, RedisError

    name = safe_url(url)
    try:
        with closing(Redis.from_url(url, protocol=2, socket_timeout=ANSWER_SECONDS)) as client:
            client.hget("unacked", "nothing")
            client.delete(f"batch.0.{uuid.uuid4().hex}")
    except NoPermissionError as error:
        raise UnavailableError(
            f"Redis at {name} lets this login not take jobs ({str(error).rstrip('.')}). "
            "A worker needs the user `worker` of docs/machines.md in BENCHBEAT_BROKER_URL."
        ) from None
    except RedisError as error:
        raise UnavailableError(_unreachable(name, _cause(error))) from None


def safe_url(url: str) -> str:
    """Return the URL of a broker or a database without its passwords, also those among its query parameters.

    A URL that is written so badly that its password can't be told from the rest is cut after the scheme.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return "***"
    try:
        parts = urlsplit(url)
        login, at, host = parts.netloc.rpartition("@")
        query = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not is_secret_parameter(k, v)]
    except ValueError:
        return f"{scheme}://***"
    # A password with a bare / ? or # in it ends up behind the host; one without a host ends up in its place.
    rest = parts.path + parts.query + parts.fragment
    if parts.netloc and ("@" in rest or (not at and not _is_host(host))):
        return f"{scheme}://***"
    # The user of a Redis says little, and is often a password that lacks its colon.
    user = "" if scheme in _SCHEMES else login.partition(":")[0]
    return (
        f"{scheme}://{user}{'@' if user else ''}{host}{parts.path}{'?' if query else ''}{urlencode(query, safe='/:')}"
    )


def split_tls(url: str) -> tuple[str, dict[str, Any] | None]:
    """Return a broker's URL without its TLS options, and these as redis-py takes them; None for a broker without TLS.

    For kombu, which reads some of them in another way than redis-py and checks no certificate where there are none.
    Raises UnavailableError for a URL that can't be read.
    """
    if not url.startswith("rediss://"):
        return url, None
    from redis import ConnectionPool

    try:
        read = ConnectionPool.from_url(url).connection_kwargs
        options = {name: value for name, value in read.items() if name.startswith("ssl_")}
    except ValueError:  # its message may quote the password
        raise UnavailableError(f"The broker's URL {safe_url(url)} can't be read. {_CORRECT}") from None
    plain, _, query = url.partition("?")
    rest = [(name, value) for name, value in parse_qsl(query) if not name.startswith("ssl_")]
    return plain + (f"?{urlencode(rest)}" if rest else ""), {"ssl_cert_reqs": "required"} | options


def is_secret_parameter(name: str, value: str) -> bool:
    """Return whether a query parameter is, or holds in its value (as libpq's options may), a password."""
    text = f"{name}{value if '=' in value else ''}".lower()
    return any(word in text for word in _SECRET_WORDS)


def _trouble(url: str, name: str) -> str | None:
    """Return the sentences that say why the Redis at `url`, called `name`, can't be used, or None if it can."""
    from ssl import SSLCertVerificationError

    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError, RedisError, TimeoutError
    from redis.retry import Retry

    limits = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    try:
        parts = urlsplit(url)
        if not re.fullmatch(r"/?\d*", parts.path):  # Celery refuses it, redis-py would take database 0
            return f"The broker {name} names no database: its path must be a number, like /0. {_CORRECT}"
        with closing(Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0), **limits)) as client:
            client.ping()
    except AuthenticationError as error:
        return _refused(name, "it asks for a password" if parts.password is None else f"wrong password: {error}")
    except NoPermissionError as error:
        return _refused(name, str(error))
    except TimeoutError:
        hint = "; does it speak TLS?" if parts.scheme == "rediss" else ""
        return _unreachable(name, f"no answer within {ANSWER_SECONDS:g} s{hint}")
    except InvalidResponse:
        return _unreachable(name, "what answers there isn't a Redis")
    except RedisError as error:
        cause = error.__context__
        if isinstance(cause, SSLCertVerificationError):
            return _untrusted(name, cause.verify_message)
        if isinstance(cause, FileNotFoundError | PermissionError):
            return f"The broker's URL {name} names a file that can't be used ({cause.strerror}). {_CORRECT}"
        return _unreachable(name, _cause(error))
    except (ValueError, TypeError):  # their messages may quote the password
        return f"The broker's URL {name} can't be read. {_CORRECT}"
    return None


def _refused(name: str, reason: str) -> str:
    return f"Redis at {name} refuses access ({reason.rstrip('.')}). {_CORRECT}"


def _untrusted(name: str, reason: str) -> str:
    return (
        f"The certificate of Redis at {name} isn't trusted ({reason.rstrip('.')}). Name the file of its authority in "
        "BENCHBEAT_BROKER_URL (?ssl_ca_certs=FILE), and the host by a name that stands in the certificate."
    )


def _unreachable(name: str, reason: str) -> str:
    return f"Redis at {name} can't be reached ({reason}). {_START}"


def _cause(error: Exception) -> str:
    """Return the system's own words for the failure ("Connection refused") where it has any."""
    cause = error.__context__
    return (isinstance(cause, OSError) and cause.strerror) or str(error).rstrip(".")


def _is_host(netloc: str) -> bool:
    """Return whether `netloc` reads HOST or HOST:PORT."""
    try:
        parts = urlsplit(f"//{netloc}")
        return bool(parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError:
        return False
