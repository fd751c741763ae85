import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.cells import bytes_in_words, number_in_words, one_line, shown
from report.layout import break_text, text_width
from report.tables import write_table

COLUMNS = [
    "model",
    "workload",
    "strategy",
    "temperature",
    "accuracy",
    "accuracy_stderr",
    "decode_tokens_per_second",
    "peak_process_memory_bytes",
    "finished_at",
]
ROWS: list[tuple[Any, ...]] = [
    ("smollm2-135m", "facts", "direct", 0.0, 0.5, 0.1, 38.19, 641728512, "2026-11-22 19:17:16.711"),
    ("deepseek-r1-distill-qwen-1.5b", "arithmetic", "chain_of_thought", 0.3, 0.25, 0.09386, 1.417, 3_300_000_000, None),
]


def table(columns: list[str], rows: list[tuple[Any, ...]], width: int | None = None) -> list[str]:
    stream = io.StringIO()
    assert write_table(columns, rows, stream, width=width) == len(rows)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


# One value


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.00012, "0.00012"),
        (123.4, "123.4"),
        (123.456, "123.5"),
        (1234567.0, "1234567"),
        (1234567, "1234567"),
        (999.96, "1000"),
        (0.0, "0"),
        (1.0, "1"),
        (-0.123456, "-0.1235"),
        (1.5e-7, "1.5e-07"),
        (1e20, "1e+20"),
        (10**20, "1" + "0" * 20),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_has_four_significant_digits(number: float, expected: str) -> None:
    assert number_in_words(number) == expected


@given(st.floats(min_value=-1e12, max_value=1e12, allow_subnormal=False))
def test_a_number_is_off_by_half_a_unit_of_its_fourth_digit_at_most(number: float) -> None:
    assert float(number_in_words(number)) == pytest.approx(number, rel=0.5e-3 + 1e-9, abs=1e-300)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),
        (1024, "1 KiB"),
        (641728512, "612 MiB"),
        (1572864000, "1.46 GiB"),
        (-1024.0, "-1 KiB"),
        (1023.9 * 2**20, "1 GiB"),
        (5 * 2**60, "5120 PiB"),
        (float("nan"), "nan"),
    ],
)
def test_bytes_have_a_unit(count: float, expected: str) -> None:
    assert bytes_in_words(count) == expected


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (None, "a", "-"),
        (True, "a", "true"),
        (641728512, "weights_bytes", "612 MiB"),
        (641728512, "bytes_weights", "641728512"),
        ("text", "weights_bytes", "text"),
        ("2026-11-22 19:17:16.711", "finished_at", "2026-11-22 19:17:16"),
        ("2026-11-22 19:17:16.711", "text", "2026-11-22 19:17:16.711"),
        (0.0123456, "ttft_seconds", "0.01235"),
        (b"\x01", "a", "01"),
        ([1, "a\n"], "a", '[1, "a\\n"]'),
    ],
)
def test_a_value_is_shown_by_its_column(value: Any, column: str, expected: str) -> None:
    assert shown(value, column) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("\udc80", "\\udc80"),
        ("déjà 日本 🎉", "déjà 日本 🎉"),
    ],
)
def test_nothing_in_a_text_acts_on_the_terminal(text: str, expected: str) -> None:
    assert one_line(text) == expected


# Plain lines


def test_a_pipe_gets_aligned_lines_of_any_length() -> None:
    assert table(COLUMNS, ROWS) == [
        "model                          workload    strategy          temperature  accuracy  accuracy_stderr"
        "  decode_tokens_per_second  peak_process_memory_bytes  finished_at",
        "-----------------------------  ----------  ----------------  -----------  --------  ---------------"
        "  ------------------------  -------------------------  -------------------",
        "smollm2-135m                   facts       direct                      0       0.5              0.1"
        "                     38.19                    612 MiB  2026-11-22 19:17:16",
        "deepseek-r1-distill-qwen-1.5b  arithmetic  chain_of_thought          0.3      0.25          0.09386"
        "                     1.417                   3.07 GiB  -",
    ]


def test_a_long_text_is_not_cut_in_a_pipe() -> None:
    assert "x" * 5000 in table(["a", "b"], [("x" * 5000, 1)])[2]


def test_ideograms_are_aligned_by_the_room_they_take() -> None:
    lines = table(["a", "b"], [("日本", "x"), ("four", "y")])
    assert lines[2:] == ["日本  x", "four  y"]


def test_columns_keep_their_places_over_many_rows() -> None:
    lines = table(["a", "b"], [(f"{i:05}", "x") for i in range(2500)])
    assert len(lines) == 2502
    assert {line.index("x") for line in lines[2:]} == {7}


