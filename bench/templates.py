"""Templates: a strategy's messages for one workload with a mark where the prompt goes, as they travel to workers.

A worker may have another version of benchbeat than the submitter; what was submitted is what is asked.
"""

from collections.abc import Sequence

from bench.strategies import Strategy
from bench.workloads import Workload

#: stands for the prompt; no text that a person writes holds it
PLACEHOLDER = "\x00prompt\x00"


def template(strategy: Strategy, workload: Workload) -> list[dict[str, str]]:
    """Return the messages with the placeholder. Raises InputError where the workload lacks what is needed."""
    return [dict(message) for message in strategy.messages(workload, PLACEHOLDER)]


def fill(messages: Sequence[dict[str, str]], prompt: str) -> tuple[dict[str, str], ...]:
    """Return the messages of a template with the prompt put in."""
    return tuple({key: value.replace(PLACEHOLDER, prompt) for key, value in each.items()} for each in messages)
