"""Runs that wait to be judged, changes of a series' level, and the messages about schedules' batches."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add tables and an index; what was measured earlier is judged by nobody unasked."""
    op.create_index(
        "run_judged",
        "run",
        ["series_id", "id", "latency_seconds", "contaminated", "new_tokens"],
        postgresql_where=sa.text("new_tokens IS NOT NULL AND contaminated IS false"),
        sqlite_where=sa.text("new_tokens IS NOT NULL AND contaminated IS 0"),
    )
    op.create_table(
        "unjudged",
        sa.Column("run_id", _Id, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("unjudged_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("unjudged_pkey")),
    )
    op.create_table(
        "change",
        sa.Column("id", _Id, nullable=False),
        sa.Column("series_id", _Id, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("run_id", _Id, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_run_id", _Id, nullable=False),
        sa.Column("last_run_id", _Id, nullable=False),
        sa.Column("level_before", sa.Double(), nullable=False),
        sa.Column("level_after", sa.Double(), nullable=False),
        sa.Column("ratio", sa.Double(), nullable=False),
        sa.Column("ratio_low", sa.Double(), nullable=True),
        sa.Column("ratio_high", sa.Double(), nullable=True),
        sa.Column("log_evidence", sa.Double(), nullable=False),
        sa.Column("suspected_at", sa.Double(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.Column("extra_runs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("job_id", _Id, nullable=True),
        sa.CheckConstraint(
            "state IN ('suspected', 'confirmed', 'refuted', 'undecided')", name=op.f("change_state_check")
        ),
        sa.ForeignKeyConstraint(["series_id"], ["series_key.id"], name=op.f("change_series_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("change_run_id_fkey")),
        sa.ForeignKeyConstraint(["first_run_id"], ["run.id"], name=op.f("change_first_run_id_fkey")),
        sa.ForeignKeyConstraint(["last_run_id"], ["run.id"], name=op.f("change_last_run_id_fkey")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("change_job_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("change_pkey")),
        sa.UniqueConstraint("series_id", "metric", "run_id", name=op.f("change_series_id_metric_run_id_key")),
    )
    is_open = sa.text("state IN ('suspected', 'undecided')")
    op.create_index(
        "change_open", "change", ["series_id", "metric"], unique=True, postgresql_where=is_open, sqlite_where=is_open
    )
    op.create_table(
        "alert",
        sa.Column("batch_id", _Id, autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'quiet', 'sending', 'sent', 'failed')", name=op.f("alert_state_check")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("alert_batch_id_fkey")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("alert_pkey")),
    )
    is_open = sa.text("state IN ('waiting', 'sending')")
    op.create_index("alert_open", "alert", ["batch_id"], postgresql_where=is_open, sqlite_where=is_open)


def downgrade() -> None:
    """Drop what was added, with all that is in it."""
    op.drop_table("alert")
    op.drop_table("change")
    op.drop_table("unjudged")
    op.drop_index("run_judged", "run")
