"""What a picture shows, without a word of how it is drawn.

Values are in the unit that a chart names. None is what was not measured, and is drawn as a gap.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal


@dataclass(frozen=True)
class Bar:
    """One figure with its interval."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    #: bars of a group stand together: a precision of several models, say
    group: str | None = None


@dataclass(frozen=True)
class Bars:
    """Figures side by side, in the order given."""

    unit: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class LinePoint:
    """One run of a series."""

    at: datetime
    value: float
    low: float | None = None
    high: float | None = None
    #: a disturbed run is drawn, and belongs to no level
    contaminated: bool = False


@dataclass(frozen=True)
class LevelChangeMark:
    """A change of level that was confirmed, is suspected, or was found in the history."""

    at: datetime
    #: level after / level before
    ratio: float
    state: Literal["confirmed", "suspected", "found"]
    #: whether it is for the worse
    is_worse: bool


@dataclass(frozen=True)
class EnvironmentMark:
    """The first run in another environment, with what is new in it: `torch 2.13.0 -> 2.14.0`."""

    at: datetime
    text: str


@dataclass(frozen=True)
class HistoryLine:
    """One series over time."""

    unit: str
    points: tuple[LinePoint, ...]
    changes: tuple[LevelChangeMark, ...] = ()
    environments: tuple[EnvironmentMark, ...] = ()


@dataclass(frozen=True)
class HeatMap:
    """A figure by two settings; `values[row][column]`."""

    unit: str
    row_title: str
    column_title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class TradeOffPoint:
    """One model in one precision: what it takes and what it gives."""

    label: str
    memory_bytes: float
    #: tokens a second, say
    speed: float
    #: share of right answers
    quality: float | None = None
    #: none other takes less memory and is at least as fast and as good
    is_best: bool = False


@dataclass(frozen=True)
class TradeOff:
    """Memory against speed against quality."""

    speed_unit: str
    quality_unit: str
    points: tuple[TradeOffPoint, ...]


@dataclass(frozen=True)
class Spread:
    """Raw readings of one kind."""

    label: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """How readings are spread: inter-token latencies, say."""

    unit: str
    spreads: tuple[Spread, ...]


@dataclass(frozen=True)
class CalendarDay:
    """What became of one day's sweeps: jobs by their end."""

    day: date
    done: int
    failed: int
    #: runs of it that were disturbed
    contaminated: int = 0


@dataclass(frozen=True)
class Calendar:
    """Nightly sweeps, a square a day."""

    days: tuple[CalendarDay, ...]


@dataclass(frozen=True)
class GrowthLine:
    """How a figure grows with a size."""

    label: str
    #: (size, figure), both above 0
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Growth:
    """Growth on two logarithmic axes."""

    x_unit: str
    y_unit: str
    lines: tuple[GrowthLine, ...]


ChartData = Bars | HistoryLine | HeatMap | TradeOff | Distribution | Calendar | Growth


@dataclass(frozen=True)
class Picture:
    """A chart drawn twice, each an `<svg>` element without a script, whose colours follow the page's CSS variables."""

    #: to be read on 400 px
    narrow: str
    #: to be read from 700 px on
    wide: str
