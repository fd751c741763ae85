"""`benchbeat service`: what is written, which orders launchd and systemd get, what goes wrong, and what they say."""

import json
import os
import plistlib
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from cli.service_files import KINDS, Service, environment_text, environment_to_keep, read_environment, systemd_text
from cli.supervisors import write_atomically
from tests.cli.conftest import Command
from tests.cli.pretended import DATABASE, SECRETS, TOKEN, System, pretend
from worker.facts import LAUNCH_VARIABLE


def tree(folder: Path) -> dict[Path, bytes]:
    """Return the files under a folder, logs left out, and what is in them."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- what is written


def test_an_agent_of_launchd(benchbeat: Command, mac: System, home: Path) -> None:
    assert benchbeat("service", "install", "worker", "--device", "mps").code == 0
    agent = plistlib.loads(mac.file("worker").read_bytes())
    assert agent["Label"] == "io.benchbeat.worker"
    assert agent["ProgramArguments"][1:] == [
        *("-P", "-m", "cli.main", "--home", str(home), "service", "run", "worker", "--device", "mps")
    ]
    assert os.access(agent["ProgramArguments"][0], os.X_OK)
    # The default type throttles what is to be measured.
    assert (agent["ProcessType"], agent["KeepAlive"], agent["RunAtLoad"]) == ("Interactive", True, True)
    assert (agent["ThrottleInterval"], agent["ExitTimeOut"]) == (10, 30)
    assert agent["StandardErrorPath"] == str(home / "logs" / "worker.err")
    assert agent["EnvironmentVariables"]["PATH"] == os.environ["PATH"]
    assert agent["EnvironmentVariables"][LAUNCH_VARIABLE] == "launchd"
    assert stat.S_IMODE(mac.file("worker").stat().st_mode) & 0o022 == 0  # else launchd refuses it
    assert (home / "logs").is_dir()


def test_a_unit_of_systemd(benchbeat: Command, linux: System, home: Path) -> None:
    assert benchbeat("service", "install", "worker").code == 0
    text = linux.file("worker").read_text()
    for line in ("Restart=always", "RestartSec=10", "TimeoutStopSec=30", "KillMode=mixed", "OOMPolicy=continue"):
        assert f"\n{line}\n" in text
    assert text.endswith("[Install]\nWantedBy=default.target\n")
    command, environment = linux.described("worker")
    assert command[1:] == ["-P", "-m", "cli.main", "--home", str(home), "service", "run", "worker"]
    assert (environment["PATH"], environment[LAUNCH_VARIABLE]) == (os.environ["PATH"], "systemd")


def test_an_embedded_redis_outlives_the_unit_that_started_it(tmp_path: Path) -> None:
    assert "KillMode=process\n" in systemd_text(Service("worker", tmp_path, embedded_redis=True))
    assert "KillMode=mixed\n" in systemd_text(Service("worker", tmp_path, embedded_redis=False))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("name", ["plain", "with space", "100%h", "a$HOME", 'quote"d', "back\\slash", "ümlaut"])
def test_systemd_understands_the_unit(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / name
    home.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / name}:{os.environ['PATH']}")
    for kind in KINDS:
        write_atomically(tmp_path / f"benchbeat-{kind}.service", systemd_text(Service(kind, home, "cpu")), 0o644)
    files = [str(tmp_path / f"benchbeat-{kind}.service") for kind in KINDS]
    (tmp_path / "run").mkdir()
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *files],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_passwords_lie_in_a_private_file_alone(
    benchbeat: Command, system: System, home: Path, secrets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("UNRELATED", "value")
    done = benchbeat("service", "install", "worker")
    assert done.code == 0, done.err
    private = home / "services" / "worker.env"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    kept = read_environment(private)
    assert (kept["BENCHBEAT_DATABASE_URL"], kept["HF_TOKEN"], kept["OMP_NUM_THREADS"]) == (DATABASE, TOKEN, "3")
    # The home stands on the command line; what has nothing to do with it stays out.
    assert not {"BENCHBEAT_HOME", "UNRELATED", "PATH"} & set(kept)
    for secret in SECRETS:
        assert secret not in system.file("worker").read_text() + "".join(system.calls()) + done.out + done.err


_NAMES = st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,9}\Z")
_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))


@given(environment=st.dictionaries(_NAMES, _VALUES))
def test_an_environment_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "worker.env"
    write_atomically(file, environment_text(environment), 0o600)
    assert read_environment(file) == environment


def test_an_environment_may_be_written_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "worker.env"
    file.write_text("# mine\n\nHF_HOME=/data/hub \nHF_TOKEN=\nA=b=c\n")
    assert read_environment(file) == {"HF_HOME": "/data/hub", "HF_TOKEN": "", "A": "b=c"}
    file.write_text("HF_HOME=/data\nexport HF_TOKEN=x\n")
    with pytest.raises(InputError, match=r'worker\.env:2: write NAME="value"'):
        read_environment(file)


def test_a_value_of_several_lines_is_refused(
    benchbeat: Command, system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hub\nword")
    before = tree(tmp_path)
    done = benchbeat("service", "install", "worker")
    assert (done.code, done.err) == (
        2,
        "Error: HF_TOKEN: has several lines, which a service's environment can't hold\n",
    )
    assert tree(tmp_path) == before


def test_what_is_kept_of_an_environment() -> None:
    given = {
        "BENCHBEAT_DEVICE": "mps",
        "BENCHBEAT_HOME": "/h",
        "HF_HOME": "/hub",
        "EMPTY": "",
        "HF_TOKEN": "",
        "X": "y",
    }
    assert environment_to_keep(given) == {"BENCHBEAT_DEVICE": "mps", "HF_HOME": "/hub"}


def test_a_dry_run_prints_the_file_and_changes_nothing(
    benchbeat: Command, system: System, tmp_path: Path, secrets: None
) -> None:
    before = tree(tmp_path)
    done = benchbeat("service", "install", "worker", "--dry-run")
    assert tree(tmp_path) == before
    assert system.calls() == []
    assert benchbeat("service", "install", "worker").code == 0
    assert done.out == system.file("worker").read_text()
    assert f"{system.file('worker')} would hold this" in done.err
    assert "BENCHBEAT_DATABASE_URL" in done.err
    assert not any(secret in done.err + done.out for secret in SECRETS)


# --- what the supervisors are told


def test_launchd_is_told_what_to_do(benchbeat: Command, mac: System) -> None:
    domain = f"gui/{os.getuid()}"
    target, file = f"{domain}/io.benchbeat.worker", mac.file("worker")
    done = benchbeat("service", "install", "worker")
    assert done.out == f"worker runs as a service now: {file}\n"
    assert "docs/service.md" in done.err
    start = [f"launchctl enable {target}", f"launchctl bootstrap {domain} {file}"]
    assert mac.calls() == [f"launchctl print {target}", *start]
    stop = [f"launchctl print {target}", f"launchctl bootout {target}", f"launchctl print {target}"]
    assert benchbeat("service", "install", "worker").code == 0
    assert mac.calls() == [*stop, *start]
    assert mac.loaded() == ["io.benchbeat.worker"]
    assert benchbeat("service", "uninstall", "worker").out == "worker is no service any more\n"
    assert mac.calls() == stop
    assert mac.loaded() == []


def test_systemd_is_told_what_to_do(benchbeat: Command, linux: System) -> None:
    done = benchbeat("service", "install", "beat")
    assert done.out == f"beat runs as a service now: {linux.file('beat')}\n"
    assert "`loginctl enable-linger`" in done.err
    unit = "benchbeat-beat.service"
    start = [f"systemctl --user {order}" for order in ("daemon-reload", f"enable {unit}", f"restart {unit}")]
    assert linux.calls() == start
    assert benchbeat("service", "install", "beat").code == 0
    assert linux.calls() == start
    assert linux.loaded() == [unit]
    assert benchbeat("service", "uninstall", "beat").code == 0
    stop = [f"disable --now {unit}", "daemon-reload", f"reset-failed {unit}"]
    assert linux.calls() == [f"systemctl --user {order}" for order in stop]


def test_who_lingers_needs_no_hint(benchbeat: Command, linux: System) -> None:
    (linux.folder / "linger").write_text("Linger=yes\n")
    assert "enable-linger" not in benchbeat("service", "install", "beat").err


def test_installed_again_it_takes_over_what_changed(
    benchbeat: Command, system: System, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "old")
    assert benchbeat("service", "install", "worker", "--device", "cpu").code == 0
    monkeypatch.setenv("HF_TOKEN", "new")
    assert benchbeat("service", "install", "worker").code == 0
    assert read_environment(home / "services" / "worker.env")["HF_TOKEN"] == "new"
    assert "--device" not in system.described("worker")[0]


def test_uninstalling_leaves_nothing(benchbeat: Command, system: System, tmp_path: Path, home: Path) -> None:
    before = tree(tmp_path)
    for kind in KINDS:
        assert benchbeat("service", "install", kind).code == 0
    assert len(tree(tmp_path)) == len(before) + 4 + 1 + 2  # a file and an environment each, the calls, what is loaded
    for kind in KINDS:
        assert benchbeat("service", "uninstall", kind).code == 0
    system.calls()
    assert tree(tmp_path) == before
    assert not (home / "services").exists()
    assert benchbeat("service", "uninstall", "beat").out == "beat was no service\n"
    assert system.calls() == []


# --- what goes wrong


@pytest.mark.parametrize(
    ("name", "order", "said"),
    [
        ("Darwin", "bootstrap", "Bootstrap failed: 5: Input/output error; is anybody logged in at its screen?"),
        ("Darwin", "enable", "Bootstrap failed: 5: Input/output error"),
        ("Linux", "daemon-reload", "Failed to daemon-reload unit: no; does your login have a systemd of its own"),
        ("Linux", "enable", "Failed to enable unit: no"),
        ("Linux", "restart", "Failed to restart unit: no"),
    ],
)
def test_an_install_that_fails_leaves_everything_as_it_was(
    benchbeat: Command,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    order: str,
    said: str,
) -> None:
    system = pretend(name, monkeypatch, tmp_path)
    before = tree(tmp_path)
    system.fail(order)
    done = benchbeat("service", "install", "worker")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert f"{order}" in done.err
    assert f" failed: {said}" in done.err
    system.calls()
    assert (tree(tmp_path), system.loaded()) == (before, [])
    # One that ran before goes on as it was.
    assert benchbeat("service", "install", "worker").code == 0
    system.calls()
    before = tree(tmp_path)
    system.fail(order)
    assert benchbeat("service", "install", "worker", "--device", "cpu").code == 2
    system.calls()
    assert tree(tmp_path) == before
    assert len(system.loaded()) == 1


def test_a_service_that_can_t_be_stopped_stays_installed(benchbeat: Command, linux: System, home: Path) -> None:
    assert benchbeat("service", "install", "worker").code == 0
    linux.fail("disable")
    done = benchbeat("service", "uninstall", "worker")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Error: systemctl --user disable --now benchbeat-worker.service failed:")
    assert linux.file("worker").exists()
    assert (home / "services" / "worker.env").exists()


def test_an_agent_that_does_not_go_is_said(benchbeat: Command, mac: System, monkeypatch: pytest.MonkeyPatch) -> None:
    assert benchbeat("service", "install", "worker").code == 0
    monkeypatch.setattr("cli.supervisors._GONE_SECONDS", 0.0)
    mac.fail("bootout")
    done = benchbeat("service", "uninstall", "worker")
    assert done.code == 2
    assert "bootout" in done.err
    assert mac.file("worker").exists()


def test_launchd_may_take_its_time(benchbeat: Command, mac: System) -> None:
    assert benchbeat("service", "install", "worker").code == 0
    script = (mac.folder / "launchctl").read_text()
    later = f'bootout) (sleep 0.3; rm "{mac.folder}/loaded.$(basename "$2")") >/dev/null 2>&1 & ;;\n  other)'
    (mac.folder / "launchctl").write_text(script.replace("bootout)", later))
    assert benchbeat("service", "uninstall", "worker").code == 0
    assert mac.loaded() == []


def test_a_system_without_a_known_supervisor_is_told(
    benchbeat: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend("FreeBSD", monkeypatch, tmp_path)
    for arguments in (("install", "worker"), ("uninstall", "beat"), ("status",)):
        done = benchbeat("service", *arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(
            "Error: Services are installed with launchd on macOS and systemd on Linux, and this is"
        )


def test_a_machine_without_the_program_is_told(
    benchbeat: Command, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    before = tree(tmp_path)
    name = "launchctl" if system.is_mac else "systemctl"
    done = benchbeat("service", "install", "worker")
    assert (done.code, done.err) == (
        2,
        f"Error: There is no {name} on this machine, and services are installed with it\n",
    )
    assert tree(tmp_path) == before


def test_two_homes_do_not_take_each_other_s_service(
    benchbeat: Command, system: System, home: Path, tmp_path: Path
) -> None:
    assert benchbeat("service", "install", "worker").code == 0
    before = tree(tmp_path)
    other = str(tmp_path / "other")
    done = benchbeat("--home", other, "service", "install", "worker")
    assert done.code == 2
    assert f"remove it first with `benchbeat --home {home} service uninstall worker`" in done.err
    done = benchbeat("--home", other, "service", "uninstall", "worker")
    assert (done.code, f"give --home {home}" in done.err) == (2, True)
    left = tree(tmp_path)
    left[system.folder / "calls"] = before[system.folder / "calls"]
    assert left == before


def test_settings_that_are_wrong_are_no_service(
    benchbeat: Command, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBEAT_LOG_FORMAT", "xml")
    before = tree(tmp_path)
    done = benchbeat("service", "install", "worker")
    assert (done.code, done.err.startswith("Error: BENCHBEAT_LOG_FORMAT: ")) == (2, True)
    assert tree(tmp_path) == before


def test_bad_input_is_told(benchbeat: Command, system: System, home: Path) -> None:
    assert "--device goes with worker" in benchbeat("service", "install", "beat", "--device", "cpu").err
    assert benchbeat("service", "install", "flower").code == 2
    control = benchbeat("--home", "a\nb", "service", "install", "beat")
    assert (control.code, "control characters" in control.err) == (2, True)
    missing = benchbeat("service", "run", "beat")
    assert (missing.code, missing.err) == (
        2,
        f"Error: {home}/services/beat.env: is not there; `benchbeat service install` writes it\n",
    )


# --- what they say


def rows(benchbeat: Command) -> dict[str, dict[str, Any]]:
    """Return what `service status` says of each service."""
    done = benchbeat("service", "status", "-o", "json")
    assert done.code == 0, done.err
    return {row["service"]: row for row in json.loads(done.out)}


def test_status_says_what_is_installed_and_runs(benchbeat: Command, system: System, home: Path) -> None:
    assert {row["state"] for row in rows(benchbeat).values()} == {"not installed"}
    assert benchbeat("service", "install", "worker").code == 0
    found = rows(benchbeat)
    assert found["beat"]["state"] == "not installed"
    assert found["worker"] == {
        "service": "worker",
        "state": "running",
        "process": 4711,
        "last_exit": 1,
        "home": str(home),
        "log": str(home / "logs" / "worker.log"),
        "file": str(system.file("worker")),
    }
    (system.folder / "print").write_text("x = {\n\tstate = not running\n\tlast exit code = (never exited)\n}\n")
    (system.folder / "show").write_text("LoadState=loaded\nActiveState=activating\nMainPID=0\nExecMainStatus=0\n")
    stopped = rows(benchbeat)["worker"]
    assert (stopped["state"], stopped["process"], stopped["last_exit"]) == ("stopped", None, None)
    for file in system.folder.glob("loaded.*"):
        file.unlink()
    assert rows(benchbeat)["worker"]["state"] == "not loaded"


def test_status_goes_on_where_the_supervisor_does_not_answer(
    benchbeat: Command, linux: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert benchbeat("service", "install", "worker").code == 0
    linux.fail("show")
    assert rows(benchbeat)["worker"]["state"] == "unknown (Failed to show unit: no)"
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert "no systemctl" in rows(benchbeat)["worker"]["state"]
