import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.errors import InputError
from bench.scoring import check_answer, score
from bench.workloads import Item, Workload, builtin_workloads, read_workload

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

GOOD = {"id": "q1", "prompt": "2 + 2?", "answer": "4"}


def write(tmp_path: Path, *lines: dict[str, Any] | str) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def read(path: Path, score: str = "number", task: str = "text") -> Workload:
    return read_workload(path, name="own", task=task, score=score, where="sweep.toml")


def made(*levels: int | None) -> Workload:
    items = tuple(Item(id=f"i{n}", prompt=f"{n}?", answer="1", level=level) for n, level in enumerate(levels))
    return Workload(name="made", task="text", kind="quality", score="number", items=items)


# ---- the built-in data


def test_built_in_workloads() -> None:
    workloads = builtin_workloads()
    assert list(workloads) == ["facts", "arithmetic", "speed"]
    assert all(workload.name == name and workload.description for name, workload in workloads.items())
    assert (workloads["facts"].score, workloads["facts"].max_new_tokens) == ("contains", 64)
    assert (workloads["arithmetic"].score, workloads["arithmetic"].max_new_tokens) == ("number", 256)
    speed = workloads["speed"]
    assert (speed.kind, speed.score, speed.items, speed.max_new_tokens) == ("speed", None, (), None)


@pytest.mark.parametrize("name", ["facts", "arithmetic"])
def test_built_in_data_is_sound(name: str) -> None:
    workload = builtin_workloads()[name]
    everything = workload.items + workload.examples
    assert len(workload.items) >= 126
    assert Counter(item.level for item in workload.items) == {level: len(workload.items) // 3 for level in (1, 2, 3)}
    assert 3 <= len(workload.examples) <= 4
    assert len({item.id for item in everything}) == len(everything)
    assert len({item.prompt.casefold() for item in everything}) == len(everything)
    assert all(re.fullmatch(rf"{name}-(\d{{3}}|example-\d)", item.id) for item in everything)
    assert not [item.id for item in everything if check_answer(workload.score or "", item.answer)]
    assert not [item.id for item in everything if item.prompt != " ".join(item.prompt.split())]


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


# ---- samples


@given(st.lists(st.sampled_from([None, 1, 2, 3]), min_size=1, max_size=60), st.data())
def test_a_sample_is_a_stratified_subset_in_order(levels: list[int | None], data: st.DataObject) -> None:
    workload = made(*levels)
    n, seed = data.draw(st.integers(1, len(levels))), data.draw(st.integers(0, 2**31))
    sample = workload.sample(n, seed)
    assert len(sample) == n
    assert list(sample) == [item for item in workload.items if item in set(sample)]
    assert sample == made(*levels).sample(n, seed)
    counts = Counter(item.level for item in sample)
    for level, size in Counter(levels).items():
        assert abs(counts[level] - n * size / len(levels)) < 1


def test_a_sample_is_the_same_everywhere() -> None:
    # Part of a series' key: a change of the sampling breaks every history.
    facts = builtin_workloads()["facts"]
    assert [item.id[-3:] for item in facts.sample(6, seed=0)] == ["031", "035", "052", "064", "122", "123"]


def test_a_sample_of_a_third_of_each_level() -> None:
    sample = builtin_workloads()["facts"].sample(24, seed=3)
    assert Counter(item.level for item in sample) == {1: 8, 2: 8, 3: 8}


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


# ---- own files


def test_an_own_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {**GOOD, "level": 2, "language": "en"},
        "",
        {"id": "q2", "prompt": "Two\u2028lines?", "answer": ["3", "3.0"]},
        {"id": "e1", "prompt": "1 + 1?", "answer": "2", "example": True},
        {"id": "q3", "prompt": "?", "answer": "5", "example": False},
    )
    own = read(path)
    assert (own.name, own.task, own.kind, own.score) == ("own", "text", "quality", "number")
    assert own.items == (
        Item(id="q1", prompt="2 + 2?", answer="4", level=2, language="en"),
        Item(id="q2", prompt="Two\u2028lines?", answer=("3", "3.0")),
        Item(id="q3", prompt="?", answer="5"),
    )
    assert own.examples == (Item(id="e1", prompt="1 + 1?", answer="2"),)
    assert type(own.items[0]) is Item


