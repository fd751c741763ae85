"""What all pictures share: their paper, colours, letters and axes."""

import io
import math
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from matplotlib import rc_context, rcdefaults
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from report.cells import one_line
from report.charts.quantities import number
from report.charts.svg import for_page

#: the colours in which pictures are drawn, and the CSS values that take their place
INK, QUIET, FAINT, PAPER = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#100001", "#100002", "#100003", "#100004", "#100005", "#100006")
WORSE, BETTER = "#200001", "#200002"
HEAT = ("#300000", "#300001", "#300002", "#300003", "#300004", "#300005", "#300006")
ON_LIGHT_HEAT, ON_STRONG_HEAT = "#310001", "#310002"
_COLOURS = {
    INK: "var(--ink, currentColor)",
    QUIET: "var(--quiet, currentColor)",
    FAINT: "var(--faint, #c9c5bd)",
    PAPER: "var(--paper, #fffefb)",
    WORSE: "var(--worse, #b3470b)",
    BETTER: "var(--better, #00735a)",
    ON_LIGHT_HEAT: "var(--on-light-heat, #1d1b18)",
    ON_STRONG_HEAT: "var(--on-strong-heat, #ffffff)",
    **{
        colour: f"var(--series-{index}, {plain})"
        for index, (colour, plain) in enumerate(
            zip(SERIES, ("#0b62a0", "#b3470b", "#00735a", "#9c4a7c", "#7a5c00", "#5d5a55"), strict=True), start=1
        )
    },
    **{
        colour: f"var(--heat-{index}, {plain})"
        for index, (colour, plain) in enumerate(
            zip(HEAT, ("#f3f6f9", "#dce8f1", "#c0d6e7", "#9fc0da", "#7ba9cc", "#2f6f9f", "#1c5583"), strict=True)
        )
    },
}
#: what tells series apart without a colour
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")

NARROW, WIDE = 360, 820
LETTER = 11.0
SMALL = 10.0
#: mean width of a letter as a share of its size, on the generous side
_LETTER_WIDTH = 0.56
# rcParams and the filter of warnings are the whole process's
_ONE_AT_A_TIME = threading.Lock()
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "benchbeat",
    "text.parse_math": False,
    "text.usetex": False,
    "font.size": LETTER,
    "hatch.linewidth": 0.8,
    "hatch.color": FAINT,
    "path.simplify": True,
}


@contextmanager
def settings() -> Iterator[None]:
    """Draw with the settings of these pictures, whatever a user's matplotlibrc says."""
    with _ONE_AT_A_TIME, warnings.catch_warnings(), rc_context():
        # The browser's fonts have what the one that measures here lacks.
        warnings.filterwarnings("ignore", message=r"(?s).*Glyph .* missing from", category=UserWarning)
        rcdefaults()
        with rc_context(_SETTINGS):
            yield


class Sheet:
    """A sheet of paper of a width and a height in px, measured from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        self.figure.patch.set_visible(False)
        FigureCanvasSVG(self.figure)

    @property
    def is_wide(self) -> bool:
        """Whether there is room for more."""
        return self.width >= WIDE

    def axes(self, left: float, top: float, right: float, bottom: float) -> Axes:
        """Return axes with so many px left free around them, of which only the ticks' labels are seen."""
        box = (
            left / self.width,
            bottom / self.height,
            (self.width - left - right) / self.width,
            (self.height - top - bottom) / self.height,
        )
        axes = self.figure.add_axes(box)
        axes.patch.set_visible(False)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(length=0, labelsize=SMALL, labelcolor=QUIET, pad=5)
        return axes

    def bare_axes(self, left: float, top: float, right: float, bottom: float) -> Axes:
        """Return axes of which nothing is seen but what is drawn on them."""
        axes = self.axes(left, top, right, bottom)
        axes.set_axis_off()
        return axes

    def text(self, x: float, y: float, text: str, **how: Any) -> None:
        """Write a text at a place in px."""
        style: dict[str, Any] = {"fontsize": LETTER, "color": INK, "va": "center"} | how
        self.figure.text(x / self.width, 1 - y / self.height, text, **style)

    def svg(self) -> str:
        """Return what was drawn."""
        stream = io.StringIO()
        self.figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
        return for_page(stream.getvalue(), _COLOURS)


def shortened(text: str, longest: int) -> str:
    """Return a text on one line, harmless, and cut in its middle where it is longer: names differ at their ends."""
    text = " ".join(one_line(text).split())
    if len(text) <= longest:
        return text
    kept = longest - 1
    return text[: kept - kept // 3].rstrip() + "…" + text[len(text) - kept // 3 :].lstrip()


def width_of(text: str, size: float = LETTER) -> float:
    """Return about how many px a text takes."""
    return sum(1.7 if ord(letter) > 0x2E7F else 1.0 for letter in text) * size * _LETTER_WIDTH


def finite(values: Iterable[float | None]) -> list[float]:
    """Return the values that can be drawn."""
    return [value for value in values if value is not None and math.isfinite(value)]


def limits(values: Sequence[float], room: float = 0.08) -> tuple[float, float]:
    """Return the ends of an axis on which the values stand with some room around them."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    span = high - low
    if span <= max(abs(low), abs(high)) * 1e-6:
        span = max(abs(high), abs(low)) * 0.5 or 1.0
    return low - span * room, high + span * room


def label_ticks(axes: Axes, which: str, count: int) -> None:
    """Mark a few round values of an axis, written as people write them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]))
    places = [place for place in axis.get_majorticklocs() if math.isfinite(place)]
    step = min((after - before for before, after in pairwise(places)), default=1.0)
    decimals = next((count for count in range(8) if abs(step * 10**count - round(step * 10**count)) < 1e-6), 8)
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(float(value), decimals)))


def rules(axes: Axes, which: str) -> None:
    """Draw hair lines at the ticks of an axis."""
    axes.grid(visible=True, axis="x" if which == "x" else "y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def logarithmic(axes: Axes, which: str, low: float, high: float) -> None:
    """Make an axis logarithmic, with plainly written ticks at 1, 2 and 5, or at whole powers where they are many."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    # Beyond these a float has no room for the axis's ends.
    low = min(max(low, 1e-300), 1e298)
    high = max(min(high, 1e300), low * 1.1)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts: tuple[int, ...] = (1, 2, 5) if len(powers) <= 4 else (1,)
    every = max(len(powers) // 6, 1)
    ticks = [part * float(f"1e{power}") for power in powers[::every] for part in parts]
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plainly(float(value))))


def nothing(width: float, words: str = "Nothing was measured here.") -> str:
    """Return a picture that says that there is nothing to see."""
    sheet = Sheet(width, 64)
    sheet.text(width / 2, 32, words, ha="center", color=QUIET)
    return sheet.svg()


def _plainly(value: float) -> str:
    if 1e-4 <= abs(value) < 1e6:
        return number(value, 0 if value >= 1 else max(0, -math.floor(math.log10(value))))
    return f"{value:.0e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e−").replace("e-", "e−")
