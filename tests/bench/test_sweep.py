"""Sweeps: what they expand to, and the sentence that says where a file is wrong."""

import hashlib
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.library import Library, builtin_library
from bench.spec import JobSpec, StopRule
from bench.sweep import Block, Sweep, check_name, check_priority, expand
from tests.bench.files import read, sweep_file

SMALL = """\
[[sweep]]
model = "smollm2-135m"
workload = "facts"
"""


def expanded(values: dict[str, Any], library: Library | None = None, **options: Any) -> Sweep:
    """Expand one block over the small model's `facts`, with axes given or changed."""
    block = Block({"model": "smollm2-135m", "workload": "facts", **values}, lambda key: f"--{key}")
    return expand([block], library or builtin_library(), name="test", **options)


def complaint(folder: Path, text: str) -> str:
    """Return what is said about a sweep file, with its folder left out."""
    with pytest.raises(InputError) as caught:
        read(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


def test_lists_are_axes(tmp_path: Path) -> None:
    sweep = read(tmp_path, SMALL + 'strategy = ["direct", "few_shot"]\ntemperature = [0.3, 0.5, 0.7]\n')
    pairs = [(spec.strategy, spec.temperature) for spec in sweep.specs]
    assert pairs == [(s, t) for s in ("direct", "few_shot") for t in (0.3, 0.5, 0.7)]
    assert sweep.duplicates == 0


def test_a_sweep_is_named_by_its_file_where_it_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, SMALL).name == "s"
    assert read(tmp_path, 'name = "nightly"\npriority = -3\n' + SMALL).name == "nightly"
    assert read(tmp_path, 'name = "nightly"\npriority = -3\n' + SMALL).priority == -3


def test_blocks_add_up_and_a_job_that_is_in_two_is_kept_once(tmp_path: Path) -> None:
    sweep = read(tmp_path, SMALL + 'strategy = ["direct", "few_shot"]\n' + SMALL + 'strategy = "direct"\n')
    assert [spec.strategy for spec in sweep.specs] == ["direct", "few_shot"]
    assert sweep.duplicates == 1


def test_exclude_takes_combinations_out(tmp_path: Path) -> None:
    sweep = read(
        tmp_path,
        SMALL + "strategy = ['direct', 'few_shot']\ntemperature = [0.0, 0.3, 0.5]\n"
        "exclude = [{ strategy = 'direct', temperature = [0.3, 0.5] }, { strategy = 'few_shot', temperature = 0 }]\n",
    )
    assert [(s.strategy, s.temperature) for s in sweep.specs] == [
        ("direct", 0.0),
        ("few_shot", 0.3),
        ("few_shot", 0.5),
    ]


def test_a_quality_job_takes_the_defaults_of_its_kind_and_no_lengths(tmp_path: Path) -> None:
    (spec,) = read(tmp_path, SMALL + "prompt_tokens = 512\nnew_tokens = 64\nstop = { target = 0.1 }\n").specs
    assert spec == JobSpec(
        model="smollm2-135m",
        workload="facts",
        strategy="direct",
        temperature=0.0,
        top_p=1.0,
        top_k=0,
        repetition_penalty=1.0,
        max_new_tokens=64,
        batch_size=16,
        precision="float32",
    )


def test_a_speed_job_takes_the_defaults_of_its_kind_and_no_strategy() -> None:
    sweep = expanded({"workload": "speed", "strategy": ["direct", "few_shot"], "temperature": [0.0, 0.5]})
    (spec,) = sweep.specs
    stop = StopRule()
    assert spec == JobSpec(model="smollm2-135m", workload="speed", prompt_tokens=128, new_tokens=128, stop=stop)
    assert sweep.duplicates == 3
    assert sweep.strategies == {}


def test_iterations_are_spread_over_fresh_processes_whatever_is_said_about_isolation() -> None:
    sweep = expanded({"workload": "speed", "processes": ["1..2", 4], "isolation": ["session", "process"]})
    found = [(spec.processes, spec.isolation) for spec in sweep.specs]
    assert sorted(found) == [(1, "process"), (1, "session"), (2, "process"), (4, "process")]
    assert sweep.duplicates == 2


