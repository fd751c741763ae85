"""lm-eval's result files as runs of ours."""

import copy
import json
from typing import Any

import pytest

from bench.errors import InputError
from bench.harness import harness_workload
from bench.imports.lm_eval import read_results
from bench.results import Metric
from bench.workloads import workload_hash
from tests.bench.imports.reading import eval_runs, results, runs


def alone(task: str, **changes: Any) -> dict[str, Any]:
    """Return the fixture without its group, with one of its tasks."""
    found = results()
    kept = {name: {task: found[name][task]} for name in ("results", "configs", "versions", "n-shot", "n-samples")}
    return found | kept | {"groups": {}, "group_subtasks": {}} | changes


def of(found: dict[str, Any], shots: dict[str, int | None] | None = None) -> Any:
    (run,) = read_results(found, "f:1", shots)
    return run


def test_a_group_is_one_run_with_the_metrics_of_all_in_it() -> None:
    (run,) = eval_runs({"colours": None, "words": None})
    assert (run.workload.name, run.workload.kind, run.position) == ("lm_eval:both", "harness", 1)
    assert (run.figures.accuracy, run.figures.accuracy_stderr) == (0.42857142857142855, 0.2020305089104421)
    assert (run.figures.items, run.items, run.batch_size) == (14, 7, 3)
    assert {(each.task, each.name, each.filter) for each in run.metrics} == {
        ("both", "acc", "none"),
        ("colours", "acc", "none"),
        ("colours", "acc_norm", "none"),
        ("words", "exact_match", "strict"),
        ("words", "exact_match", "loose"),
    }
    assert run.figures.latency_seconds is run.figures.decode_tokens_per_second is run.figures.weights_bytes is None


def test_a_task_has_its_own_accuracy_by_the_first_filter() -> None:
    run = of(alone("words"))
    assert (run.figures.accuracy, run.figures.accuracy_stderr, run.figures.items) == (0.0, 0.0, 7)
    assert run.metrics[0] == Metric(task="words", name="exact_match", filter="strict", value=0.0, stderr=0.0)


def test_tasks_that_are_in_no_group_are_runs_of_their_own() -> None:
    found = eval_runs(group_subtasks={})
    assert [(each.workload.name.partition("@")[0], each.position) for each in found] == [
        ("lm_eval:colours", 1),
        ("lm_eval:words", 2),
        ("lm_eval:both", 3),
    ]
    early = eval_runs(group_subtasks={"both": ["colours", "words"], "colours": [], "words": []})
    assert [each.workload.name.partition("@")[0] for each in early] == ["lm_eval:both"]


def test_the_workload_is_the_one_that_benchbeat_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.harness.task_folder", lambda: None)
    ours = harness_workload("lm_eval:colours", where=None)
    assert workload_hash(of(alone("colours")).workload) == workload_hash(ours)


def test_what_is_known_of_the_surroundings() -> None:
    (run,) = eval_runs()
    assert (run.source, run.model, run.precision, run.revision) == ("lm-eval", "tiny-qwen2", "float32", "-")
    assert (run.device, run.device_name, run.attention, run.cache) == ("cpu", "AMD EPYC", "-", "-")
    facts = run.environment
    assert (facts.os_build, facts.python_version) == ("Debian GNU/Linux 12 (bookworm) (x86_64)", "3.11.7")
    assert (facts.torch_version, facts.transformers_version) == ("2.13.0+cpu", "5.23.0")
    assert (facts.benchbeat_version, facts.driver, facts.threads) == ("-", None, None)
    assert facts.libraries == {"lm_eval": "0.4.13"}
    assert run.started_at == 1795655441.4721742
    assert run.finished_at - run.started_at == pytest.approx(21.64113553900006)
    assert run.told["config"]["bootstrap_iters"] == 100_000
    assert run.told["n-shot"] == {"colours": 0, "words": 1}


def test_versions_of_task_and_harness_are_libraries() -> None:
    found = alone("colours", git_hash="abc123", versions={"colours": 1.0})
    assert of(found).environment.libraries == {
        "lm_eval": "0.4.13",
        "lm_eval_git": "abc123",
        "lm_eval:colours": "1.0",
    }


