"""A result file of lm-eval (results_*.json, of 0.4 and later) as runs of ours: one for each task that was asked for.

The figures come by the same rules as where benchbeat runs lm-eval itself (bench/harness_results.py).
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bench.errors import InputError
from bench.harness import PREFIX, lm_eval_workload
from bench.harness_results import accuracy, metrics
from bench.imports.fields import INT32, as_number
from bench.imports.records import UNKNOWN, Imported, as_model_name, one_line
from bench.results import Environment, Figures, Metric

#: what a result file has
MARKS = frozenset({"results", "configs", "versions"})
#: what a file of answers has in each line
SAMPLE_MARKS = frozenset({"doc_id", "resps", "filtered_resps"})

#: the arguments of a model that name it, the one that counts first
_NAMES = ("peft", "delta", "pretrained", "model", "path", "engine")
#: the arguments of a model that must not be kept
_SECRET = frozenset({"token", "use_auth_token", "api_key"})
#: what is told elsewhere of a model's arguments, or changes no answer
_TOLD = frozenset({*_NAMES, *_SECRET, "dtype", "revision", "device", "batch_size", "max_batch_size"})
#: the seeds of lm-eval's command; those of benchbeat's own runs too
_SEEDS = {"random_seed": 0, "numpy_seed": 1234, "torch_seed": 1234, "fewshot_seed": 1234}
_HALVES = {"half": "float16", "float": "float32", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}

#: in the year 2100, and in 30 years: no file is from then, and no evaluation took so long
_LAST_DATE, _MOST_SECONDS = 4_102_444_800, 1e9

#: what torch's collect_env says: "PyTorch version: 2.13.0"
_SAYS_NOTHING = frozenset({"", "N/A", "Could not collect", "None"})


def read_results(
    results: Mapping[str, Any], place: str, shots: Mapping[str, int | None] | None = None
) -> Iterator[Imported]:
    """Yield the runs of a result file. `shots` has the examples that lm-eval shows by itself, by task.

    None stands for a task that lm-eval does not have; 0 is assumed for one that is left out. Raises InputError
    where the file holds no figure.
    """
    file = _File(results, place)
    roots = file.roots()
    if not roots:
        raise InputError("holds the results of no task", where=place)
    for position, root in enumerate(roots, start=1):
        yield file.run(root, position, shots or {})


class _File:
    """A result file, read with what may be missing in it."""

    def __init__(self, results: Mapping[str, Any], place: str) -> None:
        self._all = results
        self._place = place
        self._results = self._table("results")
        self._config = self._table("config")
        self._members = {name: each for name, each in self._table("group_subtasks").items() if isinstance(each, list)}
        self._environment = _told_by_torch(str(results.get("pretty_env_info") or ""))
        for name, entry in self._results.items():
            if not isinstance(entry, dict):
                raise InputError(f"the results of {one_line(name)!r} are no object", where=place)
            if entry and not any("," in key for key in entry) and "acc" in entry:
                raise InputError("is of an lm-eval before 0.4, whose figures have no filters", where=place)

    def roots(self) -> list[str]:
        """Return the tasks and groups that are part of no other."""
        inner = {member for name, members in self._members.items() for member in members if member != name}
        return [name for name in self._results if name not in inner]

    def run(self, root: str, position: int, shots: Mapping[str, int | None]) -> Imported:
        """Return the run of a task, or of a group with all that is in it."""
        names = self._within(root)
        found = metrics({"results": {name: self._results[name] for name in names if name in self._results}})
        if not found:
            raise InputError(f"the task {one_line(root)!r} has no figure that is a finite number", where=self._place)
        sizes = self._sizes(names)
        tasks = [name for name in names if not self._members.get(name)]
        asked = self._asked(tasks, shots)
        started_at = as_number(self._all.get("date"))
        if started_at is None or not 0 <= started_at < _LAST_DATE:
            raise InputError("date must be the seconds since 1970 at which lm-eval began", where=self._place)
        seconds = as_number(self._all.get("total_evaluation_time_seconds"))
        self._bounded("total_evaluation_time_seconds", seconds, _MOST_SECONDS)
        device, device_name = self._device()
        return Imported(
            source="lm-eval",
            place=self._place,
            position=position,
            model=self._model(),
            workload=lm_eval_workload(f"{PREFIX}{one_line(root).replace(' ', '-')}{asked}"),
            precision=self._precision(),
            device=device,
            device_name=device_name,
            batch_size=self._batch_size(),
            environment=self._versions(root),
            figures=self._figures(found, root, sizes),
            started_at=started_at,
            finished_at=started_at + (seconds or 0.0),
            revision=one_line(str(self._config.get("model_sha") or "")) or UNKNOWN,
            items=self._limit(sizes),
            settings=self._settings(tasks),
            told=self._told(root, names),
            metrics=found,
        )

    def _bounded(self, name: str, value: float | None, most: float) -> None:
        if value is not None and not 0 <= value <= most:
            raise InputError(f"{name} must be from 0 to {most:g} (it is {value:g})", where=self._place)

    def _table(self, name: str) -> dict[str, Any]:
        value = self._all.get(name)
        return value if isinstance(value, dict) else {}

    def _within(self, root: str) -> list[str]:
        """Return a task's or group's name and the names of all in it, each once."""
        names, waiting = dict.fromkeys([root]), [root]
        while waiting:
            members = [name for name in self._members.get(waiting.pop(), ()) if name not in names]
            names |= dict.fromkeys(members)
            waiting += members
        return list(names)

    def _sizes(self, names: list[str]) -> dict[str, tuple[int, int]]:
        """Return how many documents were asked, and how many there are, by task; before 0.4.3 that was not told."""
        counts = self._table("n-samples")
        found = {}
        for name in names:
            entry = counts.get(name)
            pair = [as_number(entry.get(key)) for key in ("effective", "original")] if isinstance(entry, dict) else []
            if len(pair) == 2 and pair[0] is not None and pair[1] is not None:
                for value in pair:
                    self._bounded(f"n-samples of {one_line(name)!r}", value, INT32)
                found[name] = (int(pair[0]), int(pair[1]))
        return found

    def _figures(self, found: tuple[Metric, ...], root: str, sizes: Mapping[str, tuple[int, int]]) -> Figures:
        asked = {name: effective for name, (effective, _) in sizes.items()}
        value, stderr = accuracy(found, root, asked)
        self._bounded(f"the accuracy of {one_line(root)!r}", value, 1)
        self._bounded(f"the standard error of the accuracy of {one_line(root)!r}", stderr, 1)
        items = sum(asked.values()) or None
        return Figures(iterations=1, items=items, accuracy=value, accuracy_stderr=stderr)

    def _limit(self, sizes: Mapping[str, tuple[int, int]]) -> int | None:
        """Return the documents that were asked of each task, as our `items`; None for all of them."""
        limit = as_number(self._config.get("limit"))
        if limit is None or all(effective >= original for effective, original in sizes.values()):
            return None
        return int(limit) if limit >= 1 else max((effective for effective, _ in sizes.values()), default=None)

    def _asked(self, tasks: list[str], shots: Mapping[str, int | None]) -> str:
        """Return what makes the task another one than benchbeat would run under its name, for the workload's name."""
        given = [self._shots(task) for task in tasks]
        # Of a task that the installed lm-eval does not have, None, nobody but its own file can tell.
        usual = all(n is None or shots.get(task, 0) in (n, None) for task, n in zip(tasks, given, strict=True))
        parts = [] if usual else ["-".join(dict.fromkeys(str(n) for n in given if n is not None)) + "-shot"]
        parts += ["chat"] if self._all.get("chat_template") else []
        parts += ["system"] if self._all.get("system_instruction") else []
        parts += ["gen"] if self._config.get("gen_kwargs") else []
        parts += ["seeds"] if any(self._config.get(name, usual) != usual for name, usual in _SEEDS.items()) else []
        limit = as_number(self._config.get("limit"))
        sizes = self._sizes(tasks)
        is_chosen = limit is None and any(effective < original for effective, original in sizes.values())
        is_share = limit is not None and limit < 1 and len({effective for effective, _ in sizes.values()}) > 1
        parts += ["part"] if is_chosen or is_share else []
        return f"@{'+'.join(parts)}" if parts else ""

    def _shots(self, task: str) -> int | None:
        number = as_number(self._table("n-shot").get(task))
        return None if number is None else int(number)

    def _arguments(self) -> dict[str, Any]:
        """Return the model's arguments, which a call of lm-eval may give as a text."""
        given = self._config.get("model_args")
        if isinstance(given, str):
            return dict(part.split("=", 1) for part in given.split(",") if "=" in part)
        return given if isinstance(given, dict) else {}

    def _model(self) -> str:
        arguments = self._arguments()
        told = [arguments[name] for name in _NAMES if arguments.get(name)]
        name = str(told[0] if told else self._all.get("model_name") or "").replace("\\", "/").rstrip("/")
        # A model of the hub has ORG/NAME; of a path the last part is its name.
        is_hub = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name)
        name = as_model_name(name if is_hub else name.rpartition("/")[2])
        if not name:
            raise InputError("does not name its model; --model NAME does", where=self._place)
        return name

    def _precision(self) -> str:
        arguments = self._arguments()
        for name, called in (("load_in_4bit", "bnb-4bit"), ("load_in_8bit", "bnb-8bit")):
            if str(arguments.get(name, "")).lower() in ("true", "1"):
                return called
        told = str(self._config.get("model_dtype") or arguments.get("dtype") or "").removeprefix("torch.")
        told = _HALVES.get(told, told)
        return UNKNOWN if told in ("", "auto") else one_line(told, 50).replace(" ", "-")

    def _device(self) -> tuple[str, str]:
        device = one_line(str(self._config.get("device") or "").partition(":")[0], 50) or UNKNOWN
        told = {"cuda": "gpu", "cpu": "cpu", "mps": "cpu"}.get(device)
        return device, self._environment.get(told or "", UNKNOWN)

    def _batch_size(self) -> int:
        """Return the batch size; where lm-eval chose it the first that it took, 0 where it does not tell."""
        for told in (self._config.get("batch_size"), *_first(self._config.get("batch_sizes"))):
            number = as_number(told)
            if number is not None and 1 <= number < 2**31:
                return int(number)
        return 0

    def _versions(self, root: str) -> Environment:
        told = self._environment
        transformers = self._all.get("transformers_version")
        libraries = {"lm_eval": self._all.get("lm_eval_version"), "lm_eval_git": self._all.get("git_hash")}
        libraries[f"{PREFIX}{one_line(root)}"] = self._table("versions").get(root)
        known = {name: one_line(str(value)) for name, value in libraries.items() if value not in (None, "N/A", "Yaml")}
        return Environment(
            os_build=told.get("os", UNKNOWN),
            python_version=told.get("python", UNKNOWN).split(" ")[0],
            torch_version=told.get("torch", UNKNOWN),
            transformers_version=one_line(str(transformers)) if transformers not in (None, "N/A") else UNKNOWN,
            benchbeat_version=UNKNOWN,
            driver=told.get("driver"),
            libraries=known or None,
        )

    def _settings(self, tasks: list[str]) -> dict[str, str]:
        """Return what is part of the series' key beside what our own runs have in theirs."""
        shots = {task: self._shots(task) for task in tasks}
        arguments = {name: value for name, value in self._arguments().items() if name not in _TOLD}
        seeds = {name: self._config[name] for name, usual in _SEEDS.items() if self._config.get(name, usual) != usual}
        limit = as_number(self._config.get("limit"))
        told: dict[str, Any] = {
            "model": self._config.get("model"),
            "model_args": arguments,
            "num_fewshot": next(iter(shots.values())) if len(set(shots.values())) == 1 else shots,
            "gen_kwargs": self._config.get("gen_kwargs"),
            "seeds": seeds,
            "limit": limit if limit is not None and limit < 1 else None,
            "chat_template": self._all.get("chat_template_sha"),
            "system_instruction": self._all.get("system_instruction_sha"),
            "fewshot_as_multiturn": self._all.get("fewshot_as_multiturn"),
        }
        return {name: _as_text(value) for name, value in told.items() if value}

    def _told(self, root: str, names: list[str]) -> dict[str, Any]:
        kept = ("git_hash", "lm_eval_version", "transformers_version", "system_instruction", "model_name")
        told = {name: self._all.get(name) for name in kept}
        arguments = {name: value for name, value in self._arguments().items() if name not in _SECRET}
        told |= {"config": self._config | {"model_args": arguments}, "task_config": self._table("configs").get(root)}
        told["n-shot"] = {name: self._shots(name) for name in names if self._shots(name) is not None}
        return told | {"version": self._table("versions").get(root)}


def _first(values: Any) -> list[Any]:
    return values[:1] if isinstance(values, list) else []


def _as_text(value: Any) -> str:
    return one_line(value) if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


_ENVIRONMENT = {
    "torch": re.compile(r"^PyTorch version: (.*)$", re.M),
    "os": re.compile(r"^OS: (.*)$", re.M),
    "python": re.compile(r"^Python version: (.*)$", re.M),
    "driver": re.compile(r"^Nvidia driver version: (.*)$", re.M),
    "cpu": re.compile(r"(?:^Model name:\s*|^CPU:\n(?=Apple))(.*)$", re.M),
    "gpu": re.compile(r"\bGPU 0: (.*)$", re.M),
}


def _told_by_torch(text: str) -> dict[str, str]:
    """Return what torch's report on its environment says."""
    found = {name: pattern.search(text) for name, pattern in _ENVIRONMENT.items()}
    words = {name: one_line(match[1]) for name, match in found.items() if match}
    return {name: word for name, word in words.items() if word not in _SAYS_NOTHING}
