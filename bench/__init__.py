"""What a benchmark is: job specifications, sweeps, models, strategies, workloads, scoring and statistics.

Nothing here touches the outside: no database, no network, no accelerator.
"""

__version__ = "0.1.0"
