"""docker-compose.yml read as Docker reads it, and its services started without Docker: the same commands, settings and
files, with the containers' paths and names replaced by this machine's."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.commands import ROOT

BASE = ROOT / "docker-compose.yml"
TLS = ROOT / "deploy" / "compose.tls.yml"

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<word>[^}]*))?\})")


class MissingError(Exception):
    """A variable that must be set is not."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with ${X}, ${X:-default} and ${X:?complaint} replaced, and $$ by a dollar sign."""

    def value(match: re.Match[str]) -> str:
        name, kind, word = match["name"], match["kind"], match["word"]
        if name is None:
            return "$"
        found = variables.get(name, "")
        if not found and kind == ":?":
            raise MissingError(f"{name}: {word}")
        return found or (word if kind == ":-" else "")

    return _VARIABLE.sub(value, text)


def read_environment(file: Path) -> dict[str, str]:
    """Return the variables of a .env file."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read_compose(*files: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the services of compose files: maps are merged, volumes and ports added up, all else replaced."""
    services: dict[str, Any] = {}
    for file in files:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, service in _filled(document["services"], variables).items():
            into = services.setdefault(name, {})
            for key, value in service.items():
                if isinstance(value, dict):
                    into[key] = into.get(key, {}) | value
                elif key in ("volumes", "ports"):
                    into[key] = into.get(key, []) + value
                else:
                    into[key] = value
    return services


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    return interpolated(value, variables) if isinstance(value, str) else value


@dataclass(frozen=True)
class Ground:
    """What stands here for the containers' network, volumes and files."""

    #: folder of what would be named volumes and folders of the host
    folder: Path
    #: folder that stands for deploy/tls, whose files are nobody's to commit
    certificates: Path
    #: a container's host and port, like `redis:6379`, with ours
    places: Mapping[str, str]
    #: words of a command line that say where to listen, with ours
    words: Mapping[str, str]

    def here(self, text: str, service: Mapping[str, Any]) -> str:
        """Return a text of a service with this machine's places and paths."""
        for place, ours in self.places.items():
            text = text.replace(f"@{place}/", f"@{ours}/")
        for path, folder in sorted(self._paths(service), reverse=True):
            text = re.sub(rf"(?<![\w./]){re.escape(path)}(?![\w-])", str(folder), text)
        return self.words.get(text, text)

    def volume(self, name: str) -> Path:
        """Return the folder that stands for a named volume."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def _paths(self, service: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
        for source, path in (volume.split(":")[:2] for volume in service.get("volumes", [])):
            if source.startswith("./deploy/tls/"):
                yield path, self.certificates / Path(source).name
            elif source.startswith("./"):
                yield path, ROOT / source
            else:
                yield path, self.volume(Path(source).name)
        yield "/run/benchbeat", self.volume("private")


def command_of(service: Mapping[str, Any], ground: Ground) -> list[str]:
    """Return a service's command line, with the programs that this environment has."""
    words = [ground.here(word, service) for word in [*service.get("entrypoint", []), *service["command"]]]
    programs = {"benchbeat": "cli.main", "celery": "celery"}
    if words[0] in programs:
        return [sys.executable, "-P", "-m", programs[words[0]], *words[1:]]
    return words


def environment_of(service: Mapping[str, Any], ground: Ground, **more: str) -> dict[str, str]:
    """Return the environment of a service's process: nothing of benchbeat's but what the compose file says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BENCHBEAT_", "HF_"))}
    said = {name: ground.here(value, service) for name, value in service["environment"].items()}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | said | more
