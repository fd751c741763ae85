"""What a sweep says beyond its axes: presets, ranges, overrides, labels, notes, and tasks of lm-eval."""

from pathlib import Path
from typing import Any

import pytest

from bench.errors import InputError
from bench.library import Library, builtin_library
from bench.spec import JobSpec
from bench.sweep import Block, Sweep, expand, read_sweep
from bench.workloads import Workload
from tests.bench.files import read, sweep_file

R1, QWEN, SMALL_MODEL = "deepseek-r1-distill-qwen-1.5b", "qwen2.5-1.5b", "smollm2-135m"
SMALL = f"""\
[[sweep]]
model = "{SMALL_MODEL}"
workload = "facts"
"""
TASK = "lm_eval:arc_easy"


def expanded(values: dict[str, Any], library: Library | None = None) -> Sweep:
    """Expand one block over the small model's `facts`, with axes given or changed."""
    block = Block({"model": SMALL_MODEL, "workload": "facts", **values}, lambda key: f"--{key}")
    return expand([block], library or builtin_library(), name="test")


def complaint(folder: Path, text: str, **options: Any) -> str:
    """Return what is said about a sweep file, with its folder left out."""
    with pytest.raises(InputError) as caught:
        read_sweep(sweep_file(folder, text), builtin_library(), **options)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_preset_fills_what_the_block_leaves_open() -> None:
    (spec,) = expanded({"model": QWEN, "settings": "recommended"}).specs
    assert (spec.temperature, spec.top_p, spec.top_k, spec.repetition_penalty) == (0.7, 0.8, 20, 1.1)
    (spec,) = expanded({"model": QWEN, "settings": "recommended", "temperature": 0.1, "top_k": 0}).specs
    assert (spec.temperature, spec.top_p, spec.top_k, spec.repetition_penalty) == (0.1, 0.8, 0, 1.1)


def test_a_preset_may_differ_by_strategy() -> None:
    strategies = ["direct", "chain_of_thought", "role_play"]
    sweep = expanded({"model": R1, "settings": "recommended", "strategy": strategies})
    assert {spec.strategy: spec.temperature for spec in sweep.specs} == {
        "direct": 0.8,
        "chain_of_thought": 0.5,
        "role_play": 0.8,
    }
    assert {spec.top_p for spec in sweep.specs} == {0.95}


def test_settings_are_an_axis_and_a_name_of_a_preset_is_no_part_of_a_job() -> None:
    sweep = expanded({"settings": ["default", "recommended"]})
    assert [spec.temperature for spec in sweep.specs] == [0.0, 0.2]
    again = expanded({"temperature": [0.0, 0.2], "top_p": 0.9})
    assert again.specs == sweep.specs


def test_a_preset_of_only_some_models_is_noted(tmp_path: Path) -> None:
    text = """
        [models.mine]
        task = "text"
        source = "hub:a/b"
        memory_gib = { float32 = 1 }
        [models.mine.settings.careful]
        temperature = 0.4
        [[sweep]]
        model = ["mine", "smollm2-135m"]
        workload = "facts"
        settings = "careful"
    """
    sweep = read(tmp_path, text)
    assert [spec.temperature for spec in sweep.specs] == [0.4, 0.0]
    assert sweep.notes == ("'smollm2-135m' has no settings 'careful', so what is left open takes its default",)


def test_speed_jobs_take_nothing_from_a_preset() -> None:
    (spec,) = expanded({"workload": "speed", "settings": "recommended"}).specs
    assert spec.temperature is None


def test_a_preset_that_no_model_has_is_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path, SMALL + 'settings = "recomended"\n') == (
        "s.toml:4: settings: no model of this block has settings 'recomended'; did you mean 'recommended'?"
    )
    assert complaint(tmp_path, SMALL + "settings = 3\n") == "s.toml:4: settings: must be a name in quotes (it is 3)"


def test_settings_may_be_excluded(tmp_path: Path) -> None:
    text = SMALL + 'settings = ["default", "recommended"]\nexclude = [{ settings = "default" }]\n'
    assert [spec.temperature for spec in read(tmp_path, text).specs] == [0.2]


WRONG_PRESETS = {
    "[models.m.settings.recommended]\ntemprature = 1\n": (
        ":8: [models.m] settings: recommended: temprature: unknown key; did you mean 'temperature'?"
    ),
    "[models.m.settings.recommended]\ntemperature = 9\n": (
        ":8: [models.m] settings: recommended: temperature: must be at most 5 (it is 9)"
    ),
    "[models.m.settings.default]\ntop_p = 1\n": (
        ":8: [models.m] settings: 'default' is the name of the settings without a preset; give another"
    ),
    "[models.m.settings.'a b']\ntop_p = 1\n": ":8: [models.m] settings: the name 'a b' must be a word",
    "chat_template = 'User: {question}'\n": (
        ":8: [models.m] chat_template: must be a Jinja template that writes out `messages` (it is 'User: {question}')"
    ),
    "thinking_tokens = 0\n": ":8: [models.m] thinking_tokens: must be at least 1 (it is 0)",
}


