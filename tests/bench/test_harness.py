"""lm-eval's tasks by name and folder, without lm-eval."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import harness
from bench.errors import InputError
from bench.harness import default_shots, defined, find_task_file, harness_workload, known_names, task_of
from bench.workloads import Workload

TASK = "task: my_task\ndataset_path: json\n"


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of the tasks of a small lm-eval that is installed."""
    folder = tmp_path / "lm_eval" / "tasks"
    write(folder / "arc", **{"arc_easy.yaml": "tag:\n  - ai2_arc\ntask: arc_easy\n"})
    write(folder / "arc", **{"arc_challenge.yaml": "include: arc_easy.yaml\ntask: arc_challenge # harder\n"})
    write(folder / "group", **{"group.yaml": 'group: "all_arcs"\ntask:\n  - arc_easy\n', "base": "tag: [one, two]\n"})
    write(folder / "__pycache__", **{"old.yaml": "task: old\n"})
    monkeypatch.setattr(harness, "task_folder", lambda: folder)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    return folder


@pytest.mark.parametrize("name", ["arc_easy", "arc_challenge", "all_arcs", "ai2_arc", "one", "two"])
def test_a_task_a_group_and_a_tag_are_workloads(tasks: Path, name: str) -> None:
    made = harness_workload(f"lm_eval:{name}", where="sweep.toml:3")
    assert (made.name, made.kind, made.task, made.files) == (f"lm_eval:{name}", "harness", "text", None)
    assert Workload.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(("name", "near"), [("arc_eazy", "'arc_easy'"), ("all_arc", "'all_arcs'"), ("old", "")])
