"""Conditions as people type them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from db.columns import KINDS
from db.conditions import Condition, column_sql, kind_of, where_sql


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("accuracy>=0.5", ("accuracy", ">=", "0.5")),
        ("accuracy >= 0.5", ("accuracy", ">=", "0.5")),
        (" model = qwen ", ("model", "=", "qwen")),
        ("model==qwen", ("model", "=", "qwen")),
        ("strategy!=direct", ("strategy", "!=", "direct")),
        ("model~qwen2.5", ("model", "~", "qwen2.5")),
        ("error_is=", None),
        ("strategy=", ("strategy", "=", "")),
        ("labels.who=the lab", ("labels.who", "=", "the lab")),
        ("labels.run-kind=a=b", ("labels.run-kind", "=", "a=b")),
        ("labels.host.rack=7", ("labels.host.rack", "=", "7")),
        ("contaminated=false", ("contaminated", "=", "false")),
        ("started_at>=2026-05-01", ("started_at", ">=", "2026-05-01")),
        ("items<1e3", ("items", "<", "1e3")),
        ("contamination~battery < 20%", ("contamination", "~", "battery < 20%")),
    ],
)
def test_a_condition_is_read(typed: str, expected: tuple[str, str, str] | None) -> None:
    if expected is None:
        with pytest.raises(InputError, match="no column"):
            Condition.parse(typed)
        return
    assert Condition.parse(typed) == Condition(*expected)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("acuracy>0.5", "history has no column 'acuracy'; did you mean 'accuracy'"),
        ("label.who=x", "did you mean 'labels' or 'labels.NAME'?"),
        ("accuracy", "'accuracy' is no condition; write COLUMN, one of != >= <= = > < ~ and a value"),
        (">0.5", "is no condition"),
        ("", "is no condition"),
        ("accuracy>high", "accuracy>high: accuracy is a number, not 'high'"),
        ("accuracy>nan", "accuracy is a number, not 'nan'"),
        ("items=1.5", "items is a whole number, not '1.5'"),
        ("items=inf", "items is a whole number, not 'inf'"),
        ("items>", "items is a whole number, not ''"),
        (f"items={10**19}", "items is a whole number"),
        ("contaminated=perhaps", "contaminated is true or false, not 'perhaps'"),
        ("contaminated>true", "contaminated is true or false and has no order"),
        ("accuracy~0.5", "accuracy is no text, so nothing is contained in it"),
        ("labels=who", "name one of the labels: labels.NAME=value"),
        ("started_at>soon", "'soon' is no time"),
    ],
)
def test_a_wrong_condition_is_explained(typed: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Condition.parse(typed)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_view_has_other_columns() -> None:
    assert Condition.parse("finish=thinking", "answers") == Condition("finish", "=", "thinking")
    with pytest.raises(InputError, match=r"answers has no column 'labels\.who'"):
        Condition.parse("labels.who=x", "answers")
    with pytest.raises(InputError, match="attempts has no column 'accuracy'"):
        Condition.parse("accuracy>0", "attempts")


def test_an_operator_is_one_of_ours() -> None:
    with pytest.raises(ValueError, match="no operator"):
        Condition("model", "like", "x")


def test_equalities_of_a_column_are_alternatives_and_all_else_must_hold() -> None:
    conditions = [Condition.parse(each) for each in ("model=a", "workload=w", "model=b", "accuracy>0", "accuracy<1")]
    where, values = where_sql(conditions, {"who": "lab"}, "history", "postgresql")
    assert where == (
        ' WHERE ("model" = :c0 OR "model" = :c2) AND ("workload" = :c1) AND ("accuracy" > :c3) AND ("accuracy" < :c4)'
        " AND ((labels ->> 'who') = :c5)"
    )
    assert values == {"c0": "a", "c1": "w", "c2": "b", "c3": 0.0, "c4": 1.0, "c5": "lab"}


@given(st.text(max_size=30), st.sampled_from(sorted(KINDS["history"])), st.sampled_from(["=", "~", ">=", "!="]))
def test_no_value_gets_into_the_statement(value: str, column: str, operator: str) -> None:
    try:
        where, _ = where_sql([Condition(column, operator, value)], {}, "history", "sqlite")
    except InputError:
        return
    assert re.sub(r"'%Y-%m-%d %H:%M:%f'|'unixepoch'|'!'", "", where).count("'") == 0


@given(st.text(max_size=30))
def test_no_label_s_name_gets_out_of_its_quotes(name: str) -> None:
    try:
        kind_of(f"labels.{name}")
    except InputError:
        return
    assert set("'\"") & set(name) == set()
    assert column_sql(f"labels.{name}", "postgresql") == f"(labels ->> '{name}')"