@pytest.mark.parametrize(("fields", "said"), WRONG_PRESETS.items())
def test_a_fault_of_a_preset_is_named_with_file_line_and_field(tmp_path: Path, fields: str, said: str) -> None:
    model = "[models.m]\ntask = 'text'\nsource = 'hub:a/b'\nmemory_gib = { float32 = 1 }\n"
    assert complaint(tmp_path, SMALL + model + fields) == f"s.toml{said}"


def test_a_reasoning_model_has_tokens_to_think_with() -> None:
    limits = {spec.model: spec.max_new_tokens for spec in expanded({"model": [R1, QWEN]}).specs}
    assert limits == {R1: 2048 + 64, QWEN: 64}


def test_a_limit_below_the_thinking_budget_is_kept_and_noted() -> None:
    sweep = expanded({"model": R1, "max_new_tokens": 96})
    assert [spec.max_new_tokens for spec in sweep.specs] == [96]
    assert sweep.notes == (
        f"max_new_tokens = 96 cuts the thoughts of '{R1}' too; where it is left out, 2048 tokens are added for them",
    )


def test_samples_of_greedy_answers_are_asked_once_and_that_is_said() -> None:
    sweep = expanded({"samples": 5, "temperature": [0, 0.5]})
    assert [(spec.temperature, spec.samples) for spec in sweep.specs] == [(0.0, 1), (0.5, 5)]
    assert sweep.notes == ("samples = 5 at temperature 0: each item is asked once, since greedy answers are all alike",)
    assert expanded({"samples": 5, "temperature": 0.5}).notes == ()


def test_ranges_are_unfolded_among_other_values(tmp_path: Path) -> None:
    text = SMALL + 'temperature = ["0.1..0.5+0.2", 0.9]\nseed = "1..3"\n'
    specs = read(tmp_path, text).specs
    assert [spec.temperature for spec in specs[::3]] == [0.1, 0.3, 0.5, 0.9]
    assert [spec.seed for spec in specs[:3]] == [1, 2, 3]
    speed = expanded({"workload": "speed", "prompt_tokens": ["128..512*2"], "batch_size": "1..4*2"}).specs
    assert [(spec.prompt_tokens, spec.batch_size) for spec in speed] == [
        (length, batch) for length in (128, 256, 512) for batch in (1, 2, 4)
    ]


def test_a_range_may_be_excluded(tmp_path: Path) -> None:
    text = SMALL + 'temperature = "0.1..0.9+0.2"\nexclude = [{ temperature = "0.3..0.7+0.2" }]\n'
    assert [spec.temperature for spec in read(tmp_path, text).specs] == [0.1, 0.9]


RANGES = {
    'temperature = "0.1..0.9"': "temperature: the range '0.1..0.9' needs a step, as in 0.1..0.9+0.1",
    'temperature = "3..7"': "temperature: must be at most 5 (it is 6)",
    'seed = "1..x"': "seed: '1..x' is no range; write a range as 1..4, 0.1..0.9+0.2 or 128..512*2",
    'seed = "1..9*1.5"': "seed: must be a whole number (it is 1.5)",
    'device = "cpu..cuda"': "device: must be 'any', 'cpu', 'cuda' or 'mps' (it is 'cpu..cuda')",
}


@pytest.mark.parametrize(("line", "said"), RANGES.items())
def test_a_wrong_range_is_named_with_file_line_and_field(tmp_path: Path, line: str, said: str) -> None:
    assert complaint(tmp_path, SMALL + line) == f"s.toml:4: {said}"


def test_overrides_replace_the_axes_of_every_block(tmp_path: Path) -> None:
    file = sweep_file(tmp_path, SMALL + "temperature = [0.1, 0.2]\n" + SMALL.replace("facts", "arithmetic"))
    overrides = {"temperature": ["0.5"], "items": ["2..4+2"]}
    sweep = read_sweep(file, builtin_library(), overrides=overrides)
    assert [(spec.workload, spec.temperature, spec.items) for spec in sweep.specs] == [
        (workload, 0.5, items) for workload in ("facts", "arithmetic") for items in (2, 4)
    ]


def test_the_place_of_a_wrong_override_is_the_option(tmp_path: Path) -> None:
    assert complaint(tmp_path, SMALL, overrides={"temprature": ["1"]}) == (
        "--set temprature: unknown key; did you mean 'temperature'?"
    )
    said = complaint(tmp_path, SMALL, overrides={"temperature": ["hot"]}, where_override=lambda key: f"-S {key}")
    assert said == "-S temperature: must be a number (it is 'hot')"
    assert complaint(tmp_path, SMALL + "top_p = 3\n", overrides={"seed": [1]}).startswith("s.toml:4: top_p: ")


