"""Pictures are XML with their labels as text, harmless, alike each time, and never break on what was measured."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from report.charts.data import (
    Bar,
    Bars,
    Calendar,
    CalendarDay,
    ChartData,
    Distribution,
    EnvironmentMark,
    Growth,
    GrowthLine,
    HeatMap,
    HistoryLine,
    LevelChangeMark,
    LinePoint,
    Spread,
    TradeOff,
    TradeOffPoint,
)
from report.charts.draw import draw
from report.charts.svg import titled
from tests.report.made_up import HOSTILE, all_charts

AT = datetime(2026, 3, 1, 2, tzinfo=UTC)
STRANGE = (math.nan, -math.inf, 0.0, 1.7e308, 5e-324, -3.5)
LABELS = {
    "bars": ("float16", "qwen2.5-1.5b", "38.2", "tokens/s"),
    "history": ("torch 2.13.0 → 2.14.0", "▼ −10.7 % confirmed", "▲ +14.4 % found", "2026"),
    "heat": ("chain_of_thought", "65.5", "temperature"),
    "trade": ("smollm2-135m int4 · 9.6 %", "memory, GiB →"),
    "distribution": ("qwen2.5-1.5b", "50 %", "ms"),
    "calendar": ("Jan 2026", "Mon", "some failed"),
    "growth": ("PostgreSQL", "100,000", "jobs queued"),
}


def texts(svg: str) -> Iterator[str]:
    """Yield the texts of a picture."""
    for element in ET.fromstring(svg).iter():
        assert not element.tag.lower().endswith(("script", "foreignobject", "style", "image"))
        assert not any(name.lower().startswith("on") for name in element.attrib)
        if element.tag.endswith("text") and element.text:
            yield element.text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("name", list(LABELS))
def test_a_picture_is_xml_that_holds_its_labels_as_text(name: str) -> None:
    picture = draw(all_charts()[name])
    wide = list(texts(picture.wide))
    assert set(LABELS[name]) <= set(wide)
    assert list(texts(picture.narrow))
    for svg, width in ((picture.narrow, 360), (picture.wide, 820)):
        root = ET.fromstring(svg)
        assert root.attrib["viewBox"].startswith(f"0 0 {width} ")
        assert "width" not in root.attrib
        assert root.attrib["role"] == "img"
        assert "var(--" in svg
        assert "font-family" not in svg


@pytest.mark.parametrize("name", list(LABELS))
def test_a_picture_is_alike_each_time(name: str) -> None:
    assert draw(all_charts()[name]) == draw(all_charts()[name])


@pytest.mark.parametrize("name", list(LABELS))
def test_all_colours_are_the_pages(name: str) -> None:
    wide = draw(all_charts()[name]).wide
    assert not re.search(r"#[0-9a-f]{6}", re.sub(r"var\([^)]*\)", "", wide))


def test_ids_are_the_pictures_own_and_referred_to() -> None:
    svg = titled(draw(all_charts()["heat"]).wide, "picture-1", "A <b>", "B & c")
    ids = re.findall(r'\bid="([^"]+)"', svg)
    referred = re.findall(r'(?:url\(#|href="#)([^")]+)', svg)
    assert referred
    assert all(id.startswith("picture-1-") for id in ids)
    assert set(referred) <= set(ids)
    assert len(ids) == len(set(ids))
    root = ET.fromstring(svg)
    assert [child.text for child in root][:2] == ["A <b>", "B & c"]
    assert root.attrib["aria-labelledby"] == "picture-1-title"


@pytest.mark.parametrize("text", HOSTILE)
def test_strange_names_are_shown_short_and_harmless(text: str) -> None:
    for data in named(text):
        picture = draw(data)
        for svg in (picture.narrow, picture.wide):
            shown = "".join(texts(svg))
            assert "m" * 100 not in shown
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
            if text.startswith("$"):
                assert "$x" in shown


@pytest.mark.parametrize("value", STRANGE)
def test_no_value_breaks_a_picture(value: float) -> None:
    for values in ([value], [value, math.nan, 2.0]):
        for data in valued(values):
            picture = draw(data)
            for svg in (picture.narrow, picture.wide):
                assert "nan" not in " ".join(texts(svg))
                ET.fromstring(svg)


def test_nothing_measured_is_said() -> None:
    for data in valued([]):
        assert any("here" in text for text in texts(draw(data).narrow))


def test_many_values_stay_small() -> None:
    many = [0.01 + 1e-6 * (index % 997) for index in range(20_000)]
    assert len(draw(Distribution("s", (Spread("a", tuple(many)),))).wide) < 60_000
    assert len(draw(Bars("s", tuple(Bar(f"model {n}", n + 1.0) for n in range(500)))).wide) < 200_000


def test_labels_of_changes_and_environments_never_overlap() -> None:
    points = tuple(LinePoint(AT + timedelta(days=n), 10.0 + n % 3) for n in range(60))
    changes = tuple(
        LevelChangeMark(AT + timedelta(days=n), 0.9, "confirmed", is_worse=True) for n in (10, 11, 12, 40, 58)
    )
    environments = tuple(EnvironmentMark(AT + timedelta(days=n), f"torch 2.{n}") for n in range(5, 60, 2))
    svg = draw(HistoryLine("tokens/s", points, changes, environments)).wide
    places = [
        (float(element.attrib["x"]), float(element.attrib["y"]), len(element.text or ""))
        for element in ET.fromstring(svg).iter()
        if element.tag.endswith("text") and ("torch" in (element.text or "") or "confirmed" in (element.text or ""))
    ]
    assert sum("confirmed" in text for text in texts(svg)) == 5
    for x, y, length in places:
        assert not [1 for other, line, _ in places if line == y and x < other < x + length * 5.0]
    assert any("more marks in the table" in text for text in texts(svg))


def named(text: str) -> Iterator[ChartData]:
    """Yield data of each kind in which a text is every name."""
    yield Bars(text, (Bar(text, 1.0, 0.9, 1.1, text), Bar(text, 2.0, group=text)))
    yield HistoryLine(text, (LinePoint(AT, 1.0),), (), (EnvironmentMark(AT, text),))
    yield HeatMap(text, text, text, (text,), (text, text), ((1.0, None),))
    yield TradeOff(text, text, (TradeOffPoint(text, 1e9, 2.0, 0.5, is_best=True), TradeOffPoint(text, 2e9, 1.0)))
    yield Distribution(text, (Spread(text, (1.0, 2.0)),))
    yield Growth(text, text, (GrowthLine(text, ((1.0, 1.0), (10.0, 2.0))),))


def valued(values: list[float]) -> Iterator[ChartData]:
    """Yield data of each kind that hold some values."""
    yield Bars("tokens/s", tuple(Bar("a", value, value, value) for value in values))
    yield Bars("bytes", tuple(Bar("a", value) for value in values))
    yield Bars("s", tuple(Bar("a", value) for value in values))
    yield HistoryLine("tokens/s", tuple(LinePoint(AT, value, value, value) for value in values))
    yield HistoryLine(
        "s",
        tuple(LinePoint(AT + timedelta(days=n), v, contaminated=True) for n, v in enumerate(values)),
        (LevelChangeMark(AT, values[0], "found", is_worse=True),) if values else (),
    )
    yield HeatMap(
        "share", "r", "c", ("a",) if values else (), tuple(f"c{n}" for n in range(len(values))), (tuple(values),)
    )
    yield TradeOff("tokens/s", "share", tuple(TradeOffPoint("a", abs(v), v, v, is_best=True) for v in values))
    yield Distribution("s", (Spread("a", tuple(values)),))
    yield Growth("jobs", "s", (GrowthLine("a", tuple((v, v) for v in values)),))
    yield Calendar(
        tuple(CalendarDay(date(2026, 1, 1), 0, int(min(max(v, -5), 5))) for v in values if not math.isnan(v))
    )
