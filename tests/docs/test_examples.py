"""Every command line of README.md and docs/: run where it can be, else parsed; what is not run says why."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cronsim import CronSim

from cli import root
from db.settings import PREFIX, URL_VARIABLES, load_settings
from tests.cli.test_help import parse
from tests.commands import ROOT
from tests.docs.examples import Block, Line, blocks, command_lines

LINES = command_lines()

#: first words of a line of benchbeat that is parsed and not run -> why
PARSED_ONLY = {
    "up": "runs until Ctrl-C; tests/cli/test_run.py starts it",
    "worker": "runs until it is told to end; tests/worker start it",
    "beat": "runs until it is told to end; tests/scheduler start it",
    "watch": "a screen until a key is pressed; its own tests drive it",
    "web": "serves until Ctrl-C; its own tests ask it",
    "service": "changes what the user's launchd or systemd runs; tests/cli/test_service_command.py has stand-ins",
    "models fetch": "brings weights from a registry or the hub; tests/worker/test_fetch.py",
    "doctor --verify": "tries a device for half a minute, one that may not be there; tests/worker/test_checkup.py",
    "workloads show --model": "needs the model's tokenizer; tests/cli/test_workloads.py",
    "run --workload": "lm_eval:arc_easy, looked up in 14,000 files; tests/worker/test_harness.py runs a task",
}

#: program of a line that is not benchbeat's -> why it is not run
NOT_OURS = {
    "docker": "needs Docker; tests/deploy run each service as the files say",
    "sed": "changes .env, which make-env.sh made",
    "set": "reads .env into the shell",
    "sudo": "needs root",
    "journalctl": "needs systemd",
    "llama-bench": "is another project's",
    "pg_dump": "needs PostgreSQL's client; `db backup` is SQLite's",
    "echo": "changes the shell's own files",
    "pip": "installs",
    "cmake": "builds another project",
    "eval": "changes the shell; tests/cli/test_completion.py sources the scripts",
}

#: commands whose answer does not depend on what ran before: of equal lines the first is run
WITHOUT_HISTORY = (["doctor"], ["models"], ["workloads"], ["strategies"], ["completion"])

#: exit codes of commands that say something by them; of all others it is 0
TELLING = {
    "regressions": {0, 3, 4},
    "doctor": {0, 1},  # says what this machine has not
    "compare": {0, 4},  # 4 where the two sides share no series
    "history": {0, 4},
    "export": {0, 4},
    "report": {0, 4},
    "status": {0, 4},
}

#: lines that are refused here: there was one night of the schedule only
REFUSED = {
    "docs/tutorial.md: benchbeat compare nightly~1 nightly": {2},
    "docs/reference/commands.md: benchbeat compare nightly~1 nightly": {2},
}


def ours(line: Line) -> list[str] | None:
    """Return the arguments of benchbeat in a line; those within `docker compose run ... benchbeat ...` too."""
    words = list(line.words)
    if words[:1] == ["docker"] and "run" in words and "benchbeat" in words:
        after = words[words.index("benchbeat") + 1 :]
        return after[1:] if after[:1] == ["benchbeat"] else after
    if words and Path(words[0]).name == "benchbeat":
        return words[1:]
    return None


OURS = {str(line): found for line in LINES if (found := ours(line)) is not None}


def why_not(arguments: list[str]) -> str | None:
    """Return why arguments are parsed only, or None where they are run."""
    for words, reason in PARSED_ONLY.items():
        first, *others = words.split()
        if arguments[:1] == [first] and all(each in arguments for each in others) and not _is_exempt(words, arguments):
            return reason
    return None


def _is_exempt(words: str, arguments: list[str]) -> bool:
    return words == "run --workload" and not any(each.startswith("lm_eval:") for each in arguments)


RUN = {name: arguments for name, arguments in OURS.items() if why_not(arguments) is None}


def runnable(arguments: list[str]) -> list[str]:
    """Return what is run instead of arguments that would measure, or wait for whoever measures."""
    without_wait = [each for each in arguments if each != "--wait"]
    if arguments[:1] != ["run"]:
        return without_wait
    # The same sweep, expanded and checked: what `run` measures is measured by tests/test_whole_way.py.
    return ["submit", *without_wait[1:], "--dry-run"]


@pytest.mark.parametrize("name", OURS)
def test_every_line_of_benchbeat_is_a_command_line(name: str) -> None:
    parse(root.benchbeat, "benchbeat", OURS[name])


@pytest.mark.parametrize("page", sorted({line.page for line in LINES}))
def test_the_lines_of_a_page_run_one_after_the_other(
    page: str, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = []
    # the reference has its commands by the alphabet, and what is removed can't be resumed
    for line in sorted(lines_to_run(page), key=lambda line: "remove" in line.words):
        arguments = [each.replace("$GIT_COMMIT", "abc1234") for each in RUN[str(line)]]
        code = root.run(runnable(arguments))
        written = capsys.readouterr()
        expected = REFUSED.get(str(line)) or TELLING.get(arguments[0] if arguments else "", {0})
        if code not in expected or "Traceback" in written.err:
            failures.append(f"{line}\nexit code {code}\n{written.err}")
    assert failures == []


def lines_to_run(page: str) -> Iterator[Line]:
    """Yield the lines of a page that are run, but those that ask nothing of the history and ran for another page."""
    for line in LINES:
        if line.page == page and str(line) in RUN:
            arguments = RUN[str(line)]
            others = (each for each in LINES if each.page != page and RUN.get(str(each)) == arguments)
            if arguments[:1] not in WITHOUT_HISTORY or all(LINES.index(each) > LINES.index(line) for each in others):
                yield line


def test_every_reason_is_needed() -> None:
    given = {why_not(arguments) for arguments in OURS.values()}
    known = {words: reason for words, reason in PARSED_ONLY.items() if words.split()[0] in root.COMMANDS}
    assert {words for words, reason in known.items() if reason not in given} == set()
    assert set(NOT_OURS) <= {Path(line.words[0]).name for line in LINES if line.words}


@pytest.mark.parametrize("line", [line for line in LINES if line.words and str(line) not in OURS], ids=str)
def test_every_other_line_is_ours_or_says_why_not(line: Line) -> None:
    program, *arguments = line.words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert arguments[0] in targets
    elif program == "sh":
        assert (ROOT / arguments[0]).is_file()
    elif program.endswith("python") and arguments[0] == "-m":
        folder = ROOT / arguments[1].replace(".", "/")
        source = "".join(each.read_text(encoding="utf-8") for each in folder.glob("*.py"))
        assert (folder / "__main__.py").is_file()
        assert [each for each in arguments[2:] if each.startswith("--") and f'"{each}"' not in source] == []
    else:
        assert Path(program).name in NOT_OURS


@pytest.mark.parametrize("block", blocks("cron"), ids=str)
def test_a_line_of_a_crontab_is_a_time_and_a_command_line(block: Block) -> None:
    for line in block.text.splitlines():
        *time, command = line.split(maxsplit=5)
        CronSim(" ".join(time), datetime.now(UTC))
        program, *arguments = shlex.split(command)
        assert Path(program).name == "benchbeat"
        parse(root.benchbeat, "benchbeat", arguments)


@pytest.mark.parametrize("line", [line for line in LINES if line.variables], ids=str)
def test_every_variable_is_a_setting(line: Line) -> None:
    given = dict(each.split("=", 1) for each in line.variables)
    settings = {name: value for name, value in given.items() if name.startswith(PREFIX)}
    _, warnings = load_settings(settings)
    assert warnings == []
    assert set(given) - set(settings) <= {"HF_TOKEN", "PATH"}
    assert {name for name in settings if name.endswith("_URL")} <= URL_VARIABLES


def test_lines_are_read_as_a_shell_reads_them() -> None:
    assert len(LINES) > 100
    assert all(shlex.split(each) is not None for line in LINES for each in [shlex.join(line.words)])
    assert {line.page for line in LINES} > {"README.md", "docs/tutorial.md", "docs/reference/commands.md"}
