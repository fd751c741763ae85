"""The report as Markdown and JSON: harmless, with its figures in words."""

import json
from datetime import UTC, datetime

from report.document.parts import Bullets, Code, Document, Figure, Section, Source, Table
from report.json_document import write_json
from report.markdown import in_words, write_markdown

_EVIL = "<script>|\x1b[31m\u202e*x*"


def _document(*blocks: Bullets | Code | Table) -> Document:
    section = Section("all", _EVIL, 2, blocks)
    made_at = datetime(2026, 5, 1, tzinfo=UTC)
    return Document("Report", made_at, (("Hardware", _EVIL),), (section,), (Source("a", "select 1"),))


def test_what_others_wrote_is_harmless() -> None:
    written = write_markdown(_document(Table(_EVIL, (_EVIL,), ((_EVIL,), (None,))), Bullets(((_EVIL,),))))
    assert "<script>" not in written
    assert "\x1b" not in written
    assert "\u202e" not in written
    assert r"&lt;script&gt;\|" in written
    assert "not measured" in written
    parsed = json.loads(write_json(_document(Bullets(((_EVIL,),)))))
    assert parsed["sections"][0]["blocks"][0]["items"] == [[_EVIL]]


def test_code_can_not_leave_its_fence() -> None:
    written = write_markdown(_document(Code("```\n# no heading")))
    assert "````\n```\n# no heading\n````" in written


def test_figures_are_in_words() -> None:
    assert (
        in_words(Figure(0.25, "points", "a", "gain", low=0.1, high=0.4, n=12, is_difference=True))
        == "+25.0 points (+10.0 to +40.0; n = 12)"
    )
    assert in_words(Figure(0.6056, "of 10", "a", "gain", is_difference=True)) == "+0.6056 of 10"
    assert in_words(Figure(-4.0, "of 100", "a", "gain", is_difference=True)) == "-4 of 100"
    assert in_words(Figure(18.234, "tokens/s", "a", "x", n=3)) == "18.23 tokens/s (n = 3)"
    assert in_words(Figure(0.5, "share", "a", "x")) == "50.0 %"
    assert in_words(Figure(3 * 2**30, "bytes", "a", "x")) == "3 GiB"
    assert in_words(Figure(1234, "count", "a", "x")) == "1,234"


def test_a_command_in_a_sentence_stays_code() -> None:
    written = write_markdown(_document(Bullets((("`benchbeat sql` runs it, `not this",),))))
    assert "`benchbeat sql` runs it, \\`not this" in written