def test_a_quality_job_has_one_process() -> None:
    (spec,) = expanded({"processes": [1, 2]}).specs
    assert (spec.processes, spec.isolation) == (1, "session")


def test_a_job_is_in_its_models_own_precision_where_none_is_named() -> None:
    precisions = {s.model: s.precision for s in expanded({"model": ["smollm2-135m", "qwen2.5-1.5b"]}).specs}
    assert precisions == {"smollm2-135m": "float32", "qwen2.5-1.5b": "float16"}


def test_greedy_jobs_that_only_differ_in_how_they_would_sample_are_one() -> None:
    sweep = expanded({"temperature": [0, 0.5], "seed": [1, 2, 3], "top_p": [0.9, 1.0]})
    assert [(s.temperature, s.seed, s.top_p) for s in sweep.specs if s.temperature == 0] == [(0.0, 0, 1.0)]
    assert len(sweep.specs) == 1 + 6
    assert sweep.duplicates == 5


def test_a_sweep_carries_what_its_jobs_name_and_nothing_else() -> None:
    sweep = expanded({"workload": ["facts", "speed"], "strategy": ["direct", "few_shot"]})
    assert set(sweep.models) == {"smollm2-135m"}
    assert set(sweep.workloads) == {"facts", "speed"}
    assert set(sweep.strategies) == {"direct", "few_shot"}
    assert sweep.places == {"smollm2-135m": "--model"}


AXES = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.lists(st.sampled_from(["direct", "few_shot", "chain_of_thought"]), min_size=1),
        "temperature": st.lists(st.sampled_from([0.1, 0.2, 0.5]), min_size=1),
        "seed": st.lists(st.integers(0, 3), min_size=1, max_size=5),
        "items": st.lists(st.integers(1, 4), min_size=1, max_size=4),
    },
)


@given(AXES)
def test_every_combination_is_there_once(axes: dict[str, list[Any]]) -> None:
    axes = {"temperature": [0.5], **axes}
    sweep = expanded(axes)
    assert len(sweep.specs) == prod(len(set(values)) for values in axes.values())
    assert len(sweep.specs) + sweep.duplicates == prod(len(values) for values in axes.values())
    assert len({spec.digest() for spec in sweep.specs}) == len(sweep.specs)


@given(AXES)
def test_expanding_twice_gives_the_same_jobs_in_the_same_order(axes: dict[str, list[Any]]) -> None:
    assert expanded(axes).specs == expanded(axes).specs


def test_own_models_and_workloads_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "items.jsonl").write_text('{"id": "1", "prompt": "2 + 2?", "answer": "4"}\n')
    sweep = read(
        tmp_path,
        """\
        [[sweep]]
        model = "mine"
        workload = "own"

        [models.mine]
        task = "text"
        source = "file:weights"
        memory_gib = { float16 = 2.5 }

        [workloads.own]
        task = "text"
        items = "items.jsonl"
        score = "number"
        """,
    )
    (spec,) = sweep.specs
    assert (spec.model, spec.workload, spec.precision) == ("mine", "own", "float16")
    assert sweep.models["mine"].source == f"file:{tmp_path / 'weights'}"
    assert [item.answer for item in sweep.workloads["own"].items] == ["4"]


def test_a_large_sweep_needs_to_be_confirmed(tmp_path: Path) -> None:
    seeds = list(range(317))
    text = SMALL + f"temperature = 0.5\nseed = {seeds}\nitems_seed = {seeds}\n"
    assert complaint(tmp_path, text) == (
        "s.toml: the sweep expands to 100,489 jobs, more than 100,000; shorten its lists, or confirm with --yes"
    )


def test_a_confirmed_sweep_may_be_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.sweep.LARGE_SWEEP_JOBS", 3)
    axes = {"temperature": 0.5, "seed": [1, 2, 3, 4]}
    assert len(expanded({**axes, "seed": [1, 2, 3]}).specs) == 3
    with pytest.raises(InputError, match="4 jobs, more than 3"):
        expanded(axes)
    assert len(expanded(axes, allow_large=True).specs) == 4


