"""Look at a device and print what it is, as one JSON object: `python -P -m worker.probe --device auto`.

A process of its own, so that the one that asks need not import torch. What fails is printed as {"error": sentence}.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version

from bench.errors import BenchbeatError
from worker.facts import Probe, chip_name, os_build, system_memory_bytes

MIB = 2**20


def probe(name: str = "auto", index: int = 0) -> Probe:
    """Return the facts of a device: `auto`, `cpu`, `cuda` or `mps`. Raises UnavailableError where it is not there."""
    import torch

    from worker.device import pick

    device = pick(name, index)
    return Probe.model_validate(
        {
            "device": device.name,
            "device_index": device.index,
            "device_name": device.device_name(),
            "memory_mib": device.memory_bytes() // MIB,
            "chip": chip_name(),
            "os_build": os_build(),
            "system_memory_mib": system_memory_bytes() // MIB,
            "python_version": platform.python_version(),
            "torch_version": torch.__version__,
            "transformers_version": version("transformers"),
            "threads": torch.get_num_threads(),
            "driver": device.driver(),
            "device_uuid": device.uuid(),
        }
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the probe; return 0, or 1 where it failed."""
    parser = argparse.ArgumentParser(prog="worker.probe")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--device-index", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        found = probe(options.device, options.device_index)
    except BenchbeatError as error:
        return _say(error=str(error))
    except ImportError as error:
        return _say(error=f"{error.name or error} is not installed: pip install 'benchbeat[worker]'")
    except Exception as error:  # noqa: BLE001  (the one who asks wants a sentence, whatever it was)
        return _say(error=f"the device could not be looked at: {type(error).__name__}: {error}")
    print(found.model_dump_json(), flush=True)  # noqa: T201
    return 0


def _say(error: str) -> int:
    print(json.dumps({"error": error}), flush=True)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
