"""Labels, more figures of quality, accuracy by level and language, figures of a foreign harness."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_RUN: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("quality_formula", sa.Integer()),
    ("completed", sa.Double()),
    ("answer_tokens", sa.Double()),
    ("thinking_tokens", sa.Double()),
    ("tokens_per_correct_answer", sa.Double()),
    ("seconds_per_correct_answer", sa.Double()),
    ("chat_template", sa.Text()),
)


def upgrade() -> None:
    """Add columns and tables; nothing that exists changes."""
    json = sa.JSON().with_variant(JSONB(), "postgresql")
    run_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("batch", sa.Column("labels", json, nullable=True))
    op.add_column("environment", sa.Column("libraries", json, nullable=True))
    for name, kind in _RUN:
        op.add_column("run", sa.Column(name, kind, nullable=True))
    op.add_column("answer", sa.Column("thinking_tokens", sa.Integer(), nullable=True))
    op.add_column("answer", sa.Column("readability", sa.Double(), nullable=True))
    op.create_table(
        "breakdown",
        sa.Column("run_id", run_id, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("accuracy_stderr", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("breakdown_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "by", "value", name=op.f("breakdown_pkey")),
    )
    op.create_table(
        "metric",
        sa.Column("run_id", run_id, nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("stderr", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("metric_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "task", "name", "filter", name=op.f("metric_pkey")),
    )


def downgrade() -> None:
    """Drop what was added, with all that is in it."""
    op.drop_table("metric")
    op.drop_table("breakdown")
    for name in ("readability", "thinking_tokens"):
        op.drop_column("answer", name)
    for name, _ in reversed(_RUN):
        op.drop_column("run", name)
    op.drop_column("environment", "libraries")
    op.drop_column("batch", "labels")