LINES = {
    "strategy = ['direct', 'few_sot']": "strategy: unknown strategy 'few_sot'; did you mean 'few_shot'?",
    "strategy = 'cot'": (
        "strategy: unknown strategy 'cot'; there is chain_of_thought, direct, few_shot, role_play, structured"
    ),
    "temprature = 0.3": "temprature: unknown key; did you mean 'temperature'?",
    "model_name = 1": "model_name: unknown key; did you mean 'model'?",
    "temperature = []": "temperature: an empty list leaves no job; give a value, or leave it out",
    "temperature = [0.0, -1]": "temperature: must be at least 0 (it is -1)",
    "temperature = 'hot'": "temperature: must be a number (it is 'hot')",
    "temperature = true": "temperature: true is no value for it",
    "temperature = nan": "temperature: must be at most 5 (it is nan)",
    "top_p = 0": "top_p: must be more than 0 (it is 0)",
    "items = 1.5": "items: must be a whole number (it is 1.5)",
    "items = 1000": "items: 'facts' has 132 items, not 1000",
    "compile = 'maybe'": "compile: must be true or false (it is 'maybe')",
    "profile = 'yes'": "profile: must be true or false (it is 'yes')",
    "profile = 1": "profile: must be true or false (it is 1)",
    "machine = 'my mac'": "machine: must be 1 to 64 letters, digits, _ or - (it is 'my mac')",
    "seed = 4294967296": "seed: must be less than 2147483648 (it is 4294967296)",
    "precision = 'fp16'": "precision: must be 'float32', 'float16', 'bfloat16', 'int8' or 'int4' (it is 'fp16')",
    "stop = { target = 2 }": "stop: target: must be less than 1 (it is 2)",
    "stop = { tarket = 0.1 }": "stop: tarket: unknown key; did you mean 'target'?",
    "stop = 5": "stop: must be a table such as { key = value } (it is 5)",
    "exclude = [{ strategy = 'direct' }]": "exclude: strategy is no axis of this block; there is model, workload",
    "exclude = [{ modle = 'x' }]": "exclude: modle is no axis of this block; did you mean 'model'?",
    "exclude = [{ model = 'smollm2-135m' }]": "exclude: leaves no job; take an entry out",
    "exclude = [{ model = 'smollm' }]": "exclude: unknown model 'smollm'; did you mean 'smollm2-135m'?",
    "exclude = { model = 'x' }": "exclude: must be a list of tables such as { strategy = 'direct' }",
    "exclude = [{}]": "exclude: must be a list of tables such as { strategy = 'direct' }",
}

NO_INT4 = (
    "[[sweep]]\nmodel = 'm'\nworkload = 'facts'\nprecision = ['float32', 'int4']\n"
    "[models.m]\ntask = 'text'\nsource = 'hub:a/b'\nmemory_gib = { float32 = 1.0 }\n"
)

TEXTS = {
    SMALL.replace("135m", "135"): ":2: model: unknown model 'smollm2-135'; did you mean 'smollm2-135m'?",
    SMALL.replace("facts", "fact"): ":3: workload: unknown workload 'fact'; did you mean 'facts'?",
    SMALL.replace(
        "smollm2-135m", "blip-base"
    ): ":3: workload: 'facts' is for text models, 'blip-base' is a vision model",
    SMALL.replace('"smollm2-135m"', "3"): ":2: model: must be a name in quotes (it is 3)",
    SMALL.replace('"smollm2-135m"', "[['m']]"): ":2: model: must be a name in quotes (it is ['m'])",
    "[[sweep]]\nmodel = 'smollm2-135m'\n": ":1: workload: is missing; `benchbeat workloads list` shows what there is",
    "[[sweep]]\n": ":1: model: is missing; `benchbeat models list` shows what there is",
    SMALL + "[sweep.stop]\nmax_iterations = 3\n": ":4: stop: max_iterations (3) is below min_iterations (5)",
    "model = 'smollm2-135m'\n" + SMALL: ":1: model: unknown key; axes stand under [[sweep]]",
    "prority = 3\n" + SMALL: ":1: prority: unknown key; did you mean 'priority'?",
    SMALL + "[modles.x]\n": ":4: modles: unknown key; did you mean 'models'?",
    "priority = 1001\n" + SMALL: ":1: priority: must be a whole number from -1000 to 1000 (it is 1001)",
    "priority = true\n" + SMALL: ":1: priority: must be a whole number from -1000 to 1000 (it is True)",
    "priority = 0.5\n" + SMALL: ":1: priority: must be a whole number from -1000 to 1000 (it is 0.5)",
    "name = ''\n" + SMALL: ":1: name: must be a text of 1 to 200 characters on one line",
    "name = 7\n" + SMALL: ":1: name: must be a text of 1 to 200 characters on one line",
    'name = "a\\nb"\n' + SMALL: ":1: name: must be a text of 1 to 200 characters on one line",
    "": ": holds no [[sweep]] block, which names at least model and workload",
    "sweep = []\n": ": holds no [[sweep]] block, which names at least model and workload",
    SMALL.replace("[[sweep]]", "[sweep]"): ":1: sweep: write [[sweep]], in double brackets, above the axes",
    "models = 3\n" + SMALL: ":1: models: must be tables [models.NAME]",
    NO_INT4: ":4: precision: 'm' has no int4; it has float32",
    SMALL + "[models]\nmine = 3\n": ":5: [models.mine] source: must be a table of fields",
}


