import re
from pathlib import Path

from bench.counting import COUNTS
from bench.scoring import SCORERS, score

PAGE = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^\| `(\w+)` \| `(.+?)` \| `(.+?)` \| ([01]) \|$", re.MULTILINE)


def test_the_examples_of_the_page_are_right() -> None:
    examples = EXAMPLE.findall(PAGE)
    assert len(examples) >= 11
    wrong = [each for each in examples if score(each[0], each[2], each[1]).score != float(each[3])]
    assert wrong == []


def test_the_page_names_every_scorer_and_count() -> None:
    assert [name for name in [*SCORERS, *COUNTS] if f"`{name}`" not in PAGE and f"`{name} " not in PAGE] == []
