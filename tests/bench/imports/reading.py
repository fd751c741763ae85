"""Reading imports from texts and from the files of `data`."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.imports.formats import Format, read_imports
from bench.imports.records import Imported

DATA = Path(__file__).parent / "data"


def data(name: str) -> str:
    """Return the text of a file of `data`."""
    return (DATA / name).read_text(encoding="utf-8")


def runs(text: str, wanted: Format | None = None, shots: Mapping[str, int | None] | None = None) -> list[Imported]:
    """Return the runs of a text that is called `out`."""
    return list(read_imports(io.StringIO(text), "out", wanted, None if shots is None else lambda tasks: shots))


def bench_row(**changes: Any) -> dict[str, Any]:
    """Return the fixture's first row, of pp128, with fields changed; those that are `...` are left out."""
    row: dict[str, Any] = json.loads(data("llama-bench.json"))[0]
    return {name: value for name, value in (row | changes).items() if value is not ...}


def bench_run(**changes: Any) -> Imported:
    """Return the run of such a row."""
    (run,) = runs(json.dumps(bench_row(**changes)))
    return run


def results(**changes: Any) -> dict[str, Any]:
    """Return the fixture of lm-eval, with fields changed; those that are `...` are left out."""
    found: dict[str, Any] = json.loads(data("results_tiny-qwen2.json"))
    return {name: value for name, value in (found | changes).items() if value is not ...}


def eval_runs(shots: Mapping[str, int | None] | None = None, **changes: Any) -> list[Imported]:
    """Return the runs of such results."""
    return runs(json.dumps(results(**changes)), shots=shots)
