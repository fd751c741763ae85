"""Errors as sentences, and near matches of a wrong name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError, suggest

NAMES = st.text("abcxyz-_.1", min_size=1, max_size=12)


def test_an_error_begins_with_its_place() -> None:
    error = InputError("is wrong", where="s.toml:3: model")
    assert (str(error), error.message, error.where) == ("s.toml:3: model: is wrong", "is wrong", "s.toml:3: model")
    assert str(InputError("is wrong")) == "is wrong"


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("temprature", ["temperature", "strategy", "model"], "; did you mean 'temperature'?"),
        ("X_Y_HOMEE", ["X_Y_HOME", "X_Y_URL"], "; did you mean 'X_Y_HOME'?"),
        ("qwen", ["qwen2.5-1.5b", "deepseek-qwen", "llama"], "; did you mean 'deepseek-qwen' or 'qwen2.5-1.5b'?"),
        ("zzz", ["b", "a"], "; there is a, b"),
        ("zzz", [], ""),
        ("zzz", [f"name-{n}" for n in range(13)], ""),
    ],
)
def test_near_matches_are_suggested_and_few_names_listed(name: str, known: list[str], said: str) -> None:
    assert suggest(name, known) == said


@given(NAMES, st.lists(NAMES, max_size=20))
def test_what_is_suggested_is_known(name: str, known: list[str]) -> None:
    said = suggest(name, known)
    named = said.removeprefix("; did you mean ").removesuffix("?").replace("'", "").split(" or ")
    if said.startswith("; did you mean"):
        assert set(named) <= set(known)
        assert len(named) <= 3


@given(NAMES, st.lists(NAMES, max_size=20))
def test_a_name_that_is_known_but_for_its_case_is_suggested(name: str, known: list[str]) -> None:
    assert repr(name) in suggest(name.upper(), [*known, name])
