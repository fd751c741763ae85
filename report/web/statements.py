"""The statements that find the rows which an address asks for. Nothing that was typed is part of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from bench.errors import InputError
from db.conditions import column_sql, where_sql
from report.web.listing import KEYS, Listing, is_newest_first

#: a statement with its parameters
Statement = tuple[str, dict[str, Any]]


def rows_statement(
    connection: Connection,
    listing: Listing,
    columns: Sequence[str],
    limit: int,
    *,
    within: tuple[int, int] | None = None,
    run_ids: Iterable[int] | None = None,
) -> Statement:
    """Return the statement that finds so many rows; `within` bounds the key (from, below), `run_ids` are alternatives.

    Raises InputError where the row that the page begins after is gone.
    """
    view, dialect = listing.view, connection.dialect.name
    where, values = where_sql(listing.conditions, {}, view, dialect)
    clauses = [where.removeprefix(" WHERE ")] if where else []
    if listing.after:
        clauses.append(_following(connection, listing, values))
    if within is not None:
        clauses.append(f'"{listing.key}" >= :first AND "{listing.key}" < :below')
        values["first"], values["below"] = within
    if run_ids is not None:
        clauses.append(f"run_id IN ({', '.join(map(str, run_ids)) or 'NULL'})")
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    listed = ", ".join(column_sql(name, dialect) for name in columns)
    values["limit"] = limit
    return f'SELECT {listed} FROM "{view}"{where} ORDER BY {_order(listing, dialect)} LIMIT :limit', values


def by_key_statement(listing: Listing, columns: Sequence[str], keys: Sequence[Any], dialect: str) -> Statement:
    """Return the statement that finds rows by the first part of their keys, in whatever order."""
    values: Mapping[str, Any] = {f"k{number}": key for number, key in enumerate(keys)}
    listed = ", ".join(column_sql(name, dialect) for name in columns)
    marks = ", ".join(f":{name}" for name in values) or "NULL"
    return f'SELECT {listed} FROM "{listing.view}" WHERE "{listing.key}" IN ({marks})', dict(values)


def _order(listing: Listing, dialect: str) -> str:
    first, *rest = KEYS[listing.view]
    key = [f'"{first}"{" DESC" if is_newest_first(listing.view) else ""}', *(f'"{name}"' for name in rest)]
    if listing.sorted_by == first:
        # PostgreSQL takes a batch's rows for spread over all of them: it would go through the whole history in the
        # order of its numbers instead of sorting the few that the batch's index gives.
        named = f'"{first}" + 0' if dialect == "postgresql" and _is_of_batch(listing) else f'"{first}"'
        return ", ".join([f"{named}{' DESC' if listing.is_descending else ''}", *key[1:]])
    column = column_sql(listing.sorted_by, dialect)
    return ", ".join([f"{column} IS NULL", f"{column}{' DESC' if listing.is_descending else ''}", *key])


def _is_of_batch(listing: Listing) -> bool:
    is_one = any(each.column == "batch" and each.operator == "=" for each in listing.conditions)
    return is_one and listing.key in ("run_id", "job_id")


def _following(connection: Connection, listing: Listing, values: dict[str, Any]) -> str:
    """Return the condition of the rows that come after the one with the key; its parameters are added to `values`."""
    names = KEYS[listing.view]
    parameters = [f":k{number}" for number in range(len(names))]
    values |= {f"k{number}": part for number, part in enumerate(listing.after)}
    if listing.sorted_by == names[0]:
        return _beyond(names, parameters, listing.is_descending)
    beyond = _beyond(names, parameters, is_newest_first(listing.view))
    column = column_sql(listing.sorted_by, connection.dialect.name)
    is_row = " AND ".join(f'"{name}" = {parameter}' for name, parameter in zip(names, parameters, strict=True))
    found = connection.execute(text(f'SELECT {column} FROM "{listing.view}" WHERE {is_row}'), values).first()
    if found is None:
        raise InputError("the row that this page begins after is gone; begin at the first page", where="after")
    if found[0] is None:
        return f"({column} IS NULL AND {beyond})"
    values["sorted"] = found[0]
    further = "<" if listing.is_descending else ">"
    return f"({column} {further} :sorted OR {column} IS NULL OR ({column} = :sorted AND {beyond}))"


def _beyond(names: Sequence[str], parameters: Sequence[str], is_descending: bool) -> str:
    first = f'"{names[0]}" {"<" if is_descending else ">"} {parameters[0]}'
    if len(names) == 1:
        return first
    rest = ", ".join(f'"{name}"' for name in names[1:])
    # The first comparison alone bounds what of the index is read.
    bound = f'"{names[0]}" {"<=" if is_descending else ">="} {parameters[0]}'
    return f"({bound} AND ({first} OR ({rest}) > ({', '.join(parameters[1:])})))"
