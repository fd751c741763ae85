"""What llama-bench says about model, format and device, in our names."""

import re
from pathlib import PurePosixPath

from bench.errors import InputError
from bench.imports.fields import Fields
from bench.imports.records import UNKNOWN, as_model_name, one_line

_FORMATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "FP32": "float32", "FP16": "float16"}
_NAMED = r"(?P<name>(?:I?Q|TQ)\d\w*|BF16|FP?16|FP?32|MXFP4|NVFP4)"
#: the end of a model's type, as llama.cpp describes it: "llama 8B Q4_K - Medium"
_TYPE = re.compile(
    rf"(?:^|\s){_NAMED}(?P<mix> mix)?(?: - (?P<size>Small|Medium|Large))?(?: - [\d.]+ bpw.*)?(?: MoE)?$", re.I
)
#: what does not say its format by its name
_IRREGULAR = {"Q2_K_M": "Q2_K", "IQ3_S_MIX": "IQ3_M"}
_GUESSED = re.compile(r"\s*\(guessed\)\s*")
#: the end of a file's name: "...-Q4_K_M"
_SUFFIX = re.compile(rf"[-._](?:UD-)?{_NAMED}(?:_MOE)?$", re.I)
_ENDING = re.compile(r"\.gguf$", re.I)
_PART = re.compile(r"-\d{5}-of-\d{5}$")

_ACCELERATORS = {"cuda": "cuda", "metal": "mps", "mtl": "mps"}
#: parts of llama.cpp that are no accelerator
_ON_CPU = frozenset({"cpu", "blas", "gpu blas", "rpc", "zendnn", "accelerate", "amx"})
#: before 2025 each backend was a column of its own
_FLAGS = ("cuda", "opencl", "vulkan", "kompute", "metal", "sycl")


def model_of(row: Fields) -> str:
    """Return the model's name: that of its file, without the format and the number of a part."""
    name = as_model_name(_SUFFIX.sub("", _stem(row.text("model_filename"))))
    if not name:
        raise InputError("model_filename is missing", where=row.place)
    return name


def precision_of(row: Fields) -> str:
    """Return the format of the weights: as llama.cpp describes it, else by the file's name.

    F32, F16 and BF16 are our float32, float16 and bfloat16; all others keep their names (Q8_0, Q4_K_M).
    """
    if match := _TYPE.search(_GUESSED.sub(" ", row.text("model_type")).strip()):
        size = (match["size"] or "")[:1].upper()
        name = match["name"].upper() + (f"_{size}" if size else "") + ("_MIX" if match["mix"] else "")
    elif match := _SUFFIX.search(_stem(row.text("model_filename"))):
        name = match["name"].upper().removesuffix("_MOE")
    else:
        return UNKNOWN
    name = _IRREGULAR.get(name, name)
    return _FORMATS.get(name, name)


def device_of(row: Fields) -> tuple[str, str]:
    """Return our name of the device that held the weights (cpu, cuda, mps, or llama.cpp's), and its own name."""
    cpu, gpu = row.text("cpu_info"), row.text("gpu_info")
    accelerators = [name for name in _backends(row) if name and name not in _ON_CPU]
    device = _ACCELERATORS.get(accelerators[0], one_line(accelerators[0], 50)) if accelerators else "cpu"
    # A build for CUDA names it on a machine without a GPU, too. Of Metal there was no gpu_info before 2025.
    is_absent = not gpu and device != "mps" and "gpu_info" in row.values
    if is_absent or row.setting("n_gpu_layers") == "0" or row.setting("devices") == "none":
        device = "cpu"
    name = cpu if device == "cpu" else gpu or (cpu if device == "mps" else "")
    return device, one_line(name) or UNKNOWN


def cache_of(row: Fields) -> str:
    """Return the format of the cache of keys and values: `f16`, or `f16/q8_0` where the two differ."""
    key, value = (one_line(row.text(name), 20) or UNKNOWN for name in ("type_k", "type_v"))
    return key if key == value else f"{key}/{value}"


def _backends(row: Fields) -> list[str]:
    told = row.text("backends")
    if told:
        return [part.strip().lower() for part in told.split(",")]
    return [name for name in _FLAGS if row.setting(name) == "1"]


def _stem(filename: str) -> str:
    return _PART.sub("", _ENDING.sub("", PurePosixPath(filename.replace("\\", "/")).name))
