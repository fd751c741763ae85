"""Making the session's order from a claimed job: everything it needs travels through the database."""

from functools import lru_cache
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import select

from bench.catalog import ModelEntry, explain
from bench.errors import InputError
from bench.harness import task_of
from bench.templates import Template
from bench.workloads import Item, Workload
from db.engine import Database
from db.jobs import Claimed
from db.tables import item, model, strategy, workload
from worker.media import MediaFiles
from worker.protocol import HarnessTask, Order, Prompt

_Model = TypeVar("_Model", bound=BaseModel)

#: what is kept of earlier jobs' entries, by hash
_KEPT = 64


class OrderMaker:
    """Makes orders; entries, workloads and templates never change under their hash, so each is read once."""

    def __init__(self, database: Database, media: MediaFiles) -> None:
        self._database = database
        self._media = media
        self._model = lru_cache(_KEPT)(self._read_model)
        self._workload = lru_cache(_KEPT)(self._read_workload)
        self._template = lru_cache(_KEPT)(self._read_template)

    def order(self, job: Claimed) -> Order:
        """Return the order of a job.

        Raises InputError where a newer benchbeat wrote what it refers to, and for media that this worker has not.
        """
        spec = job.spec
        asked = self._workload(job.workload_hash)
        template = None if job.strategy_hash is None else self._template(job.strategy_hash)
        items = asked.sample(spec.items, spec.items_seed) if asked.kind == "quality" else ()
        return Order(
            job_id=job.id,
            attempt=job.attempt,
            spec=spec,
            model=self._model(job.model_hash),
            score=asked.score,
            strategy_hash=job.strategy_hash,
            output_pattern=template.output_pattern if template else None,
            prompts=tuple(_prompt(each, template) for each in items),
            media=self._media.of(asked, items),
            prose=asked.prose,
            harness=_harness_task(asked),
        )

    def _read_model(self, key: str) -> ModelEntry:
        with self._database.read() as connection:
            entry = connection.execute(select(model.c.entry).where(model.c.hash == key)).scalar_one()
        return _read(ModelEntry, entry)

    def _read_workload(self, key: str) -> Workload:
        with self._database.read() as connection:
            definition = connection.execute(select(workload.c.definition).where(workload.c.hash == key)).scalar_one()
            query = select(item.c.body).where(item.c.workload_hash == key).order_by(item.c.position)
            bodies = connection.execute(query).scalars().all()
        items = tuple(_read(Item, body) for body in bodies)
        return _read(Workload, definition).model_copy(update={"items": items})

    def _read_template(self, key: str) -> Template:
        with self._database.read() as connection:
            definition = connection.execute(select(strategy.c.definition).where(strategy.c.hash == key)).scalar_one()
        try:
            return Template.parse(definition)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError("The worker's benchbeat can't read the job's strategy; upgrade it") from error


def _prompt(item: Item, template: Template | None) -> Prompt:
    return Prompt(item=item, messages=() if template is None else template.fill(item.prompt))


def _harness_task(asked: Workload) -> HarnessTask | None:
    """Return lm-eval's task behind a workload, if that is one."""
    if asked.kind != "harness":
        return None
    return HarnessTask(name=task_of(asked.name, asked.files), files=asked.files)


def _read(kind: type[_Model], text: str) -> _Model:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        fault = explain(error, kind)
        raise InputError(f"The worker's benchbeat can't read its {kind.__name__} ({fault}); upgrade it") from error
