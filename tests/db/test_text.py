"""Text that every database can hold."""

from hypothesis import given
from hypothesis import strategies as st

from db.text import storable


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_what_can_be_stored_stays_as_it_is(text: str) -> None:
    assert storable(text) == text


@given(st.text(st.characters(categories=["Cs", "L"], include_characters="\0")))
def test_everything_can_be_stored_and_no_character_is_lost(text: str) -> None:
    stored = storable(text)
    assert "\0" not in stored
    assert stored.encode().decode() == stored
    assert len(stored) == len(text)
