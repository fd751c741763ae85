"""A change of a series' level, and how it is told: to people who ask, and to those who are alerted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple


class EnvironmentChange(NamedTuple):
    """A version or setting of the surroundings that is another one since a change."""

    #: column of `history`, or `libraries.NAME`
    column: str
    #: the values in the runs on either side; several are joined by ", "
    before: str
    after: str
    #: whether every run before had the one and every run after the other
    is_clean: bool


@dataclass(frozen=True)
class LevelChange:
    """A change of the level of a series' latency: the median of a pass of a fixed shape, in seconds."""

    #: id in the view `changes`; None for one that was found in the history only
    change_id: int | None
    series: str
    #: `found`: seen in the history, and not confirmed by measuring again
    state: Literal["confirmed", "suspected", "undecided", "refuted", "found"]
    kind: Literal["step", "drift"]
    model: str
    workload: str
    precision: str
    prompt_tokens: int | None
    new_tokens: int | None
    batch_size: int
    device: str
    machine: str
    before_seconds: float
    after_seconds: float
    #: after / before, with its 95 % interval
    ratio: float
    low: float | None
    high: float | None
    #: when the first run of the new level began
    changed_at: datetime
    last_run_id: int
    first_run_id: int
    #: runs that were measured to confirm it
    extra_runs: int
    #: what else is another one since then, what explains it best first
    environment: tuple[EnvironmentChange, ...] = ()
    #: whether the series has had no other change since
    stands: bool = True

    @property
    def is_slower(self) -> bool:
        """Whether a pass takes longer than before."""
        return self.ratio > 1


def title(changes: Sequence[LevelChange]) -> str:
    """Return how many changes there are of each kind: "2 slower, 1 faster"."""
    slower = sum(each.is_slower for each in changes)
    counts = ((slower, "slower"), (len(changes) - slower, "faster"))
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def told(change: LevelChange) -> list[str]:
    """Return a change in lines: how it is known, of what, how large and since when, and what changed with it."""
    lines = [f"{'Slower' if change.is_slower else 'Faster'}{_drifting(change)}, {_known_by(change)}", _series(change)]
    size = f"{_seconds(change.before_seconds)} -> {_seconds(change.after_seconds)} a pass: {_percent(change.ratio)}"
    if change.low is not None and change.high is not None:
        size += f" ({_percent(change.low)} to {_percent(change.high)})"
    since = f"{change.changed_at:%Y-%m-%d %H:%M}"
    lines.append(f"{size}, since run {change.first_run_id} ({since}; before it run {change.last_run_id})")
    lines.append(explained(change.environment))
    return lines


def explained(changes: Sequence[EnvironmentChange]) -> str:
    """Return what changed in the surroundings, in a sentence."""
    clean = [f"{each.column} {each.before} -> {each.after}" for each in changes if each.is_clean]
    partly = [f"{each.column} ({each.before} -> {each.after})" for each in changes if not each.is_clean]
    parts = [f"changed with it: {'; '.join(clean)}"] if clean else []
    if partly:
        parts.append(f"changed near it: {'; '.join(partly)}")
    return "; ".join(parts) or "nothing that is recorded changed with it"


def _drifting(change: LevelChange) -> str:
    return ", little by little" if change.kind == "drift" else ""


def _known_by(change: LevelChange) -> str:
    runs = "1 more run" if change.extra_runs == 1 else f"{change.extra_runs} more runs"
    match change.state:
        case "confirmed":
            return f"confirmed by {runs}" if change.extra_runs else "confirmed by the runs that followed"
        case "suspected":
            return f"suspected; {runs} asked for to confirm it"
        case "undecided":
            return f"suspected, and {runs} did not decide it"
        case "refuted":
            return f"suspected, and refuted by {runs}" if change.extra_runs else "suspected, and refuted"
    return "found in the history; nothing was measured again to confirm it"


def _series(change: LevelChange) -> str:
    # What a foreign tool told has neither: no model generates there.
    lengths = f" {change.prompt_tokens}+{change.new_tokens}" if change.prompt_tokens or change.new_tokens else ""
    batch = f" x {change.batch_size}" if change.batch_size > 1 else ""
    precision = "" if change.precision == "-" else f" {change.precision}"
    return f"{change.model} {change.workload}{lengths}{batch}{precision}, {change.device} of {change.machine}"


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"
