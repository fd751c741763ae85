"""Statements that run so often that SQLAlchemy's own way to the driver is most of what they cost."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, Table, bindparam, insert
from sqlalchemy.sql.elements import ClauseElement


class DriverStatement:
    """A statement compiled once for each dialect, and handed to the driver as it is.

    Values go to the driver unchanged: none may be of a type that SQLAlchemy converts, or a list that it expands.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        #: by dialect, the SQL, the values that are part of it, and their order where they have no names
        self._compiled: dict[str, tuple[str, Mapping[str, Any], tuple[str, ...] | None]] = {}

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Execute it with values for its parameters."""
        sql, known, order = self._compiled.get(connection.dialect.name) or self._compile(connection)
        if order is None:
            return connection.exec_driver_sql(sql, {**known, **values})
        given = {**known, **values}
        return connection.exec_driver_sql(sql, tuple([given[name] for name in order]))

    def _compile(self, connection: Connection) -> tuple[str, Mapping[str, Any], tuple[str, ...] | None]:
        compiled: Any = self._statement.compile(dialect=connection.dialect)
        order = None if compiled.positiontup is None else tuple(compiled.positiontup)
        found = self._compiled[connection.dialect.name] = (str(compiled), compiled.params, order)
        return found


def insertion(table: Table, columns: tuple[str, ...], *, returning: str | None = None) -> DriverStatement:
    """Return the statement that inserts a row with a value for each of these columns, and returns one of another."""
    statement = insert(table).values({name: bindparam(name) for name in columns})
    return DriverStatement(statement if returning is None else statement.returning(table.c[returning]))
