"""A pretended macOS or Linux, whose supervisor notes how it is called."""

import os
import platform
import plistlib
import shlex
from pathlib import Path

import pytest

DATABASE = "postgresql://me:database-word@db.example.com/history"
TOKEN = "hub-word"
SECRETS = ("database-word", TOKEN)

#: both keep what is loaded in a folder and note how they are called; what `fails` names fails once
LAUNCHCTL = """#!/bin/sh
echo "launchctl $@" >> {folder}/calls
if [ "$1" = "$(cat {folder}/fails 2>/dev/null)" ]; then
  rm {folder}/fails; echo "Bootstrap failed: 5: Input/output error" >&2; exit 5
fi
case "$1" in
  bootstrap) touch "{folder}/loaded.$(basename "$3" .plist)" ;;
  bootout) rm "{folder}/loaded.$(basename "$2")" ;;
  print)
    [ -e "{folder}/loaded.$(basename "$2")" ] || {{ echo "Could not find service" >&2; exit 113; }}
    cat {folder}/print ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "systemctl $@" >> {folder}/calls
if [ "$2" = "$(cat {folder}/fails 2>/dev/null)" ]; then
  rm {folder}/fails; echo "Failed to $2 unit: no." >&2; exit 1
fi
case "$2" in
  restart) touch "{folder}/loaded.$3" ;;
  disable) rm -f "{folder}/loaded.$4" ;;
  show) if [ -e "{folder}/loaded.$3" ]; then cat {folder}/show; else echo LoadState=not-found; fi ;;
esac
"""
LOGINCTL = "#!/bin/sh\ncat {folder}/linger\n"
PRINT = """gui/501/io.benchbeat.worker = {
	active count = 1
	path = /Users/me/Library/LaunchAgents/io.benchbeat.worker.plist
	type = LaunchAgent
	state = running

	program = /usr/bin/python
	endpoints = {
		"x" = {
			state = active
		}
	}
	runs = 2
	pid = 4711
	last exit code = 1
}
"""
SHOW = "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=4711\nExecMainStatus=1\n"


class System:
    """A pretended macOS or Linux with its supervisor."""

    def __init__(self, name: str, folder: Path, user_home: Path) -> None:
        self.is_mac = name == "Darwin"
        self.folder = folder
        self.user_home = user_home
        folder.mkdir()
        for program, text in (("launchctl", LAUNCHCTL), ("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)):
            (folder / program).write_text(text.format(folder=folder))
            (folder / program).chmod(0o755)
        (folder / "print").write_text(PRINT)
        (folder / "show").write_text(SHOW + "ExecMainExitTimestampMonotonic=5\n")
        (folder / "linger").write_text("Linger=no\n")

    def file(self, kind: str) -> Path:
        """The service's file."""
        if self.is_mac:
            return self.user_home / "Library" / "LaunchAgents" / f"io.benchbeat.{kind}.plist"
        return self.user_home / ".config" / "systemd" / "user" / f"benchbeat-{kind}.service"

    def calls(self) -> list[str]:
        """What the supervisor was asked since the last time."""
        file = self.folder / "calls"
        found = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return found

    def fail(self, order: str) -> None:
        """Let the next such order fail."""
        (self.folder / "fails").write_text(order)

    def loaded(self) -> list[str]:
        """What the supervisor runs."""
        return sorted(path.name.removeprefix("loaded.") for path in self.folder.glob("loaded.*"))

    def described(self, kind: str) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the open environment of an installed service, as its supervisor reads them."""
        text = self.file(kind).read_text()
        if self.is_mac:
            agent = plistlib.loads(text.encode())
            return agent["ProgramArguments"], agent["EnvironmentVariables"]
        unit = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        command = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(unit["ExecStart"])]
        pairs = (word.replace("%%", "%").split("=", 1) for word in shlex.split(unit["Environment"]))
        return command, dict(pairs)


def pretend(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> System:
    """Make this machine look like another."""
    user_home = tmp_path / "me"
    user_home.mkdir()
    monkeypatch.setenv("HOME", str(user_home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(platform, "system", lambda: name)
    made = System(name, tmp_path / "programs", user_home)
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    return made
