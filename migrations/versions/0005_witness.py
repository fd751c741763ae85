"""What else the machine did while a run was measured."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KINDS: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "witness_cpu_seconds": sa.Double,
    "gate_waited_seconds": sa.Double,
    "cores": sa.Integer,
    "others_mean_cores": sa.Double,
    "others_max_cores": sa.Double,
    "others_busy_seconds": sa.Double,
    "others_busy_cores": sa.Double,
    "stolen_mean_cores": sa.Double,
    "greediest": sa.Text,
    "gpu_others_mean": sa.Double,
    "gpu_others_max": sa.Double,
    "gpu_busy_seconds": sa.Double,
    "gpu_greediest": sa.Text,
    "gpu_slowed_by": sa.Text,
    "gpu_slowed_seconds": sa.Double,
    "gpu_max_celsius": sa.Double,
    "thermal": sa.Text,
    "throttled_seconds": sa.Double,
    "memory_pressure": sa.Text,
    "memory_stalled_seconds": sa.Double,
    "swapped_bytes": sa.BigInteger,
    "power_source": sa.Text,
    "low_power": sa.Boolean,
    "slept_seconds": sa.Double,
    "clock_step_seconds": sa.Double,
}


def upgrade() -> None:
    """Add a table; nothing that exists changes."""
    op.create_table(
        "witness",
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("watched_seconds", sa.Double(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("judged", sa.Boolean(), nullable=False),
        *(sa.Column(name, kind(), nullable=True) for name, kind in _KINDS.items()),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("witness_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("witness_pkey")),
    )


def downgrade() -> None:
    """Drop what was added, with all that is in it."""
    op.drop_table("witness")
