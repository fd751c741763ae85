"""SVG that belongs into a page: its colours are the page's, its ids its own, its text text."""

import re
import xml.etree.ElementTree as ET
from html import escape

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_FONT = re.compile(r"font: (?:(bold|\d{3}) )?([\d.]+)px [^;]*")
#: the page's fonts take its place
_FAMILY = re.compile(r"font-family: [^;]*(; |$)")
_NO_TURN = re.compile(r"rotate\(-?0 [^)]*\)")
_DECIMALS = re.compile(r"(-?\d+\.\d)\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_ID = re.compile(r'(\bid="|\bhref="#|url\(#)')
#: what matplotlib writes for a stand-alone file
_UNWANTED = {f"{_SVG}metadata", f"{_SVG}style"}
_GEOMETRY = ("d", "x", "y", "width", "height", "transform", "points")


def for_page(drawn: str, colours: dict[str, str]) -> str:
    """Return a drawing of matplotlib's as an element for a page; `colours` maps its colours to CSS values."""
    root = ET.fromstring(drawn)
    _remove(root)
    _share_styles(root)
    used = _references(root)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        link = element.attrib.pop(_LINK, None)
        if link is not None:
            element.set("href", link)
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        element.text = element.text if element.tag == "text" else None
        element.tail = None
        _restyle(element, colours)
    view = root.get("viewBox", "0 0 1 1")
    root.attrib.clear()
    root.attrib.update({"xmlns": _SVG[1:-1], "viewBox": view, "role": "img"})
    return ET.tostring(root, encoding="unicode")


def titled(svg: str, prefix: str, title: str, description: str) -> str:
    """Return a picture with a title and a description, and with ids that begin with `prefix`."""
    svg = _ID.sub(rf"\g<1>{prefix}-", svg)
    words = f'<title id="{prefix}-title">{escape(title)}</title><desc id="{prefix}-desc">{escape(description)}</desc>'
    labels = f' aria-labelledby="{prefix}-title" aria-describedby="{prefix}-desc">'
    head, rest = svg.split(">", 1)
    return head + labels + words + rest


def _remove(element: ET.Element) -> None:
    for child in list(element):
        if child.tag in _UNWANTED:
            element.remove(child)
        else:
            _remove(child)


def _share_styles(root: ET.Element) -> None:
    """Give marks that look alike their style once, on what holds them."""
    for group in root.iter(f"{_SVG}g"):
        uses = [child for child in group if child.tag == f"{_SVG}use"]
        styles = {use.get("style") for use in uses}
        if len(uses) > 1 and len(styles) == 1 and "style" not in group.attrib and len(uses) == len(group):
            group.set("style", styles.pop() or "")
            for use in uses:
                use.attrib.pop("style", None)


def _references(root: ET.Element) -> set[str | None]:
    used: set[str | None] = set()
    for element in root.iter():
        for value in element.attrib.values():
            used.update(_REFERENCE.findall(value))
        link = element.get(_LINK)
        if link is not None:
            used.add(link.removeprefix("#"))
    return used


def _restyle(element: ET.Element, colours: dict[str, str]) -> None:
    for name in _GEOMETRY:
        if name in element.attrib:
            element.set(name, " ".join(_DECIMALS.sub(r"\1", element.attrib[name]).split()))
    style = element.get("style")
    if style is not None:
        style = _FAMILY.sub("", style)
        style = _FONT.sub(lambda found: f"font-size: {found[2]}px" + ("; font-weight: 600" if found[1] else ""), style)
        element.set("style", _COLOUR.sub(lambda found: colours.get(found.group(), found.group()), style))
    if _NO_TURN.fullmatch(element.get("transform", "")):
        del element.attrib["transform"]
    for name in ("fill", "stroke"):
        if name in element.attrib:
            element.set("style", f"{name}: {colours.get(element.attrib[name], element.attrib.pop(name))}")
