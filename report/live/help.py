"""What `?` shows."""

from collections.abc import Mapping

from report.cells import one_line
from report.durations import clock
from report.live.details import Told
from report.live.lines import Tone

_KEYS = (
    ("Tab, Shift-Tab", "the next panel, the one before"),
    ("Up, Down", "move the cursor; also k and j, Page Up, Page Down, Home, End"),
    ("Enter", "on a batch: this batch only; on a job: its attempts and what it wrote last"),
    ("f", "go to the failures"),
    ("Esc, b", "all batches again"),
    ("q, Ctrl-C", "end; jobs and workers go on"),
)
_SIGNS = (
    ("~12 min", "until the batch ends, going by earlier runs of its kind"),
    ("waits", "no live worker can take it, or nothing like it was measured before"),
    ("median 0.51 s (0.49 to 0.53)", "of an iteration or an answer, with its 95 % interval"),
    ("grey", "the database is away; what is shown is old"),
)


def help_text(away: Mapping[str, tuple[str, float]]) -> Told:
    """Return the keys, what the signs mean, and in full what can't be had."""
    lines: list[tuple[str, Tone]] = []
    for what, (reason, since) in sorted(away.items()):
        lines += [(f"{what} is away since {clock(since)}:", "bad"), (one_line(reason), "plain"), ("", "plain")]
    lines.append(("Keys", "strong"))
    lines += [(f"  {key:16}{does}", "plain") for key, does in _KEYS]
    lines += [("", "plain"), ("Signs", "strong")]
    lines += [(f"  {sign:30}{means}", "plain") for sign, means in _SIGNS]
    return Told("Help", tuple(lines))
