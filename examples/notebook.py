"""A notebook as a script: a few questions to the history, answered with pandas.

Run it as it is (`python examples/notebook.py`), or open it in an editor that knows `# %%` cells. It reads the history
that `benchbeat` itself uses, and draws into the working folder. It takes pandas besides:
pip install 'benchbeat[report]' pandas
"""

# Printing is what it is for.
# ruff: noqa: T201

# %% What it takes. `Agg` draws without a display; leave the line out in a notebook.
import matplotlib
import pandas

from db.engine import Database
from db.history import Query, history
from db.settings import load_settings

matplotlib.use("Agg")

# %% Open the history and take the clean runs: a query has the filters of `benchbeat history`.
settings, _ = load_settings()
database = Database(settings.database)
columns = (
    *("run_id", "started_at", "series", "model", "workload", "strategy", "temperature", "precision"),
    *("prompt_tokens", "new_tokens", "accuracy", "decode_tokens_per_second", "latency_seconds"),
    *("peak_device_memory_bytes", "contaminated"),
)
with database.read() as connection:
    rows = history(connection, Query(columns=columns))
database.dispose()
runs = pandas.DataFrame(rows.by_column())
clean = runs[~runs["contaminated"].astype(bool)]
if clean.empty:
    raise SystemExit("nothing was measured yet; begin with `benchbeat run`")
print(f"{len(runs)} runs, of them {len(clean)} clean")

# %% How fast is each model? The median over the runs that fixed the lengths.
speed = clean[clean["new_tokens"].notna()]
by_model = speed.groupby(["model", "precision", "prompt_tokens"])["decode_tokens_per_second"]
print(by_model.agg(["count", "median", "min", "max"]).round(2).to_string())

# %% Which strategy answers best? A figure of many runs, and no test: `benchbeat history --gain` pairs the items.
asked = clean[clean["accuracy"].notna() & clean["strategy"].notna()]
print(asked.pivot_table(index=["model", "workload"], columns="strategy", values="accuracy").round(3).to_string())

# %% How did the latencies go, night by night?
nightly = speed.assign(night=speed["started_at"].dt.floor("D")).groupby(["night", "model"])["latency_seconds"].median()
print(nightly.unstack("model").tail(7).round(3).to_string())

# %% ... as a picture.
axes = nightly.unstack("model").plot(marker=".", ylabel="median latency in seconds", xlabel="")
axes.set_ylim(bottom=0)
axes.figure.savefig("latency.svg")
print("drawn: latency.svg")
