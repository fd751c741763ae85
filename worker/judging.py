"""Judging one answer: its score, the tokens of its thoughts, its readability."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

from bench.readability import readability
from bench.results import Answer
from bench.scoring import Score, after_thoughts, score
from bench.workloads import Item
from worker.adapters.text import Generated
from worker.protocol import Order
from worker.thinking import is_unanswered


class Judge(NamedTuple):
    """Judges the answers of one job."""

    scorer: str
    #: a strategy's expression that finds the answer
    pattern: str | None = None

    @classmethod
    def of(cls, order: Order) -> "Judge":
        """Return the judge that a job asks for."""
        return cls(order.score or "none", order.output_pattern)

    def answer(self, item: Item, sample: int, generated: Generated) -> Answer:
        """Return the `sample`-th answer to an item, judged. Thoughts that never end hold no answer."""
        if is_unanswered(generated.text, generated.thinking_tokens):
            said, judged = "", Score(None, None if self.scorer == "none" else 0.0)
        else:
            said = after_thoughts(generated.text)
            judged = score(self.scorer, generated.text, item.answer, self.pattern)
        return Answer(
            item_id=item.id,
            sample=sample,
            text=generated.text,
            extracted=judged.extracted,
            score=judged.score,
            prompt_tokens=generated.prompt_tokens,
            new_tokens=generated.new_tokens,
            finish=generated.finish,
            thinking_tokens=generated.thinking_tokens,
            readability=readability(said, item.language, item.structure) if said.strip() else None,
        )

    def libraries(self, answers: Sequence[Answer]) -> dict[str, str] | None:
        """Return the versions of the libraries whose judgement is in these answers; None for none."""
        used = {"json_schema": "jsonschema", "regex": "regex"}.get(self.scorer)
        names = {used} if used else set()
        if self.pattern is not None:
            names.add("regex")
        if any(answer.readability is not None for answer in answers):
            names.add("textstat")
        return {name: version(name) for name in sorted(names)} or None
