"""The questions of docs/sql.md, asked on both databases over a history whose answers are known."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import Database
from db.readonly import select
from tests.db.builders import empty
from tests.db.built_history import MODELS, STRATEGIES, THINKER, build, built

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
QUERIES = dict(re.findall(r"^## (\d+\. [^\n]+)\n(?:(?!^## ).)*?^```sql\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))

_Answer = list[dict[str, Any]]


@pytest.fixture(scope="module")
def urls(shared_sqlite: Database, shared_postgresql: Database) -> Iterator[dict[str, str]]:
    """Give the URL of the built history in each database."""
    with built(shared_sqlite, shared_postgresql):
        yield {"sqlite": shared_sqlite.url, "postgresql": shared_postgresql.url}


def ask(url: str, statement: str) -> _Answer:
    """Return the answer that `benchbeat sql` gives."""
    with select(url, statement) as rows:
        return [dict(zip(rows.columns, row, strict=True)) for row in rows]


def by(answer: _Answer, *columns: str) -> dict[Any, dict[str, Any]]:
    """Return the rows by what stands in the columns, which tells each from the others."""
    rows = {tuple(row[name] for name in columns) if columns[1:] else row[columns[0]]: row for row in answer}
    assert len(rows) == len(answer)
    return rows


def alike(value: Any) -> Any:
    """Return a value in a spelling that both databases share."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", value):
        return datetime.fromisoformat(value)
    if isinstance(value, bool | str) or value is None:
        return value
    return round(float(value), 9)


def test_there_are_at_least_twenty_questions_in_order() -> None:
    numbers = [int(title.split(".")[0]) for title in QUERIES]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 20
    assert set(EXPECTED) == set(numbers)
    assert DOCUMENT.count("```sql") == len(numbers)


@pytest.mark.parametrize("title", QUERIES)
def test_both_databases_give_the_expected_answer(urls: dict[str, str], title: str) -> None:
    answers = {dialect: ask(url, QUERIES[title]) for dialect, url in urls.items()}
    for answer in answers.values():
        assert answer, "an answer has rows"
        EXPECTED[int(title.split(".")[0])](answer)
    ours, theirs = answers.values()
    assert [list(row) for row in ours] == [list(row) for row in theirs]
    assert [list(map(alike, row.values())) for row in ours] == [list(map(alike, row.values())) for row in theirs]


def test_no_question_takes_long_where_statistics_are_of_emptied_tables(postgresql_url: str) -> None:
    """As autovacuum may leave them: the planner thinks each table empty, and joins so, until it comes again."""
    database = Database(postgresql_url)
    _fill_and_empty(database, "ANALYZE")
    _fill_and_empty(database, None)
    _fill_and_empty(database, "ANALYZE run, answer")
    build(database)
    database.dispose()
    for statement in QUERIES.values():
        with select(postgresql_url, statement, timeout_seconds=20) as rows:
            assert list(rows)


def _fill_and_empty(database: Database, after: str | None) -> None:
    build(database)
    empty(database)
    if after:
        with database.write() as connection:
            connection.execute(text(after))


def _best(answer: _Answer) -> None:
    best = by(answer, "model", "workload")
    assert best["qwen2.5-1.5b", "arithmetic"]["strategy"] == "chain_of_thought"
    assert {row["model"] for row in answer} == {*MODELS, THINKER}


def _gains(answer: _Answer) -> None:
    assert answer[0]["gain"] == max(row["gain"] for row in answer)
    found = by(answer, "model", "workload", "strategy")
    assert set(found) == {(m, w, s) for m in MODELS for w in ("arithmetic", "writing") for s in STRATEGIES[1:]}
    # the last night's `direct` got one more right
    assert found["smollm2-135m", "arithmetic", "few_shot"]["gain"] == pytest.approx(0)
    assert found["smollm2-135m", "arithmetic", "chain_of_thought"]["gain"] == pytest.approx(1 / 6)


def _slowest(answer: _Answer) -> None:
    assert len(answer) == 10
    assert answer[0]["workload"] == "lm_eval:arc_easy"
    assert answer[0]["duration_seconds"] == pytest.approx(90)


def _changed(answer: _Answer) -> None:
    assert [(row["machine"], row["torch_version"]) for row in answer] == [("lab-a", "2.13.0"), ("lab-b", "2.13.0")]


def _tokens_per_joule(answer: _Answer) -> None:
    assert len(answer) == 6
    assert answer[0]["precision"] == "float16"
    assert float(answer[0]["tokens_per_joule"]) == pytest.approx(5 * 65 / (5 * 1.0 * 40))
    assert {row["energy_source"] for row in answer} == {"nvml"}


def _flipped(answer: _Answer) -> None:
    assert {(row["model"], row["workload"], row["strategy"]) for row in answer} == {
        (model, "arithmetic", "direct") for model in MODELS
    }
    assert all((row["earlier_score"], row["later_score"]) == (0.0, 1.0) for row in answer)
    assert len(answer) == 2


def _by_part(answer: _Answer) -> None:
    languages = {row["value"] for row in answer if row["by"] == "language"}
    assert languages == {"en", "de", "ja"}
    assert {row["value"] for row in answer if row["by"] == "level"} == {"1", "2", "3"}
    assert all(0 <= row["accuracy"] <= 1 and row["items"] == 6 for row in answer)


def _per_correct(answer: _Answer) -> None:
    best = next(row for row in answer if row["workload"] == "arithmetic")
    assert best["tokens_per_correct_answer"] == pytest.approx(6 * 30 / 4)
    assert best["seconds_per_correct_answer"] == pytest.approx(3)


