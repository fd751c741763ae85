"""Settings, strongest first: option, environment variable, `benchbeat.toml`, default.

`benchbeat.toml` is read in the home; a second one in the working folder may set harmless keys only, since
a folder somebody else wrote must not choose where commands, passwords and results go.
"""

import os
import re
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from bench.disturbances import Limits
from bench.errors import InputError, suggest
from bench.faults import MACHINE_ID, MACHINE_ID_IN_WORDS, fault
from bench.toml import Lines, read_toml

PREFIX = "BENCHBEAT_"
FILE_NAME = "benchbeat.toml"

#: variables whose URLs hold passwords
URL_VARIABLES = frozenset(
    {"BENCHBEAT_DATABASE_URL", "BENCHBEAT_READER_URL", "BENCHBEAT_BROKER_URL", "BENCHBEAT_ALERT_URLS"}
)
#: variables that hold secrets: no business of a process that needs neither the database, nor Redis, nor the pages
SECRET_VARIABLES = URL_VARIABLES | {"BENCHBEAT_WEB_TOKEN"}

#: keys that a benchbeat.toml in the working folder may set
HARMLESS = frozenset(
    {
        *("device", "lease_seconds", "max_attempts", "max_streak", "max_wait_seconds", "tick_seconds"),
        *("quiet_wait_seconds", "mark_disturbed", "max_repeats", "max_others_cpu", "max_others_gpu"),
        *("max_disturbed_share", "max_swap_mib", "max_memory_stall", "allow_battery"),
    }
)


class Settings(BaseModel):
    """All settings. Every one has an environment variable: BENCHBEAT_ and the name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: folder of the history, the spool, the caches and the logs
    home: Path
    #: SQLAlchemy URL of the history; None is `history.db` in the home
    database_url: SecretStr | None = None
    #: login for `benchbeat sql` on PostgreSQL; None derives it from database_url
    reader_url: SecretStr | None = None
    #: Redis; None is an embedded one in the home
    broker_url: SecretStr | None = None
    #: id of this machine; None is a UUID kept in the user's configuration folder
    machine: str | None = Field(None, pattern=MACHINE_ID, description=MACHINE_ID_IN_WORDS)
    #: folder outside which no `file:` or `gguf:` weights are opened; see `weights_root`
    models_dir: Path | None = None
    #: folder of media that is too large to travel through the database; see `media_root`
    data_dir: Path | None = None
    #: folder of the device's lock; None is the machine's own. Containers that share a device share a folder here
    lock_dir: Path | None = None
    #: whether task files of lm-eval that users bring, which are code, run on this machine; see `runs_task_code`
    allow_task_code: bool | None = None
    #: `auto`, `cpu`, `cuda` or `mps`: what this machine's worker measures on
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda|mps)$", description="auto, cpu, cuda or mps")
    #: a job whose worker gave no sign of life for so long goes back to the queue
    lease_seconds: float = Field(30.0, ge=1, le=3600)
    #: pause between two ticks of the reconciler
    tick_seconds: float = Field(5.0, ge=0.1, le=300)
    #: a job that failed so often stays failed
    max_attempts: int = Field(3, ge=1, le=100)
    #: longest time a job may hold the device
    job_seconds: float = Field(3600.0, gt=0, le=604_800)
    #: jobs of a loaded model that may go first, one after the other
    max_streak: int = Field(50, ge=1, le=100_000)
    #: a job that waited longer is taken by every fourth claim, whatever its priority
    max_wait_seconds: float = Field(3600.0, gt=0)
    #: a job waits for so long, at most, until other processes leave the machine alone; 0 waits for nothing
    quiet_wait_seconds: float = Field(60.0, ge=0, le=3600)
    #: whether a run that was disturbed is marked for it; what was seen is stored in any case
    mark_disturbed: bool = True
    #: a disturbed measurement of speed is taken again so often
    max_repeats: int = Field(2, ge=0, le=20)
    #: share of the machine's processors that others may use while a run is measured; 1 allows all
    max_others_cpu: float = Field(0.1, ge=0, le=1)
    #: share of the GPU's time that others may use
    max_others_gpu: float = Field(0.1, ge=0, le=1)
    #: share of the measured time in which they may use more, or heat may hold a clock down
    max_disturbed_share: float = Field(0.1, ge=0, le=1)
    #: what may be swapped in and out meanwhile, in MiB
    max_swap_mib: int = Field(64, ge=0)
    #: share of the measured time in which work may stand still for want of memory
    max_memory_stall: float = Field(0.1, ge=0, le=1)
    #: whether a run on battery counts as undisturbed
    allow_battery: bool = False
    #: how the services log: `text`, or `json` with an object a line
    log_format: str = Field("text", pattern=r"^(text|json)$", description="text or json")
    #: targets of apprise (mail, chat, webhooks) that are told about schedules' batches, with spaces between
    alert_urls: SecretStr | None = None
    #: a command that is told too: the message on its standard input, kind and numbers in BENCHBEAT_ALERT_* variables
    alert_command: str | None = None
    #: what readers of `benchbeat web` must know; None lets in whoever is on this machine
    web_token: SecretStr | None = None
    #: whether Celery's remote control may order this machine's worker about, to its end: whoever can write to Redis may
    remote_control: bool = False

    @field_validator("home", "models_dir", "data_dir", "lock_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @field_validator("database_url", "reader_url")
    @classmethod
    def _database_is_known(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(_normalised_database_url(value.get_secret_value()))

    @field_validator("broker_url")
    @classmethod
    def _broker_is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"^rediss?://", value.get_secret_value()):
            raise ValueError("must be redis://HOST:PORT/DB, or rediss:// for TLS")
        return value

    @cached_property
    def database(self) -> str:
        """The database's URL, with its password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return "sqlite:///" + quote(str(self.home / "history.db"), safe="/:\\ ")

    @property
    def broker(self) -> str | None:
        """The broker's URL where one is set, with its password."""
        return self.broker_url.get_secret_value() if self.broker_url else None

    @property
    def alerts(self) -> str | None:
        """The targets of alerts where any are set, with their passwords."""
        return self.alert_urls.get_secret_value() if self.alert_urls else None

    @property
    def reader(self) -> str | None:
        """The reader's URL where one is set, with its password."""
        return self.reader_url.get_secret_value() if self.reader_url else None

    @property
    def spool(self) -> Path:
        """Folder of the results that are measured but not yet in the database."""
        return self.home / "spool"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.home / "logs"

    @property
    def weights_root(self) -> Path | None:
        """Folder outside which no submitted path to weights is opened; None allows every folder.

        With SQLite the submitter is the worker's own user on the same machine, so nothing would be gained
        by a fence; a database that other machines write to gets one.
        """
        if self.models_dir is not None:
            return self.models_dir
        return None if self.database.startswith("sqlite") else self.home / "models"

    @property
    def media_root(self) -> Path:
        """Folder of pictures and clips of workloads whose media is too large to travel."""
        return self.data_dir if self.data_dir is not None else self.home / "data"

    @property
    def limits(self) -> Limits:
        """What the machine may do besides measuring."""
        return Limits(**{name: getattr(self, name) for name in Limits._fields})

    @property
    def runs_task_code(self) -> bool:
        """Whether users' own task files, which are code, are run.

        With SQLite the submitter is the worker's own user; elsewhere this machine's owner has to say so.
        """
        if self.allow_task_code is not None:
            return self.allow_task_code
        return self.database.startswith("sqlite")


