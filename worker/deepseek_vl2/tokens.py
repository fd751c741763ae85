"""The tokenizer of DeepSeek-VL2, and the marks that a prompt is made of."""

from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

#: stands for a picture in a prompt
IMAGE = "<image>"
#: begin what each side says
USER, ASSISTANT = "<|User|>", "<|Assistant|>"

_PAD = "<｜▁pad▁｜>"
#: marks of answers that point at a place in a picture
_PLACES = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>")


def load_tokenizer(folder: Path | str) -> Any:
    """Return a folder's tokenizer, exactly as its tokenizer.json describes it, with every mark a token of its own.

    Not by AutoTokenizer: the hub names LlamaTokenizerFast, whose own rules are not this file's.
    """
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    known = tokenizer.get_vocab()
    # The order gives the ids of those that are added.
    added = [mark for mark in (_PAD, IMAGE, *_PLACES, USER, ASSISTANT) if mark not in known]
    if added:
        tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in added], special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = _PAD
    tokenizer.padding_side = "left"
    return tokenizer


def image_token_id(tokenizer: Any) -> int:
    """Return the id of the token that stands for a picture."""
    return int(tokenizer.convert_tokens_to_ids(IMAGE))
