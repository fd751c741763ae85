"""What lm-eval's own command found, imported, is what benchbeat finds when it runs the same."""

from pathlib import Path

import pytest

from bench.imports.formats import read_imports
from bench.imports.records import Imported
from tests.worker import harness_folder
from tests.worker.test_harness import BATCH_SIZE, LIMIT, adapter, measure, own
from worker.measure import Outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness_folder.write(tmp_path_factory.mktemp("tasks") / "colours")


@pytest.fixture(scope="module")
def imported(tiny_base: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    out = tmp_path_factory.mktemp("saved") / "out"
    file = harness_folder.saved(tiny_base, folder, out, task="both", batch_size=BATCH_SIZE, limit=LIMIT)
    with file.open(encoding="utf-8") as text:
        (run,) = read_imports(text, file.name, None, dict.fromkeys)
    return run


@pytest.fixture(scope="module")
def ours(tiny_base: Path, folder: Path) -> Outcome:
    return measure(adapter(tiny_base), own(folder, "both"), items=LIMIT)


def test_the_figures_are_the_same_to_the_last_digit(imported: Imported, ours: Outcome) -> None:
    names = ("accuracy", "accuracy_stderr", "items", "iterations")
    assert [getattr(imported.figures, name) for name in names] == [getattr(ours.figures, name) for name in names]
    assert imported.figures.accuracy is not None
    assert set(imported.metrics) == set(ours.metrics)
    assert imported.environment.libraries == ours.libraries


def test_what_was_asked_is_the_same(imported: Imported, tiny_base: Path) -> None:
    assert (imported.workload.name, imported.items, imported.batch_size) == ("lm_eval:both", LIMIT, BATCH_SIZE)
    assert (imported.model, imported.precision, imported.device) == (tiny_base.name, "float32", "cpu")
