import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import QueryError
from db.statement import MAX_LENGTH, read_statement

DIALECTS = ["sqlite", "postgresql"]
PIECES = ["select", "with", "a", "history", "as", "(", ")", "'", '"', "`", "[", "]", "$$", "$t$", "--", "/*", "*/", ";"]
PIECES += ["\n", " ", "\\", "e'", "1", ",", "not", "materialized"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1", "select 1"),
        ("  SELECT 1 ;; \n", "  SELECT 1"),
        ("select 1; -- the first\n/* the last */", "select 1"),
        ("-- a comment; with (\nselect 1", "-- a comment; with (\nselect 1"),
        ("select ';--' as a -- b", "select ';--' as a"),
        ("select 'it''s; (' as \"a;b\"\"c(\"", "select 'it''s; (' as \"a;b\"\"c(\""),
        ("(select 1) union (select 2)", "(select 1) union (select 2)"),
        ("values (1), (2);", "values (1), (2)"),
        ("with a as (select 1) select * from a", "with a as (select 1) select * from a"),
    ],
)
def test_a_select_loses_only_what_follows_it(text: str, expected: str, dialect: str) -> None:
    assert read_statement(text, dialect).text == expected


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("select $x$;'($x$", "postgresql"),
        ("select $$;'($$", "postgresql"),
        ("select e'\\';('", "postgresql"),
        ("select E'''\\';('", "postgresql"),
        ("select 1 /* a /* nested; ( */ comment; */", "postgresql"),
        ("table history", "postgresql"),
        ("select [a;(] from `b;(`", "sqlite"),
        ("select '\\'", "sqlite"),
        ("select 1 /* open ;", "sqlite"),
    ],
)
def test_what_each_database_quotes_hides_semicolons_and_parentheses(text: str, dialect: str) -> None:
    assert read_statement(text, dialect).text.startswith(("select", "table"))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" ;; \n", "empty"),
        ("-- nothing", "empty"),
        ("/* nothing", "empty"),
        ("select 1; select 2", "One statement at a time"),
        ("select 1) q; drop table job; --", "One statement at a time"),
        ("delete from job", "begins with SELECT"),
        ("explain select 1", "begins with SELECT"),
        ("((", "begins with SELECT"),
        ("select 1) q --", "closes nothing"),
        ("select (1", "not closed"),
        ("select \0", "NUL"),
        ("select '\udc80'", "UTF-8 at character 9"),
        ("select " + "1" * MAX_LENGTH, "characters"),
    ],
)
def test_everything_else_is_refused_with_its_reason(text: str, reason: str, dialect: str) -> None:
    with pytest.raises(QueryError, match=reason):
        read_statement(text, dialect)


@pytest.mark.parametrize(
    "text",
    [
        "with HISTORY as (select 1) select 1",
        "with a as (select 1), history as (select 1) select 1",
        'with "History" as (select 1) select 1',
        "with 'history' as (select 1) select 1",
        "with [history] as (select 1) select 1",
        "with `history` as (select 1) select 1",
        "with history(a, b) as (values (1, 2)) select 1",
        "with history as materialized (select 1) select 1",
        "with history as not materialized (select 1) select 1",
        "with history/**/(a)--\n/*as*/as/**/(select 1) select 1",
        "select * from (with history as (select 1) select 1)",
        "with recursive history(a) as (select 1 union all select a from history) select 1",
    ],
)
def test_the_name_of_a_with_clause_is_found_however_it_is_written(text: str) -> None:
    assert "history" in read_statement(text, "sqlite").bindings


@pytest.mark.parametrize(
    "text", ["select * from history as h", "select (1) as history", "select 'with history as (' from history"]
)
def test_other_uses_of_a_name_are_no_bindings(text: str) -> None:
    assert "history" not in read_statement(text, "sqlite").bindings


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.sampled_from(DIALECTS))
def test_any_text_is_a_prefix_of_itself_or_refused(text: str, dialect: str) -> None:
    try:
        found = read_statement(text, dialect)
    except QueryError:
        return
    assert text.startswith(found.text)
    assert found.text.strip()
