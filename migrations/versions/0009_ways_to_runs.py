"""What a series is of stands beside its key, and indexes lead to the runs of a model and of a machine."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COLUMNS = {"model": "model", "workload": "workload", "machine_id": "machine"}


def upgrade() -> None:
    """Add columns, filled from the keys, and indexes."""
    is_sqlite = op.get_context().dialect.name == "sqlite"
    for column in _COLUMNS:
        op.add_column("series_key", sa.Column(column, sa.Text(), nullable=True))
    read = "json_extract(definition, '$.{0}')" if is_sqlite else "definition::json ->> '{0}'"
    values = ", ".join(f"{column} = {read.format(name)}" for column, name in _COLUMNS.items())
    op.execute(f"UPDATE series_key SET {values}")
    with op.batch_alter_table("series_key") as table:
        for column in _COLUMNS:
            table.alter_column(column, existing_type=sa.Text(), nullable=False)
    op.create_index("series_key_of", "series_key", ["model", "workload", "machine_id"])
    op.create_index("run_of", "run", ["model", "workload", "id"])
    op.create_index("run_machine", "run", ["machine_id", "started_at"])
    op.create_index("series_key_short", "series_key", [sa.text("substr(hash, 1, 16)")])
    disturbed = sa.text("contaminated")
    op.create_index("run_disturbed", "run", ["series_id"], postgresql_where=disturbed, sqlite_where=disturbed)


def downgrade() -> None:
    """Drop what was added; the keys still hold it."""
    op.drop_index("run_disturbed", "run")
    op.drop_index("series_key_short", "series_key")
    op.drop_index("run_machine", "run")
    op.drop_index("run_of", "run")
    op.drop_index("series_key_of", "series_key")
    with op.batch_alter_table("series_key") as table:
        for column in reversed(_COLUMNS):
            table.drop_column(column)
