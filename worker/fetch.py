"""`python -P -m worker.fetch`: bring a model's weights to this machine, in a process that may need torch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.catalog import ModelEntry
from bench.errors import BenchbeatError
from worker.convert import ensure_converted_apart
from worker.weights import converted_folder, resolve


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, check and convert the weights of one entry; return 2 with a sentence where they can't be had."""
    parser = argparse.ArgumentParser(prog="worker.fetch")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("entry", help="the model's entry, as JSON")
    options = parser.parse_args(arguments)
    entry = ModelEntry.model_validate_json(options.entry)
    try:
        with _Progress(entry.name) as progress:
            found = resolve(entry, home=options.home, models_dir=options.models_dir, on_progress=progress.show)
            if found.kind == "gguf":
                progress.say("converting to safetensors")
                ensure_converted_apart(found.path, converted_folder(options.home, found.revision))
    except BenchbeatError as error:
        unsaid = entry.gated and "gated" not in str(error)
        hint = "; it is gated: accept its licence on the hub and set HF_TOKEN" if unsaid else ""
        print(f"Error: {error}{hint}", file=sys.stderr)  # noqa: T201
        return 2
    print(f"{entry.name} is here: revision {found.revision}")  # noqa: T201
    return 0


class _Progress:
    """A bar on a terminal, nothing in a pipe."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        console = Console(stderr=True)
        # In a pipe it would still print an empty line.
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._name = name
        self._task = self._bar.add_task(f"{name}: fetching", total=None)

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, total: int | None) -> None:
        """Show how many bytes are here."""
        self._bar.update(self._task, completed=done, total=total)

    def say(self, what: str) -> None:
        """Show another step, whose length is not known."""
        self._bar.reset(self._task, description=f"{self._name}: {what}", total=None)


if __name__ == "__main__":
    sys.exit(main())
