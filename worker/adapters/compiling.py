"""Compiling parts of a model so that what is measured as compiled is compiled."""

from collections.abc import Callable
from typing import Any

import torch

#: kinds of shapes (first tokens and later ones, alone and in a batch, padded and not, of one length and of any) for
#: which one part may be compiled. From its ninth on torch would go back to the plain way and only log a warning
MOST_SHAPES = 64


def compiled(forward: Callable[..., Any]) -> Any:
    """Return a forward pass that is compiled for every kind of shape that it meets, and raises where it can't be."""
    # Brings in a second's worth of modules, which only who compiles pays.
    from torch._dynamo import config

    config.recompile_limit = MOST_SHAPES
    config.fail_on_recompile_limit_hit = True
    return torch.compile(forward)