@pytest.mark.parametrize(("line", "said"), LINES.items())
def test_a_fault_is_named_with_file_line_and_field(tmp_path: Path, line: str, said: str) -> None:
    assert complaint(tmp_path, SMALL + line) == f"s.toml:4: {said}"


@pytest.mark.parametrize(("text", "said"), TEXTS.items())
def test_a_fault_elsewhere_is_named_with_its_line_too(tmp_path: Path, text: str, said: str) -> None:
    assert complaint(tmp_path, text) == f"s.toml{said}"


def test_a_fault_of_the_second_block_is_found_there(tmp_path: Path) -> None:
    text = SMALL + "temperature = 0.5\n\n" + SMALL + "# temperature = 1\ntemperature = 9\n"
    assert complaint(tmp_path, text) == "s.toml:10: temperature: must be at most 5 (it is 9)"


def test_few_shot_without_examples_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"id": "1", "prompt": "2 + 2?", "answer": "4"}\n')
    text = """\
    [[sweep]]
    model = "smollm2-135m"
    workload = "own"
    strategy = "few_shot"
    [workloads.own]
    task = "text"
    items = "items.jsonl"
    score = "exact"
    """
    assert complaint(tmp_path, text) == (
        "s.toml:4: strategy: workload 'own' has no examples, which few_shot needs; "
        'add some to its items with "example": true (they are shown, never asked)'
    )


def test_weights_with_another_checksum_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.gguf").write_bytes(b"abc")
    found, wanted = hashlib.sha256(b"abc").hexdigest(), "0" * 64
    text = (
        SMALL
        + f"[models.m]\ntask = 'text'\nsource = 'gguf:w.gguf'\nsha256 = '{wanted}'\nmemory_gib = {{float32 = 1}}\n"
    )
    assert complaint(tmp_path, text) == (
        f"s.toml:7: [models.m] sha256: {(tmp_path / 'w.gguf').name} has the SHA-256 {found}, not {wanted}"
    )


def test_an_option_is_named_in_place_of_a_line() -> None:
    with pytest.raises(InputError, match=r"^--temperature: must be a number \(it is 'hot'\)$"):
        expanded({"temperature": ["hot"]})


@pytest.mark.parametrize("name", ["x", "ä" * 200, "two words"])
def test_a_name_is_any_line_of_text(name: str) -> None:
    assert check_name(name, "--name") == name


@pytest.mark.parametrize("name", ["", "a" * 201, "a\nb", "\x7f", "\udcff", None])
def test_another_name_is_refused(name: Any) -> None:
    with pytest.raises(InputError, match=r"^--name: must be a text of 1 to 200 characters on one line$"):
        check_name(name, "--name")


@pytest.mark.parametrize("priority", [-1000, 0, 1000])
def test_a_priority_lies_within_bounds(priority: int) -> None:
    assert check_priority(priority, "--priority") == priority


def test_a_sweep_file_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = sweep_file(tmp_path, "\ufeff" + SMALL)
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert len(read(tmp_path, "\ufeff" + SMALL).specs) == 1
