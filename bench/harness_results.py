"""What lm-eval reports, as figures, metrics and answers of ours. Knows its results only as plain data."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench.results import Answer, Metric

#: the metrics that are an accuracy, the better one first
ACCURACIES = ("acc", "exact_match")


class Accuracy(NamedTuple):
    """The figure that stands for a task."""

    value: float | None
    stderr: float | None


class Tokens(NamedTuple):
    """The length of a prompt and of what was written to it."""

    prompt_tokens: int
    new_tokens: int
    finish: str


#: the lengths of a request's prompt and, where the model wrote to it, of what it wrote
Count = Callable[[str], Tokens]


def metrics(results: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Return all figures of all tasks and groups; what is no finite number is left out."""
    return tuple(metric for task, entry in results["results"].items() for metric in _metrics(task, entry))


def accuracy(found: Sequence[Metric], name: str, sizes: Mapping[str, int]) -> Accuracy:
    """Return the accuracy of a task, or of a group as it aggregates itself; else the mean over the documents of all.

    `sizes` has the number of documents of each task. Empty where a task has none of ACCURACIES.
    """
    first = _first_accuracies(found)
    if name in first:
        return Accuracy(first[name].value, first[name].stderr)
    parts = [(first[task], size) for task, size in sizes.items() if task in first]
    total = sum(size for _, size in parts)
    if len(parts) < len(sizes) or not total:
        return Accuracy(None, None)
    mean = sum(metric.value * size for metric, size in parts) / total
    if any(metric.stderr is None for metric, _ in parts):
        return Accuracy(mean, None)
    return Accuracy(mean, math.sqrt(sum(((metric.stderr or 0.0) * size / total) ** 2 for metric, size in parts)))


def answers(results: Mapping[str, Any], found: Sequence[Metric], count: Count) -> tuple[Answer, ...]:
    """Return the answer to each document, scored by its task's accuracy where it has one.

    A document's id is its number in lm-eval's data; "TASK/NUMBER" where there are several tasks.
    """
    first = _first_accuracies(found)
    several = len(results["samples"]) > 1
    kept: list[Answer] = []
    for task, samples in results["samples"].items():
        metric = first.get(task)
        chosen = metric.filter if metric else next((sample["filter"] for sample in samples), None)
        for sample in samples:
            if sample["filter"] == chosen:
                answer = _answer(sample, metric.name if metric else None, count)
                prefix = f"{task}/" if several else ""
                kept += [] if answer is None else [answer.model_copy(update={"item_id": prefix + answer.item_id})]
    return tuple(kept)


def _metrics(task: str, entry: Mapping[str, Any]) -> Iterator[Metric]:
    for key, value in entry.items():
        name, comma, filter_ = key.partition(",")
        if not comma or name.endswith("_stderr") or not _is_number(value):
            continue
        stderr = entry.get(f"{name}_stderr,{filter_}")
        yield Metric(task=task, name=name, filter=filter_, value=float(value), stderr=_number(stderr))


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, str) and math.isfinite(value)
    except (TypeError, ValueError):  # a list, say
        return False


def _number(value: Any) -> float | None:
    """Return a number as it is; None for "N/A" and the like."""
    return float(value) if _is_number(value) else None


def _first_accuracies(found: Sequence[Metric]) -> dict[str, Metric]:
    """Return each task's accuracy: the better metric, and the first filter of it."""
    first: dict[str, Metric] = {}
    for name in ACCURACIES:
        for metric in found:
            if metric.name == name:
                first.setdefault(metric.task, metric)
    return first


def _answer(sample: Mapping[str, Any], metric: str | None, count: Count) -> Answer | None:
    """Return the answer to a document; None where lm-eval only looked how likely a text is."""
    read = _generated(sample) or _chosen(sample)
    if read is None:
        return None
    prompt, text, extracted = read
    tokens = count(prompt)
    score = _number(sample.get(metric)) if metric else None
    return Answer(
        item_id=str(sample["doc_id"]),
        sample=0,
        text=text,
        extracted=extracted,
        score=score if score is not None and 0 <= score <= 1 else None,
        prompt_tokens=tokens.prompt_tokens,
        new_tokens=tokens.new_tokens,
        finish=tokens.finish,
    )


def _generated(sample: Mapping[str, Any]) -> tuple[str, str, str | None] | None:
    """Return the prompt, what the model wrote (the first time) and what the filter made of it."""
    responses = sample["resps"]
    text = responses[0][0] if responses and responses[0] else None
    if not isinstance(text, str):
        return None
    filtered = sample["filtered_resps"][0]
    while isinstance(filtered, list | tuple) and filtered:
        filtered = filtered[0]
    return sample["arguments"][0][0], text, str(filtered)


def _chosen(sample: Mapping[str, Any]) -> tuple[str, str, str | None] | None:
    """Return the prompt and the continuation that the model finds likeliest, of several."""
    arguments, likely = sample["arguments"], sample["filtered_resps"]
    if len(arguments) < 2 or len(arguments) != len(likely):
        return None
    if not all(len(each) > 1 for each in arguments) or not all(isinstance(each, list | tuple) for each in likely):
        return None
    best = max(range(len(likely)), key=lambda place: likely[place][0])
    text = arguments[best][1].strip()
    return arguments[best][0], text, text
