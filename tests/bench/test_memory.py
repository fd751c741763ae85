"""Memory that an own model's files say it needs."""

import json
import struct
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.library import load_library
from bench.memory import estimated_memory


def checkpoint(folder: Path, *shapes: tuple[int, ...]) -> Path:
    """Write files whose headers name tensors of these shapes; nobody reads further."""
    folder.mkdir()
    for number, shape in enumerate(shapes):
        header = json.dumps(
            {"__metadata__": {}, "w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
        ).encode()
        (folder / f"{number}.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


def test_weights_are_counted_over_all_files_whatever_their_format(tmp_path: Path) -> None:
    # 2**28 weights: 1 GiB in float32, a fifth more to work with, and 0.3 besides
    folder = checkpoint(tmp_path / "m", (2**14, 2**13), (2**27,))
    assert estimated_memory(folder, "text", None) == {
        "float32": 1.5,
        "float16": 0.9,
        "bfloat16": 0.9,
        "int8": 0.7,
        "int4": 0.6,
    }
    assert list(estimated_memory(folder, "vision", None)) == ["float32", "float16", "bfloat16"]
    assert "int4" in estimated_memory(folder, "vision", "deepseek-vl2")


def test_a_checkpoint_of_one_file_goes_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "base.pt"
    with path.open("wb") as file:
        file.truncate(2**29)
    assert estimated_memory(path, "speech", None) == {"float32": 1.5, "float16": 0.9}
    path.rename(tmp_path / "m.gguf")
    assert estimated_memory(tmp_path / "m.gguf", "text", None)["float32"] == 5.1


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, struct.pack("<Q", 4) + b"nope", struct.pack("<Q", 2) + b"[]"])
def test_what_says_nothing_gives_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x.safetensors").write_bytes(content)
    assert estimated_memory(tmp_path / "m", "text", None) == {}
    assert estimated_memory(tmp_path / "gone", "text", None) == {}


def test_an_entry_without_memory_takes_that_of_its_files(tmp_path: Path) -> None:
    checkpoint(tmp_path / "m", (2**28,))
    (tmp_path / "models.toml").write_text('[mine]\ntask = "text"\nsource = "file:m"\n')
    entry = load_library(tmp_path).models["mine"]
    assert (entry.memory_gib["float32"], entry.precision) == (1.5, "float32")
    assert entry.memory_mib("int4") == 615


def test_what_a_model_from_the_hub_needs_has_to_be_said(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text('[mine]\ntask = "text"\nsource = "hub:a/b"\n')
    with pytest.raises(InputError, match=r"models\.toml:1: .*memory_gib"):
        load_library(tmp_path)
