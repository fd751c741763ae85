"""Figures on a page: how they read, and where each comes from."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from report.charts.quantities import Scale, between, decimals_for, number, scale_for
from report.document.parts import Figure, Source
from report.page.words import ids_apart

#: of many runs the last ones are named
_MOST_RUNS = 12


@dataclass(frozen=True)
class FigureView:
    """A figure as it is read; `href` is where its source names it."""

    href: str
    #: exactly as it was measured
    exact: str
    number: str
    #: with what stands before it; empty where the column's head has it
    unit: str
    interval: str
    n: str


@dataclass(frozen=True)
class Trace:
    """Where a figure stands among what a source gave."""

    id: str
    exact: str
    column: str
    key: tuple[tuple[str, str], ...]
    runs: str


@dataclass(frozen=True)
class TracedSource:
    """A source with all figures that came from it."""

    id: str
    name: str
    sql: str
    traces: tuple[Trace, ...]


@dataclass
class Figures:
    """The figures of a page, in the order in which they are written."""

    sources: Sequence[Source]
    _traces: dict[str, list[Trace]] = field(default_factory=dict)
    _known: dict[tuple[object, ...], str] = field(default_factory=dict)
    _names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._names = frozenset(source.id for source in self.sources)

    def add(self, figure: Figure, scale: Scale | None = None, decimals: int | None = None) -> FigureView:
        """Return a figure as it is read; with a scale, its unit stands elsewhere.

        Raises ValueError where the document doesn't have the figure's source.
        """
        own = scale or scale_for(figure.unit, [figure.value])
        values = [own.of(value) for value in (figure.value, figure.low, figure.high) if value is not None]
        if decimals is None:
            decimals = decimals_for(values[:1], figure.unit)
        signed = figure.is_difference
        ends = _ends(values[1:], decimals, signed=signed) if len(values) == 3 else []
        return FigureView(
            href=f"#{self._trace(figure)}",
            exact=_exact(figure.value),
            number=number(values[0], decimals, signed=signed),
            unit="" if scale else between(own.unit) + own.unit,
            interval=f"[{ends[0]}, {ends[1]}]" if ends else "",
            n="" if figure.n is None else f"{figure.n:,}",
        )

    def by_source(self) -> list[TracedSource]:
        """Return the sources with the figures that were added."""
        ids = self._source_ids()
        return [
            TracedSource(ids[source.id], source.id, source.sql, tuple(self._traces.get(source.id, ())))
            for source in self.sources
        ]

    def links(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Return address and name of sources, without those that the page doesn't have."""
        ids = self._source_ids()
        return [(f"#{ids[name]}", name) for name in names if name in ids]

    def _source_ids(self) -> dict[str, str]:
        names = [source.id for source in self.sources]
        return dict(zip(names, ids_apart(f"sql-{name}" for name in names), strict=True))

    def _trace(self, figure: Figure) -> str:
        key = (figure.source, figure.column, tuple(figure.key.items()), repr(figure.value), figure.run_ids)
        if figure.source not in self._names:
            raise ValueError(f"a figure of {figure.column} names a source that the document lacks: {figure.source!r}")
        if key not in self._known:
            self._known[key] = f"figure-{len(self._known) + 1}"
            self._traces.setdefault(figure.source, []).append(
                Trace(
                    self._known[key],
                    _exact(figure.value),
                    figure.column,
                    tuple((name, _exact(value)) for name, value in figure.key.items()),
                    _runs(figure.run_ids),
                )
            )
        return self._known[key]


def column_scale(figures: Sequence[Figure]) -> tuple[Scale, int] | None:
    """Return scale and decimals of a column whose figures are of one unit and can be compared by eye, else None."""
    if not figures or len({figure.unit for figure in figures}) != 1:
        return None
    unit = figures[0].unit
    sizes = [abs(figure.value) for figure in figures if figure.value and math.isfinite(figure.value)]
    if sizes and max(sizes) > 10_000 * min(sizes):
        return None
    scale = scale_for(unit, [figure.value for figure in figures])
    return scale, decimals_for([scale.of(figure.value) for figure in figures], unit)


def _ends(ends: Sequence[float], decimals: int, *, signed: bool) -> list[str]:
    """Return the ends of an interval with as many decimals as tell them apart, within reason."""
    for more in range(3):
        texts = [number(end, decimals + more, signed=signed) for end in ends]
        if texts[0] != texts[1] or ends[0] == ends[1]:
            return texts
    return [number(end, decimals, signed=signed) for end in ends]


def _exact(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _runs(run_ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, run_ids[-_MOST_RUNS:]))
    left_out = len(run_ids) - _MOST_RUNS
    return f"{shown} and {left_out:,} more" if left_out > 0 else shown
