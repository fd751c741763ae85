"""Views only: `latest` probes once a series, and `newest` gives the last run, disturbed or not."""

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change no table: views are made anew after every migration."""


def downgrade() -> None:
    """Change no table."""
