"""Templates: a strategy's messages for one workload with a mark where the prompt goes, as they travel to workers.

A worker may have another version of benchbeat than the submitter; what was submitted is what is asked.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

from bench.spec import hash_of

#: chat messages in order, each with a `role` (`system`, `user` or `assistant`) and its `content`
Messages = tuple[dict[str, str], ...]

#: stands for the prompt; no text that a person writes holds it
PLACEHOLDER = "\x00prompt\x00"


@dataclass(frozen=True)
class Template:
    """What a prompt of one workload is wrapped in, and how the answer is found in what the model writes."""

    #: with the placeholder where the prompt goes
    messages: Messages
    #: regular expression that finds the answer; None leaves it to the workload's scorer
    output_pattern: str | None = None

    def fill(self, prompt: str) -> Messages:
        """Return the messages with the prompt put in."""
        return tuple(
            {key: value.replace(PLACEHOLDER, prompt) for key, value in message.items()} for message in self.messages
        )

    def definition(self) -> str:
        """Return the JSON text that travels: the list of messages, or an object where there is a pattern too."""
        return json.dumps(self._value())

    def digest(self) -> str:
        """Return the SHA-256, in hex, of all that answers depend on."""
        return hash_of(self._value())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `definition` gave. Raises ValueError, KeyError or TypeError where it is none."""
        value = json.loads(text)
        if isinstance(value, list):
            return cls(tuple(value))
        return cls(tuple(value["messages"]), value["output_pattern"])

    def _value(self) -> Any:
        messages = list(self.messages)
        if self.output_pattern is None:
            return messages
        return {"messages": messages, "output_pattern": self.output_pattern}
