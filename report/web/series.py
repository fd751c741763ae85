"""One series: its runs over time, drawn and listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Literal

from bench.errors import InputError, suggest
from db.columns import KINDS
from db.engine import Database
from db.history import METRICS
from report.charts.data import EnvironmentMark, HistoryLine, LevelChangeMark, LinePoint, Picture
from report.charts.svg import titled
from report.web.cells import Cell, Grid, facts, grid
from report.web.easel import Easel
from report.web.known import last_runs
from report.web.reading import Reading, rows_of

#: runs that are drawn and listed, the last ones
DRAWN_RUNS, LISTED_RUNS = 400, 50

_FIGURES = ("decode_tokens_per_second", "accuracy", "word_error_rate", "latency_seconds")
_ENVIRONMENT = ("os_build", "driver", "torch_version", "transformers_version", "benchbeat_version", "git_commit")
_ABOUT = (
    *("model", "revision", "workload", "strategy", "temperature", "top_p", "precision", "attention", "batch_size"),
    *("prompt_tokens", "new_tokens", "max_new_tokens", "device", "device_name", "machine"),
)
_LISTED = ("run_id", "started_at", "batch", *_FIGURES, "ttft_seconds", "contaminated", "contamination")
#: what is read of each run
_READ = dict.fromkeys((*_LISTED, *_ABOUT, *_ENVIRONMENT, *METRICS, "accuracy_stderr"))
_UNITS = {"accuracy": "share", "word_error_rate": "share", "quality": "of 10", "readability": "of 100"}
_Z = 1.959963984540054


@dataclass(frozen=True)
class SeriesDetails:
    """A series' page."""

    series: str
    facts: list[tuple[str, Cell]]
    figure: str
    #: figures that its runs have
    figures: list[str]
    #: what the picture shows, in words
    description: str
    #: None where there is nothing to draw, or it is not drawn yet
    picture: Picture | None
    #: whether it is being drawn
    is_drawing: bool
    runs: Grid
    changes: Grid


def series_details(
    database: Database, reading: Reading, easel: Easel, series: str, figure: str | None
) -> SeriesDetails | None:
    """Return all about a series, or None where there is none. Raises InputError for a figure that it has not."""
    ids = last_runs(database, series, DRAWN_RUNS)
    if not ids:
        return None
    columns = list(_READ)
    with reading.open() as connection:
        listed = ", ".join(map(str, ids))
        found = rows_of(connection, "history", columns, f"WHERE run_id IN ({listed}) ORDER BY started_at, run_id", {})
        change_columns = list(KINDS["changes"])
        where = "WHERE series = :series ORDER BY change_id DESC LIMIT 100"
        changes = rows_of(connection, "changes", change_columns, where, {"series": series})
    runs = [dict(zip(columns, row, strict=True)) for row in found]
    if not runs:
        return None
    figures = [name for name in METRICS if any(each[name] is not None for each in runs)]
    marks = [dict(zip(change_columns, row, strict=True)) for row in changes]
    chosen = _figure(figure, figures, [each["metric"] for each in marks])
    line = history_line(runs, marks, chosen)
    picture = easel.picture(line) if line.points else None
    last = runs[: -LISTED_RUNS - 1 : -1]
    kept = [name for name in _LISTED if any(each[name] is not None for each in last)]
    return SeriesDetails(
        series,
        facts(_ABOUT, [runs[-1][name] for name in _ABOUT]),
        chosen,
        figures,
        _description(chosen, line),
        None if picture is None else _described(picture, chosen, _description(chosen, line)),
        picture is None and bool(line.points),
        grid(
            "The last runs" if len(runs) > len(last) else "Runs",
            kept,
            [tuple(each[name] for name in kept) for each in last],
            download="/runs",
            download_query=f"?where=series%3D{series}",
        ),
        grid(
            "Changes of level",
            _CHANGE_COLUMNS,
            [tuple(each[name] for name in _CHANGE_COLUMNS) for each in marks],
            download="/changes",
            download_query=f"?where=series%3D{series}",
        ),
    )


_CHANGE_COLUMNS = (
    *("change_id", "changed_at", "state", "kind", "metric", "level_before", "level_after", "ratio", "ratio_low"),
    *("ratio_high", "extra_runs", "first_run_id"),
)


def history_line(runs: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]], figure: str) -> HistoryLine:
    """Return a figure of a series' runs as a picture's data."""
    points = tuple(_point(each, figure) for each in runs if each[figure] is not None)
    environments = tuple(
        EnvironmentMark(_moment(later["started_at"]), ", ".join(said))
        for earlier, later in pairwise(runs)
        if (said := [f"{name} {earlier[name] or '-'} -> {later[name] or '-'}" for name in _differing(earlier, later)])
    )
    begin = points[0].at if points else None
    marks = tuple(
        LevelChangeMark(_moment(each["changed_at"]), each["ratio"], state, _is_worse(each["metric"], each["ratio"]))
        for each in reversed(changes)
        if each["metric"] == figure
        and (state := _state(each["state"])) is not None
        and begin is not None
        and _moment(each["changed_at"]) >= begin
    )
    return HistoryLine(_unit(figure), points, marks, environments)


def _described(picture: Picture, title: str, description: str) -> Picture:
    narrow, wide = (
        titled(svg, name, title, description) for name, svg in (("narrow", picture.narrow), ("wide", picture.wide))
    )
    return Picture(narrow, wide)


def _figure(asked: str | None, figures: Sequence[str], changed: Sequence[str]) -> str:
    if asked is None:
        usual = [name for name in (*changed, *_FIGURES, *figures) if name in figures]
        return usual[0] if usual else "duration_seconds"
    if asked not in figures:
        raise InputError(f"this series has no figure {asked!r}{suggest(asked, figures)}", where="figure")
    return asked


def _point(row: Mapping[str, Any], figure: str) -> LinePoint:
    low = high = None
    if figure == "latency_seconds":
        low, high = row["latency_low_seconds"], row["latency_high_seconds"]
    elif figure == "accuracy" and row["accuracy_stderr"] is not None:
        half = _Z * row["accuracy_stderr"]
        low, high = max(0.0, row["accuracy"] - half), min(1.0, row["accuracy"] + half)
    return LinePoint(_moment(row["started_at"]), float(row[figure]), low, high, bool(row["contaminated"]))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _differing(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> list[str]:
    return [name for name in _ENVIRONMENT if earlier[name] != later[name]]


def _state(state: str) -> Literal["confirmed", "suspected"] | None:
    return "confirmed" if state == "confirmed" else "suspected" if state in ("suspected", "undecided") else None


def _is_worse(metric: str, ratio: float) -> bool:
    return (ratio < 1) == METRICS.get(metric, False)


def _unit(figure: str) -> str:
    if figure.endswith("tokens_per_second"):
        return "tokens/s"
    for ending, unit in (("_seconds", "s"), ("_bytes", "bytes"), ("_joules", "J")):
        if figure.endswith(ending):
            return unit
    return _UNITS.get(figure, figure.replace("_", " "))


def _description(figure: str, line: HistoryLine) -> str:
    if not line.points:
        return f"No run has {figure}."
    values = [point.value for point in line.points]
    first, last = line.points[0].at, line.points[-1].at
    return (
        f"{figure} of {len(values):,} runs from {first:%Y-%m-%d} to {last:%Y-%m-%d}: from {min(values):.4g} to "
        f"{max(values):.4g} {line.unit}, the last {values[-1]:.4g}. Changes of level: {len(line.changes)}; "
        f"changes of the environment: {len(line.environments)}."
    )
