"""What a text is, told by its content."""

import io
import json

import pytest

from bench.errors import InputError
from bench.imports.formats import FORMATS, Format, check_format, read_imports
from tests.bench.imports.reading import bench_row, data, runs

_KNOWN = "there is llama-bench's output of `-o json`, `-o jsonl` and `-o sql`, and lm-eval's results_*.json"


@pytest.mark.parametrize(
    ("name", "source", "count"),
    [
        ("llama-bench.json", "llama-bench", 2),
        ("llama-bench.jsonl", "llama-bench", 2),
        ("llama-bench.sql", "llama-bench", 2),
        ("results_tiny-qwen2.json", "lm-eval", 1),
    ],
)
def test_the_content_tells_the_format(name: str, source: str, count: int) -> None:
    found = runs(data(name))
    assert [each.source for each in found] == [source] * count
    assert [each.position for each in found] == list(range(1, count + 1))
    assert runs("\n \n" + data(name))[0].source == source


def test_outputs_that_were_written_after_each_other_are_read() -> None:
    assert len(runs(data("llama-bench.json") * 2)) == 4
    assert len(runs(data("llama-bench.json") + data("llama-bench.jsonl"))) == 4
    assert len(runs(data("llama-bench.sql") * 2)) == 4
    assert len(runs(data("results_tiny-qwen2.json") * 2)) == 2


def test_runs_come_one_by_one() -> None:
    rows = [bench_row(), bench_row(n_gen=-1)]
    found = read_imports(io.StringIO(json.dumps(rows)), "out")
    assert next(found).new_tokens == 0
    with pytest.raises(InputError, match="n_gen must be at least 0"):
        next(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "out: is empty"),
        (" \n\n", "out: is empty"),
        ("[\n\n]\n", "out: holds no results"),
        ("CREATE TABLE IF NOT EXISTS llama_bench (\n  a TEXT\n);\n", "out: holds no results"),
        ("hello", f"out: is in no format that can be imported; {_KNOWN}"),
        ("<html>", f"out: is in no format that can be imported; {_KNOWN}"),
        ('{"a": 1}', f"out:1: this object is neither a row of llama-bench nor lm-eval's results; {_KNOWN}"),
        ('\n[\n{"a": 1}]', f"out:3: this object is neither a row of llama-bench nor lm-eval's results; {_KNOWN}"),
        ("build_commit,build_number,cpu_info\n", "out: is llama-bench's CSV, which holds no readings; run llama-bench"),
        ("| model | size | t/s |\n", "out: is llama-bench's table for people"),
        ("|  Tasks   |Version|Filter|n-shot|  Metric   |\n", "out: is lm-eval's table for people"),
        ("SQLite format 3\x00", "out: is a database of SQLite"),
    ],
)
def test_an_unknown_format_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        runs(text)
    assert str(caught.value).startswith(said)


def test_lm_evals_answers_are_known_and_refused() -> None:
    with pytest.raises(InputError, match="out: holds lm-eval's answers, which are not imported"):
        runs(data("samples_colours.jsonl"))


@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        ("llama-bench.json", "lm-eval", "out:2: is no result file of lm-eval: it has no results"),
        ("results_tiny-qwen2.json", "llama-bench-json", r"out:1 \(row 1\): is no row of llama-bench: model_filename"),
        ("llama-bench.json", "llama-bench-sql", r"out:1: is neither llama-bench's CREATE TABLE nor an INSERT"),
        ("llama-bench.sql", "llama-bench-json", "out:1: must be an object in braces, and begins with 'C'"),
    ],
)
def test_a_wrong_format_that_was_asked_for_is_told(name: str, wanted: Format, said: str) -> None:
    with pytest.raises(InputError, match=said):
        runs(data(name), wanted)


def test_a_format_that_was_asked_for_is_taken_without_its_marks() -> None:
    assert len(runs(data("llama-bench.json"), "llama-bench-json")) == 2


def test_formats_have_names() -> None:
    assert [check_format(name, "--format") for name in FORMATS] == list(FORMATS)
    with pytest.raises(InputError, match="--format: unknown format 'lmeval'; did you mean 'lm-eval'"):
        check_format("lmeval", "--format")


def test_the_second_row_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match=r"out:1 \(row 2\): is no row of llama-bench: model_filename is missing"):
        runs(json.dumps([bench_row(), {"a": 1}]))
