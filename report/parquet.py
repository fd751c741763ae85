"""Rows as Parquet: typed, with units and descriptions in the schema, written group by group."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import islice
from typing import Any, BinaryIO

from bench.errors import InputError, UnavailableError
from report.units import describe

#: rows of a group, which are in memory at once
_ROWS_A_GROUP = 10_000


def check_parquet(columns: Sequence[str]) -> None:
    """Raise UnavailableError where pyarrow is not installed, InputError for a column that is named twice."""
    if find_spec("pyarrow") is None:
        raise UnavailableError("Parquet takes pyarrow; install it with `pip install 'benchbeat[report]'`")
    for name in columns:
        if list(columns).count(name) > 1:
            raise InputError(f"{name} is named twice, and columns of a Parquet file have names of their own")


def write_parquet(
    view: str, columns: Sequence[str], kinds: Sequence[str], rows: Iterable[Sequence[Any]], stream: BinaryIO
) -> int:
    """Write rows of a view, and return how many there were.

    `kinds` says what each column holds (see `db.columns`). Times are UTC to the millisecond, JSON is text.
    """
    import pyarrow
    import pyarrow.parquet

    types: dict[str, Any] = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
        "time": pyarrow.timestamp("ms", tz="UTC"),
        "json": pyarrow.string(),
    }
    fields = [
        pyarrow.field(
            each.name,
            types[kind],
            metadata={"type": each.type, "unit": each.unit or "", "description": each.description},
        )
        for each, kind in zip(describe(view, columns, kinds), kinds, strict=True)
    ]
    schema = pyarrow.schema(fields, metadata={"benchbeat.view": view})
    count = 0
    with pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for group in _groups(rows):
            values = [_values(column, kind) for column, kind in zip(zip(*group, strict=True), kinds, strict=True)]
            arrays = [pyarrow.array(each, field.type) for each, field in zip(values, schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), row_group_size=_ROWS_A_GROUP)
            count += len(group)
    return count


def _groups(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    source = iter(rows)
    while group := list(islice(source, _ROWS_A_GROUP)):
        yield group


def _values(column: Sequence[Any], kind: str) -> Sequence[Any]:
    if kind != "time":
        return column
    return [None if each is None else datetime.fromisoformat(each).replace(tzinfo=UTC) for each in column]