def with_config(**changes: Any) -> dict[str, Any]:
    found = alone("colours")
    return found | {"config": found["config"] | changes}


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ({"pretrained": "HuggingFaceTB/SmolLM2-135M"}, "HuggingFaceTB/SmolLM2-135M"),
        ("pretrained=Qwen/Qwen2.5-1.5B,dtype=half", "Qwen/Qwen2.5-1.5B"),
        ({"pretrained": "/models/mine/"}, "mine"),
        ({"pretrained": "./mine"}, "mine"),
        ({"pretrained": r"C:\models\mine"}, "mine"),
        ({"pretrained": "org/base", "peft": "org/tuned"}, "org/tuned"),
        ({"model": "gpt-2", "base_url": "localhost"}, "gpt-2"),
        ({}, "tiny-qwen2"),
    ],
)
def test_the_model_is_named_by_its_arguments(arguments: Any, model: str) -> None:
    assert of(with_config(model_args=arguments)).model == model


@pytest.mark.parametrize(
    ("changes", "precision"),
    [
        ({"model_dtype": "torch.bfloat16"}, "bfloat16"),
        ({"model_dtype": None, "model_args": {"pretrained": "m", "dtype": "half"}}, "float16"),
        ({"model_dtype": None, "model_args": "pretrained=m,dtype=auto"}, "-"),
        ({"model_dtype": None}, "float32"),
        ({"model_args": {"pretrained": "m", "load_in_4bit": True}}, "bnb-4bit"),
    ],
)
def test_the_precision_is_the_model_s(changes: dict[str, Any], precision: str) -> None:
    assert of(with_config(**changes)).precision == precision


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"batch_size": 16}, 16),
        ({"batch_size": "auto", "batch_sizes": [64, 32]}, 64),
        ({"batch_size": "auto:4", "batch_sizes": []}, 0),
        ({"batch_size": None}, 0),
    ],
)
def test_a_batch_size_that_nobody_tells_is_0(changes: dict[str, Any], size: int) -> None:
    assert of(with_config(**changes)).batch_size == size


def test_a_gpu_and_a_mac_have_names() -> None:
    cuda = "CPU:\nModel name:   Xeon\nGPU models and configuration: GPU 0: NVIDIA H100\nNvidia driver version: 570.1"
    run = of(with_config(device="cuda:1") | {"pretty_env_info": cuda})
    assert (run.device, run.device_name, run.environment.driver) == ("cuda", "NVIDIA H100", "570.1")
    run = of(with_config(device="mps") | {"pretty_env_info": "CPU:\nApple M4\n"})
    assert (run.device, run.device_name) == ("mps", "Apple M4")
    run = of(with_config(device=None) | {"pretty_env_info": None})
    assert (run.device, run.device_name, run.machine_by_hardware()) == ("-", "-", "unknown")


@pytest.mark.parametrize(
    ("given", "shots", "name"),
    [
        (0, {}, "lm_eval:colours"),
        (0, {"colours": 0}, "lm_eval:colours"),
        (5, {"colours": 5}, "lm_eval:colours"),
        (25, {"colours": 0}, "lm_eval:colours@25-shot"),
        (0, {"colours": 5}, "lm_eval:colours@0-shot"),
        # Without lm-eval its default is not known; for a task that it has not, the task's own file told.
        (25, {}, "lm_eval:colours@25-shot"),
        (25, {"colours": None}, "lm_eval:colours"),
    ],
)
def test_examples_that_are_not_the_task_s_own_make_another_workload(
    given: int, shots: dict[str, int | None], name: str
) -> None:
    assert of(alone("colours", **{"n-shot": {"colours": given}}), shots).workload.name == name


@pytest.mark.parametrize(
    ("found", "suffix"),
    [
        (with_config(gen_kwargs={"temperature": 0.7}), "gen"),
        (with_config(random_seed=7), "seeds"),
        (alone("colours", chat_template="{{ messages }}", chat_template_sha="abc"), "chat"),
        (alone("colours", system_instruction="Be brief.", system_instruction_sha="abc"), "system"),
        (with_config(limit=None), "part"),
        (with_config(gen_kwargs={"a": 1}) | {"chat_template": "x"}, "chat+gen"),
        (with_config(gen_kwargs="") | {"fewshot_as_multiturn": False}, ""),
    ],
)
def test_what_benchbeat_would_not_ask_makes_another_workload(found: dict[str, Any], suffix: str) -> None:
    assert of(found).workload.name == "lm_eval:colours" + (f"@{suffix}" if suffix else "")


