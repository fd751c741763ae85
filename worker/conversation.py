"""The format of a conversation: messages as the very text and tokens that a model gets. Needs no torch."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bench.causes import first_line
from bench.errors import ModelError

Message = Mapping[str, str]
#: whose format is used: the model's tokenizer's, our catalog's, or plain text for want of one
Origin = Literal["model", "catalog", "plain"]

#: Llama 3's template writes today's date into the prompt, which would change the question every day.
_TEMPLATE_VALUES = {"date_string": "26 Jul 2024"}


class Conversation:
    """Writes messages in a model's format: the catalog's template, else the tokenizer's own, else plain text."""

    def __init__(self, tokenizer: Any, template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self.origin: Origin = "catalog" if template else "model" if tokenizer.chat_template is not None else "plain"

    def text(self, messages: Sequence[Message]) -> str:
        """Return the prompt up to where the answer begins, with its special tokens written out.

        Raises ModelError where the model's template refuses the messages, or is none.
        """
        if self.origin == "plain":
            return str(self._tokenizer.decode(self.first_ids())) + plain_prompt(messages)
        try:
            rendered = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                chat_template=self._template,
                add_generation_prompt=True,
                tokenize=False,
                **_TEMPLATE_VALUES,
            )
        except Exception as error:
            whose = "the catalog's" if self.origin == "catalog" else "the model's own"
            raise ModelError(
                f"{whose} chat template can't write this conversation ({first_line(error)}): "
                "take another strategy, or give the model's entry another chat_template"
            ) from error
        return str(rendered)

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of `text(messages)`. Raises as that does."""
        if self.origin == "plain":
            return list(self._tokenizer(plain_prompt(messages))["input_ids"])
        # The template writes the first token itself: the tokenizer would double it.
        return self.text_ids(self.text(messages))

    def text_ids(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens around it."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def first_ids(self) -> list[int]:
        """Return the special tokens that the tokenizer puts before a text: the BOS, or nothing."""
        marked = list(self._tokenizer("a")["input_ids"])
        plain = self.text_ids("a")
        return marked[: marked.index(plain[0])] if plain[0] in marked else []


def plain_prompt(messages: Sequence[Message]) -> str:
    """Return a conversation as plain text, for models without a chat template.

    What the system says comes first, then `User: ...` and `Assistant: ...` in turns, parted by blank lines, and
    `Assistant:` at the end.
    """
    titles = {"user": "User: ", "assistant": "Assistant: "}
    turns = [titles.get(message["role"], "") + message["content"] for message in messages]
    return "\n\n".join([*turns, "Assistant:"])
