import json
import re
from collections import Counter
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

from bench.pictures import DRAWN
from bench.scoring import score
from bench.workload_files import JUDGED_BY_RULE, validate_file
from bench.workloads import Item, builtin_workloads
from tests.bench.growth import seconds

#: how each answer of `arithmetic` comes about, items first, then examples
SUMS = """
2+3; 7+5; 10-4; 3*4; 20/5; 9+8; 15-7; 18/2; 14*2; 25+25; 6*6; 3+2; 8-3; 4*2; 100-1; 59+1; 11+12; 5*9; 12/3;
30+40; 81/9; 20-6; 7*8; 2*5; 50-25; 9+4; 0+13; 1000-300; 12+19; 60*2; 30-22; 1.5+1.5; 10*10; 64/8; 17-9; 40+15;
4**2; 0.5+0.25; 50*10/100; 7*3; 16-9; 3-5; 14-6; 99+1; 3*4+2; 6*5-4; 12+8*2; (7+3)*6; 5*40-150; 15*4-25; 84/7-9;
30/2-6; 12+98+10; 80*25/100+5; 40-40*20/100; 3*5+8; (28-3)/5; 2*(9+6); 8*5-4; 6*2+4; 100-9*9; 1.5-0.4-0.3;
2*9+5; 9*20/6; 8/2+3; 15**2-25; 300/4*6; 100-12*7; 180-25*6; (7+12)*2; 6-11+3; 200-60*2.5; 3*24/9; 90/2+60/3;
70-35-18; 5-1.75-2.5; 8*3+6*4; (14+20)/2; 500-500*40/100; 4*45-167; (40-7)/3; 50-8*4; 3+4+5; 15-(9-4); 2.4*5+3;
1000/8-100; 9*4+7; 120+120*3/4; 24*0.5+6*12-31; 40*18+6*18*1.5; 80*0.75*0.9; 80/(120-80)*120; ((18-6)*5+15)/3;
480*55/100/3+480*45/100/2; 25*10*2*80/100; 14*4; 72/3+1; (12*0.5*2)/(40/60); 150/(0.10-0.04); 6*10/4;
7*8-6*5+4*3-2; 12*15+2*(11*12/2); (72-8)/4+8; 2000*1.05**2; (18+12)*2; (27-27/3)/2; 250/10*36-400; (65+2*20)/7;
1/(1/12+1/6); 100//3-100//6; (54/6)*(2*54/6); 23-7+11-9+4-10; 360/9*5*0.9; 20+(740-500)*0.05; 16*5-12-15-18-20;
10-3+1; (240*1.15-36)*7/6; 2*3600+15*60+30; 14*22*6/7*30; (29-5)/4*2; (7*13+58)%11; (380-130)/(40-15);
180/90+0.75+100/80; 6*1*1; 55*4-60*2.4; ((50+16)/2)*((50-16)/2); 4+2*21; 9*8/2-20; 15/10*200; 20*0.7-20*0.3;
5000-120*15+80*10; 15-7*1.25-4*0.8; 14+6; 7*4+3; 45-5*6; (30-2*6)/3
"""

#: those that are asked in words; drawn pictures and clips have tests of their own
QUALITY = tuple(name for name in builtin_workloads() if name not in {*DRAWN, "dictation", "speed"})
WITNESSES = Path(__file__).parent / "data" / "witnesses.jsonl"


@cache
def witnesses() -> dict[tuple[str, str], str]:
    """Return, by workload and item, an answer that is right where the answers are rules."""
    lines = map(json.loads, WITNESSES.read_text("utf-8").splitlines())
    return {(line["workload"], line["id"]): line["text"] for line in lines}


def right_answer(name: str, item: Item) -> str:
    """Return the first expected answer, or where answers are rules one that follows them."""
    answers = (item.answer,) if isinstance(item.answer, str) else item.answer
    scorer = builtin_workloads()[name].score
    if scorer not in JUDGED_BY_RULE:
        return answers[0]
    if scorer == "keywords" and item.shown is None:
        return "; ".join(point.partition("|")[0] for point in answers)
    return item.shown or witnesses()[name, item.id]


# ---- all of them


@pytest.mark.parametrize(
    ("name", "score", "max_new_tokens", "prose"),
    [
        ("facts", "contains", 64, False),
        ("arithmetic", "number", 256, False),
        ("patterns", "contains", 128, False),
        ("reasoning", "choice", 256, False),
        ("multilingual", "contains", 64, False),
        ("instructions", "constraints", 256, False),
        ("structure", "json_schema", 256, False),
        ("writing", "keywords", 384, True),
        ("speed", None, None, False),
    ],
)
def test_how_they_are_judged(name: str, score: str | None, max_new_tokens: int | None, prose: bool) -> None:
    workload = builtin_workloads()[name]
    assert (workload.name, workload.task) == (name, "text")
    assert workload.kind == ("speed" if name == "speed" else "quality")
    assert (workload.score, workload.max_new_tokens, workload.prose) == (score, max_new_tokens, prose)
    assert workload.description.endswith(".")


