"""The page is valid HTML of its own, harmless, and every figure on it leads to its SQL."""

import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import html5lib
import pytest

from bench.errors import InputError
from report.document.parts import Document, Figure, Paragraph, Section, Table
from report.page.render import render_page
from tests.report.made_up import HOSTILE, document, speed

HTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def page() -> str:
    """Give the made-up report."""
    return render_page(document())


@pytest.fixture(scope="module")
def tree(page: str) -> ET.Element:
    """Give its elements; parsing is strict."""
    return parsed(page)


def parsed(page: str) -> ET.Element:
    """Return the elements of a page that is valid HTML."""
    parser = html5lib.HTMLParser(strict=True, tree=html5lib.getTreeBuilder("etree"))
    root: ET.Element = parser.parse(page)
    return root


def text_of(element: ET.Element) -> str:
    """Return the text of an element."""
    return "".join(element.itertext())


def test_no_id_is_there_twice_and_every_link_leads_somewhere(tree: ET.Element) -> None:
    ids = [element.attrib["id"] for element in tree.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    links = [element.attrib["href"] for element in tree.iter(f"{HTML}a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    for element in tree.iter():
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(element.attrib.get(name, "").split()) <= set(ids)


def test_there_is_no_script_and_nothing_is_loaded(page: str, tree: ET.Element) -> None:
    forbidden = {"script", "link", "iframe", "img", "object", "embed", "form", "base", "foreignObject", "image"}
    tags = {element.tag.rpartition("}")[2] for element in tree.iter() if isinstance(element.tag, str)}
    assert not tags & forbidden
    assert not any(name.startswith("on") for element in tree.iter() for name in element.attrib)
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_texts_that_are_out_for_harm_are_shown(page: str, tree: ET.Element) -> None:
    assert "<script" not in page
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    shown = text_of(tree)
    assert HOSTILE[0] in shown
    assert HOSTILE[1] in shown
    assert "bell\\x07 null\\x00 escape\\x1b[31m" in shown
    assert "\\u202egnirts desrever\\u2066" in shown
    assert any("עברית" in text_of(element) for element in tree.iter(f"{HTML}bdi"))


def test_every_picture_says_what_it_shows(tree: ET.Element) -> None:
    pictures = [element for element in tree.iter() if str(element.tag).endswith("}svg")]
    assert len(pictures) == 14
    for picture in pictures:
        title, description = list(picture)[:2]
        assert picture.attrib["role"] == "img"
        assert (title.text or "").startswith("Chart of")
        assert description.text


def test_headings_are_in_order_and_the_parts_of_the_page_are_marked(tree: ET.Element) -> None:
    levels = [int(e.tag[-1]) for e in tree.iter() if re.fullmatch(rf"{HTML}h[1-6]", str(e.tag))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for tag in ("main", "nav", "header", "footer"):
        assert len(list(tree.iter(HTML + tag))) == 1
    for cell in tree.iter(f"{HTML}th"):
        assert cell.attrib["scope"] in {"row", "col"}


def test_a_warning_stands_above_all() -> None:
    short = replace(document("Synthetic <b>"), sections=())
    page = render_page(short)
    assert page.index("Synthetic &lt;b&gt;") < page.index("<h1>")
    assert 'class="warning"' not in render_page(replace(short, warning=None))


def test_a_figure_leads_to_its_row_column_and_runs(tree: ET.Element) -> None:
    figure = next(e for e in tree.iter(f"{HTML}a") if text_of(e) == "118.2")
    row = next(e for e in tree.iter() if "#" + e.attrib.get("id", "") == figure.attrib["href"])
    words = text_of(row)
    assert 'model = "smollm2-135m"' in words
    assert "decode_tokens_per_second" in words
    assert "118.24" in words
    assert "39 and 27 more" in words
    source = next(e for e in tree.iter(f"{HTML}details") if row in list(e.iter()))
    assert "</pre><script>alert(2)</script>" in text_of(source)


def test_numbers_are_written_as_people_read_them(tree: ET.Element) -> None:
    shown = text_of(tree).replace("\N{NO-BREAK SPACE}", " ")
    assert "38.2 tokens/s [37.1, 39.4]" in shown
    assert "3.31 GiB" in shown
    assert "+13.0 points [+5.8, +20.1]" in shown
    assert "−1.0 points [−6.2, +4.1]" in shown
    assert "[1.46, 1.54]" in shown


def test_a_document_of_nothing_and_values_that_are_none() -> None:
    empty = replace(document(), sections=(), sources=(), head=())
    parsed(render_page(empty))
    values = (float("nan"), float("inf"), 0.0, 1e300, 5e-324, 0, 10**30, True)
    rows = tuple(
        ("a", Figure(v, unit, "gain", "x")) for v in values for unit in ("bytes", "s", "share", "count", "ratio")
    )
    section = Section("1 strange id", "Title", 2, (Table("", ("", "b"), rows), Table("", ("a",), ()), Paragraph(())))
    parsed(render_page(replace(document(), sections=(section, section))))


def bodies_of_a_table_with(rows: int) -> list[list[str]]:
    """Return the first cells of each body of a table of so many rows, as the page has it."""
    table = Table("Long", ("Model",), tuple((f"model-{number}",) for number in range(rows)))
    page = parsed(render_page(replace(document(), sections=(Section("long", "Long", 2, (table,)),))))
    return [[text_of(row).strip() for row in body.iter(f"{HTML}tr")] for body in page.iter(f"{HTML}tbody")][:2]


def test_a_long_table_shows_its_first_rows_and_has_all() -> None:
    first, more = bodies_of_a_table_with(41)
    assert (len(first), len(more)) == (10, 31)
    assert first + more == [f"model-{number}" for number in range(41)]


def test_a_table_with_few_rows_more_is_shown_whole() -> None:
    assert len(bodies_of_a_table_with(13)[0]) == 13


def test_a_figure_of_no_source_is_no_figure() -> None:
    section = Section("a", "A", 2, (Paragraph((replace(speed("m", 1.0), source="absent"),)),))
    broken: Document = replace(document(), sections=(section,))
    with pytest.raises(ValueError, match="absent"):
        render_page(broken)


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(InputError, match=r"needs jinja2; run `pip install 'benchbeat\[report\]'`"):
        render_page(document())


def test_the_page_stays_small(page: str) -> None:
    assert len(page.encode()) < 3_000_000
