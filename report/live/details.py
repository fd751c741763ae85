"""What opens over the screen: the life of a job, and the keys."""

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bench.errors import InputError
from db.engine import Database
from db.status import attempts_of, job_status, life_of, waiting_in_vain
from db.workers import live_workers
from report.live.lines import Tone
from report.live.panel import TONES
from report.status import job_lines


@dataclass(frozen=True)
class Told:
    """What is to be shown, line by line, harmless."""

    title: str
    lines: tuple[tuple[str, Tone], ...]


def job_details(database: Database, job_id: int) -> Told:
    """Return a job's state, its attempts and the last that each wrote."""
    with database.read() as connection:
        try:
            job = job_status(connection, job_id)
        except InputError as error:  # pruned, or the database is another one by now
            return Told(f"job {job_id}", ((str(error), "warning"),))
        life, attempts = life_of(connection, job_id), attempts_of(connection, job_id)
        workers = live_workers(connection)
        waiting = waiting_in_vain(connection, workers, job_id=job_id) if job.state == "queued" else []
    return Told(f"job {job_id}", tuple(job_lines(job, life, attempts, waiting)))


class Sheet(ModalScreen[None]):
    """A sheet of text over the screen; Escape, q or Enter closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Close"),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space", "scroll(10)", "Page down", show=False),
        Binding("pageup", "scroll(-10)", "Page up", show=False),
    ]

    def __init__(self, told: Told) -> None:
        super().__init__()
        self._told = told

    def compose(self) -> ComposeResult:
        """Lay the sheet out."""
        text = Text()
        for line, tone in self._told.lines:
            text.append(line + "\n", TONES[tone])
        with VerticalScroll(id="sheet") as sheet:
            yield Static(text, markup=False)
        sheet.border_title = self._told.title
        sheet.border_subtitle = "Esc closes"

    def action_scroll(self, by: int) -> None:
        """Scroll by so many lines."""
        self.query_one("#sheet").scroll_relative(y=by, animate=False)
