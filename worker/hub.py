"""Weights from the hub: a pinned snapshot, and a sentence with the remedy for each way in which there is none."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench.causes import first_line
from bench.errors import ModelError, UnavailableError
from worker.files import is_disk_full

OnProgress = Callable[[int, int | None], None]

#: what a model is loaded from. Pickled weights are left out: loading one runs its code.
LOADABLE = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "tokenizer*")
#: what its tokenizer is loaded from: all of that but the weights
TOKENIZER = tuple(pattern for pattern in LOADABLE if pattern != "*.safetensors")


def fetch(
    repo: str,
    revision: str | None,
    *,
    on_progress: OnProgress,
    patterns: Sequence[str] = LOADABLE,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> tuple[Path, str]:
    """Return the folder of a model's snapshot and its commit, downloading what is missing of the files asked for.

    `endpoint` and `cache` are the hub's own defaults where they are None. Raises ModelError where the model is
    missing or gated, UnavailableError where the hub or the disk can't give it now.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repo,
            revision=revision,
            allow_patterns=list(patterns),
            endpoint=endpoint,
            cache_dir=cache,
            tqdm_class=_reporting_bar(on_progress),
        )
    except Exception as error:  # noqa: BLE001  (sorted by _explain, which raises what it does not know)
        _explain(error, repo, revision, endpoint)
    # The cache names a snapshot's folder by its commit.
    return Path(folder), Path(folder).name


def _explain(error: Exception, repo: str, revision: str | None, endpoint: str | None) -> NoReturn:
    """Raise what an exception of the hub's library means for a model."""
    from huggingface_hub import constants, errors

    causes = [error, *([error.__cause__] if error.__cause__ else [])]
    status = next((c.response.status_code for c in causes if isinstance(c, errors.HfHubHTTPError)), None)
    page = f"{endpoint or constants.ENDPOINT}/{repo}"
    if any(isinstance(c, errors.GatedRepoError) for c in causes) or status == 403:
        raise ModelError(
            f"{repo} is gated: accept the licence at the model's page ({page}) and set HF_TOKEN"
        ) from error
    if isinstance(error, errors.RevisionNotFoundError):
        raise ModelError(f"{repo} has no revision {revision!r}: see the commits at {page}") from error
    if any(isinstance(c, errors.RepositoryNotFoundError) for c in causes) or status == 401:
        raise ModelError(f"the hub has no model {repo}, or it is private: check the name, or set HF_TOKEN") from error
    if status is not None:
        raise UnavailableError(f"the hub did not give {repo} (it answered {status}): try again later") from error
    if isinstance(error, errors.LocalEntryNotFoundError):
        if "incomplete" in str(error):
            raise UnavailableError(
                f"only a part of {repo} is in the cache and the hub can't be reached: "
                "the download goes on where it stopped once there is a network"
            ) from error
        raise UnavailableError(
            f"{repo} is not in the cache and the hub can't be reached: go online, or fetch it on another machine "
            "and name the folder as file:PATH"
        ) from error
    if is_disk_full(error):
        raise UnavailableError(
            f"the disk that holds {constants.HF_HUB_CACHE} is full: {repo} was not fetched"
        ) from error
    if isinstance(error, ConnectionError | TimeoutError):
        raise UnavailableError(f"the hub did not give {repo}: {first_line(error)}") from error
    raise error


def _reporting_bar(on_progress: OnProgress) -> type[Any]:
    """Return a progress bar for the hub's library that shows nothing and reports bytes done and in all."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> Any:
            shown = super().update(n)
            # Other bars count files.
            if self.unit == "B":
                on_progress(int(self.n), int(self.total) if self.total else None)
            return shown

    return Bar
