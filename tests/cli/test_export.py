"""`export`: every view in every format, to a file that is there whole or not at all."""

import csv
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow
import pyarrow.parquet
import pytest

from db.columns import KINDS
from db.engine import Database
from db.runs import store_measurement
from tests.cli.conftest import Command
from tests.commands import command, environment, run_command
from tests.db.builders import add_jobs, add_worker, answer, claimed_by, measurement
from tests.waiting import wait_until

VIEWS = ("history", "latest", "series", "samples", "answers", "breakdowns", "metrics", "jobs", "attempts", "batches")

#: what a shell, SQL, CSV and Markdown each stumble over
HARD = 'It\'s "Paris";\r\n\\n -- | $1 :x %s é 日本 \U0001f389\t'


@pytest.fixture
def hard(history: Database) -> Database:
    """Give a history with an answer that is hard to write."""
    add_jobs(history)
    job = claimed_by(history, add_worker(history))
    measured = measurement({"accuracy": 0.1 + 0.2, "latency_seconds": 1e-7}, answers=(answer(text=HARD),))
    store_measurement(history, job.id, job.attempt, "machine-a", measured)
    return history


def objects(benchbeat: Command, view: str) -> list[dict[str, Any]]:
    """Return a view's rows as JSON gives them."""
    done = benchbeat("export", view, "-o", "json")
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("output", ["csv", "json", "jsonl", "md", "sql"])
def test_a_file_holds_what_standard_output_shows(benchbeat: Command, nights: Database, view: str, output: str) -> None:
    shown = benchbeat("export", view, "-o", output)
    written = benchbeat("export", view, "--to", f"x.{output}")
    assert (shown.code, shown.err, written.code, written.out) == (0, "", 0, "")
    text = Path(f"x.{output}").read_bytes().decode()
    assert text == shown.out
    rows = objects(benchbeat, view)
    assert written.err == f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'} of {view} written to x.{output}\n"
    match output:
        case "csv":
            assert [list(row) for row in csv.DictReader(text.splitlines(keepends=True))] == [
                list(KINDS[view]) for _ in rows
            ]
        case "jsonl":
            assert [json.loads(line) for line in text.splitlines()] == rows
        case "md":
            assert len(text.splitlines()) == len(rows) + 2
        case "sql":
            assert text.count("\nINSERT INTO") == len(rows)
    beside = [f"x.{output}.units.json"] if output in ("csv", "json", "jsonl") else []
    assert sorted(path.name for path in Path().iterdir()) == [f"x.{output}", *beside]


@pytest.mark.parametrize("view", VIEWS)
def test_parquet_holds_the_same_with_types(benchbeat: Command, nights: Database, view: str) -> None:
    assert benchbeat("export", view, "--to", "x.parquet").code == 0
    table = pyarrow.parquet.read_table("x.parquet")
    kept = {
        name: [plain(each) for each in table.column(name).cast(pyarrow.timestamp("ms")).to_pylist()]
        if kind == "time"
        else table.column(name).to_pylist()
        for name, kind in KINDS[view].items()
    }
    rows = objects(benchbeat, view)
    assert kept == {name: [row[name] for row in rows] for name in KINDS[view]}
    assert table.schema.metadata == {b"benchbeat.view": view.encode()}
    types = {name: str(table.schema.field(name).type) for name in KINDS[view]}
    in_parquet = {"integer": "int64", "number": "double", "boolean": "bool", "time": "timestamp[ms, tz=UTC]"}
    assert types == {name: in_parquet.get(kind, "string") for name, kind in KINDS[view].items()}


def test_the_side_car_says_what_each_column_means(benchbeat: Command, nights: Database) -> None:
    for ending in ("csv", "parquet"):
        benchbeat("export", "--to", f"x.{ending}", "--columns", "run_id,ttft_seconds,labels.who,started_at")
    told = json.loads(Path("x.csv.units.json").read_text(encoding="utf-8"))
    assert told == json.loads(Path("x.parquet.units.json").read_text(encoding="utf-8"))
    assert told["view"] == "history"
    assert [list(each.values()) for each in told["columns"]] == [
        ["run_id", "whole number", None, "id of the run"],
        ["ttft_seconds", "number", "s", "time to the first token"],
        ["labels.who", "text", None, "label who of the batch"],
        ["started_at", "time, UTC", None, "when it began"],
    ]
    field = pyarrow.parquet.read_schema("x.parquet").field("ttft_seconds")
    assert field.metadata == {b"type": b"number", b"unit": b"s", b"description": b"time to the first token"}
    assert benchbeat("export", "--to", "y.csv", "--no-units").code == 0
    assert not Path("y.csv.units.json").exists()


