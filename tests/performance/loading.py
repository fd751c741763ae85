"""Loads: four models interleaved in one batch, beside the ideal of loading each once."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from db.engine import Database
from db.tables import run
from tests.performance.results import RatioAtMost, Result
from tests.performance.serving import Site
from tests.performance.world import World, without_progress_bars
from tests.worker.tiny import build

_MODELS = ("one", "two", "three", "four")


def loads_row(world: World) -> Iterator[Result]:
    """A batch by `benchbeat run`, in which no job has the model of the one before it; loads as the history has them."""
    without_progress_bars()
    site = Site(world, world.new_home(), world.new_database("sqlite"))
    jobs = len(_MODELS) * world.sizes.jobs_a_model
    world.flush_redis()
    world.run(world.command(site.home, "--quiet", "run", str(_sweep(world, site.home))), site.settings)
    loads, done = _loads(site.url)
    assert done == jobs, f"{done} of {jobs} jobs were done"
    yield Result(
        row="loads",
        what=f"loads of {len(_MODELS)} tiny models, interleaved in {jobs} jobs, one worker",
        unit="",
        ours=(float(loads),),
        goal=RatioAtMost(1.05),
        beside="each model once",
        theirs=(float(len(_MODELS)),),
    )


def _sweep(world: World, home: Path) -> Path:
    """Write the sweep: of the last axis comes another value in every job."""
    lines = ["[[sweep]]", f"prompt_tokens = {[8 + number for number in range(world.sizes.jobs_a_model)]}"]
    lines += [f"model = {list(_MODELS)}", 'workload = "speed"', "new_tokens = 2"]
    lines += ["stop = { min_iterations = 1, max_iterations = 1 }"]
    for seed, name in enumerate(_MODELS):
        folder = build(home / name, seed=seed)
        lines += [f"[models.{name}]", 'task = "text"', f'source = "file:{folder}"', "memory_gib = { float32 = 0.5 }"]
    file = home / "interleaved.toml"
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def _loads(url: str) -> tuple[int, int]:
    """Return how many runs loaded a model, and how many there are."""
    database = Database(url)
    with database.read() as connection:
        row = connection.execute(select(func.count(run.c.load_seconds), func.count())).one()
    database.dispose()
    return row[0], row[1]
