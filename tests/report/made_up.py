"""A made-up report with every kind of block, and texts that are out for harm."""

import math
import random
from datetime import UTC, date, datetime, timedelta

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
from report.document.parts import Block, Bullets, Chart, Code, Document, Figure, Paragraph, Section, Source, Table

#: what a catalog's or a batch's name may hold
HOSTILE = (
    "<script>alert(1)</script>",
    "a|b `c` *d* [e](javascript:alert(1))",
    "$x_1$ and \\frac{a}{b} & 100 %",
    "\u202egnirts desrever\u2066",
    "bell\x07 null\x00 escape\x1b[31m",
    "\U0001f600 漢字 עברית",
    "--> <!-- ]]> &amp; \" ' url(#x)",
    "m" * 200,
)
MODELS = (
    "smollm2-135m",
    "qwen2.5-1.5b",
    "deepseek-r1-distill-qwen-1.5b",
    "llama-3.2-3b",
    "blip-base",
    "blip-2-2.7b",
    "whisper-base",
)
_START = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)


def all_charts() -> dict[str, ChartData]:
    """Return made-up data of each kind."""
    return {
        "bars": bars(),
        "history": history_line(),
        "heat": heat_map(),
        "trade": trade_off(),
        "distribution": distribution(),
        "calendar": calendar(),
        "growth": growth(),
    }


def bars() -> Bars:
    """Return speeds of models, in groups."""
    speeds = {"float16": (118.0, 38.2, 36.9, 19.4), "int4": (131.0, 61.5, 58.8, 35.1)}
    return Bars(
        "tokens/s",
        tuple(
            Bar(model, speed, speed * 0.97, speed * 1.04, group)
            for group, values in speeds.items()
            for model, speed in zip(MODELS, values, strict=False)
        ),
    )


def history_line() -> HistoryLine:
    """Return a year of nights with two changes of level and three of environment."""
    chance = random.Random(7)
    points = []
    for night in range(330):
        level = 38.2 if night < 120 else 34.1 if night < 250 else 39.0
        value = level * chance.gauss(1, 0.008)
        disturbed = night % 41 == 17
        points.append(
            LinePoint(
                _START + timedelta(days=night),
                value * (0.86 if disturbed else 1),
                value * 0.985,
                value * 1.015,
                contaminated=disturbed,
            )
        )
    return HistoryLine(
        "tokens/s",
        tuple(points),
        (
            LevelChangeMark(_START + timedelta(days=120), 34.1 / 38.2, "confirmed", is_worse=True),
            LevelChangeMark(_START + timedelta(days=250), 39.0 / 34.1, "found", is_worse=False),
            LevelChangeMark(_START + timedelta(days=322), 0.985, "suspected", is_worse=True),
        ),
        (
            EnvironmentMark(_START + timedelta(days=120), "torch 2.13.0 → 2.14.0"),
            EnvironmentMark(_START + timedelta(days=128), "transformers 5.23.0 → 5.24.1"),
            EnvironmentMark(_START + timedelta(days=250), "macOS 25A354 → 25B78, torch 2.14.0 → 2.14.1"),
        ),
    )


def heat_map() -> HeatMap:
    """Return accuracies with a gap."""
    return HeatMap(
        "share",
        "strategy",
        "temperature",
        ("direct", "chain_of_thought", "few_shot", "role_play", "structured"),
        ("0.0", "0.3", "0.5", "0.7", "0.9"),
        (
            (0.512, 0.508, 0.497, 0.471, 0.433),
            (0.641, 0.655, 0.649, 0.618, 0.560),
            (0.588, 0.590, 0.571, 0.549, 0.512),
            (0.502, 0.511, 0.509, 0.488, None),
            (0.533, 0.540, 0.528, None, None),
        ),
    )


def trade_off() -> TradeOff:
    """Return models in precisions."""
    rows = (
        ("smollm2-135m float16", 0.42, 118.0, 0.121, True),
        ("smollm2-135m int4", 0.24, 131.0, 0.096, True),
        ("qwen2.5-1.5b float16", 3.31, 38.2, 0.612, True),
        ("qwen2.5-1.5b int8", 1.92, 44.0, 0.608, True),
        ("qwen2.5-1.5b int4", 1.24, 61.5, 0.571, True),
        ("deepseek-r1-distill-qwen-1.5b float16", 3.35, 36.9, 0.645, True),
        ("deepseek-r1-distill-qwen-1.5b int4", 1.25, 58.8, 0.583, True),
        ("llama-3.2-3b float16", 6.43, 19.4, 0.633, False),
        ("llama-3.2-3b int4", 2.21, 35.1, None, False),
    )
    return TradeOff(
        "tokens/s",
        "share",
        tuple(TradeOffPoint(label, gib * 2**30, speed, right, best) for label, gib, speed, right, best in rows),
    )


def distribution() -> Distribution:
    """Return inter-token latencies of three models."""
    chance = random.Random(11)
    return Distribution(
        "s",
        tuple(
            Spread(model, tuple(middle * math.exp(chance.gauss(0, 0.05)) + chance.expovariate(900) for _ in range(900)))
            for model, middle in (("smollm2-135m", 0.0083), ("qwen2.5-1.5b", 0.0258), (MODELS[2], 0.0266))
        ),
    )


