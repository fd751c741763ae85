"""lm-eval's tasks on our loaded model give what lm-eval alone gives, to the last digit."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from transformers import GenerationConfig

from bench.catalog import ModelEntry
from bench.errors import InputError, OutOfMemoryError
from bench.harness import harness_workload
from bench.spec import JobSpec
from db.settings import Settings
from tests.worker import harness_folder, tiny
from tests.worker.fakes import FakeCounter, FakeDevice
from worker.adapters.text import TextAdapter
from worker.device import pick
from worker.energy import Meter
from worker.harness import measure_harness, prepare_harness
from worker.measure import Outcome
from worker.protocol import Event, Finished, HarnessTask, Order, Progress
from worker.session import Session

BATCH_SIZE, LIMIT = 3, 7


def order(task: HarnessTask, **fields: Any) -> Order:
    spec = {"model": "m", "workload": task.name, "batch_size": BATCH_SIZE, **fields}
    entry = {"name": "m", "task": "text", "source": "file:m", "memory_gib": {"float32": 1.0}, "precision": "float32"}
    return Order(
        job_id=1, attempt=1, spec=JobSpec.model_validate(spec), model=ModelEntry.model_validate(entry), harness=task
    )


def own(folder: Path, name: str) -> HarnessTask:
    return HarnessTask(name=name, files=harness_workload(name, where=None, folder=folder).files)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness_folder.write(tmp_path_factory.mktemp("tasks") / "colours")


@pytest.fixture(scope="module")
def opinionated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a tiny model whose checkpoint has settings of generation of its own."""
    made = tiny.build(tmp_path_factory.mktemp("models") / "opinionated", "qwen2", seed=3)
    ends = tiny.tokenizer("qwen2").eos_token_id
    GenerationConfig(repetition_penalty=1.9, eos_token_id=[ends, 70, 71, 72]).save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def models(opinionated: Path, tiny_base: Path) -> dict[str, Path]:
    return {"opinionated": opinionated, "base": tiny_base}


@pytest.fixture(scope="module")
def alone(models: dict[str, Path], folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("alone") / "results.json"
    return harness_folder.alone(models, folder, out, task="both", batch_size=BATCH_SIZE, limit=LIMIT)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the data that lm-eval prepares out of the user's cache."""
    from datasets import config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path_factory.getbasetemp() / "datasets")


def adapter(path: Path) -> TextAdapter:
    return TextAdapter.load(path, "float32", "sdpa", False, pick("cpu"))


def measure(model: TextAdapter, task: HarnessTask, told: list[Progress] | None = None, **fields: Any) -> Outcome:
    with TemporaryDirectory() as home:
        return measure_in(Path(home), model, order(task, **fields), [] if told is None else told)


def measure_in(
    home: Path, model: TextAdapter, given: Order, told: list[Progress], meter: Meter | None = None
) -> Outcome:
    prepared = prepare_harness(given, told.append, home=home, allow_code=True)
    return measure_harness(model, given, prepared, FakeDevice(), told.append, meter=meter)


@pytest.mark.parametrize("name", ["opinionated", "base"])
def test_it_gives_the_figures_of_lm_eval_alone(
    name: str, models: dict[str, Path], folder: Path, alone: dict[str, Any]
) -> None:
    model = adapter(models[name])
    before = model.model.generation_config.to_dict()
    outcome = measure(model, own(folder, "both"), items=LIMIT)
    theirs = alone[name]["results"]
    expected = {
        (task, *key.split(",")): value
        for task, entry in theirs.items()
        for key, value in entry.items()
        if "," in key and "_stderr" not in key
    }
    assert len(expected) == 5
    assert {(each.task, each.name, each.filter): each.value for each in outcome.metrics} == expected
    for each in outcome.metrics:
        assert each.stderr == theirs[each.task][f"{each.name}_stderr,{each.filter}"]
    assert (outcome.figures.accuracy, outcome.figures.accuracy_stderr) == (
        theirs["both"]["acc,none"],
        theirs["both"]["acc_stderr,none"],
    )
    texts = {each.item_id: each.text for each in outcome.answers if each.item_id.startswith("words/")}
    assert texts == {f"words/{number}": text for number, text in alone[name]["texts"].items()}
    assert model.model.generation_config.to_dict() == before, "jobs that follow are not touched"


