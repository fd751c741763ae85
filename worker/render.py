"""`python -P -m worker.render`: write messages as a model gets them, in a process that may need transformers.

A JSON object {"entry", "messages"} comes on standard input; one object goes to standard output: {"text", "tokens",
"chat_template"}, or {"error", "message"} with exit code 2. What takes time is said on standard error.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.catalog import ModelEntry
from bench.causes import first_line
from bench.errors import BenchbeatError, InputError, ModelError, UnavailableError
from worker.conversation import Conversation
from worker.weights import OnProgress, resolve_tokenizer

#: how the kinds of errors are called on the line
ERRORS: dict[str, type[BenchbeatError]] = {"input": InputError, "model": ModelError, "unavailable": UnavailableError}


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer the request on standard input; return 2 where the prompt can't be written."""
    parser = argparse.ArgumentParser(prog="worker.render")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--models-dir", type=Path)
    options = parser.parse_args(arguments)
    # What a library prints must not look like the answer.
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answer = answered(json.load(sys.stdin), options.home, options.models_dir)
    with os.fdopen(answers, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    return 2 if "error" in answer else 0


def answered(request: dict[str, Any], home: Path, models_dir: Path | None) -> dict[str, str | int]:
    """Return the answer to a request: the prompt, or why there is none."""
    try:
        return render(ModelEntry.model_validate(request["entry"]), request["messages"], home, models_dir)
    except BenchbeatError as error:
        kind = next((name for name, one in ERRORS.items() if isinstance(error, one)), "model")
        return {"error": kind, "message": str(error)}
    except ImportError as error:
        missing = f"{error.name or error} is not installed: pip install 'benchbeat[worker]'"
        return {"error": "unavailable", "message": missing}


def render(
    entry: ModelEntry, messages: Sequence[dict[str, str]], home: Path, models_dir: Path | None
) -> dict[str, str | int]:
    """Return the prompt, its length in tokens and whose format it has. Raises ModelError or UnavailableError."""
    where = resolve_tokenizer(entry, home=home, models_dir=models_dir, on_progress=_announce(entry.name))
    conversation = Conversation(_tokenizer(where), entry.chat_template)
    return {
        "text": conversation.text(messages),
        "tokens": len(conversation.ids(messages)),
        "chat_template": conversation.origin,
    }


def _tokenizer(where: Path) -> Any:
    from transformers import AutoTokenizer, utils

    utils.logging.set_verbosity_error()
    utils.logging.disable_progress_bar()
    file = {} if where.is_dir() else {"gguf_file": where.name}
    try:
        return AutoTokenizer.from_pretrained(where if where.is_dir() else where.parent, local_files_only=True, **file)
    except Exception as error:
        raise ModelError(f"the tokenizer in {where} can't be loaded: {first_line(error)}") from error


def _announce(name: str) -> OnProgress:
    """Return a function that says once that something is being fetched."""
    said: list[str] = []

    def report(done: int, total: int | None) -> None:
        if not said and (total is None or done < total):
            said.append(name)
            print(f"Fetching what the tokenizer of {name} is in ...", file=sys.stderr, flush=True)  # noqa: T201

    return report


if __name__ == "__main__":
    sys.exit(main())
