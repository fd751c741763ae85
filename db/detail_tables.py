"""The tables of what belongs to a run: its samples and answers, and the figures of its parts."""

from sqlalchemy import Column, Double, ForeignKey, Integer, Table, Text

from db.metadata import Id, metadata

sample = Table(
    "sample",
    metadata,
    Column("run_id", Id, ForeignKey("run.id"), primary_key=True),
    Column("iteration", Integer, primary_key=True, autoincrement=False),
    Column("batch_size", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("new_tokens", Integer, nullable=False),
    Column("ttft_seconds", Double),
    Column("latency_seconds", Double, nullable=False),
    Column("decode_tokens_per_second", Double),
    Column("prefill_tokens_per_second", Double),
    #: JSON list of the gaps between tokens
    Column("inter_token_seconds", Text),
    #: 1, 2 ... for the process that it was measured in
    Column("process", Integer, nullable=False, server_default="1"),
)

answer = Table(
    "answer",
    metadata,
    Column("run_id", Id, ForeignKey("run.id"), primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("sample", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("extracted", Text),
    Column("score", Double),
    Column("prompt_tokens", Integer, nullable=False),
    Column("new_tokens", Integer, nullable=False),
    Column("finish", Text, nullable=False),
    Column("thinking_tokens", Integer),
    Column("readability", Double),
    #: language that a speech model was told or heard
    Column("language", Text),
)

#: accuracy of a part of a run's items
breakdown = Table(
    "breakdown",
    metadata,
    Column("run_id", Id, ForeignKey("run.id"), primary_key=True),
    #: `level` or `language`
    Column("by", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("items", Integer, nullable=False),
    Column("accuracy", Double, nullable=False),
    Column("accuracy_stderr", Double),
)

#: figures of a foreign harness, under its own names
metric = Table(
    "metric",
    metadata,
    Column("run_id", Id, ForeignKey("run.id"), primary_key=True),
    Column("task", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("filter", Text, primary_key=True),
    Column("value", Double, nullable=False),
    Column("stderr", Double),
)
