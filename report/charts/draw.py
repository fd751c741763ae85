"""A picture of any kind of data, drawn narrow and wide."""

from collections.abc import Callable

from report.charts.data import (
    Bars,
    Calendar,
    ChartData,
    Distribution,
    Growth,
    HeatMap,
    HistoryLine,
    Picture,
    TradeOff,
)


def draw(data: ChartData) -> Picture:
    """Return a picture of data, or one that says that there is none; needs the extra `report`."""
    from report.charts.canvas import NARROW, WIDE, settings

    with settings():
        paint = _painter(data)
        return Picture(narrow=paint(NARROW), wide=paint(WIDE))


def _painter(data: ChartData) -> Callable[[int], str]:
    from report.charts import bars, calendar, distribution, growth, heat_map, history_line, trade_off

    match data:
        case Bars():
            return lambda width: bars.draw_bars(data, width)
        case HistoryLine():
            return lambda width: history_line.draw_history_line(data, width)
        case HeatMap():
            return lambda width: heat_map.draw_heat_map(data, width)
        case TradeOff():
            return lambda width: trade_off.draw_trade_off(data, width)
        case Distribution():
            return lambda width: distribution.draw_distribution(data, width)
        case Calendar():
            return lambda width: calendar.draw_calendar(data, width)
        case Growth():
            return lambda width: growth.draw_growth(data, width)
