"""Pictures that another process draws are those that this one would draw."""

from datetime import UTC, datetime, timedelta

import pytest

from report.charts.apart import DrawingProcess
from report.charts.data import HistoryLine, LinePoint
from report.charts.draw import draw


def _line() -> HistoryLine:
    begin = datetime(2026, 5, 4, tzinfo=UTC)
    return HistoryLine("tokens/s", tuple(LinePoint(begin + timedelta(days=day), 40.0 + day) for day in range(5)))


def test_another_process_draws_the_same() -> None:
    drawing = DrawingProcess()
    assert drawing.draw(_line()) == draw(_line())
    drawing.close()


def test_what_cannot_be_drawn_is_told_and_the_next_picture_is_drawn() -> None:
    drawing = DrawingProcess()
    with pytest.raises(ChildProcessError, match=r"could not be drawn: .*Error"):
        drawing.draw("no data")  # type: ignore[arg-type]
    assert drawing.draw(_line()).narrow.startswith("<svg")
    drawing.close()


def test_a_process_that_ended_is_started_again() -> None:
    drawing = DrawingProcess()
    drawing.draw(_line())
    process = drawing._process
    assert process is not None
    process.kill()
    process.wait()
    with pytest.raises(ChildProcessError, match="has ended"):
        drawing.draw(_line())
    assert drawing.draw(_line()).wide.startswith("<svg")
    drawing.close()
