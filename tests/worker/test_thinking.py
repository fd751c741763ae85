from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import tiny
from worker.thinking import CLOSED, OPENED, Thoughts, is_over, is_unanswered


@cache
def tokenizer(marks: str) -> Any:
    """Return a tokenizer whose marks of thoughts are tokens of their own (`plain`, `special`), or `letters`."""
    from tokenizers import AddedToken

    made = tiny.tokenizer("qwen2")
    if marks != "letters":
        made.add_tokens([AddedToken(mark, special=marks == "special") for mark in (OPENED, CLOSED)])
    return made


ALL = pytest.mark.parametrize("marks", ["letters", "plain", "special"])


def ids(marks: str, text: str) -> list[int]:
    return list(tokenizer(marks)(text, add_special_tokens=False)["input_ids"])


def counted(marks: str, prompt: str, text: str) -> int | None:
    thoughts = Thoughts(tokenizer(marks))
    tokens = ids(marks, text)
    return thoughts.tokens(ids(marks, prompt), tokens, thoughts.decode(tokens))


@ALL
def test_marks_are_never_lost_in_decoding(marks: str) -> None:
    text = "<think>one and one\n</think>\n\nTwo."
    assert Thoughts(tokenizer(marks)).decode(ids(marks, f"{text}<|im_end|>")) == text


def test_a_special_mark_would_have_been_lost() -> None:
    assert CLOSED not in tokenizer("special").decode(ids("special", f"a{CLOSED}b"), skip_special_tokens=True)


@ALL
def test_thoughts_that_the_prompt_opened_are_counted_with_their_end(marks: str) -> None:
    before = ids(marks, "one and one</think>")
    assert counted(marks, "Question?\nAssistant: <think>\n", "one and one</think>\n\nTwo.") == len(before)


@ALL
def test_thoughts_that_the_text_opens_are_counted_from_the_first_token(marks: str) -> None:
    before = ids(marks, "<think>one and one</think>")
    assert counted(marks, "Question?", "<think>one and one</think> Two.") == len(before)


@ALL
def test_thoughts_that_never_end_are_all_there_is(marks: str) -> None:
    text = "one and one and one"
    assert counted(marks, "Assistant: <think>\n", text) == len(ids(marks, text))
    assert counted(marks, "Assistant:", f"<think>{text}") == len(ids(marks, f"<think>{text}"))


@ALL
@pytest.mark.parametrize(
    "prompt", ["What does <think> mean?\nAssistant:", "Assistant: <think>\n\n</think>\n\n", "Assistant:"]
)
def test_who_was_not_asked_to_think_does_not(marks: str, prompt: str) -> None:
    assert counted(marks, prompt, "Two.") is None


@given(before=st.text(max_size=40), after=st.text(max_size=40), marks=st.sampled_from(["letters", "plain", "special"]))
def test_bisection_finds_what_a_walk_finds(before: str, after: str, marks: str) -> None:
    thoughts, tokens = Thoughts(tokenizer(marks)), ids(marks, f"{before}{CLOSED}{after}")
    text = thoughts.decode(tokens)
    walked = next(n for n in range(len(tokens) + 1) if is_over(thoughts.decode(tokens[:n])))
    assert thoughts.tokens(ids(marks, OPENED), tokens, text) == walked


def test_a_long_answer_is_decoded_a_few_times_only() -> None:
    decoded: list[int] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer("plain"), name)

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return tokenizer("plain")(*arguments, **options)

        def decode(self, tokens: list[int], **options: Any) -> str:
            decoded.append(len(tokens))
            return str(tokenizer("plain").decode(tokens, **options))

    tokens = ids("plain", "why " * 3000 + CLOSED + " Two.")
    thoughts = Thoughts(Counting())
    decoded.clear()
    assert thoughts.tokens(ids("plain", OPENED), tokens, f"{CLOSED} Two.") == len(tokens) - len(ids("plain", " Two."))
    assert len(decoded) < 20


def test_an_answer_is_missing_only_where_thoughts_never_end() -> None:
    assert is_unanswered("so", 1)
    assert not is_unanswered("so</think>", 2)
    assert not is_unanswered("so", None)
