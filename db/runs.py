"""Storing what was measured: the fenced finish of a job with its run, samples and answers."""

import json
from operator import attrgetter
from typing import Any

from sqlalchemy import Column, Connection, Row, ScalarSelect, Table, bindparam, insert, select

from bench.results import Answer, Environment, Measurement, Sample
from bench.series import series_definition, series_hash
from bench.spec import JobSpec, hash_of
from db.driver import DriverStatement, insertion
from db.engine import Database
from db.inserts import insert_many, insert_new
from db.jobs import finish_job
from db.regressions import expect_judgement
from db.repeat import repeat_disturbed
from db.tables import answer, batch, breakdown, environment, metric, run, sample, series_key, witness, workload
from db.tables import attempt as attempt_table
from db.text import storable

#: digits kept of a gap between tokens: microseconds, which is what the clock can show
_GAP_DIGITS = 6

#: columns that are written as they were measured
_OF_SAMPLE = tuple(name for name in Sample.model_fields if name != "inter_token_seconds")
_OF_ANSWER = tuple(name for name in Answer.model_fields if name not in ("text", "extracted"))
_OF_RUN = tuple(column.name for column in run.c if column.name != "id")

# Built once: building them anew for every run took longer than the database does.
_INSERT_RUN = insertion(run, _OF_RUN, returning="id")
_INSERT_WITNESS = insertion(witness, tuple(witness.c.keys()))


def _looked_up(column: Column[Any], key: Column[Any], name: str) -> ScalarSelect[Any]:
    return select(column).where(key == bindparam(name)).scalar_subquery()


#: what a run refers to; NULL for a series and an environment that are new
_KNOWN = DriverStatement(
    select(
        _looked_up(workload.c.task, workload.c.hash, "workload").label("task"),
        _looked_up(batch.c.schedule, batch.c.id, "batch").label("schedule"),
        _looked_up(series_key.c.id, series_key.c.hash, "series").label("series_id"),
        _looked_up(environment.c.id, environment.c.hash, "environment").label("environment_id"),
    )
)


def store_measurement(
    database: Database, job_id: int, attempt: int, machine_id: str, measurement: Measurement, *, max_repeats: int = 0
) -> int | None:
    """Write the run and set its job `done` in one transaction, which also queues a disturbed one again.

    Returns the run's id, or None where this attempt holds the job no longer: nothing is written then but the
    attempt's outcome `superseded`. What this attempt stored before is not stored again: its run's id comes back.
    """
    with database.write() as connection:
        job = finish_job(connection, job_id, attempt)
        if job is None:
            return _run_of(connection, job_id, attempt)
        reasons = measurement.contamination
        if measurement.worth_repeating:
            place = machine_id, measurement.resolved.device
            note = repeat_disturbed(connection, job, place, max_repeats=max_repeats)
            reasons = (*reasons, note) if note else reasons
        return _insert_run(connection, job, machine_id, measurement, reasons)


