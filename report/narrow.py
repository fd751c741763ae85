"""Making a table narrower for a terminal: what is equal may be said once, what matters least is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.cells import all_numbers, shown
from report.layout import Column, fits, text_width


@dataclass(frozen=True)
class Narrowed:
    """A table that fits, or comes as near to it as it may."""

    columns: list[str]
    rows: list[Sequence[Any]]
    #: columns whose value is the same in every row, with that value as text
    same: dict[str, str]
    #: columns that were left out
    left_out: list[str]


def narrow(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    width: int,
    *,
    gap: int = 2,
    say_equal: bool = False,
    expendable: Sequence[str] = (),
) -> Narrowed:
    """Return the rows in as many columns as fit into `width`; of the `expendable` ones the first go first.

    With `say_equal` a column that holds the same in every row goes before all of them.
    """
    texts = [[shown(value, column) for value, column in zip(row, columns, strict=True)] for row in rows]
    shapes = [
        Column(name, all_numbers(row[n] for row in rows), max((text_width(row[n]) for row in texts), default=0))
        for n, name in enumerate(columns)
    ]
    kept = list(range(len(columns)))

    def is_too_wide() -> bool:
        return not fits([shapes[n] for n in kept], width, gap)

    same: dict[str, str] = {}
    if say_equal and len(rows) > 1 and is_too_wide():
        constant = [n for n in kept if len({row[n] for row in texts}) == 1]
        if len(constant) == len(kept):  # a table of rows that are all alike keeps a column
            constant = constant[1:]
        same = {columns[n]: texts[0][n] for n in constant}
        kept = [n for n in kept if n not in constant]
    left_out = []
    for name in expendable:
        if not is_too_wide():
            break
        if (number := list(columns).index(name)) in kept and len(kept) > 1:
            kept.remove(number)
            left_out.append(name)
    return Narrowed([columns[n] for n in kept], [[row[n] for n in kept] for row in rows], same, left_out)


def without_one_machine(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[Sequence[Any]]]:
    """Return a table without its machine where there is but one: the long id tells nothing apart."""
    names = list(columns)
    if "machine" not in names or len({row[names.index("machine")] for row in rows}) > 1:
        return names, list(rows)
    place = names.index("machine")
    return names[:place] + names[place + 1 :], [[*row[:place], *row[place + 1 :]] for row in rows]
