"""What is measured as compiled is compiled: torch is never left to go back to the plain way unsaid."""

import pytest
import torch
from torch._dynamo.exc import FailOnRecompileLimitHit

from worker.adapters import compiling


def test_more_shapes_than_torch_compiles_by_itself_are_compiled_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("recompile_limit", "fail_on_recompile_limit_hit"):
        # Put back at the end.
        monkeypatch.setattr(torch._dynamo.config, name, getattr(torch._dynamo.config, name))
    monkeypatch.setattr(compiling, "MOST_SHAPES", 12)
    seen: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> object:
        seen.append(graph)
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda forward: real(forward, backend=backend, dynamic=False))
    double = compiling.compiled(lambda values: values + values)
    try:
        for length in range(1, 13):
            assert torch.equal(double(torch.ones(length)), torch.full((length,), 2.0))
        assert len(seen) == 12
        with pytest.raises(FailOnRecompileLimitHit, match="recompile_limit"):
            double(torch.ones(13))
    finally:
        torch._dynamo.reset()
