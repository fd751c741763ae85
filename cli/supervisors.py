"""The systems' own supervisors: launchd on macOS, systemd's user instance on Linux."""

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.errors import InputError, UnavailableError
from cli.service_files import (
    Service,
    environment_file,
    environment_text,
    launchd_home,
    launchd_text,
    systemd_home,
    systemd_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALL_SECONDS = 60.0
#: launchd takes a service down in the background, and refuses to start it meanwhile
_GONE_SECONDS = 40.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class ServiceState:
    """How an installed service is."""

    #: `running`, `stopped`, `not loaded`, or `unknown` with the reason
    state: str
    pid: int | None = None
    #: of the last time it ended; None where it never did
    last_exit: int | None = None


class Supervisor(Protocol):
    """Runs services from files of its own."""

    #: where a log is that the service itself could not write
    early_log: str

    def file(self, kind: str) -> Path:
        """Return the file of a service."""

    def text(self, service: Service) -> str:
        """Return what stands in that file."""

    def home_in(self, text: str) -> Path | None:
        """Return the home of the service that such a file describes."""

    def start(self, kind: str) -> None:
        """Take the file as it is now and run it, now and at every login. Raises UnavailableError."""

    def stop(self, kind: str) -> None:
        """End a service and forget it; nothing where it is unknown. Raises UnavailableError."""

    def forget(self, kind: str) -> None:
        """Notice that the file is gone."""

    def state(self, kind: str) -> ServiceState:
        """Say how an installed service is."""

    def hint(self) -> str | None:
        """Say what else it takes for the service to run without anybody logged in; None for nothing."""


def supervisor() -> Supervisor:
    """Return this system's supervisor. Raises UnavailableError where none is known."""
    system = platform.system()
    if system == "Darwin":
        return Launchd()
    if system == "Linux":
        return Systemd()
    raise UnavailableError(
        f"Services are installed with launchd on macOS and systemd on Linux, and this is {system or 'unknown'}; "
        "let a supervisor of your own run `benchbeat worker`"
    )


class Launchd:
    """launchd: agents of the user who is logged in at the screen."""

    early_log = "the .err file beside the log"

    def __init__(self) -> None:
        self._domain = f"gui/{os.getuid()}"

    def file(self, kind: str) -> Path:
        """Return the agent's property list."""
        return Path.home() / "Library" / "LaunchAgents" / f"{_label(kind)}.plist"

    def text(self, service: Service) -> str:
        """Return the property list."""
        return launchd_text(service, _label(service.kind))

    def home_in(self, text: str) -> Path | None:
        """Return the home in a property list."""
        return launchd_home(text)

    def start(self, kind: str) -> None:
        """Load the agent, which starts it; a loaded one is unloaded before."""
        self.stop(kind)
        # An agent that was once disabled would be loaded and never run.
        _call("launchctl", "enable", self._target(kind))
        hint = "is anybody logged in at its screen? An agent belongs to that session"
        _call("launchctl", "bootstrap", self._domain, str(self.file(kind)), hint=hint)

    def stop(self, kind: str) -> None:
        """Unload the agent, which ends it, and wait until launchd has forgotten it."""
        if not self._is_loaded(kind):
            return
        done = _run("launchctl", "bootout", self._target(kind))
        deadline = time.monotonic() + _GONE_SECONDS
        while self._is_loaded(kind):
            if time.monotonic() > deadline:
                raise UnavailableError(f"launchctl bootout {self._target(kind)} failed: {_said(done)}")
            time.sleep(_POLL_SECONDS)

    def forget(self, kind: str) -> None:
        """launchd reads the folder at login only."""

    def state(self, kind: str) -> ServiceState:
        """Read what `launchctl print` says."""
        try:
            done = _run("launchctl", "print", self._target(kind))
        except UnavailableError as error:
            return ServiceState(f"unknown ({error})")
        if done.returncode:
            return ServiceState("not loaded")
        pid, last_exit = (
            _number(r"^\s+pid = (\d+)$", done.stdout),
            _number(r"^\s+last exit code = (-?\d+)", done.stdout),
        )
        return ServiceState("running" if pid else "stopped", pid, last_exit)

    def hint(self) -> str | None:
        """An agent needs a login."""
        return "It starts at every login; docs/service.md says how a Mac logs in by itself and stays awake."

    def _is_loaded(self, kind: str) -> bool:
        return _run("launchctl", "print", self._target(kind)).returncode == 0

    def _target(self, kind: str) -> str:
        return f"{self._domain}/{_label(kind)}"


class Systemd:
    """systemd's instance for this user."""

    early_log = "`journalctl --user`"

    def file(self, kind: str) -> Path:
        """Return the unit file."""
        configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(configuration) / "systemd" / "user" / _unit(kind)

    def text(self, service: Service) -> str:
        """Return the unit."""
        return systemd_text(service)

    def home_in(self, text: str) -> Path | None:
        """Return the home in a unit."""
        return systemd_home(text)

    def start(self, kind: str) -> None:
        """Read the unit, enable it and start it anew."""
        hint = "does your login have a systemd of its own, as one by ssh or at the console has?"
        _call("systemctl", "--user", "daemon-reload", hint=hint)
        _call("systemctl", "--user", "enable", _unit(kind))
        _call("systemctl", "--user", "restart", _unit(kind))

    def stop(self, kind: str) -> None:
        """Stop and disable the unit."""
        done = _run("systemctl", "--user", "disable", "--now", _unit(kind))
        if done.returncode and not re.search(r"(does not exist|not loaded)", done.stderr):
            raise UnavailableError(f"systemctl --user disable --now {_unit(kind)} failed: {_said(done)}")

    def forget(self, kind: str) -> None:
        """Notice that the unit is gone."""
        _run("systemctl", "--user", "daemon-reload")
        _run("systemctl", "--user", "reset-failed", _unit(kind))

    def state(self, kind: str) -> ServiceState:
        """Read the unit's properties."""
        wanted = "--property=LoadState,ActiveState,SubState,MainPID,ExecMainStatus,ExecMainExitTimestampMonotonic"
        try:
            done = _run("systemctl", "--user", "show", _unit(kind), wanted)
        except UnavailableError as error:
            return ServiceState(f"unknown ({error})")
        if done.returncode:
            return ServiceState(f"unknown ({_said(done)})")
        found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        if found.get("LoadState") != "loaded":
            return ServiceState("not loaded")
        running = found.get("ActiveState") == "active"
        ended = found.get("ExecMainExitTimestampMonotonic", "0") not in ("", "0")
        return ServiceState(
            "running" if running else "stopped",
            int(found.get("MainPID") or 0) or None,
            int(found.get("ExecMainStatus") or 0) if ended else None,
        )

    def hint(self) -> str | None:
        """Without lingering, the user's services end with the last login."""
        with suppress(UnavailableError):
            if "Linger=yes" in _run("loginctl", "show-user", str(os.getuid()), "--property=Linger").stdout:
                return None
        return "It ends when you log out; `loginctl enable-linger` lets it run from the start of the machine on."


def install(system: Supervisor, service: Service, kept: Mapping[str, str]) -> None:
    """Write a service's files and run it; where that fails, put everything back and raise what it failed of."""
    file = system.file(service.kind)
    before = _read(file)
    if before is not None and (other := system.home_in(before)) not in (None, service.home):
        raise InputError(
            f"the {service.kind} of the home {other} is installed; remove it first with "
            f"`benchbeat --home {other} service uninstall {service.kind}`"
        )
    if re.search(r"[\0-\x1f]", str(service.home)):
        raise InputError("a service's home can't have control characters in its name", where=repr(str(service.home)))
    private, text = environment_text(kept), system.text(service)
    # The folder of the logs too: launchd makes none.
    (service.home / "logs").mkdir(parents=True, exist_ok=True)
    try:
        with _kept_if_it_fails(service.environment_file), _kept_if_it_fails(file):
            write_atomically(service.environment_file, private, 0o600)
            write_atomically(file, text, 0o644)
            _start(system, service.kind)
    except BaseException:
        _remove_if_empty(service.environment_file.parent)
        with suppress(UnavailableError):
            system.forget(service.kind) if before is None else system.start(service.kind)
        raise


def uninstall(system: Supervisor, home: Path, kind: str) -> bool:
    """End a service of this home and remove its files. Returns False where it was not installed."""
    file = system.file(kind)
    text = _read(file)
    if text is not None and (other := system.home_in(text)) not in (None, home):
        raise InputError(f"the {kind} that is installed belongs to another home: give --home {other}")
    private = environment_file(home, kind)
    if text is None and not private.exists():
        return False
    if text is not None:
        system.stop(kind)
        file.unlink(missing_ok=True)
        system.forget(kind)
    private.unlink(missing_ok=True)
    _remove_if_empty(private.parent)
    return True


def write_atomically(file: Path, text: str, mode: int) -> None:
    """Write a file so that it is there whole or not at all, readable by those of `mode` from its first moment."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _start(system: Supervisor, kind: str) -> None:
    try:
        system.start(kind)
    except BaseException:
        with suppress(UnavailableError):
            system.stop(kind)
        raise


@contextmanager
def _kept_if_it_fails(file: Path) -> "Iterator[None]":
    before = _read(file)
    mode = file.stat().st_mode & 0o777 if before is not None else 0
    try:
        yield
    except BaseException:
        if before is None:
            file.unlink(missing_ok=True)
        else:
            write_atomically(file, before, mode)
        raise


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # where others use it
        folder.rmdir()


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def _label(kind: str) -> str:
    return f"io.benchbeat.{kind}"


def _unit(kind: str) -> str:
    return f"benchbeat-{kind}.service"


def _call(*command: str, hint: str = "") -> None:
    """Run a command. Raises UnavailableError with its last line."""
    done = _run(*command)
    if done.returncode:
        raise UnavailableError(f"{' '.join(command)} failed: {_said(done)}" + (f"; {hint}" if hint else ""))


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"There is no {command[0]} on this machine, and services are installed with it")
    try:
        return subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{' '.join(command)} did not end within {_CALL_SECONDS:g} s") from None


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1].rstrip(".") if lines else f"exit code {done.returncode}"


def _number(pattern: str, text: str) -> int | None:
    match = re.search(pattern, text, re.MULTILINE)
    return int(match[1]) if match else None
