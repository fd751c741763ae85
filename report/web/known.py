"""What the tables' indexes tell beforehand of the rows that an address asks for.

Asked as the owner, by statements in which nothing stands that was typed but a checked id of a series.
"""

import re
from dataclasses import dataclass

from sqlalchemy import Column, func, select

from db.engine import Database
from db.tables import batch, job, run, series_key
from report.web.listing import Listing

#: runs of a series that are found by its index, which are some decades of nights
SERIES_RUNS = 20_000

#: whose numbers a view's rows are in the order of
_NUMBERS: dict[str, Column[int]] = {"run_id": run.c.id, "job_id": job.c.id, "batch": batch.c.id}


@dataclass(frozen=True)
class Known:
    """What is known of a listing's rows."""

    #: smallest and largest number that its key can have; 0 and -1 where there is none, or the key is none of these
    first: int = 0
    last: int = -1
    last_job: int = 0
    #: the runs of the one series that is asked for
    run_ids: tuple[int, ...] | None = None


def known_of(database: Database, listing: Listing) -> Known:
    """Return what is known of the rows of a listing."""
    run_ids = _runs_of_one_series(database, listing)
    if listing.key not in _NUMBERS:
        return Known(run_ids=run_ids)
    number = _NUMBERS[listing.key]
    # Each by itself: SQLite takes an index for the one or the other, not for both at once.
    asked = (func.min(number), func.max(number), func.max(job.c.id))
    with database.read() as connection:
        first, last, last_job = connection.execute(select(*(select(each).scalar_subquery() for each in asked))).one()
    return Known(first or 0, -1 if last is None else last, last_job or 0, run_ids)


def last_runs(database: Database, series: str, limit: int) -> list[int]:
    """Return the ids of the last runs of a series: found by an index, which a view's column has not."""
    if not re.fullmatch(r"[0-9a-f]{16}", series):
        return []
    # `g` comes after every digit of a hash
    query = select(run.c.id).join(series_key, series_key.c.id == run.c.series_id)
    query = query.where(series_key.c.hash >= series, series_key.c.hash < series + "g")
    with database.read() as connection:
        return list(connection.execute(query.order_by(run.c.started_at.desc(), run.c.id.desc()).limit(limit)).scalars())


def _runs_of_one_series(database: Database, listing: Listing) -> tuple[int, ...] | None:
    asked = [each.value for each in listing.conditions if each.column == "series" and each.operator == "="]
    if listing.view != "history" or len(asked) != 1 or not asked[0]:
        return None
    found = last_runs(database, asked[0], SERIES_RUNS + 1)
    return tuple(found) if len(found) <= SERIES_RUNS else None
