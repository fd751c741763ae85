"""Tasks of lm-eval: found among its own, or written to a folder from the texts that travelled. Imports lm-eval."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lm_eval.tasks import TaskManager

from bench.causes import first_line
from bench.errors import InputError
from bench.harness import find_task_file, known_names, task_folder, task_of, unknown_task
from worker.device import is_out_of_memory
from worker.protocol import HarnessTask


class Loaded(NamedTuple):
    """A task with its data, or a group or a tag with those of its tasks."""

    #: as lm-eval names it in its results
    name: str
    manager: TaskManager
    #: what lm-eval evaluates: one group, or tasks
    objects: list[Any]
    #: the names of all tasks without those of groups
    tasks: tuple[str, ...]


def load(task: HarnessTask, folder: Path | None) -> Loaded:
    """Load a task of lm-eval, or of the user's own `folder`. Raises InputError where it or its data can't be had."""
    name = task_of(task.name, task.files)
    manager, spec = _own(name) if folder is None else (_of_folder(folder), name)
    try:
        found = manager.load([spec])
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"lm-eval can't load the task {name!r} or its data on this worker: {_said(error)}"
            " (what it needs from the Hugging Face hub is fetched on first use, over the network)"
        ) from error
    group = found.get("groups", {}).get(name)
    tasks = found["tasks"]
    return Loaded(name, manager, [group] if group is not None else list(tasks.values()), tuple(tasks))


def kept(task: HarnessTask, home: Path) -> Path | None:
    """Return the folder under `home` that holds the files of a user's own task; None for one of lm-eval's.

    It stays, by its content, since the data that lm-eval prepares from it is kept by its path.
    """
    return None if task.files is None else _kept(task.files, home / "cache" / "tasks")


def _kept(files: Mapping[str, str], parent: Path) -> Path:
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    folder = parent / digest[:32]
    if not folder.is_dir():
        parent.mkdir(parents=True, exist_ok=True)
        made = _written(files, Path(tempfile.mkdtemp(dir=parent, prefix="new-")))
        try:
            made.rename(folder)
        except OSError:  # another session was faster
            shutil.rmtree(made)
    return folder.resolve()


def _written(files: Mapping[str, str], folder: Path) -> Path:
    for path, text in files.items():
        parts = PurePosixPath(path).parts
        if PurePosixPath(path).is_absolute() or ".." in parts or "\\" in path or not parts:
            raise InputError(f"the task's file {path!r} would lie outside its folder")
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    return folder


def _own(name: str) -> tuple[TaskManager, str]:
    """Return who loads one of lm-eval's own tasks, and by which name or path."""
    folder = task_folder()
    assert folder is not None
    # Its index of all the tasks takes seven seconds, which one task doesn't need.
    file = find_task_file(folder, name)
    if file is not None:
        return TaskManager(include_defaults=False), str(file)
    if name not in known_names(folder):
        raise unknown_task(name, known_names(folder), machine=" on this worker")
    manager = _all_tasks()
    if name not in manager.all_tasks:
        raise unknown_task(name, manager.all_tasks, machine=" on this worker")
    return manager, name


@cache
def _all_tasks() -> TaskManager:
    return TaskManager()


def _of_folder(folder: Path) -> TaskManager:
    """Return who loads the tasks of a folder, and lm-eval's own where a group of the folder has some of them."""
    manager = TaskManager(include_defaults=False, include_path=str(folder))
    members = {member for entry in manager.task_index.values() for member in _members(entry.cfg)}
    if members <= set(manager.all_tasks):
        return manager
    return TaskManager(include_path=str(folder))


def _members(config: Any) -> Iterator[str]:
    """Yield the names of the tasks and groups that a group names, at any depth."""
    listed = config.get("task") if isinstance(config, dict) and "group" in config else None
    for member in listed if isinstance(listed, list) else ():
        if isinstance(member, str):
            yield member
        elif isinstance(member, dict) and isinstance(member.get("task"), str):
            yield member["task"]
        else:
            yield from _members(member)


def _said(error: BaseException) -> str:
    said = first_line(error)
    kind = type(error).__name__
    return said if said.startswith(kind) else f"{kind}: {said}"
