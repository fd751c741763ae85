"""The generated pages: they leave nothing out, and what they say of defaults is true."""

import re

import click

from bench.library import builtin_library
from bench.spec import JobSpec, StopRule
from bench.sweep import Block, expand
from db.columns import KINDS
from db.settings import HARMLESS, PREFIX, Settings
from docs.reference.commands import commands_page, every_command
from docs.reference.fields import documented
from docs.reference.markdown import code, plain, table
from docs.reference.settings import settings_page
from docs.reference.sweep_files import DEFAULTS, sweep_files_page
from docs.reference.views import views_page


def sections(page: str) -> dict[str, str]:
    """Return what stands under each heading of a page."""
    parts = re.split(r"^##+ (.*)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_and_option_stands_on_the_page() -> None:
    found = sections(commands_page())
    for name, command in every_command():
        spelled = [option for each in command.params if isinstance(each, click.Option) for option in each.opts]
        assert [option for option in spelled if option not in found[name]] == []
        assert "```sh\n" in found[name], f"{name} has no example"


def test_every_view_and_column_stands_on_the_page() -> None:
    found = sections(views_page())
    assert list(found) == list(KINDS)
    for view, columns in KINDS.items():
        rows = re.findall(r"^\| <code>(\w+)</code> \| ([\w ,]+) \| (.*?) \| (.*?) \|$", found[view], re.MULTILINE)
        assert [name for name, *_ in rows] == list(columns)
        assert [name for name, _, _, meaning in rows if not meaning] == []
    assert "| <code>ttft_seconds</code> | number | s | " in found["history"]


def test_every_setting_stands_on_the_page_with_its_default() -> None:
    rows = re.findall(r"^\| <code>(\w+)</code>( \*)? \| (.*?) \|", settings_page(), re.MULTILINE)
    assert [name for name, _, _ in rows] == [PREFIX + name.upper() for name in Settings.model_fields]
    assert {name for name, mark, _ in rows if mark} == {PREFIX + name.upper() for name in HARMLESS}
    defaults = {name: default for name, _, default in rows}
    assert defaults["BENCHBEAT_LEASE_SECONDS"] == "<code>30</code>"
    assert defaults["BENCHBEAT_MARK_DISTURBED"] == "<code>true</code>"


def test_every_setting_has_a_sentence() -> None:
    assert [each.name for each in documented(Settings) if not each.meaning] == []


def test_every_axis_stands_on_the_page() -> None:
    page = sweep_files_page()
    assert [name for name in (*JobSpec.model_fields, *StopRule.model_fields) if code(name) not in page] == []


def test_the_defaults_of_axes_are_those_of_a_sweep() -> None:
    library = builtin_library()
    facts, speed = (
        expand([Block({"model": ["smollm2-135m"], "workload": [name]}, str)], library, name="n").specs[0]
        for name in ("facts", "speed")
    )
    told = {name: text.removeprefix("<code>").partition("</code>")[0] for name, text in DEFAULTS.items()}
    asked = ("strategy", "temperature", "top_p", "top_k", "repetition_penalty", "batch_size")
    assert [shown(getattr(facts, name)) for name in asked] == [told[name] for name in asked]
    assert [shown(getattr(speed, name)) for name in ("prompt_tokens", "new_tokens")] == ["128", "128"]
    assert (speed.stop, speed.batch_size, facts.items, facts.job_seconds) == (StopRule(), 1, None, None)


def shown(value: object) -> str:
    """Return a default as the page writes it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_markup_in_a_text_is_text() -> None:
    assert plain("a*b_c <d> | `e_f`") == r"a\*b\_c &lt;d&gt; &#124; `e_f`"
    assert code("<a|b>") == "<code>&lt;a&#124;b&gt;</code>"
    assert table(("a", "b"), [("1\n2", "3")]).splitlines()[2] == "| 1 2 | 3 |"
