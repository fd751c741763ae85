"""The tables' partial indexes, apart: with them SQLAlchemy loads both databases' dialects. Migrations need them."""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Index, MetaData, TextClause, and_, text

from db.tables import CLEAN_SPEED_RUN, alert, batch, change, job, metadata, run


@cache
def complete_metadata() -> MetaData:
    """Return the tables with all of their indexes, for migrations and whatever compares the schema."""
    _index("batch_unpublished", text("published_at IS NULL"), batch.c.id)
    queued = text("state = 'queued'")
    # The claim's probes each descend one of these once a queue.
    _index("job_head", queued, job.c.queue, job.c.priority.desc(), job.c.id, job.c.memory_mib)
    _index("job_loaded", queued, job.c.queue, job.c.session_key, job.c.priority.desc(), job.c.id, job.c.memory_mib)
    _index("job_overdue", queued, job.c.queue, job.c.queued_at)
    _index("job_batch_head", queued, job.c.batch_id, job.c.priority.desc(), job.c.id)
    _index("job_lease", text("state = 'running'"), job.c.lease_until)
    _index("run_disturbed", run.c.contaminated, run.c.series_id)
    # SQLite reads a row for a column that only the condition has.
    judged = (run.c.latency_seconds, run.c.contaminated, run.c.new_tokens)
    _index("run_judged", and_(*CLEAN_SPEED_RUN), run.c.series_id, run.c.id, *judged)
    # One suspicion of a series at a time: the readings that follow speak for or against it.
    is_open = text("state IN ('suspected', 'undecided')")
    _index("change_open", is_open, change.c.series_id, change.c.metric, unique=True)
    _index("alert_open", text("state IN ('waiting', 'sending')"), alert.c.batch_id)
    return metadata


def _index(
    name: str, condition: ColumnElement[bool] | TextClause, *columns: ColumnElement[Any], unique: bool = False
) -> None:
    Index(name, *columns, unique=unique, postgresql_where=condition, sqlite_where=condition)
