import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import ModelError, UnavailableError
from tests.waiting import wait_until
from tests.worker import tiny
from worker import convert
from worker.checksums import sha256_of
from worker.convert import ensure_converted, ensure_converted_apart, is_converted


def _folder(home: Path, gguf: Path) -> Path:
    return home / "cache" / "converted" / sha256_of(gguf)


def test_the_converted_model_computes_the_same(tiny_gguf: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder = _folder(tmp_path, tiny_gguf)
    ensure_converted(tiny_gguf, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = torch.arange(1, 30)[None]
    with torch.inference_mode():
        assert torch.equal(model(tokens).logits, tiny.model("llama")(tokens).logits)


def test_the_tokenizer_keeps_its_words_and_its_chat_template(tiny_gguf: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = _folder(tmp_path, tiny_gguf)
    ensure_converted(tiny_gguf, folder)
    words = AutoTokenizer.from_pretrained(folder)
    assert words.chat_template == tiny.LLAMA_TEMPLATE
    assert words.eos_token == "<|eot_id|>"
    text = "import this, don't import that: 42"
    assert words.decode(words(text, add_special_tokens=False)["input_ids"]) == text


def test_it_is_done_once_and_the_manifest_knows_every_file(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path, tiny_gguf)
    ensure_converted(tiny_gguf, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["source_sha256"] == sha256_of(tiny_gguf)
    assert set(manifest["files"]) == {file.name for file in folder.iterdir()} - {"manifest.json"}
    assert manifest["files"]["model.safetensors"] == sha256_of(folder / "model.safetensors")
    monkeypatch.setattr(convert, "_convert", lambda *arguments: pytest.fail("converted again"))
    ensure_converted(tiny_gguf, folder)


@pytest.mark.parametrize("damage", ["model.safetensors", "manifest.json", "tokenizer.json"])
def test_a_damaged_conversion_is_done_again(tiny_gguf: Path, tmp_path: Path, damage: str) -> None:
    folder = _folder(tmp_path, tiny_gguf)
    ensure_converted(tiny_gguf, folder)
    (folder / damage).write_text("{}")
    assert not is_converted(folder)
    ensure_converted(tiny_gguf, folder)
    assert is_converted(folder)


def test_a_missing_file_is_no_conversion(tiny_gguf: Path, tmp_path: Path) -> None:
    folder = _folder(tmp_path, tiny_gguf)
    ensure_converted(tiny_gguf, folder)
    (folder / "config.json").unlink()
    assert not is_converted(folder)
    assert not is_converted(tmp_path / "nothing")


def test_a_full_disk_leaves_nothing_behind(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(gguf: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_text("half")
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(convert, "_convert", fail)
    folder = _folder(tmp_path, tiny_gguf)
    with pytest.raises(UnavailableError, match="is full"):
        ensure_converted(tiny_gguf, folder)
    assert [file.name for file in folder.parent.iterdir()] == [f".{folder.name}.lock"]


def test_a_process_of_its_own_does_the_same(tiny_gguf: Path, tmp_path: Path) -> None:
    folder = _folder(tmp_path, tiny_gguf)
    ensure_converted_apart(tiny_gguf, folder)
    assert is_converted(folder)


@pytest.mark.parametrize(
    "content", [b"GGUF", b"GGUF" + b"\x03\0\0\0" + b"\xff" * 64, b"not a model at all"], ids=["empty", "cut", "other"]
)
def test_a_file_that_is_no_model_says_so_through_the_process(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(content)
    folder = _folder(tmp_path, file)
    with pytest.raises(ModelError, match=r"broken\.gguf can't be read as GGUF: \S"):
        ensure_converted_apart(file, folder)
    assert not folder.exists()


def test_an_architecture_that_is_unknown_is_no_model(tmp_path: Path) -> None:
    import gguf

    file = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(file, "unheard-of")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"odd\.gguf can't be read as GGUF"):
        ensure_converted(file, _folder(tmp_path, file))


def test_the_process_ends_when_its_parent_does(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "worker.convert", "--while-stdin", "missing.gguf", str(tmp_path / "a/b/c")]
    # Locked by us, so that it has to wait.
    from worker.files import locked

    with locked(tmp_path / "a/b/c"), subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert wait_until(lambda: child.poll() is not None, "the process ends with its input")
        assert child.returncode == 3
