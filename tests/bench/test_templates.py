"""Templates: a strategy's messages as they travel, and the prompt put into them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.strategies import builtin_strategies
from bench.templates import PLACEHOLDER, fill, template
from bench.workloads import Item, Workload, builtin_workloads

FACTS = builtin_workloads()["facts"]


@given(st.sampled_from(sorted(builtin_strategies())), st.text())
def test_a_filled_template_asks_what_the_strategy_asks(name: str, prompt: str) -> None:
    strategy = builtin_strategies()[name]
    stored = json.loads(json.dumps(template(strategy, FACTS)))
    assert fill(stored, prompt) == strategy.messages(FACTS, prompt)


@pytest.mark.parametrize("name", sorted(builtin_strategies()))
def test_the_prompt_goes_into_the_last_message(name: str) -> None:
    messages = template(builtin_strategies()[name], FACTS)
    assert [PLACEHOLDER in message["content"] for message in messages] == [False] * (len(messages) - 1) + [True]


def test_a_prompt_that_looks_like_a_format_is_left_as_it_is() -> None:
    (message,) = fill(template(builtin_strategies()["direct"], FACTS), "{0} %s \\1 {content}")
    assert message == {"role": "user", "content": "{0} %s \\1 {content}"}


def test_a_template_is_refused_where_the_workload_lacks_examples() -> None:
    bare = Workload(name="w", task="text", kind="quality", score="exact", items=(Item(id="1", prompt="?", answer="!"),))
    with pytest.raises(InputError, match="no examples"):
        template(builtin_strategies()["few_shot"], bare)
