"""Decoding beside llama.cpp: its `llama-bench` on the same machine, with the same weights in the same precision.

The program is no package that pip installs ready-made, so the row is there only where `llama-bench` is on the path.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.causes import first_line
from tests.performance.decoding import Protocol, locked
from tests.performance.results import AbsentError, Result, alternate
from tests.performance.world import World, without_progress_bars
from worker.weights import resolve

_PROGRAM = "llama-bench"
#: a reading of a small model takes seconds
_PATIENCE_SECONDS = 600.0


def llama_rows(world: World) -> Iterator[Result]:
    """Time of a token decoded, and of a prompt read, in float32 and with as many threads on both sides."""
    import torch

    program = shutil.which(_PROGRAM)
    if program is None:
        raise AbsentError(f"{_PROGRAM} is not on the path; docs/performance.md says how to build it")
    without_progress_bars()
    weights = resolve(world.model, home=world.weights_home, models_dir=None)
    if weights.kind != "gguf":
        raise AbsentError(f"{world.model.name} is no GGUF file, which is what {_PROGRAM} reads")
    file = world.folder / "float32.gguf"
    write_float32(weights.path, file)
    theirs = partial(_llama_bench, program, file, world.sizes.tokens, torch.get_num_threads())
    tokens = world.sizes.tokens
    pairs = alternate(locked(Protocol(world, tokens), world), locked(theirs, world), world.sizes.generations)
    for what, ours_field, theirs_field in (
        (f"decode time a token, {tokens} behind {tokens}, float32", "reported", 0),
        (f"time to read a prompt of {tokens} tokens, float32", "first", 1),
    ):
        yield Result(
            row="llama-bench",
            what=what,
            unit="ms",
            ours=tuple(getattr(ours, ours_field) for ours, _ in pairs),
            beside="llama.cpp, the same weights",
            theirs=tuple(found[theirs_field] for _, found in pairs),
        )


def _llama_bench(program: str, file: Path, tokens: int, threads: int) -> tuple[float, float]:
    """Return the milliseconds of a token decoded behind a prompt, and of reading that prompt."""
    decode = _seconds(program, file, threads, "-p", "0", "-n", str(tokens), "-d", str(tokens))
    prefill = _seconds(program, file, threads, "-p", str(tokens), "-n", "0")
    return decode * 1000 / tokens, prefill * 1000


def _seconds(program: str, file: Path, threads: int, *test: str) -> float:
    """Return the time of one reading; the program warms up by itself. Raises AbsentError where it gives none."""
    command = [program, "-m", str(file), "-t", str(threads), "-ngl", "0", "-r", "1", "-o", "json", *test]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE_SECONDS)
        (row,) = json.loads(done.stdout)
        return float(row["samples_ns"][0]) / 1e9
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip().splitlines()
        raise AbsentError(f"{program} ended with {error.returncode}: {said[-1] if said else 'no word'}") from error
    except subprocess.TimeoutExpired as error:
        raise AbsentError(f"{program} said nothing for {_PATIENCE_SECONDS:.0f} s") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise AbsentError(f"{program} did not write what llama.cpp's writes ({first_line(error)})") from error


def write_float32(source: Path, target: Path) -> None:
    """Write a GGUF file with all weights as float32 numbers: what our converted checkpoint holds."""
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, arch=architecture)
    for name, field in reader.fields.items():
        # The writer makes those of the file itself.
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kinds = field.types
        writer.add_key_value(name, field.contents(), kinds[0], kinds[-1] if len(kinds) > 1 else None)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
