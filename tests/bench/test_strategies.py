"""Strategies: what each puts around a question, and that their hashes stay."""

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


ASKED = [name for name in builtin_workloads() if name not in {"speed", "dictation"}]


def test_examples_are_shown_with_text_alone() -> None:
    with pytest.raises(InputError, match="few_shot shows text alone, so it does not go with the vision work"):
        builtin_strategies()["few_shot"].template(builtin_workloads()["shapes"])


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("strategy", list(builtin_strategies()))
def test_every_strategy_puts_every_built_in_item(name: str, strategy: str) -> None:
    own = builtin_workloads()[name]
    assert len(own.items) >= 100
    if own.task == "vision" and strategy == "few_shot":
        return
    for item in own.items[:20]:
        *_, last = builtin_strategies()[strategy].messages(own, item.prompt)
        assert last["role"] == "user"
        assert last["content"].startswith(item.prompt)


HASHES = {
    ("facts", "direct"): "b8453dbea8cfd5cf3af6e9e3d4835f7953a2564a6fe913c92fa269e25f49f86e",
    ("facts", "chain_of_thought"): "19095a30a28438d1eef78eea96b28b0873f70994ee35a456dc28f0ddb1fc0e49",
    ("facts", "few_shot"): "a7d00b62ac099f32f696228cb4340f815932b8b3ad1cda85d5cdd3fbbaf661d0",
    ("arithmetic", "direct"): "b8453dbea8cfd5cf3af6e9e3d4835f7953a2564a6fe913c92fa269e25f49f86e",
    ("arithmetic", "chain_of_thought"): "fea8f7e3e1d1e3a9dbc2febd876fffbf647268497f8b1a40dce889049bee42e3",
    ("arithmetic", "few_shot"): "629eb7612aeb67fbb3d52e56b6a8154e6ab0fca6a9b774fcecff62504daabbf2",
}


@pytest.mark.parametrize(("name", "strategy"), HASHES)
def test_a_templates_hash_stays_so_that_series_go_on(name: str, strategy: str) -> None:
    assert builtin_strategies()[strategy].digest(builtin_workloads()[name]) == HASHES[name, strategy]


@pytest.mark.parametrize(
    ("score", "part"), [("exact", "leading expert"), ("number", "mathematician"), ("choice", "professor of logic")]
)
def test_role_play_gives_a_part_that_suits_the_scorer(score: Scorer, part: str) -> None:
    system, user = builtin_strategies()["role_play"].messages(workload(score), "2 + 2?")
    assert system["role"] == "system"
    assert part in system["content"]
    assert user == {"role": "user", "content": "2 + 2?"}


def test_role_play_knows_the_built_in_workloads() -> None:
    (system, _) = builtin_strategies()["role_play"].messages(builtin_workloads()["facts"], "?")
    assert "quiz champion" in system["content"]


@pytest.mark.parametrize(
    ("score", "ends"),
    [
        ("exact", "'Answer:' and after it only the answer."),
        ("contains", "'Answer:' and after it only the answer."),
        ("number", "'Answer:' and after it only the number."),
        ("choice", "'Answer:' and after it only the letter of your choice."),
    ],
)
def test_structured_asks_for_a_form_and_the_line_that_the_scorer_reads(score: Scorer, ends: str) -> None:
    (message,) = builtin_strategies()["structured"].messages(workload(score), "2 + 2?")
    assert message["content"].startswith("2 + 2?\n\nStructure your answer: a short heading, then ")
    assert message["content"].endswith(ends)


@pytest.mark.parametrize("score", ["constraints", "json_schema", "keywords", "none"])
@pytest.mark.parametrize("strategy", ["structured", "role_play"])
def test_where_the_task_asks_for_a_form_of_its_own_no_other_one_is_asked_for(score: Scorer, strategy: str) -> None:
    *_, message = builtin_strategies()[strategy].messages(workload(score), "Write a haiku.")
    assert "Answer:" not in message["content"]


@pytest.mark.parametrize("score", ["constraints", "json_schema", "keywords"])
def test_a_text_of_many_lines_follows_the_mark_of_a_chain_of_thought(score: Scorer) -> None:
    (message,) = builtin_strategies()["chain_of_thought"].messages(workload(score), "Write a haiku.")
    assert "a line that says 'Answer:' and below it only the " in message["content"]


def test_few_shot_shows_what_an_example_says_is_to_be_shown() -> None:
    example = Item(id="e", prompt="Write two words.", answer="words 2", shown="Good morning")
    messages = builtin_strategies()["few_shot"].messages(workload(examples=(example,)), "Write three words.")
    assert messages[1] == {"role": "assistant", "content": "Good morning"}


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
    assert list(strategies) == ["direct", "chain_of_thought", "few_shot", "role_play", "structured"]
    assert all(strategy.name == name and strategy.description for name, strategy in strategies.items())
