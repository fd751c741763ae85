"""What readings of a machine come to."""

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.disturbances import LEAST_CORES, Limits
from bench.surroundings import (
    LEAST_JUDGED_SECONDS,
    Gpu,
    Processors,
    State,
    Surroundings,
    Used,
    Window,
    greediest,
    joined,
    summarise,
    window,
)

LIMITS = Limits()

SECONDS = st.floats(0.01, 100)
CORES = st.floats(0, 64)
WINDOWS = st.lists(
    st.builds(
        lambda seconds, others, stolen: Window(seconds, others, others * stolen), SECONDS, CORES, st.floats(0, 1)
    ),
    max_size=30,
)
SUMS = st.floats(0, 1e6)


def quiet(seconds: float = 1.0, others: float | None = 0.1) -> Window:
    return Window(seconds, others, None if others is None else 0.0)


def seen(*windows: Window, states: tuple[State, ...] = (), used: tuple[Used, ...] = (), cores: int = 2) -> Surroundings:
    return summarise(windows, states, used, cores=cores, limits=LIMITS)


# --- two readings


def test_what_others_used_is_what_is_busy_less_what_is_ours() -> None:
    assert window(Processors(10, 100, 5, 40), Processors(12, 104, 6, 41)) == Window(2, 1.5, 0.5)


def test_where_a_process_of_ours_went_out_of_sight_nothing_is_told() -> None:
    assert window(Processors(10, 100, 0, 40), Processors(11, 101, 0, 39)) == Window(1, None, None)
    assert window(Processors(10, 100, 0, 40), Processors(10, 100, 0, 40)) == Window(0, None, None)


@given(SUMS, SUMS, SUMS, SECONDS, SUMS, SUMS, SUMS)
def test_no_window_has_less_than_nothing(
    busy: float, stolen: float, own: float, seconds: float, more_busy: float, more_stolen: float, more_own: float
) -> None:
    before = Processors(0.0, busy, stolen, own)
    found = window(before, Processors(seconds, busy + more_busy, stolen + more_stolen, own + more_own))
    assert found.others_cores is not None
    assert found.stolen_cores is not None
    assert 0 <= found.stolen_cores <= found.others_cores


# --- a span


def test_a_quiet_machine() -> None:
    found = seen(*[quiet()] * 20, states=(State(0.0), State(20.0)))
    assert (found.watched_seconds, found.readings, found.judged, found.cores) == (20, 21, True, 2)
    assert found.others_mean_cores == pytest.approx(0.1)
    assert (found.others_max_cores, found.others_busy_seconds, found.others_busy_cores) == (0.1, 0.0, None)
    assert found.greediest is None
    unknown = (found.gpu_others_mean, found.thermal, found.swapped_bytes, found.power_source, found.low_power)
    assert unknown == (None, None, None, None, None)


def test_a_hog_in_the_middle() -> None:
    windows = [quiet()] * 6 + [quiet(others=1.8)] * 3 + [quiet(others=1.2)] + [quiet()] * 2
    found = seen(*windows, used=(Used("cron", 0.5), Used("ffmpeg", 4.0), Used("ffmpeg", 2.0)))
    assert (found.others_busy_seconds, found.others_max_cores) == (4, 1.8)
    assert found.others_busy_cores == pytest.approx((3 * 1.8 + 1.2) / 4)
    assert found.greediest == "ffmpeg"


def test_a_short_run_is_judged_and_a_shorter_one_is_not() -> None:
    short = seen(quiet(LEAST_JUDGED_SECONDS, 1.5))
    assert (short.judged, short.others_busy_seconds) == (True, LEAST_JUDGED_SECONDS)
    shorter = seen(quiet(0.1, 1.5))
    assert (shorter.judged, shorter.others_mean_cores, shorter.others_busy_seconds) == (False, None, None)
    assert shorter.watched_seconds == 0.1


def test_a_span_that_is_told_in_part_only_is_not_judged() -> None:
    assert not seen(quiet(), quiet(others=None)).judged
    assert seen(*[quiet()] * 19, quiet(others=None)).judged
    assert not seen().judged


def test_a_moment_is_no_window_of_its_own() -> None:
    # A tenth of a second of somebody's work is nothing in a second.
    moment = quiet(0.1, 2.0)
    for windows in ((quiet(others=0.0), moment), (moment, quiet(others=0.0))):
        assert seen(*windows).others_max_cores == pytest.approx(0.2 / 1.1)
    assert seen(moment, quiet(others=0.0), moment).others_max_cores == pytest.approx(0.4 / 1.2)
    assert seen(quiet(others=0.0), quiet(0.6, 2.0)).others_max_cores == 2.0
    # What can't be told takes nothing with it.
    assert seen(*[quiet()] * 20, quiet(0.1, None)).others_max_cores == 0.1


