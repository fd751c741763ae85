"""A folder of small lm-eval tasks, and lm-eval run on it alone, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CHOICE = """\
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: "{{label}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
_WRITTEN = """\
task: words
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl, train: data/shown.jsonl}}
output_type: generate_until
test_split: test
fewshot_split: train
num_fewshot: 1
doc_to_text: "Q: {{question}}\\nA:"
doc_to_target: "{{choices[label]}}"
generation_kwargs: {until: ["\\n\\n"], max_gen_toks: 12, do_sample: false}
filter_list:
  - name: strict
    filter: [{function: take_first}]
  - name: loose
    filter: [{function: regex, regex_pattern: "(\\\\w+)"}, {function: take_first}]
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
"""
_GROUP = """\
group: both
task: [colours, words]
aggregate_metric_list:
  - {metric: acc, aggregation: mean, weight_by_size: true, filter_list: none}
"""
#: text, choices and the number of the right one
QUESTIONS_ASKED = (
    ("What colour is snow?", ("red", "white", "blue"), 1),
    ("What colour is grass?", ("green", "pink", "black"), 0),
    ("What colour is coal?", ("white", "yellow", "black"), 2),
    ("What colour is the sky at noon?", ("blue", "brown", "purple"), 0),
    ("What colour is blood?", ("blue", "red", "green"), 1),
    ("What colour is a ripe lemon?", ("yellow", "grey", "blue"), 0),
    ("What colour is milk?", ("black", "green", "white"), 2),
    ("What colour is an orange?", ("orange", "blue", "grey"), 0),
)
_SHOWN = (("What colour is a carrot?", ("orange", "blue"), 0), ("What colour is ink?", ("white", "black"), 1))

#: the number of questions
QUESTIONS = len(QUESTIONS_ASKED)

_ALONE = """\
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
asked = json.loads(sys.argv[1])
found = {}
for name, path in asked["models"].items():
    results = simple_evaluate(
        model="hf", model_args={"pretrained": path, "dtype": "float32"}, device="cpu", tasks=[asked["task"]],
        task_manager=TaskManager(include_path=".", include_defaults=False),
        batch_size=asked["batch_size"], limit=asked["limit"],
    )
    texts = {sample["doc_id"]: sample["resps"][0][0] for sample in results["samples"].get("words", [])}
    found[name] = {"results": results["results"], "texts": texts}
with open(asked["out"], "w") as file:
    json.dump(found, file, default=str)
"""


def write(folder: Path, **files: str) -> Path:
    """Write the tasks `colours`, `words` and their group `both` into a folder, and what else is given."""
    (folder / "data").mkdir(parents=True)
    texts = {"colours.yaml": _CHOICE, "words.yaml": _WRITTEN, "both.yaml": _GROUP, **files}
    texts |= {"questions.jsonl": _lines(QUESTIONS_ASKED), "data/shown.jsonl": _lines(_SHOWN)}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def alone(
    models: Mapping[str, Path], folder: Path, out: Path, *, task: str, batch_size: int, limit: int
) -> dict[str, Any]:
    """Return what lm-eval alone finds for each model: its `results`, and the `texts` written to `words`."""
    asked = {
        "models": {name: str(path) for name, path in models.items()},
        "task": task,
        "batch_size": batch_size,
        "limit": limit,
        "out": str(out),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", _ALONE, json.dumps(asked)],
        cwd=folder,
        env=offline(out.parent / "hub"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def saved(model: Path, folder: Path, out: Path, *, task: str, batch_size: int, limit: int) -> Path:
    """Return the result file that lm-eval's own command writes for a model."""
    arguments = {
        "model": "hf",
        "model_args": f"pretrained={model},dtype=float32",
        "tasks": task,
        "include_path": ".",
        "device": "cpu",
        "batch_size": str(batch_size),
        "limit": str(limit),
        "output_path": str(out),
    }
    options = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lm_eval", *options],
        cwd=folder,
        env=offline(out.parent / "hub"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (found,) = out.rglob("results_*.json")
    return found


def offline(hub: Path) -> dict[str, str]:
    """Return the environment of a process that asks no hub and keeps its data in a folder of its own."""
    return {**os.environ, "HF_HOME": str(hub), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def _lines(questions: tuple[tuple[str, tuple[str, ...], int], ...]) -> str:
    rows = ({"question": text, "choices": choices, "label": label} for text, choices, label in questions)
    return "".join(json.dumps(row) + "\n" for row in rows)
