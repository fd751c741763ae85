"""What counts as a disturbance, and how it is said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.disturbances import MIB, Limits, disturbances, in_words, noise
from bench.surroundings import Gpu, State, Surroundings, Window

QUIET = {"watched_seconds": 40.0, "readings": 41, "judged": True, "cores": 2, "others_mean_cores": 0.1}


def seen(**fields: Any) -> Surroundings:
    return Surroundings.model_validate(QUIET | fields)


def said(limits: Limits = Limits(), **fields: Any) -> list[str]:  # noqa: B008 - it is frozen
    return [reason.text for reason in disturbances(seen(**fields), limits)]


def test_a_quiet_machine_and_one_of_which_nothing_is_known_disturb_nothing() -> None:
    assert said() == []
    assert said(judged=False, others_mean_cores=None, cores=None) == []
    states = {"thermal": "nominal", "memory_pressure": "normal", "power_source": "mains", "low_power": False}
    sums = {"throttled_seconds": 0.0, "memory_stalled_seconds": 0.0, "swapped_bytes": 0, "slept_seconds": 0.0}
    nothing: dict[str, Any] = {**states, **sums, "others_busy_seconds": 0.0, "clock_step_seconds": 0.0}
    assert said(gpu_others_max=0.0, **nothing) == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"others_busy_seconds": 12.0, "others_busy_cores": 1.6, "greediest": "ffmpeg"},
            "other processes used 1.6 of 2 cores for 12 s (ffmpeg)",
        ),
        ({"others_busy_seconds": 5.0, "others_busy_cores": 0.34}, "other processes used 0.3 of 2 cores for 5.0 s"),
        (
            {"gpu_busy_seconds": 30.0, "gpu_others_max": 0.35, "gpu_greediest": "WindowServer"},
            "other processes used up to 35% of the GPU for 30 s (WindowServer)",
        ),
        ({"gpu_slowed_seconds": 10.0, "gpu_slowed_by": "heat"}, "the GPU was slowed down for 10 s (heat)"),
        ({"thermal": "heavy"}, "the machine was too hot (thermal pressure heavy)"),
        ({"throttled_seconds": 8.0}, "heat held the processor down for 8.0 s"),
        ({"memory_pressure": "critical"}, "memory was short (pressure critical)"),
        ({"memory_stalled_seconds": 4.5}, "work stood still for 4.5 s for want of memory"),
        ({"swapped_bytes": 512 * MIB}, "512 MiB were swapped"),
        ({"slept_seconds": 240.0}, "the machine slept for 4 min"),
        ({"clock_step_seconds": -3600.0}, "the clock was set back by 60 min"),
        ({"clock_step_seconds": 2.0}, "the clock was set forward by 2.0 s"),
    ],
)
def test_what_passes_is_said_in_words(fields: dict[str, Any], text: str) -> None:
    (reason,) = disturbances(seen(**fields), Limits())
    assert reason == (text, True)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"power_source": "battery"}, "the machine ran on its battery"),
        ({"low_power": True}, "the machine was in low-power mode"),
    ],
)
def test_what_lasts_is_no_reason_to_measure_again(fields: dict[str, Any], text: str) -> None:
    (reason,) = disturbances(seen(**fields), Limits())
    assert reason == (text, False)


@pytest.mark.parametrize(
    "fields",
    [
        # a few seconds of the others' in a minute move no median
        {"others_busy_seconds": 4.0, "others_busy_cores": 2.0},
        {"gpu_busy_seconds": 4.0, "gpu_others_max": 1.0},
        {"gpu_slowed_seconds": 4.0, "gpu_slowed_by": "heat"},
        {"throttled_seconds": 4.0},
        {"memory_stalled_seconds": 4.0},
        {"memory_pressure": "warning"},
        {"swapped_bytes": 64 * MIB},
        {"slept_seconds": 0.1},
        {"clock_step_seconds": -0.1},
    ],
)
def test_a_little_is_no_disturbance(fields: dict[str, Any]) -> None:
    assert said(**fields) == []


def test_a_short_run_needs_little() -> None:
    assert said(watched_seconds=0.2, others_busy_seconds=0.2, others_busy_cores=1.0, greediest="hog") == [
        "other processes used 1.0 of 2 cores for 0.2 s (hog)"
    ]


def test_several_reasons_are_told_one_after_the_other() -> None:
    fields: dict[str, Any] = {"others_busy_seconds": 40.0, "others_busy_cores": 1.0}
    fields |= {"power_source": "battery", "slept_seconds": 9.0}
    assert [text.split()[0:3] for text in said(**fields)] == [
        ["other", "processes", "used"],
        ["the", "machine", "ran"],
        ["the", "machine", "slept"],
    ]


def test_limits_can_allow_everything() -> None:
    lax = Limits(
        max_others_cpu=1, max_others_gpu=1, max_disturbed_share=1, max_swap_mib=10**6, max_memory_stall=1,
        allow_battery=True,
    )  # fmt: skip
    fields: dict[str, Any] = {"others_busy_seconds": 40.0, "others_busy_cores": 2.0, "swapped_bytes": 10**9}
    fields |= {"gpu_busy_seconds": 40.0, "gpu_others_max": 1.0, "memory_stalled_seconds": 40.0}
    assert said(lax, power_source="battery", **fields) == []


SURROUNDINGS = st.fixed_dictionaries(
    {},
    optional={
        "others_busy_seconds": st.floats(0, 40),
        "others_busy_cores": st.floats(0, 2),
        "gpu_busy_seconds": st.floats(0, 40),
        "gpu_others_max": st.floats(0, 1),
        "gpu_slowed_seconds": st.floats(0, 40),
        "throttled_seconds": st.floats(0, 40),
        "memory_stalled_seconds": st.floats(0, 40),
        "swapped_bytes": st.integers(0, 10**12),
        "thermal": st.sampled_from(["nominal", "moderate", "heavy"]),
        "memory_pressure": st.sampled_from(["normal", "warning", "critical"]),
        "power_source": st.sampled_from(["mains", "battery"]),
        "low_power": st.booleans(),
        "slept_seconds": st.floats(0, 1e5),
        "clock_step_seconds": st.floats(-1e5, 1e5),
    },
)
SHARES = st.floats(0, 1)


@given(SURROUNDINGS, SHARES, SHARES, SHARES, SHARES, st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_a_wider_limit_never_finds_more(
    fields: dict[str, Any], low: float, high: float, stall: float, other: float, mib: int, more: int, battery: bool
) -> None:
    low, high = sorted((low, high))
    stall, other = sorted((stall, other))
    narrow = Limits(max_disturbed_share=low, max_memory_stall=stall, max_swap_mib=mib)
    wide = Limits(max_disturbed_share=high, max_memory_stall=other, max_swap_mib=mib + more, allow_battery=battery)
    assert set(said(wide, **fields)) <= set(said(narrow, **fields))


@given(SURROUNDINGS, st.text(max_size=20))
def test_every_reason_is_a_short_clause(fields: dict[str, Any], name: str) -> None:
    for text in said(greediest=name or None, **fields):
        assert text == text.strip()
        assert not text[0].isupper()
        assert not text.endswith(".")


def test_a_moment_is_judged_like_a_run() -> None:
    limits = Limits()
    still = State(0.0)
    assert noise(Window(1, 0.2, 0.0), still, 2, limits) is None
    assert noise(Window(1, None, None), still, 2, limits) is None
    assert noise(Window(1, 1.2, 0.0), still, 2, limits, "ffmpeg") == "other processes use 1.2 of 2 cores (ffmpeg)"
    busy_gpu = State(0.0, gpu=Gpu(others=0.35, greediest="WindowServer"))
    assert noise(Window(1, 0, 0), busy_gpu, 2, limits) == "other processes use 35% of the GPU (WindowServer)"
    assert noise(Window(1, 0, 0), State(0.0, gpu=Gpu(slowed_by="heat")), 2, limits) == "the GPU is slowed down (heat)"
    hot = State(0.0, thermal="moderate")
    assert noise(Window(1, 0, 0), hot, 2, limits) == "the machine is too hot (thermal pressure moderate)"
    short = State(0.0, memory_pressure="critical")
    assert noise(Window(1, 0, 0), short, 2, limits) == "memory is short (pressure critical)"
    # What a wait does not change is nothing to wait for.
    assert noise(Window(1, 0, 0), State(0.0, power_source="battery", low_power=True), 2, limits) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (119.4, "119 s"), (150, "2 min")]
)
def test_times_are_said_as_people_do(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