def test_labels_stand_at_the_top(tmp_path: Path) -> None:
    sweep = read(tmp_path, 'labels = { team = "blue", run = 3 }\n' + SMALL)
    assert sweep.labels == {"team": "blue", "run": "3"}
    assert read(tmp_path, SMALL).labels == {}
    assert complaint(tmp_path, 'labels = { "two words" = "x" }\n' + SMALL).startswith(
        "s.toml:1: two words: the label 'two words' must be a word"
    )
    assert complaint(tmp_path, "[labels]\nok = 'x'\nbad = []\n" + SMALL).startswith("s.toml:3: bad: the label bad must")
    assert complaint(tmp_path, "labels = 'x'\n" + SMALL).startswith("s.toml:1: labels: must be a table")


def test_an_own_model_that_hides_a_built_in_one_is_noted(tmp_path: Path) -> None:
    text = SMALL + "[models.smollm2-135m]\ntask = 'text'\nsource = 'hub:a/b'\nmemory_gib = { int8 = 1 }\n"
    sweep = read(tmp_path, text)
    assert sweep.models[SMALL_MODEL].source == "hub:a/b"
    assert sweep.notes == (f"model 'smollm2-135m' is your own, from {tmp_path}/s.toml:4; it hides the built-in one",)
    assert read(tmp_path, text.replace("[models.smollm2-135m]", f"[models.'{QWEN}']")).notes == ()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """Give the built-in library, in which lm-eval's tasks need not be installed."""

    def task(name: str, *, where: str | None, folder: Path | None = None) -> Workload:
        files = None if folder is None else {path.name: path.read_text() for path in folder.iterdir()}
        return Workload(name=name, task="text", kind="harness", files=files)

    monkeypatch.setattr("bench.library.harness_workload", task)
    return builtin_library()


def test_a_task_of_lm_eval_uses_what_its_harness_leaves_open(library: Library) -> None:
    sweep = expanded(
        {
            "workload": TASK,
            "strategy": ["direct", "few_shot"],
            "temperature": [0, 0.5],
            "samples": 3,
            "seed": [1, 2],
            "settings": "recommended",
            "prompt_tokens": 5,
            "items": 10_000,
            "batch_size": 4,
            "attention": "eager",
            "isolation": "process",
        },
        library,
    )
    assert sweep.specs == (
        JobSpec(model=SMALL_MODEL, workload=TASK, items=10_000, batch_size=4, attention="eager", isolation="process"),
    )
    assert sweep.duplicates == 7
    assert sweep.strategies == {}
    assert sweep.workloads[TASK].kind == "harness"
    assert sweep.notes == ()


def test_a_task_of_lm_eval_is_asked_in_batches_where_nothing_is_said(library: Library) -> None:
    assert expanded({"workload": TASK}, library).specs[0].batch_size == 16


def test_a_folder_of_a_task_is_a_workload_too(library: Library, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.yaml").write_text("task: mine\n")
    sweep = read(tmp_path, SMALL.replace("facts", "mine") + '[workloads.mine]\nlm_eval = "tasks"\n', library)
    assert sweep.workloads["mine"].files == {"mine.yaml": "task: mine\n"}
    assert sweep.specs[0].strategy is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("lm_eval = 3", ":5: [workloads.mine] lm_eval: must be a folder in quotes (it is 3)"),
        ("lm_eval = 'x'\nscore = 'exact'", ":6: [workloads.mine] score: does not go with lm_eval, whose task says it"),
    ],
)
def test_a_wrong_folder_is_named_with_file_line_and_field(tmp_path: Path, fields: str, said: str) -> None:
    assert complaint(tmp_path, SMALL + f"[workloads.mine]\n{fields}\n").startswith(f"s.toml{said}")


def test_an_own_workload_may_limit_its_answers_and_be_prose(tmp_path: Path) -> None:
    (tmp_path / "i.jsonl").write_text('{"id": "1", "prompt": "?", "answer": "4"}\n')
    table = "[workloads.own]\ntask = 'text'\nitems = 'i.jsonl'\nscore = 'contains'\n"
    text = SMALL.replace("facts", "own") + table
    assert read(tmp_path, text).specs[0].max_new_tokens == 256
    sweep = read(tmp_path, text + "max_new_tokens = 7\nprose = true\ndescription = 'Ours'\n")
    assert sweep.specs[0].max_new_tokens == 7
    assert (sweep.workloads["own"].prose, sweep.workloads["own"].description) == (True, "Ours")
    assert complaint(tmp_path, text + "max_new_tokens = 0\n") == (
        "s.toml:8: [workloads.own] max_new_tokens: must be at least 1 (it is 0)"
    )
