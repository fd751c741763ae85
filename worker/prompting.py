"""A prompt exactly as a model gets it, for people to look at. Needs no torch: a short-lived child has it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from bench.catalog import ModelEntry
from bench.errors import InputError, ModelError
from db.settings import Settings
from worker.conversation import Message, Origin
from worker.render import ERRORS


class Rendered(NamedTuple):
    """A prompt as it is fed to a model."""

    #: with its special tokens written out, up to where the answer begins
    text: str
    #: how many tokens that is
    tokens: int
    #: whose format of a conversation it has
    chat_template: Origin


def render_prompt(settings: Settings, entry: ModelEntry, messages: Sequence[Message]) -> Rendered:
    """Write messages as the model gets them; what must be fetched for that is said on standard error.

    Of a model that is not here only the tokenizer is fetched, unless it is inside the weights. Raises InputError
    for a model that has no text prompt, ModelError and UnavailableError where the tokenizer can't be had.
    """
    if entry.task != "text":
        raise InputError(f"{entry.name} is a {entry.task} model; only the prompts of text models can be shown")
    command = [sys.executable, "-P", "-m", "worker.render", "--home", str(settings.home)]
    if settings.weights_root is not None:
        command += ["--models-dir", str(settings.weights_root)]
    request = {"entry": entry.model_dump(mode="json"), "messages": [dict(message) for message in messages]}
    done = subprocess.run(command, check=False, input=json.dumps(request), stdout=subprocess.PIPE, text=True)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise ModelError(f"the tokenizer of {entry.name} could not be asked (exit code {done.returncode})") from None
    if "error" in answer:
        raise ERRORS[answer["error"]](answer["message"])
    return Rendered(**answer)
