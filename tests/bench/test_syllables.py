import pytest

from bench.syllables import count_syllables

#: words by the number of their syllables in the CMU Pronouncing Dictionary
WORDS = {
    1: "a the cat time times called boxed through strength eye yes you blue friend don't can't moved whole",
    2: "table tables wanted boxes wishes something movement careful business people going being playing flying rhythm "
    "isn't didn't poem fluid cruel science client diet player beyond language question every",
    3: "animal beautiful banana family idea radio elephant computer settlement usual area tourism important",
    4: "material experience situation information january continuous society html",
    5: "university imagination automatically",
}


@pytest.mark.parametrize(("word", "syllables"), [(word, n) for n, words in WORDS.items() for word in words.split()])
def test_words(word: str, syllables: int) -> None:
    assert count_syllables(word) == syllables


@pytest.mark.parametrize("word", ["", "1990", "hmmmmmm", "北京", "'", "x" * 100])
def test_what_is_no_word_counts_as_one(word: str) -> None:
    assert count_syllables(word) == 1