def _normalised_database_url(url: str) -> str:
    url = re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql+psycopg://", url)
    if not re.match(r"^(postgresql\+psycopg|sqlite)://", url):
        raise ValueError("must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE")
    if url in ("sqlite://", "sqlite:///", "sqlite:///:memory:"):
        raise ValueError("a database in memory ends with the command; give a file: sqlite:///PATH")
    if url.partition("://")[2].partition("/")[0].count("@") > 1:
        raise ValueError("has an @ in its password; write it as %40")
    from sqlalchemy import make_url  # not above: most commands name no URL, and some need no database
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(url)
    except (ValueError, ArgumentError):  # whose message quotes the password
        raise ValueError(
            "can't be read: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with what is not a letter or digit in the password as %XX"
        ) from None
    return url


def load_settings(
    environment: Mapping[str, str] | None = None, working_folder: Path | None = None, **options: Any
) -> tuple[Settings, list[str]]:
    """Return the settings, and warnings in words (unknown variables, keys that were passed over).

    Raises InputError that names the variable or the file and key.
    """
    environment = os.environ if environment is None else environment
    warnings: list[str] = []
    given = {key: value for key, value in options.items() if value is not None}
    variables = _from_environment(environment, warnings)
    home = Path(str(given.get("home") or variables.get("home") or _default_home())).expanduser().absolute()
    local = (working_folder or Path.cwd()) / FILE_NAME
    layers: list[tuple[dict[str, Any], Callable[[str], str]]] = [
        (_from_file(local, home, warnings), partial(_place_in, local)),
        (_from_file(home / FILE_NAME, home, warnings), partial(_place_in, home / FILE_NAME)),
        (variables, lambda key: PREFIX + key.upper()),
        (given, lambda key: "--" + key.replace("_", "-")),
    ]
    values: dict[str, Any] = {}
    places: dict[str, Callable[[str], str]] = {}
    for layer, place in layers:
        values |= layer
        places |= dict.fromkeys(layer, place)
    try:
        return Settings(**(values | {"home": home})), warnings
    except ValidationError as error:
        field, message = fault(error, Settings)
        if field.endswith(("_url", "_urls")):  # may hold a password
            field, message = fault(error, Settings, show_value=False)
        raise InputError(message, where=places.get(field, str)(field)) from None


def _place_in(file: Path, key: str) -> str:
    return Lines(file).place(key)


def _default_home() -> Path:
    from platformdirs import user_data_path  # 20 ms that an explicit home saves

    return user_data_path("benchbeat", appauthor=False)


def _from_environment(environment: Mapping[str, str], warnings: list[str]) -> dict[str, str]:
    values = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        key = variable.removeprefix(PREFIX).lower()
        if key not in Settings.model_fields:
            known = [PREFIX + name.upper() for name in Settings.model_fields]
            near = suggest(variable, known) or suggest(key, Settings.model_fields)
            warnings.append(f"{variable} is no setting of benchbeat and does nothing{near}")
        elif value != "":
            values[key] = value
    return values


def _from_file(path: Path, home: Path, warnings: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values = read_toml(path)
    for key in values:
        if key not in Settings.model_fields or key == "home":
            raise InputError(f"unknown key{suggest(key, Settings.model_fields)}", where=Lines(path).place(key))
    if path.parent.resolve() == home.resolve():
        return values
    for key in sorted(values.keys() - HARMLESS):
        warnings.append(f"{path}: {key} is passed over here; set it in {home / FILE_NAME} or as {PREFIX}{key.upper()}")
    return {key: value for key, value in values.items() if key in HARMLESS}
