"""What a pass over a quality workload comes to: figures, and accuracy by level and by language."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import fsum

from bench import statistics
from bench.quality import QUALITY_FORMULA, quality
from bench.results import Answer, Breakdown, Figures, Sample
from bench.scoring import agreement_key
from bench.workloads import Item
from worker.protocol import Order
from worker.thinking import is_unanswered

#: how an item is grouped, by the breakdown's name
_GROUPS: dict[str, Callable[[Item], str | None]] = {
    "level": lambda item: None if item.level is None else str(item.level),
    "language": lambda item: item.language,
}


def quality_figures(
    order: Order, samples: Sequence[Sample], answers: Sequence[Answer], first_call_seconds: float | None
) -> Figures:
    """Summarise a pass by its totals: its batches are of different work, so their medians say nothing."""
    seconds = fsum(sample.latency_seconds for sample in samples)
    tokens = sum(answer.new_tokens for answer in answers)
    points = fsum(answer.score or 0.0 for answer in answers)
    accuracy, stderr = _accuracy(answers)
    figures = Figures(
        iterations=1,
        first_call_seconds=first_call_seconds,
        decode_tokens_per_second=tokens / seconds if seconds > 0 else None,
        latency_seconds=seconds / len(answers),
        items=len({answer.item_id for answer in answers}),
        accuracy=accuracy,
        accuracy_stderr=stderr,
        consistency=_consistency(order, answers),
        readability=_mean(answer.readability for answer in answers),
        completed=sum(answer.finish == "stop" for answer in answers) / len(answers),
        answer_tokens=_mean(answer.new_tokens - (answer.thinking_tokens or 0) for answer in answers),
        thinking_tokens=_mean(answer.thinking_tokens for answer in answers),
        tokens_per_correct_answer=tokens / points if points else None,
        seconds_per_correct_answer=seconds / points if points else None,
    )
    return figures.model_copy(update=_quality(figures, order.prose))


def breakdowns(items: Sequence[Item], answers: Sequence[Answer]) -> tuple[Breakdown, ...]:
    """Return the accuracy by level, then by language, of whatever of them the items have; none where nothing scored."""
    by_id = {item.id: item for item in items}
    found: list[Breakdown] = []
    for by, group_of in _GROUPS.items():
        groups: dict[str, list[Answer]] = defaultdict(list)
        for answer in answers:
            group = group_of(by_id[answer.item_id])
            if group is not None and answer.score is not None:
                groups[group].append(answer)
        found += [_breakdown(by, value, groups[value]) for value in sorted(groups)]
    return tuple(found)


def _breakdown(by: str, value: str, answers: Sequence[Answer]) -> Breakdown:
    accuracy, stderr = _accuracy(answers)
    items = len({answer.item_id for answer in answers})
    fields = {"by": by, "value": value, "items": items, "accuracy": accuracy, "accuracy_stderr": stderr}
    return Breakdown.model_validate(fields)


def _accuracy(answers: Sequence[Answer]) -> tuple[float | None, float | None]:
    """Return the mean score with its standard error, clustered by item; None where nothing is scored."""
    scores: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        if answer.score is not None:
            scores[answer.item_id].append(answer.score)
    return statistics.mean_and_stderr(scores) if scores else (None, None)


def _consistency(order: Order, answers: Sequence[Answer]) -> float | None:
    """Return how often two answers to the same item agree; None where each item was asked once."""
    if order.spec.samples < 2:
        return None
    scorer = order.score or "none"
    keys: dict[str, list[str | None]] = defaultdict(list)
    for answer in answers:
        # Thoughts that never ended hold no answer that could agree with another.
        lost = is_unanswered(answer.text, answer.thinking_tokens)
        keys[answer.item_id].append(None if lost else agreement_key(scorer, answer.extracted, answer.text))
    return statistics.consistency(keys)


def _quality(figures: Figures, prose: bool) -> dict[str, float | int]:
    """Return the figure of quality with its formula's number, where there is an accuracy to begin with."""
    if figures.accuracy is None or figures.completed is None:
        return {}
    value = quality(
        accuracy=figures.accuracy,
        completed=figures.completed,
        consistency=figures.consistency,
        readability=figures.readability if prose else None,
    )
    return {"quality": value, "quality_formula": QUALITY_FORMULA}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fsum(known) / len(known) if known else None