def _thinking(answer: _Answer) -> None:
    (row,) = answer
    assert (row["model"], row["answers"], row["ran_out"]) == (THINKER, 18, 3)
    assert (float(row["thinking_tokens"]), float(row["answer_tokens"])) == (600, 30)


def _failures(answer: _Answer) -> None:
    assert [(row["error"], row["jobs"]) for row in answer] == [("The model's weights can't be had", 2)]


def _waited(answer: _Answer) -> None:
    assert len(answer) == 10
    assert answer[0]["waited_seconds"] > answer[-1]["waited_seconds"] > 600


def _loading(answer: _Answer) -> None:
    positions = by(answer, "session_position")
    assert positions[1]["load_seconds"] == pytest.approx(4)
    assert positions[2]["load_seconds"] is None
    assert positions[1]["first_call_seconds"] > positions[2]["first_call_seconds"]


def _precisions(answer: _Answer) -> None:
    found = by(answer, "model", "workload", "precision")
    half, full = (found["qwen2.5-1.5b", "speed", precision] for precision in ("float16", "float32"))
    assert half["decode_tokens_per_second"] > full["decode_tokens_per_second"]
    assert (float(half["weights_gib"]), float(full["weights_gib"])) == (3, 6)


def _label(answer: _Answer) -> None:
    assert {row["who"] for row in answer} == {"lab"}
    assert by(answer, "workload")["arithmetic"]["runs"] == 21


def _readable(answer: _Answer) -> None:
    assert [(row["strategy"], row["readability"]) for row in answer] == [
        ("chain_of_thought", 60),
        ("few_shot", 50),
        ("direct", 40),
    ]


def _memory(answer: _Answer) -> None:
    found = by(answer, "model", "precision")
    assert float(found["smollm2-135m", "float32"]["process_gib"]) == 1
    assert found["qwen2.5-1.5b", "float32"]["device_gib"] is None


def _trend(answer: _Answer) -> None:
    full = [row for row in answer if row["precision"] == "float32"]
    assert [row["day"] for row in full] == ["2026-05-02", "2026-05-04", "2026-05-05"]
    assert full[0]["change"] is None
    assert full[1]["change"] == pytest.approx(2.0 / 2.1 - 1)


def _machines(answer: _Answer) -> None:
    found = by(answer, "machine")
    assert (found["lab-a"]["runs"], found["lab-b"]["runs"]) == (32, 21)
    assert (found["lab-a"]["device"], found["lab-b"]["device"]) == ("cuda", "cpu")
    assert float(found["lab-b"]["hours"]) == pytest.approx(21 * 12 / 3600)


def _harness(answer: _Answer) -> None:
    assert [(row["name"], row["value"], row["stderr"]) for row in answer] == [
        ("acc", 0.61, 0.01),
        ("acc_norm", 0.58, 0.01),
    ]


def _kept(answer: _Answer) -> None:
    found = by(answer, "workload")
    assert (found["arithmetic"]["runs"], found["arithmetic"]["answers"]) == (21, 126)
    assert found["arithmetic"]["characters"] == 126 * len("It is 0.")


def _hard(answer: _Answer) -> None:
    found = by(answer, "item_id")
    assert "arithmetic-5" in found
    assert "arithmetic-0" not in found
    assert found["arithmetic-5"]["expected"] == "5"


def _disturbed(answer: _Answer) -> None:
    assert [(row["contamination"], row["runs"]) for row in answer] == [("Throttled", 1)]


def _order(answer: _Answer) -> None:
    # the float32 runs, which took 2.0, 2.1 and 2.2 s
    assert [(row["precision"], row["session_position"], row["runs"]) for row in answer] == [
        ("float32", 1, 1),
        ("float32", 2, 1),
        ("float32", 3, 1),
    ]
    assert [row["relative_latency"] for row in answer] == pytest.approx([2.0 / 2.1, 1, 2.2 / 2.1])


def _processes(answer: _Answer) -> None:
    assert len(answer) == 3 * 2
    first, second = answer[:2]
    assert [(row["process"], row["iterations"]) for row in (first, second)] == [(1, 3), (2, 2)]
    assert (first["median_seconds"], second["median_seconds"]) == pytest.approx((1.0, 1.1))
    assert (first["difference"], second["difference"]) == pytest.approx((0, 0.1))


def _cold(answer: _Answer) -> None:
    assert [(row["precision"], row["warmup_iterations"]) for row in answer] == [("float32", 30)]


def _beside(answer: _Answer) -> None:
    found = by(answer, "greediest")
    assert (found["cron"]["runs"], found["ffmpeg"]["runs"]) == (6, 1)
    assert found["ffmpeg"]["most_cores"] == 1.6


#: what each question's answer must be, by its number
EXPECTED: dict[int, Callable[[_Answer], None]] = {
    1: _best,
    2: _gains,
    3: _slowest,
    4: _changed,
    5: _tokens_per_joule,
    6: _flipped,
    7: _by_part,
    8: _per_correct,
    9: _thinking,
    10: _failures,
    11: _waited,
    12: _loading,
    13: _precisions,
    14: _label,
    15: _readable,
    16: _memory,
    17: _trend,
    18: _machines,
    19: _harness,
    20: _kept,
    21: _hard,
    22: _disturbed,
    23: _order,
    24: _processes,
    25: _cold,
    26: _beside,
}
