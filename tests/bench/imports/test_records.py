"""Imported runs: their machines, their series, their texts."""

import pytest

from bench.imports.records import as_model_name, one_line
from bench.series import series_hash
from tests.bench.imports.reading import bench_run, eval_runs


@pytest.mark.parametrize(
    ("hardware", "machine"),
    [
        ("AMD EPYC", "unknown-amd-epyc"),
        ("Apple M4 Pro", "unknown-apple-m4-pro"),
        ("", "unknown"),
        ("-", "unknown"),
        ("x" * 300, "unknown-" + "x" * 50),
    ],
)
def test_a_machine_without_a_name_is_called_after_its_hardware(hardware: str, machine: str) -> None:
    assert bench_run(cpu_info=hardware).machine_by_hardware() == machine


def test_the_series_key_says_whose_it_is() -> None:
    definition = bench_run().definition("lab")
    assert (definition["source"], definition["machine"], definition["precision"]) == ("llama-bench", "lab", "Q4_1")
    assert (definition["llama-bench.n_threads"], definition["llama-bench.test"]) == ("2", "pp")
    assert series_hash(definition) != series_hash(bench_run().definition("other"))
    (run,) = eval_runs()
    assert run.definition("lab")["lm-eval.num_fewshot"] == '{"colours": 0, "words": 1}'


def test_texts_are_one_short_line() -> None:
    assert one_line(" a\x00b\r\n\tc\x9f ") == "a b c"
    assert one_line("a" * 300) == "a" * 200
    assert as_model_name(" my model\n") == "my-model"
