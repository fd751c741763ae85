"""Judging transcripts once they are all there: word errors, and whether the language was heard rightly.

As with other answers, nothing of it belongs into a span whose time or memory is measured.
"""

from collections.abc import Sequence

from bench.results import Answer, Metric
from bench.workloads import Item
from worker.adapters.speech import language_code
from worker.judging import Judge
from worker.measure import Outcome
from worker.protocol import Order
from worker.summary import breakdowns, quality_figures
from worker.word_errors import WordErrors, libraries, word_error_rate, word_errors


def judged_transcripts(order: Order, outcome: Outcome) -> Outcome:
    """Return what a speech job measured with its transcripts judged, and the figures that follow from them."""
    items = {prompt.item.id: prompt.item for prompt in order.prompts}
    found: list[WordErrors] = []
    if order.score == "wer":
        found = [_compared(items[answer.item_id], answer) for answer in outcome.answers]
        answers = tuple(_scored(answer, errors) for answer, errors in zip(outcome.answers, found, strict=True))
    else:
        judge = Judge.of(order)
        answers = tuple(judge.scored(items[answer.item_id], answer) for answer in outcome.answers)
    figures = quality_figures(order, outcome.samples, answers, outcome.figures.first_call_seconds)
    heard = {"word_error_rate": word_error_rate(found), "real_time_factor": outcome.figures.real_time_factor}
    return outcome._replace(
        figures=figures.model_copy(update=heard),
        answers=answers,
        breakdowns=breakdowns(list(items.values()), answers),
        metrics=tuple(_metrics(order, items, answers, found)),
        libraries={**(outcome.libraries or {}), **(libraries() if found else {})},
    )


def _compared(item: Item, answer: Answer) -> WordErrors:
    expected = (item.answer,) if isinstance(item.answer, str) else item.answer
    # By the language of what was said: a wrongly detected one must not choose the rules.
    language = answer.language if item.language is None else language_code(item.language)
    return word_errors(answer.text, expected, language)


def _scored(answer: Answer, errors: WordErrors) -> Answer:
    return answer.model_copy(update={"extracted": errors.heard or None, "score": errors.score})


def _metrics(
    order: Order, items: dict[str, Item], answers: Sequence[Answer], found: Sequence[WordErrors]
) -> list[Metric]:
    """Return how many words were said, how many of each kind of error there are, and how languages were heard."""
    figures: dict[str, float] = {}
    if found:
        for name in ("words", "substitutions", "deletions", "insertions"):
            figures[name] = sum(getattr(each, name) for each in found)
    if order.spec.detect_language:
        known = [(items[answer.item_id].language, answer.language) for answer in answers]
        right = [language_code(spoken) == heard for spoken, heard in known if spoken is not None]
        if right:
            figures["language_accuracy"] = sum(right) / len(right)
    return [Metric(task=order.spec.workload, name=name, filter="none", value=value) for name, value in figures.items()]
