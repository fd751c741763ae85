"""The shares of several processes, and what they measured as one measurement."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.processes import pooled, share_of
from bench.results import Environment, Figures, Measurement, Resolved, Sample
from bench.spec import StopRule
from bench.speed_figures import speed_figures, tokens_generated

RESOLVED = Resolved(device="cpu", device_name="a CPU", revision="old")
ENVIRONMENT = Environment(
    os_build="Linux", python_version="3", torch_version="2", transformers_version="5", benchbeat_version="1"
)

rules = st.builds(
    StopRule,
    target=st.floats(0.001, 0.999),
    min_iterations=st.integers(1, 50),
    max_iterations=st.integers(50, 10_000),
    max_seconds=st.floats(0.1, 86_400),
)


def samples(*latencies: float) -> tuple[Sample, ...]:
    """Return iterations of two sequences of five tokens, decoded in a second less than they took altogether."""
    return tuple(
        Sample(
            iteration=place,
            batch_size=2,
            prompt_tokens=8,
            new_tokens=10,
            latency_seconds=seconds,
            decode_tokens_per_second=8 / seconds,
        )
        for place, seconds in enumerate(latencies)
    )


def measured(*latencies: float, figures: dict[str, Any] | None = None, **fields: Any) -> Measurement:
    """Return what one process measured."""
    taken = samples(*latencies)
    own = {"warm": True, "warmup_iterations": 1} | (figures or {})
    given_ = {"started_at": 100.0, "finished_at": 110.0, "session": "a", "session_position": 1} | fields
    return Measurement(
        **({"resolved": RESOLVED, "environment": ENVIRONMENT} | given_),
        figures=speed_figures(taken).model_copy(update=own),
        samples=taken,
    )


# ---- shares


def test_the_first_share_is_a_part_of_all_and_the_others_as_long() -> None:
    stop = StopRule(target=0.02, min_iterations=5, max_iterations=31, max_seconds=300, max_warmup_iterations=9)
    first = share_of(stop, 2)
    assert (first.min_iterations, first.max_iterations, first.max_seconds) == (3, 16, 150)
    assert first.target == pytest.approx(0.02 * 2**0.5)
    second = share_of(stop, 2, 7)
    assert (second.min_iterations, second.max_iterations, second.max_seconds) == (7, 7, 150)
    # each warms up for itself
    assert first.max_warmup_iterations == second.max_warmup_iterations == 9


@given(rules)
def test_the_share_of_one_is_the_whole(stop: StopRule) -> None:
    assert share_of(stop, 1) == stop


@given(rules, st.integers(1, 100), st.none() | st.integers(1, 10_000))
def test_a_share_is_a_stop_rule_and_all_together_are_enough(
    stop: StopRule, processes: int, iterations: int | None
) -> None:
    share = share_of(stop, processes, iterations)
    assert StopRule.model_validate_json(share.model_dump_json()) == share
    assert share.target >= stop.target
    assert share.max_seconds * processes == pytest.approx(stop.max_seconds)
    if iterations is None:
        assert share.min_iterations * processes >= stop.min_iterations
        assert stop.max_iterations <= share.max_iterations * processes < stop.max_iterations + processes


# ---- pooling


def test_the_figures_are_those_of_all_iterations() -> None:
    one, other = (
        measured(1.0, 1.1, 1.2, figures={"load_seconds": 3.0, "first_call_seconds": 0.5}),
        measured(2.0, 2.1, 2.2, figures={"load_seconds": 5.0, "first_call_seconds": 0.7}, finished_at=150.0),
    )
    found = pooled([one, other])
    assert [(sample.iteration, sample.process) for sample in found.samples] == [
        *((0, 1), (1, 1), (2, 1)),
        *((3, 2), (4, 2), (5, 2)),
    ]
    assert [sample.latency_seconds for sample in found.samples] == [1.0, 1.1, 1.2, 2.0, 2.1, 2.2]
    figures = found.figures
    assert figures.iterations == 6
    assert figures.latency_seconds == pytest.approx(1.6)
    assert (figures.latency_low_seconds, figures.latency_high_seconds) == (1.0, 2.2)
    assert (figures.process_latency_low_seconds, figures.process_latency_high_seconds) == (1.1, 2.1)
    assert (figures.load_seconds, figures.first_call_seconds) == pytest.approx((4.0, 0.6))
    assert (found.started_at, found.finished_at) == (100.0, 150.0)


def test_memory_is_the_most_and_energy_the_sum() -> None:
    figures = {"peak_process_memory_bytes": 10, "weights_bytes": 5, "energy_joules": 20.0, "energy_source": "rapl"}
    one = measured(1.0, figures=figures)
    other = measured(2.0, figures=figures | {"peak_process_memory_bytes": 12, "energy_joules": 16.0})
    found = pooled([one, other]).figures
    assert (found.peak_process_memory_bytes, found.weights_bytes, found.peak_device_memory_bytes) == (12, 5, None)
    assert (found.energy_joules, found.energy_source) == (36.0, "rapl")
    # two sequences: five tokens each, and one each of which the first token's time was measured
    assert tokens_generated(pooled([one, other]).samples) == 24
    assert found.energy_joules_per_token == pytest.approx(1.5)


def test_energy_that_one_process_could_not_read_is_not_known() -> None:
    known = {"energy_joules": 20.0, "energy_joules_per_token": 1.0, "energy_source": "rapl"}
    found = pooled([measured(1.0, figures=known), measured(1.0)]).figures
    assert (found.energy_joules, found.energy_joules_per_token, found.energy_source) == (None, None, None)


@pytest.mark.parametrize(
    ("warm", "together"),
    [([True, True], True), ([True, False], False), ([None, False], False), ([True, None], None)],
)
def test_a_run_is_warm_where_each_process_was(warm: list[bool | None], together: bool | None) -> None:
    found = pooled([measured(1.0, figures={"warm": each, "warmup_iterations": n}) for n, each in enumerate(warm, 3)])
    assert found.figures.warm is together
    assert found.figures.warmup_iterations == 4


def test_utilisation_goes_with_the_speed_of_decoding() -> None:
    parts = [
        measured(2.0, figures={"model_bandwidth_utilization": 0.4}),
        measured(4.0, figures={"model_bandwidth_utilization": 0.2}),
    ]
    assert pooled(parts).figures.model_bandwidth_utilization == pytest.approx(0.3)
    assert pooled([measured(2.0), measured(4.0)]).figures.model_bandwidth_utilization is None


def test_what_disturbed_one_process_disturbed_the_run() -> None:
    parts = [measured(1.0, contamination=("hot",)), measured(1.0, contamination=("hot", "busy"))]
    assert pooled(parts).contamination == ("hot", "busy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"resolved": RESOLVED.model_copy(update={"revision": "new"})},
            "its process 2 found revision 'new', the first",
        ),
        ({"environment": ENVIRONMENT.model_copy(update={"torch_version": "9"})}, "found torch_version '9', the first"),
    ],
)
def test_processes_that_measured_different_things_are_no_run(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pooled([measured(1.0), measured(1.0, **change)])


@pytest.mark.parametrize(
    ("dirty", "together"), [((False, False), False), ((False, True), True), ((None, None), None), ((True, False), True)]
)
def test_a_file_that_is_edited_between_processes_only_makes_the_checkout_dirty(
    dirty: tuple[bool | None, ...], together: bool | None
) -> None:
    parts = [measured(1.0, environment=ENVIRONMENT.model_copy(update={"git_dirty": each})) for each in dirty]
    assert pooled(parts).environment.git_dirty is together


@given(st.lists(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=8), min_size=1, max_size=5))
def test_pooling_loses_no_iteration_and_lies_within_its_processes(latencies: list[list[float]]) -> None:
    found = pooled([measured(*each) for each in latencies])
    assert [sample.latency_seconds for sample in found.samples] == [value for each in latencies for value in each]
    assert [sample.iteration for sample in found.samples] == list(range(len(found.samples)))
    figures = found.figures
    assert figures.iterations == len(found.samples)
    assert figures.process_latency_low_seconds is not None
    assert figures.process_latency_high_seconds is not None
    values = sorted(value for each in latencies for value in each)
    assert values[0] <= figures.process_latency_low_seconds <= figures.process_latency_high_seconds <= values[-1]
    assert set(Figures.model_fields) >= {name for name, value in figures if value is not None}
