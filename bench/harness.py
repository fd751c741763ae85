"""Tasks of lm-eval as workloads: `lm_eval:TASK`, or a user's own folder of task files.

Here a task is only named and its files are read; what they say is understood by lm-eval, on the worker. lm-eval need
not be installed where jobs are submitted; where it is, an unknown name is refused at once, from the texts of its task
files alone, since importing it takes seconds.
"""

import importlib.util
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import InputError, suggest

if TYPE_CHECKING:
    from bench.workloads import Workload

#: what the name of a workload begins with that is a task of lm-eval
PREFIX = "lm_eval:"
#: the files of a folder travel through the database, so they hold at most so many bytes
MAX_BYTES = 64 * 2**20

_NO_TASKS = {"__pycache__", ".ipynb_checkpoints"}
#: `task: NAME` or `group: NAME` at the top of a task file; a group's own `task:` is a list
_DEFINED = re.compile(
    r"""^["']?(task|group)["']?[ \t]*:[ \t]*(["']?)([^\s"'\[\]{}!|>&*][^\n"']*?)\2[ \t]*(?:\#.*)?\r?$""", re.M
)
#: `tag: NAME`, or a list of names
_TAGS = re.compile(r"""^["']?tag["']?[ \t]*:(.*\n?(?:[ \t]*-.*\n?)*)""", re.M)
_NUM_FEWSHOT = re.compile(r"^num_fewshot:[ \t]*(\d{1,6})\b", re.M)
_INCLUDE = re.compile(r"""^include:[ \t]*["']?([^\s"'#]+)""", re.M)
_DASH = re.compile(r"^[ \t]*-", re.M)
_WORD = re.compile(r"""[^\s"'\[\],#]+""")


class Defined(NamedTuple):
    """The names that task files define."""

    tasks: frozenset[str]
    groups: frozenset[str]


def harness_workload(name: str, *, where: str | None, folder: Path | None = None) -> "Workload":
    """Return the workload of a task of lm-eval: its own one (`lm_eval:arc_easy`), or the one in a user's `folder`.

    `where` is the place that names it. Raises InputError for a task that the installed lm-eval does not have, and
    for a folder that holds no task or can't travel.
    """
    task = name.removeprefix(PREFIX)
    if not task:
        raise InputError(f"{PREFIX} names no task; write {PREFIX}TASK, such as {PREFIX}arc_easy", where=where)
    if folder is None:
        _check_known(task, where)
        return lm_eval_workload(name)
    files = _read_folder(folder, where)
    return _workload(name, f"The lm-eval task {task_of(name, files, where=where)} of an own folder.", files)


def task_of(name: str, files: Mapping[str, str] | None, *, where: str | None = None) -> str:
    """Return the task of lm-eval that the workload `name` runs.

    Among own files that is the task or the group of its name ("-" and "_" are one), else the only group, else the only
    task. Raises InputError where that leaves it open.
    """
    task = name.removeprefix(PREFIX)
    if files is None:
        return task
    found = defined(text for path, text in sorted(files.items()) if path.endswith(".yaml"))
    same = [each for each in sorted(found.groups | found.tasks) if each.replace("-", "_") == task.replace("-", "_")]
    if task in same or len(same) == 1:
        return task if task in same else same[0]
    for names in (found.groups, found.tasks):
        if len(names) == 1:
            return next(iter(names))
    if not found.tasks and not found.groups:
        raise InputError("the folder holds no file *.yaml that defines a task (task: NAME)", where=where)
    several = ", ".join(sorted(found.groups or found.tasks)[:8])
    message = f"the folder defines several tasks ({several}); name the workload after the one that it is to run"
    raise InputError(message, where=where)


def defined(texts: Iterable[str]) -> Defined:
    """Return the names of the tasks and groups that texts of task files define."""
    names: dict[str, set[str]] = {"task": set(), "group": set()}
    for text in texts:
        found = {kind: name for kind, _, name in _DEFINED.findall(text)}
        # A group's file may name its one member as a text.
        kind = "group" if "group" in found else "task"
        if kind in found:
            names[kind].add(found[kind])
    return Defined(frozenset(names["task"]), frozenset(names["group"]))


def task_folder() -> Path | None:
    """Return the folder of the installed lm-eval's own tasks, without importing it; None where there is none."""
    found = importlib.util.find_spec("lm_eval")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "tasks"
    return folder if folder.is_dir() else None


