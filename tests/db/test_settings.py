"""Settings: which of the four places wins, what a stranger's folder may set, and faults in words."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from bench.errors import InputError
from db.engine import Database, sqlite_path
from db.schema import check, upgrade
from db.settings import HARMLESS, PREFIX, Settings, load_settings

SECRET = "secret-word"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty working folder, in which the test runs."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def loaded(home: Path, environment: dict[str, str] | None = None, /, **options: Any) -> tuple[Settings, list[str]]:
    """Return settings and warnings for a home and an environment that names it."""
    return load_settings({"BENCHBEAT_HOME": str(home)} | (environment or {}), **options)


def refused(home: Path, environment: dict[str, str] | None = None, /, **options: Any) -> str:
    """Return what is said about settings that are refused."""
    with pytest.raises(InputError) as caught:
        loaded(home, environment, **options)
    return str(caught.value)


# --- which place wins


def test_the_strongest_place_wins(home: Path, folder: Path) -> None:
    assert loaded(home)[0].max_streak == 50
    (folder / "benchbeat.toml").write_text("max_streak = 1\n")
    assert loaded(home)[0].max_streak == 1
    (home / "benchbeat.toml").write_text("max_streak = 2\n")
    assert loaded(home)[0].max_streak == 2
    assert loaded(home, {"BENCHBEAT_MAX_STREAK": "3"})[0].max_streak == 3
    assert loaded(home, {"BENCHBEAT_MAX_STREAK": "3"}, max_streak=4)[0].max_streak == 4


def test_an_option_that_wasn_t_given_and_an_empty_variable_say_nothing(home: Path, folder: Path) -> None:
    (home / "benchbeat.toml").write_text('device = "cpu"\nmax_streak = 2\n')
    settings, warnings = loaded(home, {"BENCHBEAT_DEVICE": "", "BENCHBEAT_DATABASE_URL": ""}, max_streak=None)
    assert (settings.device, settings.max_streak, settings.database_url) == ("cpu", 2, None)
    assert warnings == []


def test_every_setting_has_a_variable(home: Path, folder: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "database_url": "postgresql://me@host/history",
        "reader_url": "postgresql://reader@host/history",
        "broker_url": "redis://host:6379/0",
        "machine": "my-mac",
        "models_dir": str(tmp_path / "models"),
        "data_dir": str(tmp_path / "data"),
        "lock_dir": str(tmp_path / "locks"),
        "allow_task_code": "true",
        "device": "mps",
        "lease_seconds": "60",
        "tick_seconds": "0.5",
        "max_attempts": "7",
        "job_seconds": "10.5",
        "max_streak": "8",
        "max_wait_seconds": "9",
        "quiet_wait_seconds": "11",
        "mark_disturbed": "false",
        "max_repeats": "1",
        "max_others_cpu": "0.25",
        "max_others_gpu": "0.35",
        "max_disturbed_share": "0.45",
        "max_swap_mib": "12",
        "max_memory_stall": "0.55",
        "allow_battery": "true",
        "log_format": "json",
        "alert_urls": "json://host/hook",
        "alert_command": "page-me",
        "web_token": "let-me-read-this",
        "remote_control": "true",
    }
    assert {"home", *given} == set(Settings.model_fields)
    settings, warnings = loaded(home, {PREFIX + key.upper(): value for key, value in given.items()})
    assert warnings == []
    changed = settings.model_dump(exclude_defaults=True)
    assert set(changed) == set(Settings.model_fields)
    assert (settings.models_dir, settings.lock_dir) == (tmp_path / "models", tmp_path / "locks")
    assert (settings.job_seconds, settings.max_attempts) == (10.5, 7)


def test_the_environment_is_this_process_s_where_none_is_given(home: Path, folder: Path) -> None:
    settings, warnings = load_settings()
    assert (settings.home, settings.machine, warnings) == (home, "test-machine", [])


# --- the home


def test_the_home_is_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings({"BENCHBEAT_HOME": "here"})[0].home == folder / "here"
    assert load_settings({"BENCHBEAT_HOME": "~/there"})[0].home == tmp_path / "there"
    assert load_settings({"BENCHBEAT_HOME": "elsewhere"}, home=folder / "option")[0].home == folder / "option"


def test_the_home_is_the_platform_s_data_folder_where_none_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    settings, _ = load_settings({})
    assert settings.home.is_relative_to(tmp_path)
    assert settings.home.name == "benchbeat"
    assert not settings.home.exists()


def test_the_home_holds_everything(home: Path, folder: Path) -> None:
    settings, _ = loaded(home)
    assert settings.spool == home / "spool"
    assert settings.logs == home / "logs"
    assert settings.database == f"sqlite:///{home}/history.db"
    assert settings.broker is settings.reader is None
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", ["with space", "100%25", "q?a=b", "h#1", "grüße", "a+b@c", "q&a;b", "'quoted'"])
def test_a_home_of_any_name_holds_its_database(tmp_path: Path, folder: Path, name: str) -> None:
    home = tmp_path / name
    settings, _ = loaded(home)
    assert sqlite_path(settings.database) == home / "history.db"
    upgrade(settings.database)
    database = Database(settings.database)
    check(database)
    database.dispose()
    assert (home / "history.db").stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} == {"work", name}


# --- files


def test_a_stranger_s_folder_sets_harmless_keys_only(home: Path, folder: Path) -> None:
    file = folder / "benchbeat.toml"
    file.write_text('database_url = "sqlite:////tmp/stolen.db"\nbroker_url = "redis://bad"\nmax_streak = 7\n')
    settings, warnings = loaded(home)
    assert (settings.database_url, settings.broker_url, settings.max_streak) == (None, None, 7)
    assert warnings == [
        f"{file}: {key} is passed over here; set it in {home}/benchbeat.toml or as {PREFIX}{key.upper()}"
        for key in ("broker_url", "database_url")
    ]


def test_harmless_keys_choose_no_place_and_no_login() -> None:
    assert set(Settings.model_fields) >= HARMLESS
    assert not {key for key in HARMLESS if re.search("url|dir|home|machine", key)}


def test_the_home_s_file_may_set_everything_but_the_home(home: Path, folder: Path) -> None:
    (home / "benchbeat.toml").write_text('database_url = "postgresql://me@host/history"\nmachine = "my-mac"\n')
    settings, warnings = loaded(home)
    assert settings.database == "postgresql+psycopg://me@host/history"
    assert (settings.machine, warnings) == ("my-mac", [])
    (home / "benchbeat.toml").write_text('home = "/elsewhere"\n')
    assert "home: unknown key" in refused(home)


def test_the_home_is_its_own_also_where_one_works_in_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (home / "benchbeat.toml").write_text('machine = "my-mac"\n')
    monkeypatch.chdir(home)
    assert (loaded(home)[0].machine, loaded(home)[1]) == ("my-mac", [])
    link = tmp_path / "link"
    link.symlink_to(home)
    assert (loaded(link)[0].machine, loaded(link)[1]) == ("my-mac", [])


def test_an_unknown_key_is_refused_with_its_line(home: Path, folder: Path) -> None:
    for file in (folder / "benchbeat.toml", home / "benchbeat.toml"):
        file.write_text('device = "cpu"\n\nmax_strek = 3\n')
        said = refused(home)
        assert said.startswith(f"{file}:3: max_strek: unknown key")
        assert "did you mean 'max_streak'" in said
        file.unlink()


def test_a_file_that_can_t_be_read_is_said(home: Path, folder: Path) -> None:
    file = home / "benchbeat.toml"
    file.write_text("device = \n")
    assert refused(home).startswith(str(file))
    file.write_bytes(b'machine = "\xff"\n')
    assert refused(home).startswith(str(file))


# --- faults in words


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("device", "gpu", "auto, cpu, cuda or mps"),
        ("machine", "my mac", "letters"),
        ("machine", "x" * 65, "letters"),
        ("lease_seconds", "0", "at least 1"),
        ("lease_seconds", "soon", "a number"),
        ("lease_seconds", "nan", "at"),
        ("tick_seconds", "0", "at least 0.1"),
        ("max_attempts", "0", "at least 1"),
        ("max_attempts", "2.5", "a whole number"),
        ("max_attempts", "101", "at most 100"),
        ("max_streak", "0", "at least 1"),
        ("job_seconds", "-1", "more than 0"),
        ("max_wait_seconds", "0", "more than 0"),
        ("log_format", "xml", "text or json"),
        ("database_url", "mysql://host/history", "sqlite:///PATH or postgresql://"),
        ("database_url", "history.db", "sqlite:///PATH or postgresql://"),
        ("database_url", "sqlite:///:memory:", "sqlite:///PATH"),
        ("database_url", "sqlite://", "sqlite:///PATH"),
        ("broker_url", "amqp://host", "redis://HOST:PORT/DB"),
    ],
)
def test_a_fault_names_its_place_and_what_is_allowed(
    home: Path, folder: Path, key: str, value: str, allowed: str
) -> None:
    said = refused(home, {PREFIX + key.upper(): value})
    assert said.startswith(f"{PREFIX}{key.upper()}: ")
    assert allowed in said
    assert "\n" not in said
    assert refused(home, **{key: value}).startswith(f"--{key.replace('_', '-')}: ")
    file = home / "benchbeat.toml"
    file.write_text(f'\n{key} = "{value}"\n')
    assert refused(home).startswith(f"{file}:2: {key}: ")


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://me:{SECRET}@host/history",
        f"postgresql://me:{SECRET}@host:notaport/history",
        f"postgresql:/me:{SECRET}@host/history",
    ],
)
@pytest.mark.parametrize("key", ["database_url", "reader_url", "broker_url"])
def test_a_fault_never_quotes_a_password(home: Path, folder: Path, key: str, url: str) -> None:
    assert SECRET not in refused(home, {PREFIX + key.upper(): url})
    (home / "benchbeat.toml").write_text(f'{key} = ["{url}"]\n')
    assert SECRET not in refused(home)


def test_settings_never_show_a_password(home: Path, folder: Path) -> None:
    urls = {
        "database_url": f"postgresql://me:{SECRET}@host/history",
        "reader_url": f"postgresql://reader:{SECRET}@host/history",
        "broker_url": f"redis://:{SECRET}@host:6379/0",
    }
    settings, _ = loaded(home, **urls)
    assert make_url(settings.database).password == SECRET
    assert settings.broker == urls["broker_url"]
    assert SECRET in str(settings.reader)
    assert SECRET not in repr(settings) + str(settings) + str(settings.model_dump()) + settings.model_dump_json()


def test_an_unknown_variable_is_warned_of_with_near_matches(home: Path, folder: Path) -> None:
    _, warnings = loaded(home, {"BENCHBEAT_DATABSE_URL": "sqlite:////tmp/x.db", "BENCHBEATER": "1", "HOME": "/root"})
    assert len(warnings) == 1
    assert warnings[0].startswith("BENCHBEAT_DATABSE_URL is no setting of benchbeat and does nothing")
    assert "BENCHBEAT_DATABASE_URL" in warnings[0]


# --- what follows from them


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_is_understood(home: Path, folder: Path, scheme: str) -> None:
    settings, _ = loaded(home, database_url=f"{scheme}://me:p%40ss@host:5433/history?sslmode=require")
    url = make_url(settings.database)
    assert url.get_backend_name() == "postgresql"
    assert url.get_driver_name() == "psycopg"
    assert (url.password, url.port, url.query) == ("p@ss", 5433, {"sslmode": "require"})


def test_submitted_weights_are_fenced_where_others_can_submit(home: Path, folder: Path, tmp_path: Path) -> None:
    assert loaded(home)[0].weights_root is None
    shared = {"database_url": "postgresql://me@host/history"}
    assert loaded(home, **shared)[0].weights_root == home / "models"
    for given in ({}, shared):
        assert loaded(home, models_dir=tmp_path / "weights", **given)[0].weights_root == tmp_path / "weights"


def test_settings_are_frozen(home: Path, folder: Path) -> None:
    settings, _ = loaded(home)
    with pytest.raises(ValueError, match="frozen"):
        settings.device = "mps"  # type: ignore[misc]


def test_an_at_sign_in_a_password_is_refused_without_showing_it(home: Path, folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        loaded(home, {"BENCHBEAT_DATABASE_URL": "postgresql://me:hunter2@sesame@127.0.0.1:1/x"})
    assert "write it as %40" in str(caught.value)
    assert "sesame" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
