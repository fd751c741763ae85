"""What the witness of a run saw of its machine meanwhile; bench/surroundings.py says what each column is."""

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Integer, Table, Text

from db.metadata import Id, metadata

#: one row a run that was watched; what could not be read is NULL
witness = Table(
    "witness",
    metadata,
    Column("run_id", Id, ForeignKey("run.id"), primary_key=True),
    Column("watched_seconds", Double, nullable=False),
    Column("readings", Integer, nullable=False),
    Column("judged", Boolean, nullable=False),
    Column("witness_cpu_seconds", Double),
    Column("gate_waited_seconds", Double),
    Column("cores", Integer),
    Column("others_mean_cores", Double),
    Column("others_max_cores", Double),
    Column("others_busy_seconds", Double),
    Column("others_busy_cores", Double),
    Column("stolen_mean_cores", Double),
    Column("greediest", Text),
    Column("gpu_others_mean", Double),
    Column("gpu_others_max", Double),
    Column("gpu_busy_seconds", Double),
    Column("gpu_greediest", Text),
    Column("gpu_slowed_by", Text),
    Column("gpu_slowed_seconds", Double),
    Column("gpu_max_celsius", Double),
    Column("thermal", Text),
    Column("throttled_seconds", Double),
    Column("memory_pressure", Text),
    Column("memory_stalled_seconds", Double),
    Column("swapped_bytes", BigInteger),
    Column("power_source", Text),
    Column("low_power", Boolean),
    Column("slept_seconds", Double),
    Column("clock_step_seconds", Double),
)
