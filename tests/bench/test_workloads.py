import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.errors import InputError
from bench.workloads import Item, Workload, builtin_workloads


def made(*levels: int | None, languages: tuple[str | None, ...] = (None,)) -> Workload:
    """Return a workload of an item for each level, in the languages by turns."""
    items = tuple(
        Item(id=f"i{n}", prompt=f"{n}?", answer="1", level=level, language=languages[n % len(languages)])
        for n, level in enumerate(levels)
    )
    return Workload(name="made", task="text", kind="quality", score="number", items=items)


# ---- samples


LEVELS = st.sampled_from([None, 1, 2, 3])
LANGUAGES = st.sampled_from([(None,), ("en",), ("de", "en"), ("en", None, "fr"), ("de", "en", "fr", "it", "zh")])


@given(st.lists(LEVELS, min_size=1, max_size=60), LANGUAGES, st.data())
def test_a_sample_is_a_stratified_subset_in_order(
    levels: list[int | None], languages: tuple[str | None, ...], data: st.DataObject
) -> None:
    workload = made(*levels, languages=languages)
    n, seed = data.draw(st.integers(1, len(levels))), data.draw(st.integers(0, 2**31))
    sample = workload.sample(n, seed)
    assert len(sample) == n
    assert list(sample) == [item for item in workload.items if item in set(sample)]
    assert sample == made(*levels, languages=languages).sample(n, seed)
    counts = Counter((item.level, item.language) for item in sample)
    for stratum, size in Counter((item.level, item.language) for item in workload.items).items():
        assert abs(counts[stratum] - n * size / len(levels)) < 1


@given(st.lists(LEVELS, min_size=1, max_size=60), st.data())
def test_each_level_has_its_share(levels: list[int | None], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(levels)))
    counts = Counter(item.level for item in made(*levels).sample(n, 0))
    for level, size in Counter(levels).items():
        assert abs(counts[level] - n * size / len(levels)) < 1


def test_a_sample_is_the_same_everywhere() -> None:
    # Part of a series' key: a change of the sampling breaks every history.
    facts = builtin_workloads()["facts"]
    assert [item.id[-3:] for item in facts.sample(6, seed=0)] == ["031", "035", "052", "064", "122", "123"]


def test_a_sample_of_a_third_of_each_level() -> None:
    sample = builtin_workloads()["facts"].sample(24, seed=3)
    assert Counter(item.level for item in sample) == {1: 8, 2: 8, 3: 8}


@pytest.mark.parametrize("n", [3, 8, 12, 16, 24, 30, 100])
def test_a_small_sample_of_many_languages_is_spread_over_levels_and_languages(n: int) -> None:
    sample = builtin_workloads()["multilingual"].sample(n, seed=1)
    levels = Counter(item.level for item in sample)
    languages = Counter(item.language for item in sample)
    assert max(levels[level] for level in (1, 2, 3)) - min(levels[level] for level in (1, 2, 3)) <= 1
    assert max(languages.values()) - (min(languages.values()) if len(languages) == 8 else 0) <= 1


def test_seeds_differ_and_no_items_is_all() -> None:
    facts = builtin_workloads()["facts"]
    assert len({facts.sample(24, seed) for seed in range(20)}) == 20
    assert facts.sample(None, 5) == facts.items
    assert facts.sample(len(facts.items), 5) == facts.items


@pytest.mark.parametrize("items", [0, -1, 4])
def test_more_items_than_there_are(items: int) -> None:
    with pytest.raises(InputError, match=f"^items: workload 'made' has 3 items, so {items} can't be sampled$"):
        made(1, 2, 3).sample(items, 0)


def test_every_item_is_sampled_about_as_often() -> None:
    facts = builtin_workloads()["facts"]
    counts = Counter(item.id for seed in range(400) for item in facts.sample(33, seed))
    assert len(counts) == len(facts.items)
    # 100 expected, binomial standard deviation 8.7
    assert 60 < min(counts.values()) <= max(counts.values()) < 140


# ---- the digest


def test_digest_changes_with_what_is_asked() -> None:
    base = made(1, 2)
    digests = [
        base.digest(),
        made(1, 3).digest(),
        made(1).digest(),
        base.model_copy(update={"score": "exact"}).digest(),
        base.model_copy(update={"items": base.items[:1], "examples": base.items[1:]}).digest(),
    ]
    assert len(set(digests)) == len(digests)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_digest_does_not_change_with_names() -> None:
    base = made(1, 2)
    assert base.model_copy(update={"name": "other", "max_new_tokens": 9}).digest() == base.digest()


def test_digest_leaves_out_what_an_item_does_not_say() -> None:
    assert made(None).digest() == "de0d0dfc3dc58a5efe12d627585d89222c304a7bf33786ed495c2afe602b8905"


def test_a_workload_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        made(1).name = "other"  # type: ignore[misc]


# ---- the built-in ones, by name


def test_the_names_of_the_built_in_workloads() -> None:
    workloads = builtin_workloads()
    names = [
        "facts",
        "arithmetic",
        "patterns",
        "reasoning",
        "multilingual",
        "instructions",
        "structure",
        "writing",
        "dictation",
        "captions",
        "shapes",
        "charts",
        "text_in_image",
        "speed",
    ]
    assert list(workloads) == names
    assert len(workloads) == len(names)
    assert all(name in workloads for name in names)
    assert "fact" not in workloads
    with pytest.raises(KeyError):
        workloads["fact"]


def test_a_built_in_workload_is_read_once_and_only_when_asked_for() -> None:
    # In a process of its own, as other tests read them all; a library that takes long to import is left alone.
    code = """
import sys
from pathlib import Path
from bench.workloads import builtin_workloads
read = []
Path.read_text, real = lambda path, *a, **k: read.append(path.name) or real(path, *a, **k), Path.read_text
workloads = builtin_workloads()
assert "facts" in workloads and list(workloads) and read == [], read
assert workloads["structure"] is builtin_workloads()["structure"] and read == ["structure.jsonl"], read
assert not {"jsonschema", "textstat", "regex", "numpy"} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