def calendar() -> Calendar:
    """Return a year of nights."""
    chance = random.Random(5)
    days = []
    for night in range(330):
        if 150 <= night < 157:
            continue
        failed = chance.choice((0, 0, 0, 0, 0, 0, 0, 0, 3, 14))
        days.append(
            CalendarDay(date(2026, 1, 1) + timedelta(days=night), 28 - failed, failed, chance.choice((0,) * 8 + (2,)))
        )
    return Calendar(tuple(days))


def growth() -> Growth:
    """Return how long a claim takes by jobs that wait."""
    return Growth(
        "jobs queued",
        "s",
        (
            GrowthLine("SQLite", ((100, 0.0003), (1_000, 0.00031), (10_000, 0.0004), (100_000, 0.0006))),
            GrowthLine("PostgreSQL", ((100, 0.0011), (1_000, 0.0012), (10_000, 0.0019), (100_000, 0.004))),
            GrowthLine("ORDER BY", ((100, 0.0012), (1_000, 0.0031), (10_000, 0.014), (100_000, 0.044))),
        ),
    )


SPEED = Source(
    "text-speed",
    "select model, precision, decode_tokens_per_second, latency_low_seconds\n"
    "from latest where workload = 'speed' and model <> '</pre><script>alert(2)</script>'\norder by model",
)
MEMORY = Source("text-memory", "select model, peak_device_memory_bytes from latest where workload = 'speed'")
GAIN = Source("gain", "select model, accuracy from history where strategy = 'chain_of_thought'")


def speed(model: str, value: float) -> Figure:
    """Return a speed."""
    return Figure(
        value,
        "tokens/s",
        SPEED.id,
        "decode_tokens_per_second",
        {"model": model},
        value * 0.97,
        value * 1.03,
        "95 %, of the median",
        30,
        tuple(range(1, 40)),
    )


def memory(model: str, value: int) -> Figure:
    """Return a peak of memory."""
    return Figure(value, "bytes", MEMORY.id, "peak_device_memory_bytes", {"model": model}, run_ids=(7,))


def gain(value: float, low: float, high: float) -> Figure:
    """Return a difference of accuracies."""
    return Figure(
        value, "points", GAIN.id, "accuracy", {}, low, high, "95 %, paired by item", 120, (3, 4), is_difference=True
    )


def table(caption: str = "Text generation, float16, greedy") -> Table:
    """Return a table with figures, gaps and strange names."""
    rows = (
        ("smollm2-135m", speed("smollm2-135m", 118.24), memory("smollm2-135m", 451_000_000), "quick drafts"),
        ("qwen2.5-1.5b", speed("qwen2.5-1.5b", 38.21), memory("qwen2.5-1.5b", 3_554_000_000), "many languages"),
        (MODELS[2], speed(MODELS[2], 36.94), memory(MODELS[2], 3_597_000_000), "reasoning"),
        ("llama-3.2-3b", None, None, "gated, not measured"),
        *((name, speed(name, 1.5), None, name) for name in HOSTILE),
    )
    return Table(caption, ("Model", "Speed", "Peak memory", "Best for"), rows, (SPEED.id, MEMORY.id))


def chart(name: str, data: ChartData) -> Chart:
    """Return a picture with its table."""
    return Chart(
        f"Chart of {name}",
        f"What is to be seen in {name}: a made-up history.",
        data,
        Table(f"Values of {name}", ("Model", "Speed"), (("qwen2.5-1.5b", speed("qwen2.5-1.5b", 38.21)),), (SPEED.id,)),
    )


def document(warning: str | None = "Synthetic: made by a script, nothing here was measured.") -> Document:
    """Return a report with every kind of block."""
    findings: tuple[Block, ...] = (
        Paragraph(
            (
                "On this machine qwen2.5-1.5b is the best model that fits into 4 GiB: ",
                speed("qwen2.5-1.5b", 38.21),
                " in ",
                memory("qwen2.5-1.5b", 3_554_000_000),
                ".",
            )
        ),
        Bullets(
            (
                ("Chain of thought: ", gain(0.13, 0.058, 0.201), " on arithmetic."),
                ("Role play: no difference shown, ", gain(-0.01, -0.062, 0.041), "."),
                (HOSTILE[0], " and ", HOSTILE[3]),
            )
        ),
    )
    charts = all_charts()
    return Document(
        title="Benchmark report",
        made_at=datetime(2026, 11, 26, 7, 30, tzinfo=UTC),
        head=(
            ("Date", "26 November 2026"),
            ("Hardware", "Apple M4, 10 GPU cores, 16 GiB"),
            ("Platform", "macOS 26.1 (25B78)"),
            ("Backend", "PyTorch 2.14.1 with MPS"),
            ("Runs", "9,240, of which 212 disturbed"),
        ),
        sections=(
            Section("summary", "Executive summary", 2, findings),
            Section("results", "Benchmark results", 2, (Paragraph(("Each figure is a median.",)),)),
            Section(
                "text", "Text generation", 3, (table(), chart("bars", charts["bars"]), chart("trade", charts["trade"]))
            ),
            Section("latency", "Time between tokens", 3, (chart("distribution", charts["distribution"]),)),
            Section("prompts", "Prompt strategies", 2, (chart("heat", charts["heat"]),)),
            Section(
                "settings",
                HOSTILE[7],
                3,
                (Code("User: {question}\nLet us think </pre> step by step.", "Template of chain_of_thought"),),
            ),
            Section(
                "time",
                "Change over time",
                2,
                (
                    chart("history", charts["history"]),
                    chart("calendar", charts["calendar"]),
                    chart("growth", charts["growth"]),
                ),
            ),
        ),
        sources=(SPEED, MEMORY, GAIN),
        warning=warning,
    )
