from collections.abc import Sequence

import jiwer
import pytest
import whisper
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import tiny_whisper
from worker.word_errors import WordErrors, libraries, word_error_rate, word_errors


@pytest.fixture(autouse=True)
def _files_are_read() -> None:
    tiny_whisper.read_own_files()


def counts(transcript: str, *answers: str, language: str | None = "en") -> tuple[int, int, int, int]:
    found = word_errors(transcript, answers, language)
    return found.substitutions, found.deletions, found.insertions, found.words


@pytest.mark.parametrize(
    ("transcript", "answer"),
    [
        ("The colour is grey!", "the color is gray"),
        ("I'm sure it's twenty-one.", "I am sure it is 21"),
        ("Mr. Brown paid $5.", "mister brown paid five dollars"),
        ("um, well, [laughter] yes", "Well yes"),
    ],
)
def test_english_is_compared_as_whispers_normaliser_writes_it(transcript: str, answer: str) -> None:
    assert counts(transcript, answer)[:3] == (0, 0, 0)


def test_each_kind_of_error_is_counted() -> None:
    assert counts("the cat sat on a mat", "the cat sat on the mat") == (1, 0, 0, 6)
    assert counts("the cat on the mat", "the cat sat on the mat") == (0, 1, 0, 6)
    assert counts("the cat sat on the red mat", "the cat sat on the mat") == (0, 0, 1, 6)
    assert counts("", "the cat sat") == (0, 3, 0, 3)


def test_other_languages_have_the_basic_normaliser() -> None:
    assert counts("Die Tür, bitte!", "die tür bitte", language="de") == (0, 0, 0, 3)
    # English spelling, contractions and numbers are left alone.
    assert counts("colour", "color", language="fr") == (1, 0, 0, 1)
    assert counts("colour", "color", language=None) == (0, 0, 0, 1)


def test_languages_without_spaces_are_counted_by_letters() -> None:
    assert counts("今日は晴れ", "今日は雨", language="ja") == (1, 0, 1, 4)
    assert counts("你好。", "你好", language="zh") == (0, 0, 0, 2)


def test_the_nearest_of_several_alternatives_counts() -> None:
    assert counts("at six forty", "at twenty to seven", "at 6 40", "at 640") == (0, 0, 0, 2)


def test_a_score_is_one_minus_the_rate_and_never_below_nothing() -> None:
    assert word_errors("the cat sat on a mat", ["the cat sat on the mat"], "en").score == pytest.approx(5 / 6)
    assert word_errors("one more and more and more", ["yes"], "en").score == 0.0
    assert word_errors("anything", ["hmm"], "en") == WordErrors(0, 0, 1, 0, "anything")
    assert word_errors("anything", ["hmm"], "en").score == 0.0
    assert word_errors("Uh.", ["hmm"], "en").score == 1.0


def test_the_rate_is_over_all_words_not_over_clips() -> None:
    found = [word_errors("a b", ["a b c d e f g h"], "de"), word_errors("x", ["y"], "de")]
    assert word_error_rate(found) == pytest.approx(7 / 9)
    assert word_error_rate([]) is None
    assert word_error_rate([word_errors("", ["hmm"], "en")]) is None


words = st.lists(st.sampled_from(["red", "green", "blue", "dog"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=5))
def test_the_rate_is_jiwers_over_the_corpus(pairs: Sequence[tuple[list[str], list[str]]]) -> None:
    said, heard = [" ".join(pair[0]) for pair in pairs], [" ".join(pair[1]) for pair in pairs]
    found = [word_errors(transcript, [answer], "en") for answer, transcript in zip(said, heard, strict=True)]
    assert word_error_rate(found) == pytest.approx(jiwer.wer(said, heard))
    for each, answer in zip(found, said, strict=True):
        assert each.words == len(answer.split())
        assert 0 <= each.score <= 1


def test_the_versions_that_decide_are_given() -> None:
    assert sorted(libraries()) == ["jiwer", "openai-whisper"]
    assert libraries()["openai-whisper"] == whisper.__version__