def find_task_file(folder: Path, task: str) -> Path | None:
    """Return the file that defines a task (not a group or a tag) of lm-eval's own; None where none does so itself.

    Where two do, that is the one which lm-eval takes: the first by its path.
    """
    mark = task.encode()
    found = []
    for path in _task_files(folder):
        content = path.read_bytes() if path.suffix == ".yaml" else b""
        if mark in content and task in defined([content.decode("utf-8", "replace")]).tasks:
            found.append(path)
    return min(found, key=lambda path: path.as_posix(), default=None)


@cache
def known_names(folder: Path) -> frozenset[str]:
    """Return the names of all tasks, groups and tags that the task files under a folder hold."""
    names: set[str] = set()
    for path in _task_files(folder):
        text = path.read_text(encoding="utf-8", errors="replace")
        names.update(name for _, _, name in _DEFINED.findall(text))
        for tags in _TAGS.findall(text):
            names.update(_WORD.findall(_DASH.sub("", tags)))
    return frozenset(names)


def unknown_task(task: str, names: Iterable[str], *, where: str | None = None, machine: str = "") -> InputError:
    """Return the error for a task that lm-eval does not have, with near matches."""
    # A name has thousands of neighbours; those that begin alike are what is meant.
    near = [name for name in names if name[:3].casefold() == task[:3].casefold()]
    found = f"lm-eval {metadata.version('lm_eval')}{machine} has no task {task!r}{suggest(task, near)}"
    return InputError(found, where=where)


def _check_known(task: str, where: str | None) -> None:
    folder = task_folder()
    if folder is None:
        return  # the worker will tell
    # All the files take half a second to read, and most tasks are in a folder of their name.
    likely = [each for each in folder.iterdir() if each.is_dir() and task.startswith(each.name)]
    if any(task in known_names(each) for each in likely):
        return
    names = known_names(folder)
    if task not in names:
        raise unknown_task(task, names, where=where)


def _task_files(folder: Path) -> Iterator[Path]:
    # Templates that others include are often called NAME_yaml or just NAME, and hold tags.
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NO_TASKS]
        yield from (Path(parent, name) for name in names if name.endswith("yaml") or "." not in name)


def lm_eval_workload(name: str) -> "Workload":
    """Return the workload of one of lm-eval's own tasks, be it known or not."""
    return _workload(name, f"The task {name.removeprefix(PREFIX)} of lm-eval.")


def default_shots(folder: Path, tasks: Collection[str]) -> dict[str, int]:
    """Return how many examples lm-eval shows by itself, by task; without those that no file under `folder` defines."""
    marks = {task: task.encode() for task in tasks}
    found: dict[str, int] = {}
    for path in sorted(_task_files(folder), key=lambda path: path.as_posix()) if tasks else ():
        content = path.read_bytes() if path.suffix == ".yaml" else b""
        if not any(mark in content for task, mark in marks.items() if task not in found):
            continue
        for task in defined([content.decode("utf-8", "replace")]).tasks & marks.keys() - found.keys():
            found[task] = _shots(path) or 0
    return found


def _shots(path: Path, depth: int = 5) -> int | None:
    """Return the number of examples that a task file asks for, itself or in what it includes."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if match := _NUM_FEWSHOT.search(text):
        return int(match[1])
    included = _INCLUDE.search(text)
    return _shots(path.parent / included[1], depth - 1) if included and depth else None


def _workload(name: str, description: str, files: dict[str, str] | None = None) -> "Workload":
    # Estimates of a batch's time need this module's names alone, and `status` shall start quickly.
    from bench.workloads import Workload

    return Workload(name=name, task="text", kind="harness", description=description, files=files)


def _read_folder(folder: Path, where: str | None) -> dict[str, str]:
    """Return the texts of all files under a folder, by their path in it with forward slashes."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", where=where)
    files: dict[str, str] = {}
    size = 0
    for path in _travelling(folder):
        content = _read(path, where)
        size += len(content)
        if size > MAX_BYTES:
            limit = MAX_BYTES // 2**20
            message = f"the files in {folder} are more than {limit} MiB, which is the most that travels to a worker"
            raise InputError(message, where=where)
        files[path.relative_to(folder).as_posix()] = _text(content, path, where)
    return files


def _travelling(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _NO_TASKS and not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _read(path: Path, where: str | None) -> bytes:
    if not path.is_file():
        raise InputError(f"{path} is no regular file", where=where)  # a pipe would be read for ever
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}", where=where) from None


def _text(content: bytes, path: Path, where: str | None) -> str:
    """Return a file's text, which is exactly its bytes."""
    remedy = "the files of a task folder travel as UTF-8 text: write its data as JSON Lines or CSV"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text; {remedy}", where=where) from None
    if "\0" in text:
        raise InputError(f"{path} holds NUL characters; {remedy}", where=where)
    return text