def test_settings_make_a_series_and_versions_do_not() -> None:
    usual = of(alone("colours")).definition("m")
    for changes in ({"model": "vllm"}, {"model_args": {"pretrained": "./models/tiny-qwen2", "parallelize": True}}):
        assert of(with_config(**changes)).definition("m") != usual
    found = alone("colours", lm_eval_version="0.5", transformers_version="6", date=1795655442.0)
    assert of(found).definition("m") == usual


def test_secrets_of_the_model_are_not_kept() -> None:
    run = of(with_config(model_args={"pretrained": "./models/tiny-qwen2", "token": "hf_secret", "api_key": "sk"}))
    assert "secret" not in json.dumps(run.told)
    assert run.definition("m") == of(alone("colours")).definition("m")


@pytest.mark.parametrize(
    ("limit", "counts", "items", "suffix"),
    [
        (7.0, {"colours": (7, 8)}, 7, ""),
        (None, {"colours": (8, 8)}, None, ""),
        (1000, {"colours": (8, 8)}, None, ""),
        (0.5, {"colours": (4, 8)}, 4, ""),
        (0.5, {"colours": (4, 8), "words": (2, 4)}, 4, "@part"),
        (7, {}, 7, ""),
    ],
)
def test_items_are_the_documents_that_were_asked_of_each_task(
    limit: float | None, counts: dict[str, tuple[int, int]], items: int | None, suffix: str
) -> None:
    found = results()
    found["config"]["limit"] = limit
    found["n-samples"] = {name: {"effective": n, "original": of_all} for name, (n, of_all) in counts.items()}
    (run,) = read_results(found, "f:1", {"colours": None, "words": None})
    assert run.items == (items if counts or limit is None else None)
    assert run.workload.name == f"lm_eval:both{suffix}"
    assert run.figures.items == (sum(n for n, _ in counts.values()) or None)


def test_a_figure_that_is_no_number_is_left_out() -> None:
    found = alone("colours")
    entry = found["results"]["colours"]
    entry |= {"acc,none": float("nan"), "acc_norm_stderr,none": "N/A", "f1,none": float("inf")}
    run = runs(json.dumps(found))[0]
    assert [(each.name, each.stderr) for each in run.metrics] == [("acc_norm", None)]
    assert run.figures.accuracy is None


def _without(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != name}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (results(results={}), "holds the results of no task"),
        (results(results={"t": 3}), "the results of 't' are no object"),
        (results(results={"t": {"alias": "t"}}), "the task 't' has no figure that is a finite number"),
        (results(results={"t": {"acc": 0.5, "acc_stderr": 0.1}}), "is of an lm-eval before 0.4"),
        (_without(results(), "date"), "date must be the seconds since 1970"),
        (results(date=float("nan")), "date must be the seconds since 1970"),
        (results(date=-5), "date must be the seconds since 1970"),
        (results(config={"model_args": None}, model_name=None), "does not name its model; --model NAME does"),
    ],
)
def test_a_file_without_figures_is_refused(found: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_results(copy.deepcopy(found), "f:1"))
    assert (caught.value.where, caught.value.message[: len(said)]) == ("f:1", said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"date": 1e18}, "date must be the seconds since 1970"),
        (
            {"total_evaluation_time_seconds": "-100"},
            "total_evaluation_time_seconds must be from 0 to 1e+09 (it is -100)",
        ),
        ({"total_evaluation_time_seconds": "1e300"}, "total_evaluation_time_seconds must be from 0 to 1e+09"),
        ({"n-samples": {"words": {"effective": 10**30, "original": 7}}}, "n-samples of 'words' must be from 0 to"),
        ({"n-samples": {"words": {"effective": -3, "original": 7}}}, "n-samples of 'words' must be from 0 to"),
        ({"results": {"words": {"acc,none": 55}}}, "the accuracy of 'words' must be from 0 to 1 (it is 55)"),
        ({"results": {"words": {"acc,none": 0.5, "acc_stderr,none": -1}}}, "the standard error of the accuracy of"),
    ],
)
def test_a_figure_that_no_evaluation_gives_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        of(alone("words", **changes))
    assert said in str(caught.value)
    assert str(caught.value).startswith("f:1: ")
