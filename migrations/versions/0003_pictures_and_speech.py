"""Media of items, and what speech models are asked for and hear."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SPEECH = ("word_timestamps", "detect_language")


def upgrade() -> None:
    """Add a table and columns; nothing that exists changes."""
    op.create_table(
        "media",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("media_pkey")),
    )
    for name in _SPEECH:
        op.add_column("run", sa.Column(name, sa.Boolean(), nullable=True))
    op.add_column("answer", sa.Column("language", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop what was added, with all that is in it."""
    op.drop_column("answer", "language")
    for name in reversed(_SPEECH):
        op.drop_column("run", name)
    op.drop_table("media")
