"""Strategies of a user's own: what they make of a question, and the sentence that says where one is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.library import load_library
from bench.strategies import Strategy
from bench.workloads import Item, Workload, builtin_workloads
from tests.bench.files import read

SMALL = """\
[[sweep]]
model = "smollm2-135m"
workload = "facts"
strategy = "mine"
"""
FACTS, ARITHMETIC = builtin_workloads()["facts"], builtin_workloads()["arithmetic"]


def own(folder: Path, fields: str) -> Strategy:
    """Return the strategy `mine` of a sweep file."""
    return read(folder, f"{SMALL}[strategies.mine]\n{fields}").strategies["mine"]


def complaint(folder: Path, fields: str) -> str:
    """Return what is said about a strategy, whose table begins in line 5."""
    with pytest.raises(InputError) as caught:
        own(folder, fields)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_strategy_without_fields_is_the_question_itself(tmp_path: Path) -> None:
    assert own(tmp_path, "").messages(FACTS, "2 + 2?") == ({"role": "user", "content": "2 + 2?"},)


def test_every_field_has_its_place(tmp_path: Path) -> None:
    strategy = own(
        tmp_path,
        """\
        description = "All at once"
        system = "Be brief."
        prefix = "Before."
        prompt = "Q: {question}\\nA:"
        suffix = "After."
        examples = [{ question = "1 + 1?", answer = "2" }]
        output_pattern = 'is (\\w+)'
        """,
    )
    template = strategy.template(FACTS)
    assert template.fill("2 + 2?") == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Before.\n\nQ: 1 + 1?\nA:\n\nAfter."},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "Before.\n\nQ: 2 + 2?\nA:\n\nAfter."},
    )
    assert template.output_pattern == r"is (\w+)"
    assert strategy.description == "All at once"


@pytest.mark.parametrize(("examples", "shown"), [("true", len(FACTS.examples)), ("2", 2), ("0", 0), ("false", 0)])
def test_the_workloads_examples_are_shown_all_or_the_first_so_many(tmp_path: Path, examples: str, shown: int) -> None:
    messages = own(tmp_path, f"examples = {examples}").messages(FACTS, "?")
    assert [m["content"] for m in messages[:-1:2]] == [each.prompt for each in FACTS.examples[:shown]]


def test_overrides_of_the_workload_come_before_those_of_its_scorer(tmp_path: Path) -> None:
    strategy = own(
        tmp_path,
        """\
        system = "For all."
        suffix = "Also for all."
        [strategies.mine.scorers.number]
        system = "For numbers."
        suffix = ""
        [strategies.mine.workloads.arithmetic]
        system = "For arithmetic."
        """,
    )
    assert [m["content"] for m in strategy.messages(FACTS, "?")] == ["For all.", "?\n\nAlso for all."]
    assert [m["content"] for m in strategy.messages(ARITHMETIC, "?")] == ["For arithmetic.", "?"]
    other = ARITHMETIC.model_copy(update={"name": "sums"})
    assert [m["content"] for m in strategy.messages(other, "?")] == ["For numbers.", "?"]


def test_a_workload_of_the_same_file_may_have_an_override(tmp_path: Path) -> None:
    (tmp_path / "i.jsonl").write_text('{"id": "1", "prompt": "?", "answer": "4"}\n')
    text = """
        [strategies.mine.workloads.sums]
        prefix = "Sum up."
        [workloads.sums]
        task = "text"
        items = "i.jsonl"
        score = "number"
    """
    sweep = read(tmp_path, SMALL.replace("facts", "sums") + text)
    assert sweep.strategies["mine"].messages(sweep.workloads["sums"], "?")[0]["content"] == "Sum up.\n\n?"


def test_strategies_of_the_home_are_read(tmp_path: Path) -> None:
    (tmp_path / "strategies.toml").write_text('[terse]\nsuffix = "One word."\n')
    library = load_library(tmp_path)
    assert library.strategy("terse").messages(FACTS, "?")[0]["content"] == "?\n\nOne word."
    assert library.strategy("direct").messages(FACTS, "?")[0]["content"] == "?"
    (tmp_path / "strategies.toml").write_text('[strategies.terse]\nsuffx = "One word."\n')
    with pytest.raises(InputError, match=r"strategies.toml:2: \[strategies.terse\] suffx: unknown key; did you mean"):
        load_library(tmp_path)


def test_a_strategy_that_hides_a_built_in_one_is_noted(tmp_path: Path) -> None:
    sweep = read(tmp_path, SMALL.replace("mine", "direct") + '[strategies.direct]\nprefix = "Well?"\n')
    assert sweep.notes == (f"strategy 'direct' is your own, from {tmp_path}/s.toml:5; it hides the built-in one",)


WRONG = {
    'prompt = "Answer me"': ":6: [strategies.mine] prompt: must hold {question}, which stands for the question "
    "(it is 'Answer me')",
    'prompt = "{Question}"': ":6: [strategies.mine] prompt: must hold {question}, which stands for the question",
    'prompt = ""': ":6: [strategies.mine] prompt: must hold {question}",
    'prefix = "Q: {question}"': ":6: [strategies.mine] prefix: holds {question}, which stands for the question in "
    "`prompt` only (it is 'Q: {question}')",
    'sufix = "x"': ":6: [strategies.mine] sufix: unknown key; did you mean 'suffix'?",
    'name = "x"': ":6: [strategies.mine] name: unknown key; the name stands in the table's header",
    "system = 3": ":6: [strategies.mine] system: must be a text in quotes (it is 3)",
    'system = "a\\u0000b"': ":6: [strategies.mine] system: holds a NUL character, which databases refuse",
    "output_pattern = '(a'": ":6: [strategies.mine] output_pattern: is no regular expression: ",
    "examples = 'all'": ":6: [strategies.mine] examples: must be true, a number, or a list such as "
    "[{ question = '2 + 2?', answer = '4' }] (it is 'all')",
    "examples = -1": ":6: [strategies.mine] examples: must be true, a number, or a list",
    "examples = 1.5": ":6: [strategies.mine] examples: must be true, a number, or a list",
    "examples = ['x']": ":6: [strategies.mine] examples: must be true, a number, or a list",
    "examples = [{ question = 'x' }]": ":6: [strategies.mine] examples: example 1: answer must be a text in quotes",
    "examples = [{ question = 'x', anwser = 'y' }]": ":6: [strategies.mine] examples: example 1: "
    "unknown key 'anwser'; did you mean 'answer'?",
    "examples = 99": ":4: strategy: workload 'facts' has 4 examples, and mine shows 99",
    "scorers = 3": ":6: [strategies.mine] scorers: must be tables [strategies.mine.scorers.NAME]",
    "scorers.number = 3": ":6: [strategies.mine.scorers.number] prompt: must be a table of fields",
    "[strategies.mine.scorers.numbr]": ":6: [strategies.mine.scorers] numbr: unknown scorer 'numbr'; "
    "did you mean 'number'?",
    "[strategies.mine.workloads.fact]": ":6: [strategies.mine.workloads] fact: unknown workload 'fact'; "
    "did you mean 'facts'?",
    "[strategies.mine.scorers.number]\nprompt = 'x'": ":7: [strategies.mine.scorers.number] prompt: "
    "must hold {question}",
    "[strategies.mine.workloads.facts]\ndescription = 'x'": ":7: [strategies.mine.workloads.facts] description: "
    "unknown key",
}


@pytest.mark.parametrize(("fields", "said"), WRONG.items())
def test_a_fault_is_named_with_file_line_and_field(tmp_path: Path, fields: str, said: str) -> None:
    assert complaint(tmp_path, fields).startswith(f"s.toml{said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strategies = 3\n" + SMALL, ":1: strategies: must be tables [strategies.NAME]"),
        (SMALL + "[strategies]\nmine = 3\n", ":6: [strategies.mine] prompt: must be a table of fields"),
        (SMALL + '[strategies."a b"]\n', ":5: the name 'a b' must be 1 to 200 characters without spaces"),
        (SMALL + "[strategies.mien]\n", ":4: strategy: unknown strategy 'mine'; did you mean 'mien'?"),
    ],
)
def test_a_fault_of_the_table_itself_is_named_too(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(caught.value).replace(f"{tmp_path}/", "") == f"s.toml{said}"


def test_what_a_long_text_holds_is_taken_for_no_key(tmp_path: Path) -> None:
    fields = 'system = """\n[strategies.mine]\nsufix = "x"\n"""\nsufix = "y"\n'
    assert complaint(tmp_path, fields).startswith("s.toml:10: [strategies.mine] sufix: unknown key")


@given(st.text().filter(lambda text: "\0" not in text))
def test_a_question_stands_in_its_place_as_it_is(question: str) -> None:
    item = Item(id="1", prompt=question, answer="4")
    workload = Workload(name="w", task="text", kind="quality", score="exact", items=(item,))
    strategy = Strategy(name="s", prompt="{{{question}}} {question} {other}")
    (message,) = strategy.messages(workload, question)
    assert message["content"] == f"{{{{{question}}}}} {question} {{other}}"
