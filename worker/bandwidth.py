"""Peak memory bandwidth of known devices, from their makers' data sheets, in GB/s (10^9 bytes a second)."""

import re

#: Apple's chips; those that come with several GPUs are told apart by their cores
_APPLE = {
    "M1": 68.25,
    "M1 Pro": 200,
    "M1 Max": 400,
    "M1 Ultra": 800,
    "M2": 100,
    "M2 Pro": 200,
    "M2 Max": 400,
    "M2 Ultra": 800,
    "M3": 100,
    "M3 Pro": 150,
    "M3 Max": 400,
    "M3 Ultra": 819,
    "M4": 120,
    "M4 Pro": 273,
    "M4 Max": 546,
}
_APPLE_BY_CORES = {("M3 Max", 30): 300, ("M4 Max", 32): 410}

#: NVIDIA's cards, the first whose pattern is found in the name
_NVIDIA = (
    (r"H200", 4800),
    (r"H100 NVL", 3938),
    (r"H100 PCIe", 2039),
    (r"H100 80GB HBM3", 3350),
    (r"A100-SXM4-80GB", 2039),
    (r"A100 80GB PCIe", 1935),
    (r"A100-(SXM4|PCIE)-40GB", 1555),
    (r"L40S", 864),
    (r"\bL4\b", 300),
    (r"A10G?\b", 600),
    (r"Tesla T4", 320),
    (r"V100", 900),
    (r"RTX 5090", 1792),
    (r"RTX 4090(?! Laptop)", 1008),
    (r"RTX 3090(?! Ti)", 936),
)


def apple_bandwidth(name: str, cores: int | None = None) -> float | None:
    """Return bytes a second of an Apple chip ("Apple M4 Pro") with so many GPU cores; None where it is unknown."""
    chip = name.removeprefix("Apple ").strip()
    gigabytes = _APPLE_BY_CORES.get((chip, cores or 0), _APPLE.get(chip))
    return None if gigabytes is None else gigabytes * 1e9


def nvidia_bandwidth(name: str) -> float | None:
    """Return bytes a second of an NVIDIA card ("NVIDIA H100 80GB HBM3"); None where it is unknown."""
    return next((gigabytes * 1e9 for pattern, gigabytes in _NVIDIA if re.search(pattern, name)), None)
