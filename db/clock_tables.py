"""The tables of what runs by the clock: schedules, their firings, and the beats that tick."""

from sqlalchemy import Boolean, CheckConstraint, Column, Double, ForeignKey, Index, Integer, Table, Text

from db.metadata import Id, metadata

#: a sweep that becomes a batch by the clock
schedule = Table(
    "schedule",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    #: five fields; NULL where `every_seconds` says when
    Column("cron", Text),
    Column("every_seconds", Double),
    #: from when on `every_seconds` counts
    Column("anchor_at", Double, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("misfire", Text, nullable=False),
    Column("grace_seconds", Double, nullable=False),
    Column("overlap", Text, nullable=False),
    #: the machine that its jobs name
    Column("machine", Text),
    #: name, priority, labels and sweep_hash of its batches, as JSON
    Column("batch", Text, nullable=False),
    #: JSON list of its jobs: specification and hashes of what they refer to
    Column("jobs", Text, nullable=False),
    Column("job_count", Integer, nullable=False),
    #: the sweep file's text; NULL where it was given by options
    Column("source", Text),
    Column("paused", Boolean, nullable=False),
    #: why it was paused by itself; NULL where a person did
    Column("paused_reason", Text),
    #: first due time that was not dealt with yet; NULL where there is none
    Column("next_due_at", Double),
    Column("created_at", Double, nullable=False),
    CheckConstraint("(cron IS NULL) <> (every_seconds IS NULL)", name="timing"),
    CheckConstraint("misfire IN ('skip', 'latest', 'all')", name="misfire"),
    CheckConstraint("overlap IN ('skip', 'queue')", name="overlap"),
    Index("schedule_next_due_at", "next_due_at"),
)

#: what became of a due time; one row each, whoever was first, except that `missed` stands for several
firing = Table(
    "firing",
    metadata,
    Column("schedule_id", Id, ForeignKey("schedule.id"), primary_key=True),
    Column("due_at", Double, primary_key=True),
    Column("decided_at", Double, nullable=False),
    #: fired | triggered | missed | overlapped | refused
    Column("outcome", Text, nullable=False),
    Column("batch_id", Id, ForeignKey("batch.id")),
    #: why there is no batch, in a sentence
    Column("note", Text),
    CheckConstraint("outcome IN ('fired', 'triggered', 'missed', 'overlapped', 'refused')", name="outcome"),
)

#: the beats that tick, or ticked
beat = Table(
    "beat",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("stopped_at", Double),
)
