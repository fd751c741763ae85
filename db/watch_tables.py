"""The tables of what is watched for: runs that wait to be judged, changes of a series, and messages about batches."""

from sqlalchemy import CheckConstraint, Column, Double, ForeignKey, Integer, Table, Text, UniqueConstraint

from db.metadata import Id, metadata

#: runs of speed workloads that nobody has judged yet; the row goes when the run is judged
unjudged = Table(
    "unjudged",
    metadata,
    Column("run_id", Id, ForeignKey("run.id"), primary_key=True, autoincrement=False),
)

#: a change of a series' level: suspected, then confirmed or refuted by measuring again
change = Table(
    "change",
    metadata,
    Column("id", Id, primary_key=True),
    Column("series_id", Id, ForeignKey("series_key.id"), nullable=False),
    #: the figure that changed, a column of `run`
    Column("metric", Text, nullable=False),
    #: the run that made it suspected
    Column("run_id", Id, ForeignKey("run.id"), nullable=False),
    Column("state", Text, nullable=False),
    #: `step` or `drift`
    Column("kind", Text, nullable=False),
    #: the first run that belongs to the new level
    Column("first_run_id", Id, ForeignKey("run.id"), nullable=False),
    #: the last clean run before that
    Column("last_run_id", Id, ForeignKey("run.id"), nullable=False),
    #: level before and after, in the figure's unit
    Column("level_before", Double, nullable=False),
    Column("level_after", Double, nullable=False),
    #: after / before, with its 95 % interval
    Column("ratio", Double, nullable=False),
    Column("ratio_low", Double),
    Column("ratio_high", Double),
    #: natural logarithm of the likelihood ratio for a change (bench/evidence.py)
    Column("log_evidence", Double, nullable=False),
    Column("suspected_at", Double, nullable=False),
    Column("decided_at", Double),
    #: runs that were measured to confirm it
    Column("extra_runs", Integer, nullable=False, server_default="0"),
    #: the confirming job that is waited for
    Column("job_id", Id, ForeignKey("job.id")),
    UniqueConstraint("series_id", "metric", "run_id"),
    CheckConstraint("state IN ('suspected', 'confirmed', 'refuted', 'undecided')", name="state"),
)

#: the one message about a schedule's batch
alert = Table(
    "alert",
    metadata,
    Column("batch_id", Id, ForeignKey("batch.id"), primary_key=True, autoincrement=False),
    #: waiting for the batch's end | nothing to say | being sent | sent | given up
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    #: until when whoever sends it may take; then another one tries
    Column("lease_until", Double),
    Column("decided_at", Double),
    Column("title", Text),
    Column("body", Text),
    #: why it could not be sent
    Column("error", Text),
    CheckConstraint("state IN ('waiting', 'quiet', 'sending', 'sent', 'failed')", name="state"),
)
