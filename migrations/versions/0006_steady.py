"""Warming up, several processes a run, and where its energy was read."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_RUN: dict[str, sa.types.TypeEngine[Any]] = {
    "process_latency_low_seconds": sa.Double(),
    "process_latency_high_seconds": sa.Double(),
    "warmup_iterations": sa.Integer(),
    "warm": sa.Boolean(),
    "energy_joules_per_token": sa.Double(),
    "energy_source": sa.Text(),
}


def upgrade() -> None:
    """Add columns; what was measured earlier was measured in one process."""
    op.add_column("run", sa.Column("processes", sa.Integer(), nullable=False, server_default="1"))
    for name, kind in _RUN.items():
        op.add_column("run", sa.Column(name, kind, nullable=True))
    op.add_column("sample", sa.Column("process", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    """Drop what was added, with all that is in it."""
    op.drop_column("sample", "process")
    for name in reversed(_RUN):
        op.drop_column("run", name)
    op.drop_column("run", "processes")
