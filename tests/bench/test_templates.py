"""Templates: a strategy's messages as they travel, and the prompt put into them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.strategies import builtin_strategies
from bench.templates import PLACEHOLDER, Template
from bench.workloads import Item, Workload, builtin_workloads

FACTS = builtin_workloads()["facts"]
MESSAGES = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Q: {PLACEHOLDER}"})


@given(st.sampled_from(sorted(builtin_strategies())), st.text())
def test_a_filled_template_asks_what_the_strategy_asks(name: str, prompt: str) -> None:
    strategy = builtin_strategies()[name]
    stored = Template.parse(strategy.template(FACTS).definition())
    assert stored.fill(prompt) == strategy.messages(FACTS, prompt)


@pytest.mark.parametrize("name", sorted(builtin_strategies()))
def test_the_prompt_goes_into_the_last_message(name: str) -> None:
    messages = builtin_strategies()[name].template(FACTS).messages
    assert [PLACEHOLDER in message["content"] for message in messages] == [False] * (len(messages) - 1) + [True]


def test_a_prompt_that_looks_like_a_format_is_left_as_it_is() -> None:
    (message,) = builtin_strategies()["direct"].template(FACTS).fill("{0} %s \\1 {question}")
    assert message == {"role": "user", "content": "{0} %s \\1 {question}"}


def test_without_a_pattern_a_template_travels_as_the_list_that_older_workers_read() -> None:
    template = Template(MESSAGES)
    assert json.loads(template.definition()) == list(MESSAGES)
    assert Template.parse(template.definition()) == template


def test_a_pattern_travels_with_the_messages_and_changes_the_digest() -> None:
    template = Template(MESSAGES, r"final: (.*)")
    assert json.loads(template.definition()) == {"messages": list(MESSAGES), "output_pattern": r"final: (.*)"}
    assert Template.parse(template.definition()) == template
    assert template.digest() not in {Template(MESSAGES).digest(), Template(MESSAGES, "final").digest()}


def test_a_template_is_refused_where_the_workload_lacks_examples() -> None:
    bare = Workload(name="w", task="text", kind="quality", score="exact", items=(Item(id="1", prompt="?", answer="!"),))
    with pytest.raises(InputError, match="no examples"):
        builtin_strategies()["few_shot"].template(bare)
