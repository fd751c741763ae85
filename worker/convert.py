"""GGUF to safetensors, once a file: `python -P -m worker.convert GGUF HOME/cache/converted/SHA256`.

Reading a GGUF takes ten times as long as reading the same weights as safetensors, so a job would wait for it
every time. The result is float32, which holds every value that the GGUF's blocks stand for.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.causes import first_line
from bench.errors import BenchbeatError, ModelError, UnavailableError
from worker.checksums import Checksums, sha256_of
from worker.files import is_disk_full, locked, staged

MANIFEST = "manifest.json"
#: codes of the process's end; an exception that nobody foresaw ends it with 1
_FAILED = 3
_BAD_MODEL = 4


def ensure_converted(gguf: Path, folder: Path) -> None:
    """Convert a file into `folder`, HOME/cache/converted/SHA256, if that does not hold it already.

    Raises ModelError where the file is none that can be converted, UnavailableError where the disk is full.
    """
    with locked(folder):
        if not is_converted(folder):
            with staged(folder) as draft:
                draft.mkdir()
                _convert(gguf, draft)
                _write_manifest(draft, gguf, _checksums(folder).of(gguf))


def is_converted(folder: Path) -> bool:
    """Whether a folder holds what its manifest says, whole and unchanged."""
    known = _checksums(folder)
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all(known.of(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _checksums(folder: Path) -> Checksums:
    """Return the hashes remembered in the cache that `folder` lies in."""
    return Checksums(folder.parent.parent / "checksums.json")


def _convert(gguf: Path, folder: Path) -> None:
    """Write model and tokenizer, with its chat template, as a checkpoint that `from_pretrained` reads."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from worker.device import is_out_of_memory

    origin = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**origin)
        loaded = AutoModelForCausalLM.from_pretrained(**origin, dtype=torch.float32)
    except Exception as error:
        if is_out_of_memory(error) or is_disk_full(error):
            raise
        raise ModelError(f"{gguf} can't be read as GGUF: {first_line(error)}") from error
    _unquantized(loaded).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _unquantized(loaded: Any) -> Any:
    """Return the same model without the mark of its quantisation, which refuses to be saved; the tensors are shared."""
    import torch
    from transformers import AutoModelForCausalLM

    fields = {key: value for key, value in loaded.config.to_dict().items() if key != "quantization_config"}
    config = type(loaded.config).from_dict(fields)
    with torch.device("meta"):
        fresh = AutoModelForCausalLM.from_config(config)
    fresh.load_state_dict(loaded.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = loaded.generation_config
    return fresh


def _write_manifest(folder: Path, gguf: Path, sha256: str) -> None:
    import transformers

    manifest = {
        "source": gguf.name,
        "source_sha256": sha256,
        "transformers": transformers.__version__,
        "files": {file.name: sha256_of(file) for file in sorted(folder.iterdir())},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def ensure_converted_apart(gguf: Path, folder: Path) -> None:
    """Do what `ensure_converted` does in a process of its own, whose memory leaves no trace in this one's peaks.

    Raises ModelError or UnavailableError with what that process says.
    """
    if is_converted(folder):
        return
    command = [sys.executable, "-P", "-m", "worker.convert", "--while-stdin", str(gguf), str(folder)]
    # Its input stays open as long as we live, so that it ends with us.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TQDM_DISABLE": "1"}
    ) as child:
        assert child.stderr is not None
        said = child.stderr.read().strip()
        code = child.wait()
    sentence = said.splitlines()[-1] if said else f"converting {gguf} ended with code {code}"
    if code == _BAD_MODEL:
        raise ModelError(sentence)
    if code != 0:
        raise UnavailableError(sentence)


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; return 0, 1 where the model is none that can be converted, 3 for other failures, said on stderr."""
    parser = argparse.ArgumentParser(prog="worker.convert", description="GGUF to safetensors")
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path, help="HOME/cache/converted/SHA256")
    parser.add_argument("--while-stdin", action="store_true", help="end at once when standard input ends")
    options = parser.parse_args(arguments)
    if options.while_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        ensure_converted(options.gguf.resolve(), options.folder.resolve())
    except ModelError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return _BAD_MODEL
    except (BenchbeatError, OSError, MemoryError) as error:
        print(str(error) or f"memory was not enough to convert {options.gguf}", file=sys.stderr)  # noqa: T201
        return _FAILED
    return 0


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os._exit(_FAILED)


if __name__ == "__main__":
    sys.exit(main())