def test_an_unknown_task_names_its_neighbours(tasks: Path, name: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        harness_workload(f"lm_eval:{name}", where="sweep.toml:3")
    assert str(caught.value).startswith(f"sweep.toml:3: lm-eval 9.9 has no task {name!r}")
    assert near in str(caught.value)


def test_without_lm_eval_any_name_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert harness_workload("lm_eval:whatever", where=None).name == "lm_eval:whatever"


def test_a_name_without_a_task_is_refused() -> None:
    with pytest.raises(InputError, match="names no task; write lm_eval:TASK"):
        harness_workload("lm_eval:", where=None)


def test_the_file_of_a_task_is_the_first_by_its_path(tasks: Path) -> None:
    write(tasks / "zeta", **{"again.yaml": "task: arc_easy\n"})
    assert find_task_file(tasks, "arc_easy") == tasks / "arc" / "arc_easy.yaml"
    assert find_task_file(tasks, "all_arcs") is None
    assert find_task_file(tasks, "ai2_arc") is None
    assert find_task_file(tasks, "arc") is None
    assert known_names(tasks) == {"arc_easy", "arc_challenge", "all_arcs", "ai2_arc", "one", "two"}


def test_the_installed_tasks_are_found_without_importing_them() -> None:
    code = (
        "import sys; from bench.harness import harness_workload; harness_workload('lm_eval:arc_easy', where=None); "
        "print([name for name in ('lm_eval', 'torch', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


# ---- folders


def test_a_folder_travels_as_its_texts(tmp_path: Path) -> None:
    folder = write(tmp_path / "my", **{"a.yaml": TASK, ".hidden": "no", "rows.jsonl": '{"q": "é"}\r\n'})
    write(folder / "data", **{"more.csv": "a,b\n"})
    write(folder / "__pycache__", **{"x.pyc": "no"})
    made = harness_workload("my-task", where="sweep.toml:9", folder=folder)
    assert made.name == "my-task"
    assert made.files == {"a.yaml": TASK, "rows.jsonl": '{"q": "é"}\r\n', "data/more.csv": "a,b\n"}
    again = harness_workload("my-task", where=None, folder=write(tmp_path / "other" / "place", **{"a.yaml": TASK}))
    assert again.digest() != made.digest()
    write(folder, **{"rows.jsonl": '{"q": "e"}\r\n'})
    assert harness_workload("my-task", where=None, folder=folder).digest() != made.digest()


def test_a_folder_s_digest_is_of_its_content_alone(tmp_path: Path) -> None:
    digests = {
        harness_workload("my-task", where=None, folder=write(tmp_path / place, **{"a.yaml": TASK})).digest()
        for place in ("here", "there")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(("content", "said"), [(b"\xff\xfe\x00", "is no text; "), (b"a\0b", "holds NUL characters; ")])
def test_binary_files_are_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    folder = write(tmp_path / "my", **{"a.yaml": TASK})
    (folder / "rows.parquet").write_bytes(content)
    with pytest.raises(InputError, match="JSON Lines or CSV") as caught:
        harness_workload("my-task", where="sweep.toml:9", folder=folder)
    assert f"sweep.toml:9: {folder}/rows.parquet {said}" in str(caught.value)


def test_a_folder_that_is_too_large_or_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        harness_workload("my-task", where=None, folder=tmp_path / "none")
    monkeypatch.setattr(harness, "MAX_BYTES", 2**20)
    folder = write(tmp_path / "my", **{"a.yaml": TASK, "b.csv": "x" * 2**20})
    with pytest.raises(InputError, match="more than 1 MiB"):
        harness_workload("my-task", where=None, folder=folder)


@pytest.mark.parametrize(
    ("name", "files", "task"),
    [
        ("my_task", {"a.yaml": TASK, "b.yaml": "task: other\n"}, "my_task"),
        ("my-task", {"a.yaml": TASK, "b.yaml": "task: other\n"}, "my_task"),
        ("lm_eval:my-task", {"a.yaml": TASK, "b.yaml": "group: all\ntask: [my_task]\n"}, "my_task"),
        ("anything", {"a.yaml": TASK}, "my_task"),
        ("anything", {"a.yaml": TASK, "b.yaml": "group: all\ntask:\n- my_task\n"}, "all"),
        ("anything", {"a.yaml": "'task': 'my task'\n", "notes.md": "task: no\n"}, "my task"),
        ("anything", {"sub/a.yaml": "dataset_path: json\r\ntask: my_task\r\n"}, "my_task"),
        ("lm_eval:arc_easy", None, "arc_easy"),
    ],
)
def test_which_task_a_workload_runs(name: str, files: dict[str, str] | None, task: str) -> None:
    assert task_of(name, files) == task


def test_a_folder_that_leaves_its_task_open_is_refused() -> None:
    with pytest.raises(InputError, match=r"several tasks \(one, two\); name the workload after"):
        task_of("mine", {"a.yaml": "task: one\n", "b.yaml": "task: two\n"})
    with pytest.raises(InputError, match=r"no file \*\.yaml that defines a task"):
        task_of("mine", {"a.yaml": "  task: inner\n", "b.json": "task: two\n"})


def test_a_group_s_members_are_not_its_definition() -> None:
    text = "group: all\ntask:\n  - one\n  - task: two\n    num_fewshot: 3\n"
    assert defined([text]) == (frozenset(), frozenset({"all"}))
    assert defined(["task: [a, b]\ngroup: all\n"]).tasks == frozenset()


def test_examples_that_a_task_shows_by_itself(tasks: Path) -> None:
    write(tasks / "shots", **{"base_yaml": "num_fewshot: 4\n", "own.yaml": "task: own\nnum_fewshot: 5 # as usual\n"})
    write(tasks / "shots", **{"heir.yaml": 'include: "base_yaml"\ntask: heir\n'})
    write(
        tasks / "shots",
        **{"lost.yaml": "include: gone_yaml\ntask: lost\n", "loop.yaml": "include: loop.yaml\ntask: loop\n"},
    )
    asked = ["own", "heir", "lost", "loop", "arc_easy", "unknown"]
    assert default_shots(tasks, asked) == {"own": 5, "heir": 4, "lost": 0, "loop": 0, "arc_easy": 0}
    assert default_shots(tasks, []) == {}
