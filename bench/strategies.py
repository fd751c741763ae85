"""Prompt strategies: how a question is put to a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from bench.errors import InputError
from bench.spec import hash_of
from bench.workloads import Item, Workload

#: chat messages in order, each with a `role` (`system`, `user` or `assistant`) and its `content`
Messages = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Strategy:
    """A way of prompting."""

    name: str
    #: one sentence for people
    description: str
    #: the messages that put a prompt of a workload
    build: Callable[[Workload, str], Messages]

    def messages(self, workload: Workload, prompt: str) -> Messages:
        """Return the chat messages that put `prompt`. Raises InputError where the workload lacks what is needed."""
        return self.build(workload, prompt)

    def digest(self, workload: Workload) -> str:
        """Return a SHA-256, in hex, of all that a prompt of this workload is wrapped in. Raises as `messages` does."""
        return hash_of(self.messages(workload, "\x00prompt\x00"))


@cache
def builtin_strategies() -> Mapping[str, Strategy]:
    """Return the built-in strategies by name; `direct` is the baseline."""
    return {strategy.name: strategy for strategy in _BUILTIN}


def _direct(workload: Workload, prompt: str) -> Messages:
    return (_user(prompt),)


#: what the last line of a chain of thought holds, where the scorer wants something in particular
_LAST_LINE = {"number": "the number", "choice": "the letter of your choice"}


def _chain_of_thought(workload: Workload, prompt: str) -> Messages:
    wanted = _LAST_LINE.get(workload.score or "", "the answer")
    steps = f"Think step by step. Then write a last line that says 'Answer:' and after it only {wanted}."
    return (_user(f"{prompt}\n\n{steps}"),)


def _few_shot(workload: Workload, prompt: str) -> Messages:
    if not workload.examples:
        raise InputError(
            f"workload {workload.name!r} has no examples, which few_shot needs; "
            'add some to its items with "example": true (they are shown, never asked)'
        )
    shown = [message for example in workload.examples for message in _answered(example)]
    return (*shown, _user(prompt))


def _answered(example: Item) -> Messages:
    answer = example.answer if isinstance(example.answer, str) else example.answer[0]
    return _user(example.prompt), {"role": "assistant", "content": answer}


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


_BUILTIN = (
    Strategy("direct", "The question itself, with nothing around it (the baseline).", _direct),
    Strategy("chain_of_thought", "Asks to think step by step and to end with a line 'Answer: ...'.", _chain_of_thought),
    Strategy("few_shot", "Shows the workload's examples as turns of the chat, each with its answer.", _few_shot),
)
