"""Schedules with their firings, the beats that tick, when a batch was first rung for, when samples were removed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add tables and columns; nothing that exists changes."""
    op.add_column("batch", sa.Column("schedule", sa.Text(), nullable=True))
    op.add_column("batch", sa.Column("published_at", sa.Double(), nullable=True))
    # What was submitted earlier was rung for, as far as anybody knows.
    op.execute("UPDATE batch SET published_at = created_at")
    unpublished = sa.text("published_at IS NULL")
    op.create_index("batch_unpublished", "batch", ["id"], postgresql_where=unpublished, sqlite_where=unpublished)
    op.add_column("run", sa.Column("samples_pruned_at", sa.Double(), nullable=True))
    op.create_table(
        "schedule",
        sa.Column("id", _Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("every_seconds", sa.Double(), nullable=True),
        sa.Column("anchor_at", sa.Double(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("misfire", sa.Text(), nullable=False),
        sa.Column("grace_seconds", sa.Double(), nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=True),
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("jobs", sa.Text(), nullable=False),
        sa.Column("job_count", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("paused_reason", sa.Text(), nullable=True),
        sa.Column("next_due_at", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint("(cron IS NULL) <> (every_seconds IS NULL)", name=op.f("schedule_timing_check")),
        sa.CheckConstraint("misfire IN ('skip', 'latest', 'all')", name=op.f("schedule_misfire_check")),
        sa.CheckConstraint("overlap IN ('skip', 'queue')", name=op.f("schedule_overlap_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("schedule_pkey")),
        sa.UniqueConstraint("name", name=op.f("schedule_name_key")),
    )
    op.create_index("schedule_next_due_at", "schedule", ["next_due_at"])
    op.create_table(
        "firing",
        sa.Column("schedule_id", _Id, nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("batch_id", _Id, nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('fired', 'triggered', 'missed', 'overlapped', 'refused')", name=op.f("firing_outcome_check")
        ),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedule.id"], name=op.f("firing_schedule_id_fkey")),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("firing_batch_id_fkey")),
        sa.PrimaryKeyConstraint("schedule_id", "due_at", name=op.f("firing_pkey")),
    )
    op.create_table(
        "beat",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("stopped_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("beat_pkey")),
    )


def downgrade() -> None:
    """Drop what was added, with all that is in it."""
    op.drop_table("beat")
    op.drop_table("firing")
    op.drop_index("schedule_next_due_at", "schedule")
    op.drop_table("schedule")
    op.drop_column("run", "samples_pruned_at")
    op.drop_index("batch_unpublished", "batch")
    op.drop_column("batch", "published_at")
    op.drop_column("batch", "schedule")
