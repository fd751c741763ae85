"""A panel: lines that scroll, with a cursor; only the lines that changed are painted."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from report.live.lines import Line, Tone

#: the tones' colours, told apart also by those who see no red or no green; words say the same
TONES: dict[Tone, Style] = {
    "plain": Style(color="#c9d1d9"),
    "strong": Style(color="#f0f6fc", bold=True),
    "faint": Style(color="#7d8590"),
    "good": Style(color="#4ac6b7"),
    "bad": Style(color="#ff8f70", bold=True),
    "warning": Style(color="#e3b341"),
    "running": Style(color="#79b8ff"),
}
_GREYED = Style(color="#5b636d")
_CURSOR = Style(bgcolor="#22304a")


class Panel(ScrollView, can_focus=True):
    """Lines under a title. Those of one thing are chosen together; Enter or a click opens it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("enter", "open", "Details"),
    ]

    class Opened(Message):
        """Somebody wants to see more of a line."""

        def __init__(self, panel: "Panel", about: int) -> None:
            super().__init__()
            self.panel, self.about = panel, about

    def __init__(self, title: str, *, name: str) -> None:
        super().__init__(id=name, name=name)
        self.border_title = title
        self._title = title
        self._lines: tuple[Line, ...] = ()
        self._chosen = 0
        self._greyed = False

    @property
    def lines(self) -> tuple[Line, ...]:
        """What it shows."""
        return self._lines

    def show(self, lines: Sequence[Line], count: str = "") -> None:
        """Show other lines, and a count beside the title."""
        # Square brackets would be read as markup.
        title = f"{self._title} {count}".rstrip()
        if title != self.border_title:
            self.border_title = title
        before, self._lines = self._lines, tuple(lines)
        about = before[self._chosen].about if self._chosen < len(before) else None
        chosen = self._chosen
        if about is not None:
            places = [place for place, each in enumerate(self._lines) if each.about == about]
            chosen = places[0] if places else chosen
        chosen = max(0, min(chosen, len(self._lines) - 1))
        if len(before) != len(self._lines):
            self.virtual_size = Size(self.size.width, len(self._lines))
        changed = chosen != self._chosen
        self._chosen = chosen
        for place in range(max(len(before), len(self._lines))):
            if changed or before[place : place + 1] != self._lines[place : place + 1]:
                self._repaint(place)

    def grey(self, greyed: bool) -> None:
        """Show its lines in grey, as old, or in their colours."""
        if greyed != self._greyed:
            self._greyed = greyed
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line at a height of the window."""
        place = y + self.scroll_offset.y
        width = self.size.width
        base = self.rich_style
        if place >= len(self._lines):
            return Strip.blank(width, base)
        pieces = self._lines[place].pieces
        segments = [Segment(text, base + (_GREYED if self._greyed else TONES[tone])) for text, tone in pieces]
        strip = Strip(segments).crop_extend(0, width, base)
        return strip.apply_style(_CURSOR) if self._is_chosen(place) else strip

    def action_move(self, by: int) -> None:
        """Move the cursor to another thing, which may have several lines."""
        firsts = [p for p, each in enumerate(self._lines) if p == 0 or each.about is None or not self._alike(p - 1, p)]
        if not firsts:
            return
        now = max((n for n, place in enumerate(firsts) if place <= self._chosen), default=0)
        self._choose(firsts[max(0, min(now + by, len(firsts) - 1))])

    def action_open(self) -> None:
        """Open what the cursor is on."""
        if self._chosen < len(self._lines):
            about = self._lines[self._chosen].about
            if about is not None:
                self.post_message(self.Opened(self, about))

    def on_click(self, event: Click) -> None:
        """Choose what was clicked on; a second click opens it."""
        place = event.get_content_offset_capture(self).y + self.scroll_offset.y
        if 0 <= place < len(self._lines):
            if self._is_chosen(place):
                self.action_open()
            else:
                self._choose(place)

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.refresh()

    def _choose(self, place: int) -> None:
        self._chosen = place
        last = max(p for p in range(place, len(self._lines)) if p == place or self._alike(place, p))
        self.scroll_to_region(Region(0, place, 1, last - place + 1), animate=False, force=True)
        self.refresh()

    def _alike(self, place: int, other: int) -> bool:
        return self._lines[place].about is not None and self._lines[place].about == self._lines[other].about

    def _is_chosen(self, place: int) -> bool:
        return self.has_focus and (place == self._chosen or self._alike(self._chosen, place))

    def _repaint(self, place: int) -> None:
        if 0 <= place - self.scroll_offset.y < self.size.height:
            self.refresh_line(place)
