"""The page of what a sweep file may hold, made of the job specification and the options of `submit`."""

import click

from bench.axes import AXES
from bench.spec import JobSpec, StopRule
from cli.submit import submit
from docs.reference.fields import documented
from docs.reference.markdown import code, plain, table

_INTRODUCTION = """# Sweep files

A sweep file is TOML. Every list under `[[sweep]]` is an axis, and a block expands to the jobs of every combination of
its values. Blocks add up, and a job that occurs twice is kept once. `benchbeat submit FILE --dry-run` prints the jobs.

```toml
name = "nightly-text"
priority = 5
labels = { host = "lab" }

[[sweep]]
model = ["qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b"]
workload = ["arithmetic", "patterns"]
strategy = ["direct", "chain_of_thought"]
temperature = "0.0..0.6+0.3"
exclude = [{ strategy = "direct", temperature = 0.6 }]
```

| key | |
|---|---|
| `name` | name of the batch; else the file's name |
| `priority` | from -1000 to 1000, higher goes first; 0 where left out |
| `labels` | words of your own about the batch, which the views show as `labels` |
| `[[sweep]]` | a block of axes; `model` and `workload` are needed |
| `exclude` | in a block: tables of axes, each of which takes out the combinations that it fits |
| `[models.NAME]` | [a model of your own](../own-model.md) |
| `[workloads.NAME]` | [a workload of your own](../own-workload.md) |
| `[strategies.NAME]` | [a strategy of your own](../strategies.md) |

## Axes

Each is also an option of `run`, `submit` and `schedule add`, with hyphens for underscores and commas between values.
Numbers may be given as ranges: `"1..4"`, `"0.1..0.9+0.2"`, `"128..512*2"`. The page of [strategies](../strategies.md)
says what `settings` and `samples` are for.

"""

_STOP = """

## When to stop

`stop` is a table, for speed workloads: at least `min_iterations`, then until the 95 % interval of the median latency
lies within `target` of it, at most `max_iterations` or `max_seconds`. [How things are measured](../measuring.md) says
more.

"""

#: defaults that the workload or the model gives; a test expands a sweep and compares
DEFAULTS = {
    "strategy": code("direct"),
    "items": "all",
    "temperature": code("0"),
    "top_p": code("1"),
    "top_k": code("0"),
    "repetition_penalty": code("1"),
    "max_new_tokens": "the workload's",
    "prompt_tokens": code("128"),
    "new_tokens": code("128"),
    "precision": "the model's",
    "batch_size": f"{code('16')}; pictures, speech and speed {code('1')}",
    "stop": "see below",
    "job_seconds": "the worker's",
    "settings": code("default"),
}


def sweep_files_page() -> str:
    """Return the page."""
    helps = {each.name: each.help or "" for each in submit.params if isinstance(each, click.Option)}
    fields = {each.name: each for each in documented(JobSpec)}
    rows = []
    for name in AXES:
        field = fields.get(name)
        kind, default = (field.kind, field.default) if field else ("name", "")
        rows.append((code(name), plain(helps[name]), plain(kind), DEFAULTS.get(name, code(default))))
    stops = [(code(each.name), plain(each.kind), code(each.default)) for each in documented(StopRule)]
    axes = table(("axis", "", "may be", "default"), rows)
    return _INTRODUCTION + axes + _STOP + table(("key", "may be", "default"), stops) + "\n"
