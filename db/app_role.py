"""The PostgreSQL login of the services and of whoever submits: `benchbeat_app`, which writes rows but owns no table.

It is there where an administrator made it (deploy/postgresql/roles.sql); the owner grants it what it needs at every
`benchbeat db upgrade`. What was measured it may add, and neither change nor delete.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: name of the login, or of a role that the logins of several machines belong to
APP = "benchbeat_app"

#: tables with rows that live: what is queued, who works, what the clock says
CHANGED = ("alert", "attempt", "batch", "beat", "change", "firing", "job", "machine", "schedule", "worker")
#: tables with rows that may go: a schedule, with its firings, and the list of what waits to be judged
DELETED = ("firing", "schedule", "unjudged")


def grant_app(connection: "Connection") -> None:
    """Grant the services' login exactly what it needs; nothing where there is none, or we own no table."""
    from sqlalchemy import text

    from db.tables import metadata
    from db.views import VIEWS

    owns = text(
        "SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c, pg_roles r"
        " WHERE c.oid = 'job'::regclass AND r.rolname = :name"
    )
    if not connection.execute(owns, {"name": APP}).scalar():
        return
    quote_name = connection.dialect.identifier_preparer.quote_identifier

    def names(relations: "tuple[str, ...] | list[str]") -> str:
        return ", ".join(map(quote_name, relations))

    schema = quote_name(connection.execute(text("SELECT current_schema()")).scalar_one())
    tables = list(metadata.tables)
    for statement in (
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {APP}",
        f"GRANT USAGE ON SCHEMA {schema} TO {APP}",
        f"GRANT SELECT ON {names([*tables, *VIEWS, 'alembic_version'])} TO {APP}",
        f"GRANT INSERT ON {names(tables)} TO {APP}",
        f"GRANT UPDATE ON {names(CHANGED)} TO {APP}",
        f"GRANT DELETE ON {names(DELETED)} TO {APP}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {APP}",
    ):
        connection.exec_driver_sql(statement)
