"""`workloads show` and `validate`, `strategies show`: what models are asked, to the letter."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.worker.tiny import build

GOOD = '{"id": "a", "prompt": "Q?", "answer": "x"}\n'
FAULTY = """\
{"id": "a", "prompt": "Q?", "answer": "x"}
{"id": "a", "prompt": "R?", "answer": "x"}
{"id": "b", "prompt": "Q?", "answer": "x"}
{"id": 3}
nonsense

{"id": "c", "prompt": "S?", "answer": "y", "leve": 2}
{"id": "d", "prompt": "T?", "answer": "y", "level": 9}
{"id": "e", "prompt": "U?", "answer": "..."}
"""
FAULTS = [
    (2, "id", "is there twice; it is also on line 1"),
    (3, "prompt", ""),
    (4, "id", "must be a text in quotes (it is 3)"),
    (4, "prompt", "is missing"),
    (4, "answer", "is missing"),
    (5, "", "the line is no JSON: Expecting value at column 1"),
    (7, "leve", "unknown key; did you mean 'level'?"),
    (8, "level", "must be at most 3 (it is 9)"),
    (9, "answer", "'...' holds no letter or digit, so score = 'contains' can't judge by it"),
]


# validate


def test_every_fault_of_a_file_is_named_with_line_and_field(benchbeat: Command) -> None:
    Path("x.jsonl").write_text(FAULTY)
    done = benchbeat("workloads", "validate", "x.jsonl", "--score", "contains", "-o", "json")
    assert done.code == 2
    found = json.loads(done.out)
    assert [(row["file"], row["line"], row["field"]) for row in found] == [
        ("x.jsonl", line, field) for line, field, _ in FAULTS
    ]
    for row, (_, _, said) in zip(found[2:], FAULTS[2:], strict=True):
        assert row["message"] == said
    assert done.err == "x.jsonl: 9 faults\n"


def test_faults_are_lines_that_an_editor_jumps_to(benchbeat: Command) -> None:
    Path("x.jsonl").write_text(FAULTY)
    done = benchbeat("workloads", "validate", "x.jsonl", "--score", "contains")
    lines = done.out.splitlines()
    assert (done.code, len(lines)) == (2, 9)
    assert lines[2] == "x.jsonl:4: id: must be a text in quotes (it is 3)"
    assert lines[5] == "x.jsonl:5: the line is no JSON: Expecting value at column 1"


@pytest.mark.parametrize(
    ("score", "line"),
    [
        ("json_schema", '{"id": "a", "prompt": "Q?", "answer": {"type": "objekt"}}'),
        ("regex", '{"id": "a", "prompt": "Q?", "answer": "(unclosed"}'),
        ("constraints", '{"id": "a", "prompt": "Q?", "answer": ["wrods 3"]}'),
        ("number", '{"id": "a", "prompt": "Q?", "answer": "many"}'),
        ("choice", '{"id": "a", "prompt": "Q?", "answer": "the first"}'),
    ],
)
def test_an_answer_that_its_scorer_can_t_score_is_a_fault(benchbeat: Command, score: str, line: str) -> None:
    Path("x.jsonl").write_text(line + "\n")
    done = benchbeat("workloads", "validate", "x.jsonl", "--score", score)
    assert (done.code, done.err) == (2, "x.jsonl: 1 fault\n")
    assert done.out.startswith("x.jsonl:1: answer: ")


def test_a_file_without_a_fault_is_said_to_be_good(benchbeat: Command) -> None:
    Path("x.jsonl").write_text(GOOD)
    done = benchbeat("workloads", "validate", "x.jsonl", "--score", "contains")
    assert (done.code, done.out, done.err) == (0, "", "x.jsonl: 1 item, all can be scored by contains\n")
    assert benchbeat("workloads", "validate", "x.jsonl", "--score", "contains", "-q").err == ""
    assert benchbeat("workloads", "validate", "x.jsonl", "--score", "contains", "-o", "json").out == "[]\n"


@pytest.mark.parametrize("table", ["workloads.", ""])
def test_every_workload_that_a_toml_file_declares_is_checked(benchbeat: Command, table: str) -> None:
    Path("good.jsonl").write_text(GOOD)
    Path("bad.jsonl").write_text(FAULTY)
    declared = '[{}{}]\ntask = "text"\nscore = "contains"\nitems = "{}.jsonl"\n'
    Path("own.toml").write_text(declared.format(table, "one", "good") + declared.format(table, "two", "bad"))
    done = benchbeat("workloads", "validate", "own.toml")
    assert (done.code, len(done.out.splitlines())) == (2, 9)
    assert done.err == "good.jsonl: 1 item, all can be scored by contains\nbad.jsonl: 9 faults\n"


def test_the_examples_of_the_project_are_good() -> None:
    from cli.validation import validated

    (found,) = validated(Path(__file__).parents[2] / "examples" / "own-model.toml", None)
    assert (found.faults, found.file.name) == ([], "rivers.jsonl")


@pytest.mark.parametrize(
    ("name", "text", "arguments", "said"),
    [
        ("x.jsonl", GOOD, (), "--score: is needed to check JSON lines: how are the answers scored? (choice, "),
        ("x.jsonl", GOOD, ("--score", "regx"), "--score: unknown scorer 'regx'; did you mean 'regex'?"),
        ("x.jsonl", None, ("--score", "number"), "can't read x.jsonl: No such file or directory"),
        ("x.toml", "[a]\n", ("--score", "number"), "--score: goes without a TOML file, which names the scorer itself"),
        ("x.toml", '[[sweep]]\nmodel = "m"\n', (), "x.toml: declares no [workloads.NAME]"),
        ("x.toml", "[a\n", (), "x.toml:1: is no valid TOML"),
        (
            "x.toml",
            '[workloads.a]\ntask = "text"\nitems = "gone.jsonl"\nscore = "number"\n',
            (),
            "x.toml:3: [workloads.a] items: there is no file ",
        ),
        (
            "x.toml",
            '[workloads.a]\ntask = "text"\nitems = "x.toml"\nscore = "contian"\n',
            (),
            "x.toml:4: score: unknown scorer 'contian'; did you mean 'contains'",
        ),
    ],
)
def test_what_can_t_be_checked_is_explained(
    benchbeat: Command, name: str, text: str | None, arguments: tuple[str, ...], said: str
) -> None:
    if text is not None:
        Path(name).write_text(text)
    done = benchbeat("workloads", "validate", name, *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: {said}")
    assert done.err.count("\n") == 1


# show


@pytest.mark.parametrize("item", ["7", "facts-007"])
def test_one_item_is_shown_as_a_strategy_puts_it(benchbeat: Command, item: str) -> None:
    done = benchbeat("workloads", "show", "facts", "--item", item)
    assert (done.code, done.out, done.err) == (0, "user\n  What is the capital of the United Kingdom?\n", "")
    shown = benchbeat("workloads", "show", "facts", "--item", item, "--strategy", "few_shot", "-o", "json")
    messages = json.loads(shown.out)
    assert [each["role"] for each in messages[:2]] == ["user", "assistant"]
    assert messages[-1] == {"role": "user", "content": "What is the capital of the United Kingdom?"}


def test_the_prompt_is_shown_to_the_letter_as_a_model_gets_it(benchbeat: Command, home: Path) -> None:
    folder = build(home.parent / "tiny")
    (home / "models.toml").write_text(
        f'[tiny]\ntask = "text"\nsource = "file:{folder}"\nmemory_gib = {{ float32 = 1.0 }}\n'
    )
    asked = ("workloads", "show", "facts", "--item", "7", "--model", "tiny")
    done = benchbeat(*asked)
    prompt = (
        "<|im_start|>system\nYou are helpful.<|im_end|>\n"
        "<|im_start|>user\nWhat is the capital of the United Kingdom?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (done.code, done.out) == (0, prompt + "\n")
    assert done.err.endswith(" tokens, in the model's own format\n")
    (row,) = json.loads(benchbeat(*asked, "-o", "json").out)
    assert (row["prompt"], row["chat_template"]) == (prompt, "model")
    assert done.err.startswith(f"{row['tokens']} tokens")
    assert benchbeat(*asked, "-q").err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("facts", "--item", "999"), "--item: 'facts' has the items 1 to 132, not 999"),
        (("facts", "--item", "0"), "--item: 'facts' has the items 1 to 132, not 0"),
        (("facts", "--item", "fact-007"), "--item: 'facts' has no item 'fact-007'; did you mean 'facts-007'"),
        (("speed", "--item", "1"), "--item: 'speed' has no items"),
        (("facts", "--item", "1", "--strategy", "few"), "--strategy: unknown strategy 'few'; did you mean 'few_shot'?"),
        (("facts", "--item", "1", "--model", "smollm"), "--model: unknown model 'smollm'"),
        (("facts", "--item", "1", "--model", "blip-base"), "blip-base is a vision model; only the prompts of text"),
        (("facts", "--model", "smollm2-135m"), "--model shows the prompt of one item; give --item too"),
    ],
)
def test_what_can_t_be_shown_is_explained(benchbeat: Command, arguments: tuple[str, ...], said: str) -> None:
    done = benchbeat("workloads", "show", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(f"Error: {said}")


def test_languages_are_shown_where_there_are_some(benchbeat: Command) -> None:
    assert "language" not in json.loads(benchbeat("workloads", "show", "facts", "-o", "json").out)[0]
    languages = {
        row["language"] for row in json.loads(benchbeat("workloads", "show", "multilingual", "-o", "json").out)
    }
    assert len(languages) == 8


# strategies


@pytest.mark.parametrize("name", ["direct", "chain_of_thought", "few_shot", "role_play", "structured"])
def test_a_strategy_is_shown_with_the_place_of_the_question(benchbeat: Command, name: str) -> None:
    messages = json.loads(benchbeat("strategies", "show", name, "-o", "json").out)
    assert messages[-1]["role"] == "user"
    assert sum("{question}" in each["content"] for each in messages) == 1


def test_an_own_strategy_is_shown_with_its_pattern(benchbeat: Command, home: Path) -> None:
    (home / "strategies.toml").write_text(
        "[terse]\ndescription = 'Short.'\nprompt = '{question} One word.'\noutput_pattern = '(?P<answer>\\w+)'\n"
    )
    done = benchbeat("strategies", "show", "terse")
    assert (done.code, done.out) == (0, "user\n  {question} One word.\n")
    assert done.err == "The answer is what matches (?P<answer>\\w+)\n"
    assert "terse" in benchbeat("strategies", "list").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("few",), "unknown strategy 'few'; did you mean 'few_shot'?"),
        (("direct", "--workload", "fact"), "--workload: unknown workload 'fact'; did you mean 'facts'?"),
    ],
)
def test_an_unknown_strategy_is_explained(benchbeat: Command, arguments: tuple[str, ...], said: str) -> None:
    done = benchbeat("strategies", "show", *arguments)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")


def test_an_own_strategy_without_a_place_for_the_question_is_explained(benchbeat: Command, home: Path) -> None:
    (home / "strategies.toml").write_text("[mine]\ndescription = 'x'\nprompt = 'Answer.'\n")
    done = benchbeat("strategies", "list")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: {home}/strategies.toml:3: prompt: ")


def test_recommended_settings_are_shown_in_words(benchbeat: Command) -> None:
    done = benchbeat("models", "show", "deepseek-r1-distill-qwen-1.5b", "-o", "json")
    shown = {row["field"]: row["value"] for row in json.loads(done.out)}
    assert shown["settings"].startswith(
        "recommended: temperature 0.8, top_p 0.95, with chain_of_thought temperature 0.5"
    )
    assert "None" not in shown["settings"]


def test_a_workload_without_items_says_so(benchbeat: Command) -> None:
    shown = benchbeat("workloads", "show", "speed")
    assert shown.code == 0
    assert shown.err.startswith("'speed' has no items of its own to show: Generates new_tokens")
    assert benchbeat("workloads", "show", "speed", "-o", "json").out == "[]\n"


# pictures and clips


def test_a_picture_is_written_into_a_new_file(benchbeat: Command) -> None:
    done = benchbeat("workloads", "show", "shapes", "--item", "1", "--save", "shape.png")
    assert done.code == 0
    assert Path("shape.png").read_bytes().startswith(b"\x89PNG")
    again = benchbeat("workloads", "show", "shapes", "--item", "1", "--save", "shape.png")
    assert (again.code, again.err) == (2, "Error: --save: shape.png exists; give a new file\n")
    text = benchbeat("workloads", "show", "facts", "--item", "1", "--save", "x.png")
    assert text.code == 2
    assert "is text alone" in text.err
    assert "--save writes the file of one item" in benchbeat("workloads", "show", "shapes", "--save", "y.png").err


def test_a_clip_is_shown_by_what_is_said_in_it(benchbeat: Command) -> None:
    done = benchbeat("workloads", "show", "dictation", "--item", "en-01")
    assert done.out == "the clip is all that a model gets; what is said in it: The kettle is on the stove.\n"


def test_files_with_pictures_and_clips_are_validated(benchbeat: Command) -> None:
    benchbeat("workloads", "show", "shapes", "--item", "1", "--save", "shape.png")
    Path("p.jsonl").write_text('{"id": "a", "image": "shape.png", "prompt": "Q?", "answer": "x"}\n')
    assert (
        "1 item, all can be scored"
        in benchbeat("workloads", "validate", "p.jsonl", "--score", "exact", "--task", "vision").err
    )
    Path("p.jsonl").write_text('{"id": "a", "image": "shap.png", "prompt": "Q?", "answer": "x"}\n')
    faulty = benchbeat("workloads", "validate", "p.jsonl", "--score", "exact", "--task", "vision")
    assert faulty.code == 2
    assert faulty.out.startswith("p.jsonl:1: image: there is no file shap.png")
    Path("c.jsonl").write_text('{"id": "a", "audio": "shape.png", "answer": "x"}\n')
    assert "1 item, all can be scored by wer" in benchbeat("workloads", "validate", "c.jsonl", "--score", "wer").err
    assert (
        "did you mean 'vision'"
        in benchbeat("workloads", "validate", "c.jsonl", "--score", "wer", "--task", "visoin").err
    )
