"""The page about strategies, and the examples: what they show is what there is."""

import re
from pathlib import Path

import pytest

from bench.catalog import Preset, builtin_models
from bench.library import builtin_library
from bench.sweep import read_sweep

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the page's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def shown(settings: dict[str, float | int]) -> str:
    """Return settings as the page writes them."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


def row(name: str, preset: Preset) -> str:
    """Return the beginning of a model's row in the page's table of presets."""
    parts = {strategy: each.model_dump(exclude_none=True) for strategy, each in preset.strategy.items()}
    by_strategy = "; ".join(f"{strategy}: {shown(each)}" for strategy, each in parts.items())
    return f"| {name} | {shown(preset.for_strategy(None))} | {by_strategy} |"


def test_the_page_has_the_built_in_strategies_word_for_word() -> None:
    data = (ROOT / "bench" / "data" / "strategies.toml").read_text(encoding="utf-8")
    assert blocks("toml")[0] == data


def test_the_page_has_the_template_of_r1_word_for_word() -> None:
    assert blocks("jinja") == [f"{builtin_models()['deepseek-r1-distill-qwen-1.5b'].chat_template}\n"]


def test_the_page_has_every_recommended_setting() -> None:
    rows = [row(name, model.settings["recommended"]) for name, model in builtin_models().items() if model.settings]
    assert len(rows) == 4
    assert [each for each in rows if each not in PAGE] == []


def test_the_pages_own_strategy_is_the_examples() -> None:
    assert (ROOT / "examples" / "strategies.toml").read_text(encoding="utf-8").endswith(blocks("toml")[1])


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.toml")), ids=lambda file: file.name)
def test_every_example_expands(file: Path) -> None:
    assert read_sweep(file, builtin_library()).specs


def test_the_example_of_strategies_compares_them_on_eight_workloads() -> None:
    sweep = read_sweep(ROOT / "examples" / "strategies.toml", builtin_library())
    assert len(sweep.workloads) == 8
    assert set(sweep.strategies) == {*builtin_library().strategies, "one_line"}
    assert {spec.temperature for spec in sweep.specs} == {0.0, 0.5}
    assert len(sweep.specs) == 5 * 8 * 2 + 4
    assert sweep.notes == ()
    facts = sweep.workloads["facts"]
    asked = sweep.strategies["one_line"].messages(facts, facts.items[0].prompt)
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "user"]
