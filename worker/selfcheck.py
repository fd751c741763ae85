"""Whether a device computes what the CPU computes, seen on a tiny model. Some devices were silently wrong."""

from typing import Any

import torch

from bench.errors import UnavailableError
from worker.device import Device

#: largest difference of a logit from the CPU's in float32; the logits are of the order of 1
TOLERANCE = 1e-3
_LENGTH = 24


def check(device: Device) -> None:
    """Compare the device with the CPU. Raises UnavailableError where it computes something else."""
    model, tokens = tiny_model()
    with torch.inference_mode():
        expected = model(tokens).logits
        model.to(device.torch_device)
        there = tokens.to(device.torch_device)
        difference = furthest(model(there).logits, expected)
        leak = future_leak(model.half(), there)
    if not difference < TOLERANCE:
        _refuse(device, f"its logits differ from the CPU's by {difference:.2g} ({TOLERANCE:g} is allowed)")
    if not leak < TOLERANCE:
        _refuse(device, f"its attention in float16 reads future tokens (a logit changed by {leak:.2g})")


def tiny_model() -> tuple[Any, torch.Tensor]:
    """Return a tiny Llama in float32 with random weights, and token ids of shape (1, 24)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
        tokens = torch.randint(0, config.vocab_size, (1, _LENGTH))
    return model, tokens


def future_leak(model: Any, tokens: torch.Tensor) -> float:
    """Return by how much logits change when only tokens after them change: 0 where attention is causal."""
    half = _LENGTH // 2
    changed = tokens.clone()
    changed[:, half:] = (changed[:, half:] + 1) % 128
    return furthest(model(changed).logits[:, :half], model(tokens).logits[:, :half])


def furthest(left: torch.Tensor, right: torch.Tensor) -> float:
    """Return the largest difference, by the CPU; NaN where there is one."""
    return float((left.float().cpu() - right.float().cpu()).abs().max())


def _refuse(device: Device, reason: str) -> None:
    raise UnavailableError(f"{device.device_name()} ({device.name}) is not measured on, since {reason}")
