"""Looking closely at a device, for `benchbeat doctor --verify`: does it compute, count and release as it should?

`python -P -m worker.verify --device mps` prints a JSON object a line. A process of its own: what goes wrong in a driver
stays there.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from bench.causes import first_line
from bench.errors import BenchbeatError
from bench.spec import Precision
from worker.adapters.checkpoint import DTYPES
from worker.device import Device, pick
from worker.packed import PackedLinear
from worker.packing import Packing
from worker.selfcheck import TOLERANCE, furthest, future_leak, tiny_model

#: largest mean difference of a logit from the CPU's float32, by format; the logits are of the order of 1
_TOLERANCES: dict[Precision, float] = {"float32": TOLERANCE, "float16": 0.05, "bfloat16": 0.3}
_MIB = 2**20
#: of what a model took, what may be left after it is given back
_LEFT = 0.05


class Check(NamedTuple):
    """What one check found."""

    what: str
    #: `ok`, `failed`, or `skipped` where the device has no such thing
    state: str
    found: str


def checks(device: Device) -> Iterator[Check]:
    """Yield every check of a device, one after the other; one that raises has failed, and the next goes on."""
    device.prepare()
    yield Check("device", "ok", f"{device.device_name()}, {device.memory_bytes() / 2**30:.1f} GiB")
    driver = f", {device.driver()}" if device.driver() else ""
    yield Check("versions", "ok", f"torch {torch.__version__}{driver}")
    for precision in _TOLERANCES:
        yield _checked(f"logits {precision}", partial(_logits, device, precision))
    for bits in (8, 4):
        yield _checked(f"packed int{bits}", partial(_packed, device, bits))
    yield _checked("memory", partial(_memory, device))
    yield _checked("clock", partial(_clock, device))
    yield _checked("whisper", partial(_whisper, device))


def _checked(what: str, check: Callable[[], tuple[bool | None, str]]) -> Check:
    try:
        good, found = check()
    except Exception as error:  # noqa: BLE001  (whatever a device raises is what was found)
        return Check(what, "failed", str(error) if isinstance(error, BenchbeatError) else first_line(error))
    return Check(what, {True: "ok", False: "failed", None: "skipped"}[good], found)


def _logits(device: Device, precision: Precision) -> tuple[bool | None, str]:
    """Compare a tiny model with the CPU's float32, and see that attention reads no future tokens."""
    if precision not in device.precisions():
        return None, device.wanting
    model, tokens = tiny_model()
    with torch.inference_mode(), device.watch() as fallbacks:
        expected = model(tokens).logits
        there, model = tokens.to(device.torch_device), model.to(device.torch_device, DTYPES[precision])
        found = model(there).logits
        off = furthest(found, expected) if precision == "float32" else _mean(found, expected)
        leak = future_leak(model, there)
    said = f"off by {off:.2g} ({_TOLERANCES[precision]:g} is allowed), future tokens by {leak:.2g}"
    said += "".join(f"; left to the CPU: {line}" for line in fallbacks)
    return off < _TOLERANCES[precision] and leak < TOLERANCE, said


def _mean(left: torch.Tensor, right: torch.Tensor) -> float:
    return float((left.float().cpu() - right.float().cpu()).abs().mean())


def _packed(device: Device, bits: int) -> tuple[bool | None, str]:
    """Compare a packed layer with the same one on the CPU."""
    if "int4" not in device.precisions():
        return None, device.wanting
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        linear, inputs = nn.Linear(256, 128), torch.randn(4, 256)
    layer = PackedLinear(linear, Packing(8 if bits == 8 else 4, 64))
    packed = layer.packing.pack(linear.weight.detach())
    for name, part in zip(("weight", "weight_scales", "weight_zeros"), packed, strict=True):
        setattr(layer, name, None if part is None else nn.Parameter(part, requires_grad=False))
    with torch.inference_mode():
        expected = layer(inputs)
        off = furthest(layer.to(device.torch_device)(inputs.to(device.torch_device)), expected)
    return off < TOLERANCE, f"off by {off:.2g} ({TOLERANCE:g} is allowed)"


def _memory(device: Device) -> tuple[bool | None, str]:
    """See the peak grow with what is there, and what is there go with the model."""
    device.reset_peak()
    before = device.peak_bytes()
    held: Any = torch.zeros(64 * _MIB, dtype=torch.uint8, device=device.torch_device)
    device.synchronize()
    peak = device.peak_bytes()
    if peak is None or before is None:
        return None, "the CPU has no allocator that counts; the process' own peak is measured"
    del held
    device.empty_cache()
    device.reset_peak()
    left = (device.peak_bytes() or 0) - before
    good = peak - before >= 64 * _MIB and left <= 64 * _MIB * _LEFT
    return good, f"64 MiB made the peak grow by {(peak - before) / _MIB:.0f} MiB; {left / _MIB:.1f} MiB stayed"


def _clock(device: Device) -> tuple[bool | None, str]:
    """See that waiting for the device waits: reading a result afterwards takes no time any more."""
    # Products of the same size: what vanishes or overflows is computed at another speed.
    work = torch.randn(512, 512, device=device.torch_device) / 512**0.5

    def spans() -> tuple[float, float]:
        device.synchronize()
        started = time.perf_counter()
        product = work
        for _ in range(100):
            product = product @ work
        device.synchronize()
        waited = time.perf_counter()
        product[0, 0].item()
        return waited - started, time.perf_counter() - waited

    spans()
    # The shortest of several: whatever else runs makes them longer.
    computing, reading = (min(each) for each in zip(*(spans() for _ in range(5)), strict=True))
    found = f"100 products take {computing * 1000:.1f} ms, reading one of their numbers {reading * 1e6:.0f} us more"
    return reading < computing / 2, found


def _whisper(device: Device) -> tuple[bool | None, str]:
    """Load a tiny Whisper with its sparse mask, and transcribe a second of silence with word timestamps."""
    try:
        import numpy as np
        from whisper.model import ModelDimensions, Whisper

        from worker.adapters.speech import SpeechAdapter
    except ImportError as error:
        return None, f"{error.name} is not installed"
    sizes = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 32, "n_audio_head": 2, "n_audio_layer": 2}
    sizes |= {"n_vocab": 51865, "n_text_ctx": 448, "n_text_state": 32, "n_text_head": 2, "n_text_layer": 2}
    with tempfile.TemporaryDirectory(prefix="benchbeat-") as folder:
        path = Path(folder) / "tiny.pt"
        torch.save({"dims": sizes, "model_state_dict": Whisper(ModelDimensions(**sizes)).state_dict()}, path)
        adapter = SpeechAdapter.load(path, "float32", "sdpa", False, device)
    heard = adapter.transcribe(np.zeros(16_000, np.float32), language="en", word_timestamps=True, max_new_tokens=4)
    return True, f"{heard.new_tokens} tokens with word timestamps"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the checks as they are done; return 0 where all are well, 1 where one is not, 2 without the device."""
    parser = argparse.ArgumentParser(prog="worker.verify")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    options = parser.parse_args(arguments)
    try:
        device = pick(options.device)
    except BenchbeatError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201
        return 2
    failed = False
    for check in checks(device):
        failed = failed or check.state == "failed"
        print(json.dumps(check._asdict()), flush=True)  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
