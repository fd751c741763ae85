"""The exceptions of benchbeat, one tree.

BenchbeatError
├── InputError          the user's input is wrong (exit 2)
├── UnavailableError    a service or a file that is needed can't be had (exit 2)
│   └── SchemaError     the database's schema is not the code's
├── QueryError          a query for `benchbeat sql` was refused or failed (exit 2)
└── JobError            a job can't be measured
    ├── ModelError      its model can't be had: missing, gated, wrong checksum (not retried)
    └── OutOfMemoryError  the device's memory was not enough
"""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

#: so many names are listed where none is near
_FEW = 12
#: similarity, 0 to 1, of a near match, and how much further than the nearest another one may be
_CLOSE = 0.6
_AS_CLOSE = 0.15


class BenchbeatError(Exception):
    """Something went wrong in a way that one sentence explains; the message is that sentence."""


class InputError(BenchbeatError):
    """The user's input is wrong.

    `where` is the place of the fault: file, line and field, or the option ("sweep.toml:7: temperature").
    """

    def __init__(self, message: str, *, where: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.message = message
        self.where = where


class UnavailableError(BenchbeatError):
    """A service or a file that is needed can't be had."""


class SchemaError(UnavailableError):
    """The database's schema is older or newer than the code's."""


class QueryError(BenchbeatError):
    """A query for `benchbeat sql` was refused or failed."""


class JobError(BenchbeatError):
    """A job can't be measured."""


class ModelError(JobError):
    """The job's model can't be had; trying again changes nothing."""


class OutOfMemoryError(JobError):
    """The device's memory was not enough for the job."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the near matches of `name`, else a list of what is known where that is short."""
    candidates = sorted(known)
    folded = {candidate.casefold(): candidate for candidate in candidates}
    wanted = name.casefold()
    near = [folded[match] for match in _nearest(wanted, folded)]
    if not near and len(wanted) > 2:
        near = [candidate for match, candidate in folded.items() if wanted in match][:3]
    if near:
        return f"; did you mean {' or '.join(repr(match) for match in near)}?"
    if candidates and len(candidates) <= _FEW:
        return f"; there is {', '.join(candidates)}"
    return ""


def _nearest(wanted: str, names: Iterable[str]) -> list[str]:
    """Return the close matches that are about as close as the closest."""
    close = get_close_matches(wanted, names, n=3, cutoff=_CLOSE)
    ratios = [SequenceMatcher(None, name, wanted).ratio() for name in close]
    return [name for name, ratio in zip(close, ratios, strict=True) if ratio > max(ratios) - _AS_CLOSE]