@pytest.mark.parametrize("name", QUALITY)
def test_the_data_is_sound(name: str) -> None:
    workload = builtin_workloads()[name]
    everything = workload.items + workload.examples
    assert len(workload.items) >= 120
    assert set(Counter(item.level for item in workload.items)) == {1, 2, 3}
    assert min(Counter(item.level for item in workload.items).values()) >= len(workload.items) // 4
    assert len(workload.examples) >= 3
    assert len({item.id for item in everything}) == len(everything)
    assert len({" ".join(item.prompt.casefold().split()) for item in everything}) == len(everything)
    assert all(re.fullmatch(rf"{name}-([a-z]+-)?\d+", item.id) for item in everything)
    assert not [item.id for item in everything if item.prompt != item.prompt.strip()]


@pytest.mark.parametrize("name", QUALITY)
def test_the_files_pass_as_a_users_own_would(name: str) -> None:
    with_path = files("bench").joinpath(f"data/{name}.jsonl")
    assert validate_file(Path(str(with_path)), task="text", score=builtin_workloads()[name].score or "") == []


@pytest.mark.parametrize("name", QUALITY)
def test_a_right_answer_scores_and_none_at_all_does_not(name: str) -> None:
    workload = builtin_workloads()[name]
    everything = workload.items + workload.examples
    scorer = workload.score or ""
    assert not [item.id for item in everything if score(scorer, right_answer(name, item), item.answer).score != 1]
    assert not [item.id for item in everything if score(scorer, "", item.answer).score != 0]


@pytest.mark.parametrize("name", [name for name in QUALITY if builtin_workloads()[name].score not in JUDGED_BY_RULE])
def test_every_alternative_scores_and_is_there_once(name: str) -> None:
    workload = builtin_workloads()[name]
    for item in workload.items + workload.examples:
        alternatives = (item.answer,) if isinstance(item.answer, str) else item.answer
        assert len(set(alternatives)) == len(alternatives), item.id
        assert all(score(workload.score or "", a, item.answer).score == 1 for a in alternatives), item.id


@pytest.mark.parametrize("name", ["instructions", "structure", "writing"])
def test_a_question_is_no_answer_to_itself(name: str) -> None:
    workload = builtin_workloads()[name]
    items = workload.items + workload.examples
    assert not [item.id for item in items if score(workload.score or "", item.prompt, item.answer).score == 1]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        # Part of a series' key: whoever changes one of these questions breaks every history of them.
        ("facts", "ff7ecee35e4c06fe06286233f08bfbc91383fd7a4c229b2023a264be6e5ac94f"),
        ("arithmetic", "ae50fd99ea45722887c6bfa2a0e0a339c98fb62a06655647ad037205f122cdb0"),
    ],
)
def test_the_digests_stay(name: str, digest: str) -> None:
    assert builtin_workloads()[name].digest() == digest


def test_eight_languages_have_the_same_share_of_each_level() -> None:
    items = builtin_workloads()["multilingual"].items
    counts = Counter((item.language, item.level) for item in items)
    assert len({language for language, _ in counts}) == 8
    assert len(set(counts.values())) == 1


def test_writing_asks_for_a_form_too() -> None:
    assert any(item.structure for item in builtin_workloads()["writing"].items)


def test_reading_one_takes_little_more_than_its_json() -> None:
    from bench.workload_files import read_trusted

    text = files("bench").joinpath("data/structure.jsonl").read_text("utf-8")
    assert len(read_trusted(text, lambda _: b"").items) >= 120
    ours, bare = [], []
    for _ in range(5):
        ours.append(seconds(lambda: read_trusted(text, lambda _: b"")))
        bare.append(seconds(lambda: [json.loads(line) for line in text.splitlines()]))
    # 2.5 times; the quickest of each, since a busy machine only ever adds
    assert min(ours) < 10 * min(bare)


# ---- facts and arithmetic


def test_no_fact_stands_in_its_own_question() -> None:
    facts = builtin_workloads()["facts"]
    assert not [item.id for item in facts.items + facts.examples if score("contains", item.prompt, item.answer).score]


def test_every_alternative_of_a_fact_is_its_own() -> None:
    for item in builtin_workloads()["facts"].items:
        alternatives = (item.answer,) if isinstance(item.answer, str) else item.answer
        assert len(set(alternatives)) == len(alternatives), item.id
        assert all(score("contains", f"It is {a}.", item.answer).score == 1 for a in alternatives), item.id


def test_paris_is_an_easy_fact() -> None:
    (item,) = [item for item in builtin_workloads()["facts"].items if item.prompt == "What is the capital of France?"]
    assert (item.answer, item.level) == ("Paris", 1)


def test_every_sum_is_right() -> None:
    arithmetic = builtin_workloads()["arithmetic"]
    items = arithmetic.items + arithmetic.examples
    for item, expression in zip(items, SUMS.split(";"), strict=True):
        assert float(str(item.answer)) == pytest.approx(eval(expression.strip(), {"__builtins__": {}})), item.id