def test_energy_is_that_of_the_calls_of_the_model(models: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    calls = count(1)
    meter = Meter(lambda: FakeCounter(lambda: float(next(calls)), watts=1))
    given = order(own(folder, "both"), items=LIMIT)
    outcome = measure_in(tmp_path, adapter(models["opinionated"]), given, [], meter)
    # read once before the first call, and after each
    joules = float(len(outcome.samples))
    tokens = sum(sample.new_tokens for sample in outcome.samples)
    assert outcome.energy == {
        "energy_joules": joules,
        "energy_joules_per_token": joules / tokens,
        "energy_source": "rapl",
    }


def test_answers_have_their_scores_and_lengths(models: dict[str, Path], folder: Path) -> None:
    told: list[Progress] = []
    outcome = measure(adapter(models["opinionated"]), own(folder, "both"), told, items=LIMIT)
    chosen = [each for each in outcome.answers if each.item_id.startswith("colours/")]
    written = [each for each in outcome.answers if each.item_id.startswith("words/")]
    assert [each.item_id for each in chosen] == [f"colours/{number}" for number in range(LIMIT)]
    assert {each.text for each in chosen} <= {
        "red",
        "white",
        "blue",
        "green",
        "pink",
        "black",
        "yellow",
        "brown",
        "grey",
    }
    scores = [each.score for each in chosen]
    assert set(scores) <= {0.0, 1.0}
    assert sum(score or 0.0 for score in scores) / LIMIT == outcome.figures.accuracy
    assert all(each.prompt_tokens > 10 and each.new_tokens == 0 for each in chosen)
    assert all(0 < each.new_tokens <= 12 for each in written)
    assert all(each.finish == "stop" for each in written if each.new_tokens < 12)
    assert outcome.figures.items == 2 * LIMIT
    assert outcome.libraries is not None
    assert set(outcome.libraries) == {"lm_eval"}
    assert [each.phase for each in told[:2]] == ["fetching", "warming up"]
    # three likelihoods a question, and one text
    assert (told[-1].done, told[-1].total) == (4 * LIMIT, 4 * LIMIT)
    assert sum(each.latency_seconds for each in outcome.samples) == pytest.approx(
        (outcome.figures.latency_seconds or 0) * 2 * LIMIT
    )
    assert {each.batch_size for each in outcome.samples} <= {1, 2, 3}


def test_one_task_is_asked_whole_and_its_items_are_numbers(models: dict[str, Path], folder: Path) -> None:
    outcome = measure(adapter(models["base"]), own(folder, "colours"))
    assert [each.item_id for each in outcome.answers] == [str(number) for number in range(harness_folder.QUESTIONS)]
    assert {each.task for each in outcome.metrics} == {"colours"}
    assert outcome.figures.accuracy == next(each.value for each in outcome.metrics if each.name == "acc")
    assert outcome.figures.decode_tokens_per_second is None


def test_a_tokenizer_without_pad_token_stays_so(models: dict[str, Path], folder: Path) -> None:
    model = adapter(models["base"])
    measure(model, own(folder, "words"), items=2)
    assert model.tokenizer.pad_token is None


def test_nothing_is_printed(models: dict[str, Path], folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = adapter(models["base"])
    capfd.readouterr()
    measure(model, own(folder, "both"), items=2)
    assert capfd.readouterr() == ("", "")


def test_files_are_kept_by_their_content(models: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    model, task, here = adapter(models["base"]), own(folder, "colours"), Path.cwd()
    for _ in range(2):
        measure_in(tmp_path, model, order(task, items=1), [])
    (kept,) = (tmp_path / "cache" / "tasks").iterdir()
    assert (kept / "data" / "shown.jsonl").read_bytes() == (folder / "data" / "shown.jsonl").read_bytes()
    assert Path.cwd() == here


def test_a_session_measures_a_task(folder: Path, opinionated: Path, tmp_path: Path) -> None:
    emitted: list[Event] = []
    session = Session(FakeDevice(), emitted.append, home=tmp_path, lock_dir=tmp_path, allow_task_code=True)
    told = order(own(folder, "both"), items=2)
    session.run(told.model_copy(update={"model": told.model.model_copy(update={"source": f"file:{opinionated}"})}))
    assert isinstance(emitted[-1], Finished)
    measured = emitted[-1].measurement
    assert len(measured.metrics) == 5
    assert len(measured.answers) == 4
    assert measured.environment.libraries is not None
    assert "lm_eval" in measured.environment.libraries


# ---- what can't be run


def fails(model: TextAdapter, task: HarnessTask) -> str:
    with pytest.raises(InputError) as caught:
        measure(model, task, items=2)
    return str(caught.value)


def test_own_files_are_refused_unless_they_are_allowed(folder: Path, tmp_path: Path) -> None:
    told = order(own(folder, "colours"))
    with pytest.raises(InputError, match="allow_task_code = true"):
        prepare_harness(told, lambda progress: None, home=tmp_path)


def test_only_sqlite_or_the_machine_s_owner_allows_them(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"home": tmp_path}
    assert Settings(**fields).runs_task_code
    fields["database_url"] = "postgresql://me@host/history"
    assert not Settings(**fields).runs_task_code
    assert Settings(**fields, allow_task_code=True).runs_task_code


def test_a_worker_without_lm_eval_says_how_to_get_it(
    models: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, task = adapter(models["base"]), own(folder, "colours")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'benchbeat[eval]'" in fails(model, task)


def test_a_task_that_lm_eval_lacks_names_its_neighbours(models: dict[str, Path]) -> None:
    message = fails(adapter(models["base"]), HarnessTask(name="arc_eazy"))
    assert "on this worker has no task 'arc_eazy'; did you mean 'arc_easy'" in message


def test_data_that_is_not_there_is_one_sentence(models: dict[str, Path], folder: Path) -> None:
    task = own(folder, "colours")
    assert task.files is not None
    files = {name: text for name, text in task.files.items() if name != "questions.jsonl"}
    message = fails(adapter(models["base"]), HarnessTask(name="colours", files=files))
    assert message.startswith("lm-eval can't load the task 'colours' or its data on this worker: ")
    assert "questions.jsonl" in message
    assert "\n" not in message


def test_a_task_whose_template_is_wrong_is_the_users_fault(models: dict[str, Path], folder: Path) -> None:
    task = own(folder, "colours")
    assert task.files is not None
    wrong = {**task.files, "colours.yaml": task.files["colours.yaml"].replace("{{question}}", "{{nothing}}")}
    message = fails(adapter(models["base"]), HarnessTask(name="colours", files=wrong))
    assert message.startswith("lm-eval can't ")
    assert "nothing" in message


def test_a_file_never_lies_outside_its_folder(models: dict[str, Path], folder: Path) -> None:
    task = own(folder, "colours")
    assert task.files is not None
    for path in ("../evil.py", "/tmp/evil.py", "a/../../evil.py"):
        message = fails(adapter(models["base"]), HarnessTask(name="colours", files={**task.files, path: "x"}))
        assert "outside its folder" in message


def test_what_fails_in_the_model_passes_through(
    models: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapter(models["base"])

    def full(*arguments: Any, **settings: Any) -> Any:
        raise OutOfMemoryError("no more")

    monkeypatch.setattr(model.model, "forward", full)
    with pytest.raises(OutOfMemoryError, match="no more"):
        measure(model, own(folder, "colours"), items=2)


@pytest.mark.model
def test_the_real_model_gives_what_the_command_lm_eval_prints(smollm: Path, folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "lm_eval", "--model", "hf", "--device", "cpu", "--tasks", "both"]
    command += ["--model_args", f"pretrained={smollm},dtype=float32", "--include_path", str(folder), "--limit", "4"]
    command += ["--batch_size", str(BATCH_SIZE), "--output_path", str(tmp_path / "out")]
    environment = harness_folder.offline(tmp_path / "hub")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    (written,) = (tmp_path / "out").rglob("results*.json")
    theirs = json.loads(written.read_text())["results"]
    outcome = measure(adapter(smollm), own(folder, "both"), items=4)
    assert len(outcome.metrics) == 5
    for each in outcome.metrics:
        assert each.value == theirs[each.task][f"{each.name},{each.filter}"]
        assert each.stderr == theirs[each.task][f"{each.name}_stderr,{each.filter}"]
