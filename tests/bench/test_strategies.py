import pytest

from bench.errors import InputError
from bench.spec import hash_of
from bench.strategies import builtin_strategies
from bench.workloads import Item, Scorer, Workload, builtin_workloads


def workload(score: Scorer = "exact", **fields: object) -> Workload:
    data = {"name": "own", "task": "text", "kind": "quality", "score": score, **fields}
    return Workload.model_validate({"items": (Item(id="1", prompt="2 + 2?", answer="4"),), **data})


SHOWN = Item(id="e", prompt="1 + 1?", answer=("2", "two"))


def test_direct_is_the_question_itself() -> None:
    messages = builtin_strategies()["direct"].messages(workload(), "2 + 2?")
    assert messages == ({"role": "user", "content": "2 + 2?"},)


def test_chain_of_thought_asks_for_steps_and_a_last_line() -> None:
    (message,) = builtin_strategies()["chain_of_thought"].messages(workload(), "2 + 2?")
    assert message["role"] == "user"
    assert message["content"].startswith("2 + 2?\n\nThink step by step.")
    assert "'Answer:'" in message["content"]


@pytest.mark.parametrize(
    ("score", "wanted"), [("number", "the number."), ("choice", "your choice."), ("exact", "answer.")]
)
def test_chain_of_thought_says_what_the_scorer_reads(score: Scorer, wanted: str) -> None:
    (message,) = builtin_strategies()["chain_of_thought"].messages(workload(score), "?")
    assert message["content"].endswith(wanted)


def test_few_shot_shows_the_examples_as_turns() -> None:
    messages = builtin_strategies()["few_shot"].messages(workload(examples=(SHOWN,)), "2 + 2?")
    assert messages == (
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "2 + 2?"},
    )


def test_few_shot_without_examples_says_how_to_add_them() -> None:
    few_shot = builtin_strategies()["few_shot"]
    with pytest.raises(InputError, match=r"'own' has no examples, .* \"example\": true"):
        few_shot.messages(workload(), "2 + 2?")
    with pytest.raises(InputError, match="no examples"):
        few_shot.digest(workload())


@pytest.mark.parametrize("name", ["facts", "arithmetic"])
@pytest.mark.parametrize("strategy", list(builtin_strategies()))
def test_every_strategy_puts_every_built_in_item(name: str, strategy: str) -> None:
    own = builtin_workloads()[name]
    for item in own.items:
        *_, last = builtin_strategies()[strategy].messages(own, item.prompt)
        assert last["role"] == "user"
        assert last["content"].startswith(item.prompt)


def test_a_prompt_with_braces_stays_as_it_is() -> None:
    for strategy in builtin_strategies().values():
        *_, last = strategy.messages(workload(examples=(SHOWN,)), "{x} %s $y \\1")
        assert last["content"].startswith("{x} %s $y \\1")


def test_digest_is_of_all_that_surrounds_a_prompt() -> None:
    strategies = builtin_strategies()
    one, other = workload(examples=(SHOWN,)), workload(examples=(SHOWN.model_copy(update={"answer": "two"}),))
    digests = {name: strategy.digest(one) for name, strategy in strategies.items()}
    assert len(set(digests.values())) == len(strategies)
    assert digests["few_shot"] != strategies["few_shot"].digest(other)
    assert digests["direct"] == strategies["direct"].digest(other)
    assert digests["chain_of_thought"] != strategies["chain_of_thought"].digest(workload("number"))
    assert digests["direct"] == hash_of([{"role": "user", "content": "\x00prompt\x00"}])


def test_the_baseline_comes_first_and_names_are_keys() -> None:
    strategies = builtin_strategies()
    assert list(strategies) == ["direct", "chain_of_thought", "few_shot"]
    assert all(strategy.name == name and strategy.description for name, strategy in strategies.items())
