"""What people ask of the history, at several lengths of it, beside the same asked by hand with the ideal index.

In one process and a transaction, as the command reads: its start-up is measured by the row `history`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from db.compare import compare_by
from db.conditions import Condition
from db.engine import Database
from db.history import Query
from db.history import history as read_history
from db.level_changes import changes_in_history
from tests.performance import asked_by_hand
from tests.performance.asked_by_hand import ByHand
from tests.performance.results import AtMost, Both, RatioAtMost, Result, alternate
from tests.performance.world import DatabaseKind, World

GOAL_MILLISECONDS = 150.0
GOAL_RATIO = 1.3
GOAL_GROWTH = 1.5

_MODELS = ("qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b")
_NIGHTS_SECONDS = 30 * 86_400
_WARM_UP = 3

#: what the questions name
Values = dict[str, Any]


def _equal(values: Values, *columns: str) -> tuple[Condition, ...]:
    return tuple(Condition(column, "=", values[column]) for column in columns)


def _history(connection: Connection, values: Values) -> list[Any]:
    query = Query(_equal(values, "model", "workload"), limit=20)
    return sorted(row[0] for row in read_history(connection, query).rows)


def _grouped(connection: Connection, values: Values) -> list[Any]:
    query = Query(_equal(values, "machine"), group_by=("model", "strategy"), since=values["since_typed"])
    return sorted(str(row[:2]) for row in read_history(connection, query).rows)


def _latest(connection: Connection, values: Values) -> list[Any]:
    statement = text(
        "SELECT model, precision, decode_tokens_per_second, latency_seconds FROM latest "
        "WHERE machine = :machine AND workload = :workload"
    )
    named = {name: values[name] for name in ("machine", "workload")}
    return sorted(map(str, connection.execute(statement, named).all()))


def _compared(connection: Connection, values: Values) -> list[Any]:
    both = tuple(Condition("model", "=", name) for name in _MODELS)
    found = compare_by(connection, Query((*_equal(values, "machine", "workload"), *both)), "model")
    return sorted(line.run.id for line in found.lines)


def _changes(connection: Connection, values: Values) -> list[Any]:
    return changes_in_history(connection, Query(_equal(values, "series"))).changes


@dataclass(frozen=True)
class Question:
    """What is asked, in words, by the command's function, and by hand."""

    what: str
    ours: Callable[[Connection, Values], list[Any]]
    by_hand: Callable[[ByHand, Values], list[Any]]
    beside: str = "one statement by hand"


#: by the row's name
QUESTIONS = {
    "history": Question("history --model M --workload speed --limit 20", _history, asked_by_hand.history),
    "grouped": Question(
        "history --group-by model,strategy, a machine's last 30 nights",
        _grouped,
        asked_by_hand.grouped,
        "its statement and medians by hand",
    ),
    "latest": Question("the view latest, a machine's speed", _latest, asked_by_hand.latest),
    "compare": Question(
        "compare --by model, two models' speed on a machine",
        _compared,
        asked_by_hand.compared,
        "what it reads, by hand, and nothing tested",
    ),
    "regressions": Question(
        "regressions --series S, 500 runs", _changes, asked_by_hand.changes, "its medians by hand, judged alike"
    ),
}


def question_rows(world: World, name: str, kind: DatabaseKind) -> Iterator[Result]:
    """A question at each length of the history, and at the longest one beside the one before it."""
    question, sizes = QUESTIONS[name], world.sizes.histories
    for runs in sizes:
        ours, by_hand = _Asked(world, question, kind, runs), _AskedByHand(world, question, kind, runs)
        _check_alike(name, ours.answer(), by_hand.answer())
        pairs = alternate(ours, by_hand, world.sizes.questions_asked, warm_up=_WARM_UP)
        yield Result(
            row=f"{name}-{kind}",
            what=f"{question.what}, of {runs:,} runs",
            unit="ms",
            ours=tuple(a for a, _ in pairs),
            goal=Both(AtMost(GOAL_MILLISECONDS), RatioAtMost(GOAL_RATIO)),
            beside=question.beside,
            theirs=tuple(b for _, b in pairs),
            size=runs,
        )
        ours.close()
        by_hand.close()
    shorter, longer = (_Asked(world, question, kind, runs) for runs in sizes[-2:])
    pairs = alternate(longer, shorter, world.sizes.questions_asked, warm_up=_WARM_UP)
    yield Result(
        row=f"{name}-{kind}",
        what=f"the same, {sizes[-1]:,} runs beside {sizes[-2]:,}",
        unit="ms",
        ours=tuple(a for a, _ in pairs),
        goal=RatioAtMost(GOAL_GROWTH),
        beside=f"of {sizes[-2]:,} runs",
        theirs=tuple(b for _, b in pairs),
    )
    shorter.close()
    longer.close()


def _check_alike(name: str, ours: list[Any], by_hand: list[Any]) -> None:
    """Refuse to compare what does not answer the same; a comparison leaves out what has nothing beside it."""
    same = set(ours) <= set(by_hand) if name == "compare" else len(ours) == len(by_hand)
    assert same, f"{name}: {ours}, by hand {by_hand}"


class _Asked:
    """A question by the command's function."""

    def __init__(self, world: World, question: Question, kind: DatabaseKind, runs: int) -> None:
        self._database = Database(world.history(kind, runs))
        with self._database.read() as connection:
            self._values = values_of(connection)
        self._question = question

    def __call__(self) -> float:
        """Ask; return the milliseconds."""
        started = time.perf_counter()
        self.answer()
        return (time.perf_counter() - started) * 1000

    def answer(self) -> list[Any]:
        """Return the answer."""
        with self._database.read() as connection:
            return self._question.ours(connection, self._values)

    def close(self) -> None:
        """Close the connections."""
        self._database.dispose()


class _AskedByHand:
    """The same by the bare driver."""

    def __init__(self, world: World, question: Question, kind: DatabaseKind, runs: int) -> None:
        database = Database(world.history(kind, runs))
        with database.read() as connection:
            values = values_of(connection)
        database.dispose()
        self._hand = ByHand(world.history(kind, runs), kind)
        self._question, self._values = question, values

    def __call__(self) -> float:
        """Ask; return the milliseconds."""
        started = time.perf_counter()
        self.answer()
        return (time.perf_counter() - started) * 1000

    def answer(self) -> list[Any]:
        """Return the answer."""
        self._hand.begin()
        found = self._question.by_hand(self._hand, self._values)
        self._hand.commit()
        return found

    def close(self) -> None:
        """Close the connection."""
        self._hand.close()


def values_of(connection: Connection) -> Values:
    """Return what the questions name, as it is in a synthetic history: its first series, and its last 30 nights."""
    last = int(connection.execute(text("SELECT max(started_at) FROM run")).scalar_one())
    since = last - _NIGHTS_SECONDS
    first = connection.execute(
        text(
            "SELECT r.series_id, substr(k.hash, 1, 16) AS series, r.machine_id AS machine "
            "FROM run r JOIN series_key k ON k.id = r.series_id WHERE r.id = 1"
        )
    ).one()
    known = {"model": _MODELS[0], "other": _MODELS[1], "workload": "speed", "since": float(since)}
    # As people type it, in this machine's time.
    typed = datetime.fromtimestamp(since).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006
    return {**first._mapping, **known, "since_typed": typed}
