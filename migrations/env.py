"""Run by Alembic: every migration in the one transaction of the connection that db.schema hands over."""

from alembic import context

from db.partial_indexes import complete_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=complete_metadata(),
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
