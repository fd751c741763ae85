"""Judging answers once they are all given: their scores, their readability, and what they come to.

Nothing of it belongs into a span whose time or memory is measured.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NamedTuple

from bench.results import Answer
from bench.scoring import Score, after_thoughts, score
from bench.workloads import Item
from worker.measure import Outcome
from worker.protocol import Order
from worker.reader import Passage
from worker.summary import breakdowns, quality_figures
from worker.thinking import is_unanswered

#: gives the readability of each passage, None where it has none
Read = Callable[[Sequence[Passage]], Sequence[float | None]]


def judged(order: Order, outcome: Outcome, read: Read) -> Outcome:
    """Return what a quality job measured with its answers judged, and the figures that follow from them."""
    judge = Judge.of(order)
    items = {prompt.item.id: prompt.item for prompt in order.prompts}
    scored = [judge.scored(items[answer.item_id], answer) for answer in outcome.answers]
    readable = read([_passage(items[answer.item_id], answer) for answer in scored])
    answers = tuple(
        answer.model_copy(update={"readability": figure}) for answer, figure in zip(scored, readable, strict=True)
    )
    return outcome._replace(
        figures=quality_figures(order, outcome.samples, answers, outcome.figures.first_call_seconds),
        answers=answers,
        breakdowns=breakdowns(list(items.values()), answers),
        libraries=judge.libraries(answers),
    )


class Judge(NamedTuple):
    """Judges the answers of one job."""

    scorer: str
    #: a strategy's expression that finds the answer
    pattern: str | None = None

    @classmethod
    def of(cls, order: Order) -> "Judge":
        """Return the judge that a job asks for."""
        return cls(order.score or "none", order.output_pattern)

    def scored(self, item: Item, answer: Answer) -> Answer:
        """Return an answer to an item with its score. Thoughts that never end hold no answer."""
        if is_unanswered(answer.text, answer.thinking_tokens):
            found = Score(None, None if self.scorer == "none" else 0.0)
        else:
            found = score(self.scorer, answer.text, item.answer, self.pattern)
        return answer.model_copy(update={"extracted": found.extracted, "score": found.score})

    def libraries(self, answers: Sequence[Answer]) -> dict[str, str] | None:
        """Return the versions of the libraries whose judgement is in these answers; None for none."""
        used = {"json_schema": "jsonschema", "regex": "regex"}.get(self.scorer)
        names = {used} if used else set()
        if self.pattern is not None:
            names.add("regex")
        if any(answer.readability is not None for answer in answers):
            names.add("textstat")
        return {name: version(name) for name in sorted(names)} or None


def _passage(item: Item, answer: Answer) -> Passage:
    said = "" if is_unanswered(answer.text, answer.thinking_tokens) else after_thoughts(answer.text)
    return Passage(said, item.language, item.structure)