def test_a_byte_order_mark_and_other_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
    assert read(path).items == (Item(**GOOD),)


def test_unscored_items_need_no_answer(tmp_path: Path) -> None:
    assert read(write(tmp_path, {"id": "q", "prompt": "Tell me a story."}), score="none").items[0].answer == ""


FAULTS = [
    ("{", "the line is no JSON: "),
    ("[" * 100_000, "nested too deeply"),
    ("[1]", 'the line is no JSON object such as {"id"'),
    ({**GOOD, "anwser": "4"}, "anwser: unknown key; did you mean 'answer'?"),
    ({"id": "q2", "prompt": "?"}, "answer: is missing"),
    ({"id": "q2", "answer": "4"}, "prompt: is missing"),
    ({**GOOD, "id": "q0"}, "id: 'q0' is already on line 1"),
    ({**GOOD, "id": 7}, "id: must be a text in quotes (it is 7)"),
    ({**GOOD, "id": " "}, "id: is empty"),
    ({**GOOD, "id": "a\x00b"}, "id: must be a text on one line, without control characters"),
    ({**GOOD, "prompt": ""}, "prompt: is empty"),
    ({**GOOD, "prompt": "\0"}, "prompt: holds a NUL character"),
    ({**GOOD, "answer": "7\0"}, "answer: '7\\x00' is no number"),
    ({**GOOD, "prompt": ["a"]}, "prompt: must be a text in quotes"),
    ({**GOOD, "answer": 4}, "answer: must be a text in quotes, or a list of such, not 4"),
    ({**GOOD, "answer": None}, "answer: must be a text in quotes, or a list of such, not null"),
    ({**GOOD, "answer": ["4", 5]}, 'answer: must be a text in quotes, or a list of such, not ["4", 5]'),
    ({**GOOD, "answer": []}, "answer: the list of answers is empty"),
    ({**GOOD, "answer": "blue"}, "answer: 'blue' is no number, so score = 'number' can't judge by it"),
    ({**GOOD, "level": "2"}, "level: must be a whole number (it is '2')"),
    ({**GOOD, "level": True}, "level: must be a whole number (it is True)"),
    ({**GOOD, "level": 4}, "level: must be at most 3 (it is 4)"),
    ({**GOOD, "example": "yes"}, "example: must be true or false (it is 'yes')"),
    ('{"id": "q2", "prompt": "\\ud800", "answer": "4"}', "prompt: holds a NUL character or half of a surrogate pair"),
]


@pytest.mark.parametrize(("line", "message"), FAULTS)
def test_a_fault_is_named_with_its_line(tmp_path: Path, line: dict[str, Any] | str, message: str) -> None:
    path = write(tmp_path, {**GOOD, "id": "q0"}, line)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert caught.value.message.startswith(message) or message in caught.value.message
    assert "\n" not in str(caught.value)


def test_an_answer_that_no_database_takes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":1: answer: holds a NUL character"):
        read(write(tmp_path, {**GOOD, "answer": "Par\0is"}), score="contains")


def test_a_line_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"id": "\xff"}\n')
    with pytest.raises(InputError, match=r"own\.jsonl:2: this line is not UTF-8 text"):
        read(path)


def test_files_without_items(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"own\.jsonl: the file holds no items"):
        read(write(tmp_path, ""))
    with pytest.raises(InputError, match="no item is left to be asked"):
        read(write(tmp_path, {**GOOD, "example": True}))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^sweep\.toml: workload 'own': can't read .*none\.jsonl: No such file"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="Is a directory"):
        read(tmp_path)


def test_what_is_not_available_yet(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(InputError, match=r"^sweep\.toml: score: 'wer' is not available yet; there is choice, contains"):
        read(path, score="wer")
    with pytest.raises(InputError, match=r"^sweep\.toml: score: unknown scorer 'numbr'; did you mean 'number'"):
        read(path, score="numbr")
    with pytest.raises(InputError, match=r"^sweep\.toml: workload 'own': task: 'vision' is not available yet"):
        read(path, task="vision")
    with pytest.raises(InputError, match="unknown task 'sound'; there is text"):
        read(path, task="sound")