def test_no_rows_are_a_header_in_a_pipe_and_said_on_a_terminal() -> None:
    assert table(["a", "b_c"], []) == ["a  b_c", "-  ---"]
    assert table(["a", "b_c"], [], 80) == ["no rows"]


# On a terminal


def test_a_wide_terminal_has_everything_on_one_line() -> None:
    lines = table(COLUMNS, ROWS, 200)
    assert len(lines) == 4
    assert lines[0].split() == COLUMNS
    assert lines[3].split() == [
        *["deepseek-r1-distill-qwen-1.5b", "arithmetic", "chain_of_thought", "0.3", "0.25", "0.09386", "1.417"],
        *["3.07", "GiB", "-"],
    ]


def test_a_narrower_one_breaks_headers_at_underscores_first() -> None:
    lines = table(COLUMNS, ROWS, 140)
    assert lines[-1].startswith("deepseek-r1-distill-qwen-1.5b  arithmetic  chain_of_thought")
    assert [line.split() for line in lines[:3]] == [
        ["decode_", "peak_"],
        ["accuracy_", "tokens_", "process_"],
        [*COLUMNS[:5], "stderr", "per_second", "memory_bytes", "finished_at"],
    ]


def test_then_names_are_folded_after_their_hyphens() -> None:
    lines = table(COLUMNS[:8], [row[:8] for row in ROWS], 100)
    assert max(map(len, lines)) <= 100
    folded = [line.split()[0] for line in lines[-2:]]
    assert "".join(folded) == "deepseek-r1-distill-qwen-1.5b"


def test_the_eight_columns_of_the_readme_fit_into_eighty_characters() -> None:
    lines = table(COLUMNS[:8], [row[:8] for row in ROWS], 80)
    assert max(map(len, lines)) <= 80
    assert not lines[0].startswith("8 columns don't fit")


def test_what_does_not_fit_is_written_from_top_to_bottom() -> None:
    lines = table([f"column_{i}" for i in range(30)], [tuple(range(30)), tuple(range(30))], 80)
    assert lines[0] == "30 columns don't fit into 80 characters; each row is a block of its own."
    assert lines[1].startswith("row 1 ──")
    assert lines[2] == "column_0   0"
    assert lines[31] == "column_29  29"
    assert lines[32].startswith("row 2 ──")


def test_sentences_are_folded_between_words_with_a_blank_line_after_each_row() -> None:
    lines = table(["item_id", "text"], [("a", "The capital of France is Paris. " * 10), ("b", "short")], 60)
    assert max(map(len, lines)) <= 60
    assert lines[-2:] == ["", "b        short"]
    assert (
        " ".join(" ".join(line[9:] for line in lines[2:-2]).split())
        == ("The capital of France is Paris. " * 10).strip()
    )


@given(
    st.lists(st.text(st.sampled_from("abc_-, 日"), min_size=1, max_size=30), min_size=1, max_size=8),
    st.lists(st.lists(st.text(st.sampled_from("abcdef-_ 日"), max_size=200), min_size=8, max_size=8), max_size=4),
    st.integers(40, 200),
)
def test_no_line_is_wider_than_the_terminal(names: list[str], cells: list[list[str]], width: int) -> None:
    lines = table(names, [tuple(row[: len(names)]) for row in cells], width)
    assert max(map(text_width, lines), default=0) <= width


@given(st.text(st.sampled_from("abc_-,/ 日"), max_size=100), st.integers(2, 40))
def test_breaking_a_text_loses_nothing_but_spaces(text: str, width: int) -> None:
    lines = break_text(text, width)
    assert all(text_width(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_markup_in_a_text_is_shown_not_followed() -> None:
    assert table(["[b]a[/b]"], [("[red]:smile:[/red]",)], 80)[-1] == "[red]:smile:[/red]"


def test_a_terminals_own_width_is_taken() -> None:
    program = (
        "import sys; from report.tables import write_table\n"
        "write_table(['a_long_name', 'another_long_name'], [('x' * 20, 1)], sys.stdout)\n"
    )
    ours, theirs = os.openpty()
    environment = os.environ | {"COLUMNS": "30", "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", program], stdout=theirs, check=True, env=environment)
    lines = re.sub("\x1b\\[[0-9;]*m", "", os.read(ours, 65536).decode()).splitlines()
    os.close(theirs)
    os.close(ours)
    assert max(len(line.rstrip()) for line in lines) <= 30
    assert [line.split() for line in lines[:3]] == [["another_"], ["long_"], ["a_long_name", "name"]]


def test_rich_is_imported_by_nobody_who_does_not_need_it() -> None:
    program = (
        "import sys; from report.formats import write_rows\n"
        "write_rows(['a'], [('b',)], format='table', stream=sys.stdout)\n"
        "print([name for name in sys.modules if name == 'rich'])\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "a\n-\nb\n[]\n"
