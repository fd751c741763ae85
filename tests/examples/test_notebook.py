"""The example notebook runs on a small history, without a display."""

import subprocess
import sys
from pathlib import Path

from db.engine import Database
from tests.commands import ROOT, environment
from tests.db.built_history import build


def test_it_answers_from_the_history(home: Path, sqlite_template: Path, tmp_path: Path) -> None:
    (home / "history.db").write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{home / 'history.db'}")
    build(database)
    database.dispose()
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("53 runs, of them 52 clean")
    assert "chain_of_thought" in done.stdout
    assert (tmp_path / "latency.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_it_says_that_a_history_is_empty(home: Path, sqlite_template: Path, tmp_path: Path) -> None:
    (home / "history.db").write_bytes(sqlite_template.read_bytes())
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "nothing was measured yet; begin with `benchbeat run`\n"


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the notebook in a folder."""
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "notebook.py")],
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
