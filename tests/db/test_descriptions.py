"""Every column of the views has a line about it, and every line is about a column."""

import pytest

from db.columns import KINDS
from db.descriptions import described, description_of, unit_of


@pytest.mark.parametrize("view", KINDS)
def test_every_column_is_described(view: str) -> None:
    for name in KINDS[view]:
        assert description_of(view, name)


def test_every_line_is_about_a_column() -> None:
    columns = {name for names in KINDS.values() for name in names}
    columns |= {f"{view}.{name}" for view, names in KINDS.items() for name in names}
    assert described().keys() <= columns


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("latency_seconds", "s"),
        ("weights_bytes", "bytes"),
        ("energy_joules", "J"),
        ("energy_joules_per_token", "J/token"),
        ("decode_tokens_per_second", "tokens/s"),
        ("seconds_per_correct_answer", "s"),
        ("accuracy", "share, 0 to 1"),
        ("model", None),
    ],
)
def test_a_name_tells_its_unit(column: str, unit: str | None) -> None:
    assert unit_of(column) == unit