def test_parquet_is_no_text_and_takes_each_column_once(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("export", "-o", "parquet")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Error: -o: parquet is no text; name a file with --to")
    done = benchbeat("export", "--to", "x.parquet", "--columns", "model,model")
    assert done.code == 2
    assert done.err.startswith("Error: model is named twice")
    assert list(Path().iterdir()) == []


def test_without_pyarrow_parquet_says_what_to_install(
    benchbeat: Command, nights: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = benchbeat("export", "--to", "x.parquet")
    assert done.code == 2
    assert done.err.startswith("Error: Parquet takes pyarrow; install it with `pip install 'benchbeat[report]'`")
    assert list(Path().iterdir()) == []


def test_formulas_are_kept_from_spreadsheets(benchbeat: Command, history: Database) -> None:
    add_jobs(history)
    job = claimed_by(history, add_worker(history))
    texts = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)"]
    answers = tuple(answer(text=text, sample=n) for n, text in enumerate(texts))
    store_measurement(history, job.id, job.attempt, "machine-a", measurement(answers=answers))
    benchbeat("export", "answers", "--to", "a.csv", "--columns", "text")
    with Path("a.csv").open(encoding="utf-8", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == [f"'{text}" for text in texts]


def test_groups_of_rows_are_written_one_after_the_other(
    benchbeat: Command, nights: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report.parquet._ROWS_A_GROUP", 100)
    benchbeat("export", "answers", "--to", "x.parquet")
    file = pyarrow.parquet.ParquetFile("x.parquet")
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
    assert sizes[:-1] == [100] * (len(sizes) - 1)
    assert sum(sizes) == len(objects(benchbeat, "answers"))


@pytest.mark.parametrize("view", VIEWS)
def test_sqlite_takes_the_inserts_and_gives_the_same(benchbeat: Command, nights: Database, view: str) -> None:
    copy = sqlite3.connect(":memory:")
    copy.executescript(benchbeat("export", view, "-o", "sql").out)
    copy.row_factory = sqlite3.Row
    found = [dict(row) for row in copy.execute(f"SELECT * FROM {view}")]
    assert found == objects(benchbeat, view)
    copy.close()


@pytest.mark.parametrize("view", VIEWS)
def test_postgresql_takes_the_inserts_and_gives_the_same(
    benchbeat: Command, nights: Database, postgresql_url: str, view: str
) -> None:
    script = benchbeat("export", view, "-o", "sql").out
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as copy:
        copy.execute("CREATE SCHEMA copy; SET search_path TO copy")
        copy.execute(script.encode())
        found = copy.execute(f"SELECT * FROM copy.{view}".encode())
        names = [column.name for column in found.description or ()]
        rows = [dict(zip(names, map(plain, row), strict=True)) for row in found]
    assert rows == objects(benchbeat, view)


def plain(value: Any) -> Any:
    """Return a time as the views of both databases give it."""
    return value.isoformat(" ", "milliseconds") if hasattr(value, "isoformat") else value


def test_what_is_hard_to_write_comes_back_to_the_letter(
    benchbeat: Command, hard: Database, postgresql_url: str
) -> None:
    benchbeat("export", "answers", "--to", "a.csv")
    with Path("a.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["text"] == HARD
    (row,) = objects(benchbeat, "answers")
    assert row["text"] == HARD
    script = benchbeat("export", "answers", "-o", "sql").out
    copy = sqlite3.connect(":memory:")
    copy.executescript(script)
    assert copy.execute("SELECT text FROM answers").fetchall() == [(HARD,)]
    copy.close()
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as server:
        server.execute("CREATE SCHEMA copy; SET search_path TO copy")
        server.execute(script.encode())
        assert server.execute("SELECT text FROM copy.answers").fetchall() == [(HARD,)]


def test_numbers_come_back_to_the_last_digit(benchbeat: Command, hard: Database) -> None:
    benchbeat("export", "--to", "h.csv", "--columns", "accuracy,latency_seconds")
    header, row = Path("h.csv").read_text(encoding="utf-8").splitlines()
    assert header == "accuracy,latency_seconds"
    assert [float(cell) for cell in row.split(",")] == [0.1 + 0.2, 1e-7]


def test_rows_and_columns_are_chosen(benchbeat: Command, nights: Database) -> None:
    chosen = ("--where", "accuracy>=0.5", "--where", "model~smol", "--label", "who=lab", "--columns", "run_id, model")
    done = benchbeat("export", *chosen)
    header, *rows = done.out.splitlines()
    assert (done.code, header, len(rows)) == (0, "run_id,model", 12)
    assert benchbeat("export", "batches", "--where", "queued>0", "-o", "jsonl").out.count("\n") == 1


def test_nothing_to_write_is_a_whole_file_and_exit_code_4(benchbeat: Command, history: Database) -> None:
    done = benchbeat("export", "answers", "--to", "a.json")
    assert (done.code, done.out, done.err) == (4, "", "0 rows of answers written to a.json\n")
    assert json.loads(Path("a.json").read_text()) == []
    assert benchbeat("-q", "export", "answers", "--to", "a.json").err == ""


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("x", "run_id,"),
        ("x.CSV", "run_id,"),
        ("x.json", "["),
        ("x.ndjson", "{"),
        ("x.md", "| run\\_id"),
        ("x.markdown", "| run"),
        ("x.sql", "BEGIN;"),
    ],
)
def test_the_ending_of_a_file_says_its_format(benchbeat: Command, nights: Database, name: str, begins: str) -> None:
    assert benchbeat("export", "--to", name).code == 0
    assert Path(name).read_text(encoding="utf-8").startswith(begins.replace("\\", ""))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--to", "x.xlsx"),
            "--to: x.xlsx has an ending that stands for no format; "
            "end it in .csv, .json, .jsonl, .md, .parquet, .sql, or add -o",
        ),
        (("--where", "acuracy>1"), "history has no column 'acuracy'; did you mean 'accuracy'?"),
        (("answers", "--where", "accuracy>1"), "answers has no column 'accuracy'"),
        (("--columns", "modle", "--to", "x.csv"), "history has no column 'modle'; did you mean 'model'?"),
        (("answers", "--label", "a=b"), "answers has no labels; there are some in history, latest, jobs and batches"),
        (("--label", "a"), "--label: write it as key=value (it is 'a')"),
    ],
    ids=str,
)
def test_what_can_t_be_exported_is_explained_and_leaves_no_file(
    benchbeat: Command, history: Database, arguments: tuple[str, ...], said: str
) -> None:
    done = benchbeat("export", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: {said}")
    assert list(Path().iterdir()) == []


def test_a_view_that_there_is_not_is_refused(benchbeat: Command, history: Database) -> None:
    done = benchbeat("export", "histroy")
    assert (done.code, done.out) == (2, "")
    assert "'histroy' is not one of 'history', 'latest'" in done.err


def test_a_folder_that_is_not_there_is_said(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("export", "--to", "gone/x.csv")
    said = f"Error: gone/x.csv can't be written: there is no folder {Path.cwd() / 'gone'}\n"
    assert (done.code, done.err) == (2, said)


def test_a_device_is_written_to_and_stays_one(benchbeat: Command, nights: Database) -> None:
    assert benchbeat("export", "--to", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()
    done = benchbeat("export", "--to", "/dev/full")
    assert (done.code, done.err) == (1, "Error: the system refused /dev/full: No space left on device\n")


def test_a_link_stays_one(benchbeat: Command, nights: Database) -> None:
    Path("there").mkdir()
    Path("link.csv").symlink_to("there/x.csv")
    assert benchbeat("export", "--to", "link.csv").code == 0
    assert Path("link.csv").is_symlink()
    assert Path("there/x.csv").read_text().startswith("run_id,")


def test_a_full_disk_leaves_the_file_of_before(benchbeat: Command, nights: Database, tmp_path: Path) -> None:
    Path("x.csv").write_text("of before")

    def small_files() -> None:
        # More than the 32 KiB that SQLite itself writes, less than the export.
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = run_limited(small_files, "export", "answers", "--to", "x.csv", "-o", "json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: the system refused x.csv: File too large\n"
    assert Path("x.csv").read_text() == "of before"
    assert [path.name for path in Path().iterdir()] == ["x.csv"]


def run_limited(limit: Callable[[], None], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process with a limit of the system."""
    return subprocess.run(
        command(*arguments), env=environment(), preexec_fn=limit, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_killed_export_leaves_no_half_file(
    benchbeat: Command, nights: Database, number: signal.Signals, code: int
) -> None:
    program = (
        "import sys, threading; import report.formats as f; from cli.main import main\n"
        "def stuck(*_, stream, **__): stream.write('half'); stream.flush(); threading.Event().wait()\n"
        "f.write_rows = stuck; main(['export', 'answers', '--to', 'x.csv'])\n"
    )
    command_line = [command()[0], "-P", "-c", program]
    with subprocess.Popen(command_line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: any(Path().glob("x.csv.*.partial")), description="the file is being written")
        os.kill(process.pid, number)
        try:
            process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code
    assert not Path("x.csv").exists()
    if number != signal.SIGKILL:
        assert list(Path().iterdir()) == []


def test_a_reader_that_has_seen_enough_is_no_error(benchbeat: Command, nights: Database) -> None:
    with subprocess.Popen(
        command("export", "answers", "-o", "sql"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0


def test_postgresql_is_exported_alike(
    benchbeat: Command, nights: Database, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.db.built_history import build

    ours = benchbeat("export", "history", "--columns", "run_id,started_at,labels,accuracy,contaminated").out
    server = Database(postgresql_url)
    build(server)
    server.dispose()
    theirs = run_command(
        "export",
        *("history", "--columns", "run_id,started_at,labels,accuracy,contaminated"),
        BENCHBEAT_DATABASE_URL=postgresql_url.replace("postgresql+psycopg", "postgres"),
    )
    assert theirs.stdout.splitlines() == ours.splitlines()
