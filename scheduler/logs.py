"""The services' logs: text or JSON lines that say which job they are about, and never a password.

Passwords are taken out when a line is written, so that it does not matter who logs it: also tracebacks and the lines
of libraries pass through here.
"""

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl, quote, unquote

from db.reader_role import reader_password
from db.settings import URL_VARIABLES, Settings
from scheduler.broker import is_secret_parameter, safe_url

#: a log file of this size is set aside as .1, the one before as .2 ..., and so many of them are kept
LOG_BYTES = 10 * 2**20
LOG_FILES = 5

#: what a line may say it is about, in the order of a JSON line
FIELDS = ("machine", "worker", "batch", "job", "attempt")

#: variables whose whole value is a secret
SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "BENCHBEAT_WEB_TOKEN")

_HIDDEN = "***"
#: a shorter password is taken out of URLs only: everywhere else it would make the log unreadable
_SHORTEST = 4
_URL = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+""")
_ASSIGNED = re.compile(r"""(?i)\b((?:pg)?pass(?:word|wd)?|pwd|secret|(?:hf_)?token)=('[^']*'|"[^"]*"|[^\s,;&'")]+)""")
_PASSWORDS = (re.compile(r"[^:/]+://[^:@/]*:([^@]*)@"), re.compile(r"[^:/]+://[^:@/]*:(.*)@"))
_LOGIN = re.compile(r"rediss?://([^:@/]*)@")
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")

_P = ParamSpec("_P")
_T = TypeVar("_T")

_context: ContextVar[Mapping[str, Any]] = ContextVar("benchbeat_log", default=MappingProxyType({}))


class Redactor:
    """Takes passwords out of a text: known ones wherever they stand, unknown ones out of URLs and `password=...`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """Return the text with *** in the place of every password."""
        if self._known is not None:
            text = self._known.sub(_HIDDEN, text)
        text = _URL.sub(_without_password, text)
        text = _ASSIGNED.sub(rf"\1={_HIDDEN}", text)
        return _HUB_TOKEN.sub(_HIDDEN, text)


def redactor(settings: Settings | None = None, environment: Mapping[str, str] | None = None) -> Redactor:
    """Return what takes out the passwords of the settings and the tokens of the environment (default: this one's)."""
    environment = os.environ if environment is None else environment
    secrets = {environment[name] for name in SECRET_VARIABLES if name in environment}
    urls = [url for name in sorted(URL_VARIABLES) for url in environment.get(name, "").split()]
    if settings is not None:
        urls += [url for url in (settings.database, settings.broker, settings.reader) if url]
    for url in urls:
        secrets |= _secrets_of_url(url)
    if settings is not None:
        derived = None if settings.database.startswith("sqlite") else reader_password(settings.database)
        secrets |= {derived} if derived else set()
        # A chat's token stands anywhere in its target.
        secrets |= {target.partition("://")[2] or target for target in (settings.alerts or "").split()}
    return Redactor(secrets)


@contextmanager
def log_context(**fields: int | str) -> Iterator[None]:
    """Say with every line that this thread logs inside what it is about: `job`, `batch`, `attempt`."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def with_log_context(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a function that, in whatever thread it runs, logs with the context of this moment."""
    return partial(copy_context().run, function)


def name_process(**fields: int | str) -> None:
    """Say with every later line of this process, whatever the thread, who writes it: `machine`, `worker`."""
    for formatter in _our_formatters():
        formatter.process_fields = {**formatter.process_fields, **fields}


def set_up_logging(settings: Settings, *, verbose: bool = False, file: Path | None = None) -> None:
    """Let this process log, in the settings' format, to standard error or to a file that is set aside by its size.

    Raises OSError where the file can't be written. Called again, it replaces what it did before.
    """
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler()
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", errors="backslashreplace"
        )
    kind = JsonFormatter if settings.log_format == "json" else TextFormatter
    handler.setFormatter(kind(redactor(settings)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, TextFormatter | JsonFormatter):
            root.removeHandler(old)
            old.close()
    root.addHandler(handler)
    logging.getLogger("benchbeat").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread
    _keep_celery_from_logging_itself()


class TextFormatter(logging.Formatter):
    """A line of text, with local time; a traceback follows on lines of its own."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
        self.process_fields: dict[str, int | str] = {}
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text without passwords."""
        return self._redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """An object a line: time (RFC 3339, UTC), level, logger, message, what it is about, exception."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self.process_fields: dict[str, int | str] = {}
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON without passwords."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        said = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}  # `extra` of the call
        about = {**self.process_fields, **_context.get(), **said}
        line |= {name: about[name] for name in FIELDS if name in about}
        details = [self.formatException(record.exc_info)] if record.exc_info else []
        details += [self.formatStack(record.stack_info)] if record.stack_info else []
        if details:
            line["exception"] = self._redact("\n".join(details))
        # Whatever a message holds, a line break among it, ends as one line.
        return json.dumps(line, ensure_ascii=False)


def _our_formatters() -> Iterator[TextFormatter | JsonFormatter]:
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, TextFormatter | JsonFormatter):
            yield handler.formatter


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit or ended.exc_value is None:
        return
    name = ended.thread.name if ended.thread else "?"
    trace = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    logging.getLogger("benchbeat").critical("the thread %s ended by an error", name, exc_info=trace)


def _keep_celery_from_logging_itself() -> None:
    """Who answers this signal has set up logging; else Celery gives some of its loggers handlers of their own."""
    from celery.signals import setup_logging

    setup_logging.connect(_logging_is_set_up, weak=False)


def _logging_is_set_up(**_: Any) -> None:
    """Let Celery's loggers write through ours."""


def _secrets_of_url(url: str) -> set[str]:
    """Return the passwords in a URL, as they stand there and as they are meant."""
    # Whether a password may hold a bare @ is for whoever reads the URL to decide: to the first one, and to the last.
    found = [match[1] for pattern in _PASSWORDS if (match := pattern.match(url))]
    if not found and (login := _LOGIN.match(url)):  # in a Redis's URL, often a password that lacks its colon
        found = [login[1]]
    found += [value for name, value in parse_qsl(url.partition("?")[2]) if is_secret_parameter(name, value)]
    return {each for secret in found if secret for each in (secret, unquote(secret))}


def _forms(secret: str) -> set[str]:
    """Return how a secret may be spelt: as it is, in a URL, in Python's and in JSON's quotes."""
    quoted = {secret, quote(secret), quote(secret, safe="")}
    return quoted | {repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}


def _without_password(match: re.Match[str]) -> str:
    url = match[0].rstrip(".,;:)]}")
    if "@" not in url and not any(is_secret_parameter(*pair) for pair in parse_qsl(url.partition("?")[2])):
        return match[0]
    return safe_url(url) + match[0][len(url) :]
