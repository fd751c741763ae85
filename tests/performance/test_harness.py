"""The harness itself: its arithmetic, its table, and that every row can be measured. No time is asserted."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bench.catalog import ModelEntry
from bench.statistics import median_interval
from tests.commands import run_command
from tests.performance import llama, table
from tests.performance.command import ROWS, Measured, keep, main, measure, pick
from tests.performance.memory import heavy_imports
from tests.performance.recording import OF_ITS_OWN, chosen_history
from tests.performance.results import AbsentError, AtMost, NotSlower, RatioAtMost, Result, alternate
from tests.performance.world import QUICK, World, new_world

ROOT = Path(__file__).parent.parent.parent

#: rows that load a model
_WITH_MODEL = ("memory", "second-job", "overhead", "decode", "loads", "short-jobs", "lm-eval")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give a small world with a tiny model, shared by the tests."""
    folder = tmp_path_factory.mktemp("world")
    with new_world(QUICK, folder, weights_home=folder, tiny=True) as made:
        yield made


def _result(ours: tuple[float, ...], theirs: tuple[float, ...] = ()) -> Result:
    return Result(row="row", what="work", unit="s", ours=ours, theirs=theirs)


def test_pairs_come_in_the_order_a_b_b_a_after_the_warm_up() -> None:
    called: list[str] = []

    def call(name: str) -> int:
        called.append(name)
        return len(called)

    pairs = alternate(lambda: call("a"), lambda: call("b"), 3, warm_up=2)
    assert "".join(called) == "abab" + "abbaab"
    assert pairs == [(5, 6), (8, 7), (9, 10)]


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=6, max_size=40))
def test_ratio_is_that_of_the_pairs_and_lies_within_its_interval(pairs: list[tuple[float, float]]) -> None:
    result = _result(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))
    assert result.ratios == tuple(a / b for a, b in pairs)
    assert result.interval == median_interval(result.ratios)
    assert result.ratio is not None
    assert result.interval is not None
    assert result.interval[0] <= result.ratio <= result.interval[1]


@pytest.mark.parametrize(
    ("result", "goal", "met"),
    [
        (_result((1, 2, 9)), AtMost(2), True),
        (_result((1, 3, 9)), AtMost(2), False),
        (_result((1.01, 1.02, 1.03), (1, 1, 1)), RatioAtMost(1.02), True),
        (_result((1.01, 1.03, 1.03), (1, 1, 1)), RatioAtMost(1.02), False),
        (_result((1,)), RatioAtMost(1.02), None),
        (_result((1.05, 1.02, 1.01, 1.03, 1.02, 0.98), (1,) * 6), NotSlower(), True),
        (_result((1.05, 1.02, 1.01, 1.03, 1.02, 1.01), (1,) * 6), NotSlower(), False),
        # It holds 1, and much else.
        (_result((1.05, 1.02, 1.01, 1.03, 1.02, 0.9), (1,) * 6), NotSlower(), False),
        (_result((0.5,) * 6, (1,) * 6), NotSlower(), True),
        # Five pairs have no interval of 95 %.
        (_result((2, 2, 2, 2, 2), (1,) * 5), NotSlower(), None),
    ],
)
def test_goals(result: Result, goal: AtMost | RatioAtMost | NotSlower, met: bool | None) -> None:
    assert goal.met(result) is met


def test_table_and_json_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    slow = Result("slow", "work", "s", (2.0, 4.0, 3.0), AtMost(1), "the bare thing", (1.0, 1.0, 1.0))
    count = Result("count", "modules", "", (0.0,), AtMost(0), readings=9)
    table.print_table([slow, count])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["row", "figure", "median"]
    assert " ".join(lines[2].split()) == "slow work 3 s 2 to 4 3 the bare thing 1 s 3.000 - at most 1 s NO"
    assert " ".join(lines[3].split()) == "count modules 0 - 9 - - - - at most 0 yes"
    assert table.verdict([slow, count]) == "1 of 2 goals missed: slow (work)"
    written = json.loads(table.as_json(table.head(), [slow, count]))
    assert written["processors"] >= 1
    assert len(written["load_average"]) == 3
    assert [entry["values"] for entry in written["results"]] == [[2.0, 4.0, 3.0], [0.0]]
    assert [entry["ratio"] for entry in written["results"]] == [3.0, None]
    assert [entry["met"] for entry in written["results"]] == [False, True]


