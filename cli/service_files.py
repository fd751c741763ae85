"""What a service consists of on disk: its description for launchd or systemd, and a private file of its environment.

Neither launchd nor a command line can keep a secret (`launchctl print` and `ps` show what they hold), so the service
reads its environment from the file itself, on both systems.
"""

import os
import plistlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import InputError
from worker.facts import LAUNCH_VARIABLE

KINDS = ("worker", "beat")

#: a service that ended is started again after so long
RESTART_SECONDS = 10
#: how long a service may take to give its job back before it is killed
STOP_SECONDS = 30

#: variables that a service takes over from the shell it is installed from: what starts with one of these ...
_PREFIXES = ("BENCHBEAT_", "HF_", "PYTORCH_")
#: ... or is one of these: threads and devices that figures depend on, folders and proxies that downloads need
_NAMES = {
    *("HUGGING_FACE_HUB_TOKEN", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
    *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
}

_HEADER = (
    "# The environment of a benchbeat service, read by it at its start. Holds secrets: keep it yours alone (0600).\n"
)
_LINE = re.compile(r'^([A-Za-z_][A-Za-z0-9_]*)=(?:"((?:[^"\\]|\\.)*)"|([^"].*)|)$')


@dataclass(frozen=True)
class Service:
    """A worker or beat of one home, to be run by the system's supervisor."""

    #: `worker` or `beat`
    kind: str
    home: Path
    #: the worker's `--device`; None leaves it to the settings
    device: str | None = None
    #: whether Redis is the home's own
    embedded_redis: bool = True

    @property
    def program(self) -> list[str]:
        """The command line. It holds no secret."""
        options = ["--device", self.device] if self.device else []
        command = [sys.executable, "-P", "-m", "cli.main", "--home", str(self.home)]
        return [*command, "service", "run", self.kind, *options]

    @property
    def environment_file(self) -> Path:
        """The file of its environment."""
        return environment_file(self.home, self.kind)

    def environment(self, launched_by: str) -> dict[str, str]:
        """Return what stands openly in its description: how it was started, and where programs are found."""
        found = {"PATH": os.environ.get("PATH", os.defpath), LAUNCH_VARIABLE: launched_by}
        if python_path := os.environ.get("PYTHONPATH"):
            found["PYTHONPATH"] = os.pathsep.join(os.path.abspath(each) for each in python_path.split(os.pathsep))
        return found


def log_file(home: Path, kind: str) -> Path:
    """Return where a service of a home logs."""
    return home / "logs" / f"{kind}.log"


def errors_file(home: Path, kind: str) -> Path:
    """Return where launchd writes what a service says before it logs: systemd has its journal for that."""
    return home / "logs" / f"{kind}.err"


def environment_file(home: Path, kind: str) -> Path:
    """Return the file of a service's environment."""
    return home / "services" / f"{kind}.env"


def environment_to_keep(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of this environment a service needs. The home is no part of it: it stands on the command line."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if (name.startswith(_PREFIXES) or name in _NAMES) and name != "BENCHBEAT_HOME" and value
    }


def environment_text(kept: Mapping[str, str]) -> str:
    """Return the file that holds this environment. Raises InputError for a value of several lines."""
    lines = []
    for name, value in kept.items():
        if re.search(r"[\r\n\0]", value):
            raise InputError("has several lines, which a service's environment can't hold", where=name)
        escaped = re.sub(r'([\\"])', r"\\\1", value)
        lines.append(f'{name}="{escaped}"\n')
    return _HEADER + "".join(lines)


def read_environment(file: Path) -> dict[str, str]:
    """Return the environment in a file: NAME="value" a line, with a backslash before \\ and ". Raises InputError."""
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        raise InputError("is not there; `benchbeat service install` writes it", where=str(file)) from None
    found = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise InputError('write NAME="value"', where=f"{file}:{number}")
        name, quoted, bare = match.groups()
        found[name] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare or ""
    return found


def launchd_text(service: Service, label: str) -> str:
    """Return the property list of a launchd agent."""
    errors = str(errors_file(service.home, service.kind))
    agent = {
        "Label": label,
        "ProgramArguments": service.program,
        "EnvironmentVariables": service.environment("launchd"),
        "WorkingDirectory": str(service.home),
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": RESTART_SECONDS,
        # The default throttles processor and disk, which would be measured.
        "ProcessType": "Interactive",
        "ExitTimeOut": STOP_SECONDS,
        "StandardOutPath": errors,
        "StandardErrorPath": errors,
    }
    return plistlib.dumps(agent, sort_keys=False).decode()


def launchd_home(text: str) -> Path | None:
    """Return the home of an agent that is installed."""
    try:
        return _home_in(plistlib.loads(text.encode())["ProgramArguments"])
    except (plistlib.InvalidFileException, ValueError, KeyError, TypeError):
        return None


def systemd_text(service: Service) -> str:
    """Return the unit file of a systemd user service."""
    environment = " ".join(_quoted(f"{name}={value}") for name, value in service.environment("systemd").items())
    # Mixed kills what the main process leaves in its control group, which an embedded Redis must outlive.
    kill_mode = "process" if service.embedded_redis else "mixed"
    # Of words in quotes, a $ means a variable in a command only.
    command = " ".join(_quoted(each).replace("$", "$$") for each in service.program)
    return f"""\
[Unit]
Description=benchbeat {service.kind}
StartLimitIntervalSec=0
X-BenchbeatHome={service.home}

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={_specified(str(service.home))}
Environment={environment}
Restart=always
RestartSec={RESTART_SECONDS}
KillMode={kill_mode}
TimeoutStopSec={STOP_SECONDS}
OOMPolicy=continue

[Install]
WantedBy=default.target
"""


def systemd_home(text: str) -> Path | None:
    """Return the home of a unit that is installed."""
    match = re.search(r"^X-BenchbeatHome=(.*)$", text, re.MULTILINE)
    return Path(match[1]) if match else None


def _home_in(program: list[str]) -> Path:
    return Path(program[program.index("--home") + 1])


def _quoted(word: str) -> str:
    escaped = re.sub(r'([\\"])', r"\\\1", word)
    return f'"{_specified(escaped)}"'


def _specified(text: str) -> str:
    """Return a text in which systemd sees no specifier."""
    return text.replace("%", "%%")
