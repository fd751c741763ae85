"""The house: imports only go down, the light processes stay light, and what is public is documented."""

import ast
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from importlinter.api import read_configuration
from importlinter.application.use_cases import lint_imports
from importlinter.configuration import configure

from cli.root import COMMANDS, benchbeat
from tests.commands import ROOT, run_command, run_python

PACKAGES = ("bench", "db", "scheduler", "worker", "report", "cli", "migrations")
HEAVY = ("torch", "transformers", "whisper")
LIGHT = (
    "cli.root",
    "cli.run",
    "cli.submit",
    "scheduler.submit",
    "scheduler.beat",
    "scheduler.broker",
    "worker.service",
)

LOADED = """
import sys
from importlib import import_module

names, unwanted = sys.argv[1].split(","), sys.argv[2].split(",")
for name in names:
    import_module(name)
print(",".join(name for name in unwanted if name in sys.modules))
"""


def modules() -> Iterator[Path]:
    """Yield every module of the packages."""
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name, those of groups too."""
    assert isinstance(benchbeat, click.Group)
    with click.Context(benchbeat) as context:
        for name in COMMANDS:
            command = benchbeat.get_command(context, name)
            assert command is not None
            yield name, command
            if isinstance(command, click.Group):
                for inner, each in command.commands.items():
                    yield f"{name} {inner}", each


def test_imports_only_go_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    configure()
    assert lint_imports(config_filename="pyproject.toml", cache_dir=None)


def test_every_package_stands_on_a_floor() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert folders == set(PACKAGES)
    assert set(read_configuration(str(ROOT / "pyproject.toml"))["session_options"]["root_packages"]) == set(PACKAGES)


def test_the_light_processes_import_nothing_heavy() -> None:
    done = run_python(LOADED, ",".join(LIGHT), ",".join(HEAVY))
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_what_only_looks_needs_nothing_of_what_submits() -> None:
    unwanted = ("bench.catalog", "bench.sweep", "bench.workloads", "bench.scoring", "db.submissions")
    done = run_python(LOADED, "report.status,db.live", ",".join(unwanted))
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_help_imports_neither_the_database_nor_celery_nor_pydantic() -> None:
    code = "import sys\nfrom cli.root import run\nassert run(['--help']) == 0\nprint(*sys.modules, sep='\\n')"
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines())
    assert "cli.root" in loaded
    assert not loaded & {"sqlalchemy", "celery", "kombu", "redis", "pydantic", "rich", "alembic", "psutil", *HEAVY}


@pytest.mark.parametrize("name", [name for name, _ in all_commands()])
def test_every_command_has_help(name: str) -> None:
    command = dict(all_commands())[name]
    assert command.help
    assert command.get_short_help_str(60)
    # A line of a list of commands that is cut off says nothing.
    assert not command.get_short_help_str(60).endswith("...")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"


def test_every_module_says_what_it_is() -> None:
    silent = [path for path, tree in parsed() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_what_is_public_is_documented() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in parsed()
        if "versions" not in path.parts
        for name, node in public(tree)
        if not ast.get_docstring(node)
    ]
    assert missing == []


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    """Yield every module with its syntax tree."""
    for path in modules():
        yield path, ast.parse(path.read_text(encoding="utf-8"))


Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, Documented]]:
    """Yield the functions and classes of a module that others may use, with the methods of the classes."""
    for node in tree.body:
        if isinstance(node, Documented) and not node.name.startswith("_") and not is_overload(node):
            yield node.name, node
            # What a subclass overrides is documented where it was declared.
            if isinstance(node, ast.ClassDef) and not node.bases:
                yield from ((f"{node.name}.{name}", inner) for name, inner in public(node))


def is_overload(node: Documented) -> bool:
    """Whether a function is only a signature."""
    return any(isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list)


def test_a_file_is_one_idea() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}


def test_the_readme_mentions_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"benchbeat {name}" not in readme and f"`{name}`" not in readme] == []


def test_the_command_starts_in_a_folder_with_packages_of_our_names(tmp_path: Path) -> None:
    for name in ("worker", "cli", "db", "bench"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    done = run_command("--version", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