def test_heavy_imports_are_seen(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import torch.version, json" if "torch" in sys.modules else "import json"
    with log.open("wb") as output:
        subprocess.run([sys.executable, "-X", "importtime", "-c", program], check=True, stderr=output)
    light = [line for line in log.read_text().splitlines() if "torch" not in line]
    log.write_text("\n".join([*light, "a service's own line", "import time:       1 |          2 |   torch._C"]))
    assert heavy_imports(log) == ["torch._C"]


def test_names_pick_rows() -> None:
    listed = CliRunner().invoke(main, ["--list", "--only", "claim", "--only", "help"])
    assert listed.output.split() == ["help", "claim-sqlite", "claim-postgresql"]
    assert pick(["history"]) == ["history"], "a row's whole name is that row"
    assert pick(["history-"]) == ["history-sqlite", "history-postgresql"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "stattus"], "there is no row 'stattus'; did you mean 'status'?"),
        (["--only", "clam"], "there is no row 'clam'; did you mean 'claim'"),
        (["--only", "noise"], "there is no row 'noise'; it is measured with 'decode'"),
        (["--only", ""], "there is no row ''; --list names them"),
        (["--quick", "--large"], "--quick and --large exclude each other"),
        (
            ["--record", "claim"],
            "--record takes a file or a database's URL, not 'claim'; did you mean --only claim?",
        ),
        (["--record", ""], "--record takes a file or a database's URL, not ''"),
        (["--record", "gone/costs.db"], "there is no folder"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert "measuring" not in done.output
    assert list(tmp_path.iterdir()) in ([], [home])


def test_a_home_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCHBEAT_HOME", str(tmp_path / "file"))
    done = CliRunner().invoke(main, ["--quick", "--only", "help"])
    assert done.exit_code == 2
    assert "the home can't be used" in done.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_measured_before_an_interruption_is_kept(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    file, history = tmp_path / "bench.json", tmp_path / "costs.db"
    command = [sys.executable, "-m", "tests.performance", "--quick", "--only", "help", "--only", "dispatch"]
    command += ["--json", str(file), "--record", str(history)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        told = ""
        while not told.endswith("measuring dispatch"):
            told += process.stderr.read(1)
            assert process.poll() is None, told
        process.send_signal(number)
        printed, said = process.stdout.read(), process.stderr.read()
        assert process.wait() == 128 + number
    assert "interrupted; 1 figures were taken before" in said
    assert "benchbeat --help" in printed
    assert [each["row"] for each in json.loads(file.read_text())["results"]] == ["help"]
    assert "batch 1: 1 results are stored" in printed
    assert list(home.iterdir()) == []


def test_the_command_writes_its_table_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.performance", "--quick", "--only", "help", "--json", str(file)]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert "nproc" in done.stdout
    assert json.loads(file.read_text())["results"][0]["row"] == "help"
    assert list(home.iterdir()) == []


def test_results_are_recorded_in_a_history_that_every_command_reads(home: Path, tmp_path: Path) -> None:
    history = chosen_history(OF_ITS_OWN)
    assert history.url == f"sqlite:///{home / 'performance.db'}"
    for night in range(1, 25):
        day = {"taken_at": f"2026-10-{night:02d}", "finished_at": f"2026-10-{night:02d}"}
        commit = {"git_commit": "a" * 40 if night < 13 else "b" * 40}
        scale = (1.0 if night < 13 else 2.0) * (1 + night % 3 / 100)
        claims = [
            Result("claim", f"claim from {n:,} jobs", "ms", (scale, 1.01 * scale, 1.02 * scale), AtMost(2), size=n)
            for n in (10_000, 100_000)
        ]
        said = history.store(table.as_json(table.head() | day | commit, claims))
        assert said.startswith(f"batch {night}: 2 results are stored; BENCHBEAT_DATABASE_URL='{history.url}' benchbeat")

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(*arguments, folder=tmp_path, BENCHBEAT_DATABASE_URL=history.url)

    shown = json.loads(ask("history", "--where", "items=100000", "-o", "json").stdout)
    assert {row["workload"] for row in shown} == {"claim/claim-from-n-jobs@100000"}
    assert ask("compare", "12", "24").stdout.count("slower") == 2
    found = ask("regressions").stdout
    assert found.count("Slower, found in the history") == found.count("git_commit aaaaaaa") == 2
    report = ask("report").stdout
    assert "Growth of claim" in report
    assert "Claim from n jobs: 1 times as long from n = 10,000 to 100,000" in report


@pytest.mark.parametrize(
    ("database", "said"),
    [
        ("sqlite://", "--record sqlite://: a database in memory ends with the command"),
        ("mysql://a/b", "--record mysql://a/b: must be sqlite:///PATH or postgresql://"),
        ("{folder}", "can't be"),
        ("{text}", "file is not a database"),
    ],
)
def test_a_history_that_cant_be_written_is_told_before_anything_is_measured(
    home: Path, tmp_path: Path, database: str, said: str
) -> None:
    (tmp_path / "text").write_text("no database\n" * 100)
    given = database.format(folder=tmp_path, text=tmp_path / "text")
    done = CliRunner().invoke(main, ["--quick", "--only", "help", "--record", given])
    assert done.exit_code == 2
    assert said in done.output
    assert "measuring" not in done.output


def test_a_file_that_cant_be_written_is_told_before_anything_is_measured(home: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--quick", "--only", "help", "--json", str(tmp_path / "gone" / "bench.json")])
    assert done.exit_code == 2
    assert "there is no folder" in done.output
    assert "measuring" not in done.output


def test_a_row_that_cant_be_measured_says_why(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    measured = measure(world, ["llama-bench"])
    assert (measured.results, measured.failed, measured.exit_code) == ([], [], 4)
    said = "measuring llama-bench ... not measured: llama-bench is not on the path; docs/performance.md says how to"
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo no GPU here >&2; exit 3", "ended with 3: no GPU here"),
        ("echo garbage", "did not write what llama.cpp's writes"),
        ("exec sleep 60", "said nothing for 0 s"),
    ],
)
def test_a_llama_bench_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    file = tmp_path / "llama-bench"
    file.write_text(f"#!/bin/sh\n{program}\n")
    file.chmod(0o755)
    monkeypatch.setattr(llama, "_PATIENCE_SECONDS", 0.3)
    with pytest.raises(AbsentError, match=said):
        llama._llama_bench(str(file), tmp_path / "weights.gguf", 8, 1)


def test_a_table_that_cant_be_written_at_the_end_is_recorded_all_the_same(home: Path, tmp_path: Path) -> None:
    facts = table.head(quick=True) | {"finished_at": "2100-01-01T00:00:00+00:00"}
    file, history = tmp_path / "gone" / "bench.json", tmp_path / "costs.db"
    problems = keep(facts, [_result((1.0,))], file, chosen_history(str(history)))
    assert problems == [f"--json {file}: it can't be written (No such file or directory)"]
    assert history.exists()


def test_a_row_that_fails_takes_no_other_with_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(world: World) -> Iterator[Result]:
        raise RuntimeError

    monkeypatch.setitem(ROWS, "help", fail)
    measured = measure(world, ["help", "status"])
    assert {result.row for result in measured.results} == {"status"}
    assert measured.failed == ["help"]


def test_llama_bench_gets_the_same_weights_and_its_figures_stand_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gguf

    from tests.worker.tiny import write_gguf

    source = write_gguf(tmp_path / "tiny.gguf")
    # 1 ms a token, and the arguments as the program saw them.
    program = tmp_path / "llama-bench"
    body = f"import json, pathlib, sys\nfile = pathlib.Path({str(tmp_path / 'seen')!r})\n"
    body += "file.open('a').write(json.dumps(sys.argv[1:]) + '\\n')\nprint('[{\"samples_ns\": [8000000]}]')\n"
    program.write_text(f"#!{sys.executable}\n{body}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    fields = {"source": f"gguf:{source}", "memory_gib": {"float32": 0.5}, "precision": "float32"}
    # A world of its own: the shared one would keep this checkpoint for the rows that follow.
    with new_world(QUICK, tmp_path, weights_home=tmp_path, tiny=True) as world:
        monkeypatch.setitem(world.__dict__, "model", ModelEntry(name="tiny", task="text", **fields))
        decode, prompt = measure(world, ["llama-bench"]).results
    tokens = QUICK.tokens
    assert decode.theirs == (8 / tokens,) * QUICK.generations
    assert prompt.theirs == (8.0,) * QUICK.generations
    assert all(figure > 0 for figure in prompt.ours)
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert seen[0][-6:] == ["-p", "0", "-n", str(tokens), "-d", str(tokens)]
    assert {each.tensor_type.name for each in gguf.GGUFReader(seen[0][1]).tensors} == {"F32"}


@pytest.mark.parametrize("row", [row for row in ROWS if row not in (*_WITH_MODEL, "llama-bench")])
def test_row_is_measured(world: World, row: str) -> None:
    _check(measure(world, [row]), row)


@pytest.mark.parametrize("row", _WITH_MODEL)
def test_row_with_a_model_is_measured(world: World, row: str) -> None:
    _check(measure(world, [row]), row)


def _check(measured: Measured, row: str) -> None:
    assert measured.results
    assert not measured.failed
    for result in measured.results:
        assert result.row in (row, "noise")
        assert len(result.ours) >= 1
        assert not result.theirs or len(result.theirs) == len(result.ours)
        # A tiny model's whole answer may take no longer than its first token, and what idles or is looked at for a
        # second less than the 10 ms that a processor's clock shows.
        may_be_nothing = "reported" in result.what or not result.unit or row.startswith(("idle", "watch-"))
        assert all(figure > 0 for figure in result.ours) or may_be_nothing
    table.print_table(measured.results)
