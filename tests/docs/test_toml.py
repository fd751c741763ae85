"""The TOML of README.md and docs/: sweep files expand, and entries of one's own are taken."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from bench.library import builtin_library
from bench.sweep import read_sweep
from db.settings import Settings, load_settings
from tests.commands import ROOT
from tests.docs.examples import Block, blocks, file_of

BLOCKS = blocks("toml")

#: blocks that are a file of the program; tests/bench/test_strategies_page.py holds them equal
WORD_FOR_WORD = {(ROOT / "bench" / "data" / "strategies.toml").read_text(encoding="utf-8")}

#: table of which a page shows a part -> the rest of its entry
REST_OF_AN_ENTRY = {
    "[models.mine.settings.": """
[models.mine]
task = "text"
source = "hub:you/mine"
memory_gib = { float32 = 1.0 }
""",
}
_SWEEP = '[[sweep]]\nmodel = "smollm2-135m"\nworkload = "facts"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the files that the pages' entries name, made of what the pages show of them."""
    shutil.copy(ROOT / "examples" / "rivers.jsonl", tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "dog.jpg")
    file_of("docs/pictures.md", "photos.jsonl", tmp_path)
    (tmp_path / "clips").mkdir()
    clip = next((ROOT / "bench" / "data").rglob("*.flac"))
    shutil.copy(clip, tmp_path / "clips" / "one.flac")
    file_of("docs/speech.md", "clips.jsonl", tmp_path)
    weights = tmp_path / "weights" / "my-looker"
    weights.mkdir(parents=True)
    (weights / "config.json").write_text('{"model_type": "blip"}')
    (weights / "model.safetensors").write_bytes(b"")
    task = tmp_path / "tasks" / "my_task"
    task.mkdir(parents=True)
    (yaml,) = blocks("yaml")
    (task / "my_task.yaml").write_text(yaml.text)
    (task / "questions.jsonl").write_text('{"question": "One?", "choices": ["1", "2"], "label": 0}\n')
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_taken(block: Block, folder: Path) -> None:
    if block.text in WORD_FOR_WORD:
        return
    file = folder / "block.toml"
    if block.page == "docs/reference/settings.md":
        (folder / "benchbeat.toml").write_text(block.text)
        settings, warnings = load_settings({"BENCHBEAT_HOME": str(folder)})
        assert warnings == []
        assert isinstance(settings, Settings)
        assert settings.quiet_wait_seconds == 120
        return
    sweep = "" if "[[sweep]]" in block.text else _SWEEP
    rest = "".join(text for table, text in REST_OF_AN_ENTRY.items() if table in block.text)
    file.write_text(sweep + block.text + rest, encoding="utf-8")
    assert read_sweep(file, builtin_library()).specs


def test_there_are_blocks_of_every_kind() -> None:
    assert len(BLOCKS) >= 12
    assert sum("[[sweep]]" in block.text for block in BLOCKS) >= 5