def _run_of(connection: Connection, job_id: int, attempt: int) -> int | None:
    """Return the run that an attempt stored: its worker may have died before it could remove the spool."""
    ours = (attempt_table.c.job_id == job_id, attempt_table.c.attempt == attempt, attempt_table.c.outcome == "done")
    query = select(run.c.id).join(attempt_table, attempt_table.c.job_id == run.c.job_id).where(*ours)
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def _insert_run(
    connection: Connection, job: Row[Any], machine_id: str, measurement: Measurement, contamination: tuple[str, ...]
) -> int:
    spec = JobSpec.model_validate_json(job.spec)
    resolved = measurement.resolved
    definition = series_definition(spec, resolved, workload_hash=job.workload_hash, machine=machine_id)
    environment_hash = hash_of(measurement.environment.model_dump())
    keys = {"workload": job.workload_hash, "batch": job.batch_id}
    keys |= {"series": series_hash(definition), "environment": environment_hash}
    known = _KNOWN.execute(connection, keys).one()
    task = known.task
    shared = ("workload", "strategy", "model", "precision", "attention", "compile", "cache", "isolation")
    values: dict[str, Any] = {name: getattr(spec, name) for name in (*shared, "batch_size", "prompt_tokens")}
    values |= {"processes": spec.processes}
    values |= {"new_tokens": spec.new_tokens, "seed": spec.seed, "samples": None if spec.is_speed else spec.samples}
    if task == "speech":
        values |= {"word_timestamps": spec.word_timestamps, "detect_language": spec.detect_language}
    unnamed = {"strategy_hash", "chat_template_hash", *(["attention"] if resolved.attention is None else [])}
    values |= resolved.model_dump(exclude=unnamed)
    values |= measurement.figures.model_dump()
    values |= {
        "job_id": job.id,
        "batch_id": job.batch_id,
        "series_id": known.series_id or series_id(connection, definition),
        "environment_id": known.environment_id or environment_id(connection, measurement.environment),
        "machine_id": machine_id,
        "workload_hash": job.workload_hash,
        "task": task,
        "schedule": known.schedule,
        "source": "benchbeat",
        "started_at": measurement.started_at,
        "finished_at": measurement.finished_at,
        "session": measurement.session,
        "session_position": measurement.session_position,
        "contaminated": bool(contamination),
        "contamination": storable("; ".join(contamination)) or None,
    }
    run_id = int(_INSERT_RUN.execute(connection, dict.fromkeys(_OF_RUN) | values).scalar_one())
    _insert_details(connection, run_id, measurement)
    if spec.is_speed and not contamination:
        expect_judgement(connection, run_id)
    return run_id


def _insert_details(connection: Connection, run_id: int, measurement: Measurement) -> None:
    plain_sample, plain_answer = attrgetter(*_OF_SAMPLE), attrgetter(*_OF_ANSWER)
    samples = ((run_id, _gaps(each.inter_token_seconds), *plain_sample(each)) for each in measurement.samples)
    insert_many(connection, sample, ("run_id", "inter_token_seconds", *_OF_SAMPLE), samples)
    answers = (
        (run_id, storable(each.text), each.extracted and storable(each.extracted), *plain_answer(each))
        for each in measurement.answers
    )
    insert_many(connection, answer, ("run_id", "text", "extracted", *_OF_ANSWER), answers)
    if measurement.surroundings is not None:
        _INSERT_WITNESS.execute(connection, measurement.surroundings.model_dump() | {"run_id": run_id})
    for table, parts in ((breakdown, measurement.breakdowns), (metric, measurement.metrics)):
        if parts:
            connection.execute(insert(table), [part.model_dump() | {"run_id": run_id} for part in parts])


def _gaps(seconds: tuple[float, ...]) -> str | None:
    return json.dumps([round(gap, _GAP_DIGITS) for gap in seconds], separators=(",", ":")) if seconds else None


def series_id(connection: Connection, definition: dict[str, Any]) -> int:
    """Return the id of a series, which is written where it is new."""
    digest = series_hash(definition)
    row = {"hash": digest, "definition": json.dumps(definition, sort_keys=True, separators=(",", ":"))}
    row |= {"model": definition["model"], "workload": definition["workload"], "machine_id": definition["machine"]}
    return _id_of(connection, series_key, row)


def environment_id(connection: Connection, facts: Environment) -> int:
    """Return the id of an environment, which is written where it is new."""
    values = facts.model_dump()
    return _id_of(connection, environment, {"hash": hash_of(values), **values})


def _id_of(connection: Connection, table: Table, row: dict[str, Any]) -> int:
    query = select(table.c.id).where(table.c.hash == row["hash"])
    found = connection.execute(query).scalar()
    if found is None:
        insert_new(connection, table, [row])
        found = connection.execute(query).scalar_one()
    return int(found)
