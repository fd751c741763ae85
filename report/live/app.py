"""The live screen."""

import asyncio
import signal
import time
from contextlib import suppress
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widgets import Footer, Static

from db.engine import Database
from db.live import Live
from report.cells import one_line
from report.durations import brief, clock
from report.live.details import Sheet, Told, job_details
from report.live.help import help_text
from report.live.looking import Away, Back, Broken, CheckRedis, Looking, Seen
from report.live.panel import Panel
from report.live.rows import PANELS
from report.live.styles import CSS

#: a look that takes longer says that nothing answers
_SILENT_SECONDS = 6.0
#: pause between two looks at whether anything answers
_TICK_SECONDS = 3.0
#: exit codes
_INTERRUPTED, _TERMINATED = 130, 143


class Found(Message):
    """Something that a look found."""

    def __init__(self, what: object) -> None:
        super().__init__()
        self.what = what


class Watch(App[int]):
    """Batches, workers, queues, failures and recent runs, looked at again and again. Ends with an exit code."""

    CSS = CSS
    TITLE = "benchbeat watch"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (140, "-wide")]  # noqa: RUF012 - as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (14, "-short"), (20, "-tall")]  # noqa: RUF012 - the same
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit_with(0)", "Quit"),
        Binding("ctrl+c,ctrl+q", f"quit_with({_INTERRUPTED})", "Quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("tab", "app.focus_next", "Next panel", show=False),
        Binding("f", "failures", "Failures"),
        Binding("escape,b", "all_batches", "All batches"),
    ]

    def __init__(
        self,
        database: Database,
        *,
        check_redis: CheckRedis,
        interval_seconds: float = 1.0,
        batch_id: int | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        self.batch_id = batch_id
        self.failure: BaseException | None = None
        #: what can't be had, with the reason and since when (seconds since the epoch)
        self.away: dict[str, tuple[str, float]] = {}
        self._panels = {name: Panel(title, name=name) for name, (title, *_) in PANELS.items()}
        self._head = Static("", id="head", markup=False)
        self._said: str | None = None
        #: what each panel was painted from
        self._painted: dict[str, object] = {}
        self._database = database
        self._live: Live | None = None
        self._seen_at = time.monotonic()
        self._looking = Looking(
            database, self._tell, interval_seconds=interval_seconds, batch_id=batch_id, check_redis=check_redis
        )
        self._silent_seconds = max(_SILENT_SECONDS, 3 * interval_seconds)

    def compose(self) -> ComposeResult:
        """Lay the panels out."""
        yield self._head
        panels = self._panels
        with Container(id="panels"):
            with Vertical(id="work"):
                yield from (panels[name] for name in ("batches", "workers", "queues"))
            with Vertical(id="past"):
                yield from (panels[name] for name in ("failures", "runs"))
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to look."""
        for number, code in ((signal.SIGTERM, _TERMINATED), (signal.SIGINT, _INTERRUPTED)):
            with suppress(RuntimeError):  # signals go to the main thread only, and a test may run it in another one
                asyncio.get_running_loop().add_signal_handler(number, self.exit, code, code)
        self.query_one("#batches").focus()
        self._paint_head()
        self.set_interval(_TICK_SECONDS, self._paint_head)
        self._looking.start()

    def on_unmount(self) -> None:
        """Look no more."""
        self._looking.stop()

    def on_resize(self) -> None:
        """Lay the lines out anew, once the panels have their new widths."""
        self.call_after_refresh(self._paint)

    @on(Found)
    def take(self, message: Found) -> None:
        """Show what a look found."""
        match message.what:
            case Seen(live, batch_id) if batch_id == self.batch_id:
                self._live, self._seen_at = live, time.monotonic()
                self.away.pop("database", None)
                self._paint()
            case Away(what, reason):
                since = self.away[what][1] if what in self.away else time.time()
                self.away[what] = (reason, since)
            case Back(what):
                self.away.pop(what, None)
            case Told() as told:
                self.push_screen(Sheet(told))
            case Broken(error):
                self.failure = error
                self.exit(1, return_code=1)
        self._paint_head()

    @on(Panel.Opened)
    def open(self, message: Panel.Opened) -> None:
        """Show one batch only, or a job's details."""
        if message.panel.id == "batches":
            self._show_batch(None if self.batch_id == message.about else message.about)
        else:
            self._looking.once(lambda: job_details(self._database, message.about))

    def action_quit_with(self, code: int) -> None:
        """End with an exit code."""
        self.exit(code, return_code=code)

    def action_failures(self) -> None:
        """Go to the failures."""
        self.query_one("#failures").focus()

    def action_all_batches(self) -> None:
        """Show every batch again."""
        if self.batch_id is not None:
            self._show_batch(None)

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Sheet(help_text(self.away)))

    def _show_batch(self, batch_id: int | None) -> None:
        self.batch_id = batch_id
        self._looking.look_at(batch_id)
        self._paint_head()

    def _tell(self, what: object) -> None:
        # The loop is closed where a look comes back after the end.
        with suppress(RuntimeError):
            self.post_message(Found(what))

    def _paint(self) -> None:
        if self._live is None:
            return
        for name, (_, content, depends) in PANELS.items():
            panel = self._panels[name]
            width = max(20, panel.size.width)
            on = (width, depends(self._live))
            if on != self._painted.get(name):
                self._painted[name] = on
                panel.show(*content(self._live, width))

    def _paint_head(self) -> None:
        silent = time.monotonic() - self._seen_at
        if "database" not in self.away and silent > self._silent_seconds:
            self.away["database"] = ("it gives no answer", time.time() - silent)
        head = self._head
        head.set_class(bool(self.away), "-away")
        text = self._trouble() if self.away else self._summary()
        if text != self._said:
            self._said = text
            head.update(Text(text, no_wrap=True, overflow="ellipsis"), layout=False)
        for panel in self._panels.values():
            panel.grey("database" in self.away)

    def _trouble(self) -> str:
        told = []
        for what, (reason, since) in sorted(self.away.items()):
            name = "The database" if what == "database" else what
            told.append(f"{name} is away since {clock(since)}, trying again: {one_line(reason)}")
        return " " + "  ".join(told)

    def _summary(self) -> str:
        if self._live is None:
            return " benchbeat watch   looking ..."
        live = self._live
        still_open = [each for each in live.batches if each.open]
        jobs = sum(each.open for each in still_open)
        parts = [f"batch {self.batch_id} only (Esc shows all)"] if self.batch_id is not None else []
        count = len(still_open)
        parts.append(f"{count} open {'batch' if count == 1 else 'batches'}" if count else "nothing to do")
        if jobs:
            parts.append(f"{jobs:,} {'job' if jobs == 1 else 'jobs'} left")
        if live.left:
            parts.append(f"about {brief(max(live.left.values()))}")
        left, right = " benchbeat watch   " + " · ".join(parts), clock(live.at) + " "
        return left + right.rjust(max(1, self.size.width - len(left)))

    def _fatal_error(self) -> None:
        # Textual would print a traceback; the caller gets the error instead, and says it in a sentence.
        self.failure = self.failure or self._exception
        self._close_messages_no_wait()


def watch(database: Database, *, check_redis: CheckRedis, interval_seconds: float, batch_id: int | None) -> int:
    """Show the live screen until somebody ends it; return the exit code. What made it fail is raised."""
    app = Watch(database, check_redis=check_redis, interval_seconds=interval_seconds, batch_id=batch_id)
    app.run()
    if app.failure is not None:
        raise app.failure
    return app.return_value or 0