@given(WINDOWS)
def test_a_summary_keeps_to_what_was_seen(windows: list[Window]) -> None:
    found = summarise(windows, (), cores=4, limits=LIMITS)
    assert found.watched_seconds == pytest.approx(fsum(each.seconds for each in windows))
    if not found.judged:
        assert found.others_mean_cores is None
        return
    most = max(each.others_cores or 0.0 for each in windows)
    assert found.others_mean_cores is not None
    assert found.others_max_cores is not None
    assert found.others_busy_seconds is not None
    assert found.others_mean_cores <= found.others_max_cores + 1e-9 <= most + 2e-9
    assert found.others_busy_seconds <= found.watched_seconds + 1e-9
    if found.others_busy_cores is not None:
        assert LIMITS.others_cores(4) < found.others_busy_cores <= most + 1e-9


@given(WINDOWS.filter(bool))
def test_joining_loses_nothing(windows: list[Window]) -> None:
    found = joined(windows)
    assert found.others_cores is not None
    assert found.seconds * found.others_cores == pytest.approx(
        fsum(each.seconds * (each.others_cores or 0) for each in windows)
    )


# --- who it was


def test_the_greediest_is_named_where_it_used_a_good_part() -> None:
    spent = Window(10, 1.0, 0.0)
    assert greediest([Used("ffmpeg", 3), Used("a", 2.9)], spent) == "ffmpeg"
    assert greediest([Used("a", 2), Used("b", 1), Used("a", 1)], spent) == "a"
    # The host's processes are out of a container's sight, and the greediest that it sees is not the one.
    assert greediest([Used("cron", 0.1)], spent) is None
    assert greediest([], spent) is None


def test_the_hypervisor_may_be_the_greediest() -> None:
    assert greediest([Used("cron", 1)], Window(10, 1.0, 0.8)) == "the hypervisor"
    assert greediest([Used("ffmpeg", 5)], Window(10, 1.0, 0.2)) == "ffmpeg"


# --- everything else


def test_states_come_to_the_worst_and_to_differences() -> None:
    first = State(
        at=0.0,
        thermal="nominal",
        memory_pressure="normal",
        throttled_seconds=5.0,
        memory_stalled_seconds=1.0,
        swapped_bytes=1000,
        power_source="mains",
        low_power=False,
        slept_seconds=100.0,
        wall_offset_seconds=50.0,
    )
    worst = first._replace(at=1.0, thermal="heavy", memory_pressure="critical", power_source="battery", low_power=True)
    last = first._replace(
        at=2.0,
        throttled_seconds=5.5,
        memory_stalled_seconds=1.25,
        swapped_bytes=5096,
        slept_seconds=130.0,
        wall_offset_seconds=-10.0,
    )
    found = seen(quiet(2), states=(first, worst, last))
    assert (found.thermal, found.memory_pressure, found.power_source, found.low_power) == (
        *("heavy", "critical", "battery", True),
    )
    assert (found.throttled_seconds, found.memory_stalled_seconds, found.swapped_bytes) == (0.5, 0.25, 4096)
    assert (found.slept_seconds, found.clock_step_seconds) == (30.0, -60.0)


def test_a_sum_that_began_anew_is_nothing_and_one_reading_is_no_difference() -> None:
    assert seen(quiet(), states=(State(0, swapped_bytes=5), State(1, swapped_bytes=1))).swapped_bytes == 0
    assert seen(quiet(), states=(State(0, swapped_bytes=5),)).swapped_bytes is None
    assert seen(quiet(), states=(State(0), State(1, swapped_bytes=5))).swapped_bytes is None


def test_the_gpu_tells_of_the_time_since_the_reading_before() -> None:
    states = (
        State(0, gpu=Gpu(others=0.9, greediest="before", slowed_by="heat", celsius=90)),
        State(10, gpu=Gpu(others=0.0, slowed_by="", celsius=60)),
        State(15, gpu=Gpu(others=0.6, greediest="WindowServer", slowed_by="heat", celsius=70)),
    )
    found = seen(quiet(15), states=states)
    assert found.gpu_others_mean == pytest.approx(0.2)
    assert (found.gpu_others_max, found.gpu_busy_seconds, found.gpu_greediest) == (0.6, 5, "WindowServer")
    assert (found.gpu_slowed_seconds, found.gpu_slowed_by, found.gpu_max_celsius) == (5, "heat", 90)


def test_a_limit_has_a_floor_and_one_is_no_limit() -> None:
    assert LIMITS.others_cores(2) == LEAST_CORES
    assert LIMITS.others_cores(10) == 1.0
    assert LIMITS.others_cores(None) == LEAST_CORES
    assert Limits(max_others_cpu=1).others_cores(2) == float("inf")
