import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.spec import JobSpec, StopRule
from bench.statistics import median, median_interval
from tests.worker.fakes import FakeAdapter, FakeClock, FakeCounter, FakeDevice
from worker.energy import Meter
from worker.measure import Outcome
from worker.protocol import Progress
from worker.speed import is_enough, measure_speed, speed_prompts


def spec(**fields: object) -> JobSpec:
    given_ = {"model": "m", "workload": "speed", "prompt_tokens": 8, "new_tokens": 5, **fields}
    return JobSpec.model_validate(given_)


def measure(
    job: JobSpec,
    adapter: FakeAdapter,
    device: FakeDevice | None = None,
    told: list[Progress] | None = None,
    meter: Meter | None = None,
) -> Outcome:
    report = told.append if told is not None else lambda progress: None
    return measure_speed(adapter, job, device or FakeDevice(), report, adapter.clock, meter)


def test_the_figures_follow_their_definitions() -> None:
    # prefill 0.5 s, four steps of 0.1 s after the first token: E2E = 0.9 s
    outcome = measure(spec(batch_size=3), FakeAdapter(FakeClock()), FakeDevice(bandwidth=100_000))
    figures = outcome.figures
    assert figures.iterations == len(outcome.samples) == 6
    assert figures.first_call_seconds == pytest.approx(0.5)
    assert figures.ttft_seconds == pytest.approx(0.5)
    assert figures.latency_seconds == pytest.approx(0.9)
    assert (figures.latency_low_seconds, figures.latency_high_seconds) == pytest.approx((0.9, 0.9))
    assert figures.decode_tokens_per_second == pytest.approx(4 * 3 / 0.4)
    assert figures.prefill_tokens_per_second == pytest.approx(8 * 3 / 0.5)
    assert figures.inter_token_p50_seconds == pytest.approx(0.1)
    # ten steps a second, each reading 1,000 bytes
    assert figures.model_bandwidth_utilization == pytest.approx(0.1)
    assert outcome.decoding == {}
    assert (figures.warmup_iterations, figures.warm) == (1, True)
    assert outcome.energy == {}


def test_a_sample_holds_one_iteration() -> None:
    sample = measure(spec(batch_size=3), FakeAdapter(FakeClock())).samples[2]
    assert (sample.iteration, sample.batch_size, sample.prompt_tokens, sample.new_tokens) == (2, 3, 8, 15)
    assert sample.inter_token_seconds == pytest.approx((0.1, 0.1, 0.1, 0.1))


def test_the_order_is_first_call_then_a_whole_iteration_thrown_away_then_pairs() -> None:
    adapter = FakeAdapter(FakeClock(), slow=[50.0])
    outcome = measure(spec(stop=StopRule(max_iterations=5), cache="static"), adapter)
    lengths = [new_tokens for _, new_tokens, _ in adapter.fixed]
    assert lengths == [1] + [1, 5] * 6
    assert {shape for shape, _, _ in adapter.fixed} == {(1, 8)}
    assert {cache for _, _, cache in adapter.fixed} == {"static"}
    # The warm-up was fifty times slower, and no sample shows it.
    assert outcome.figures.latency_high_seconds is None
    assert max(sample.latency_seconds for sample in outcome.samples) == pytest.approx(0.9)


def test_every_timed_span_is_synchronised_at_both_ends() -> None:
    device = FakeDevice()
    adapter = FakeAdapter(FakeClock())
    measure(spec(), adapter, device)
    assert device.synchronized == 2 * len(adapter.fixed)


def test_a_percentile_is_given_only_when_it_is_earned() -> None:
    few = measure(spec(new_tokens=2, stop=StopRule(max_iterations=10)), FakeAdapter(FakeClock())).figures
    assert few.inter_token_p50_seconds is None
    many = measure(spec(new_tokens=120), FakeAdapter(FakeClock())).figures
    assert many.inter_token_p50_seconds is not None
    assert many.inter_token_p99_seconds == pytest.approx(0.1)


def test_without_a_known_bandwidth_there_is_no_utilisation() -> None:
    assert measure(spec(), FakeAdapter(FakeClock())).figures.model_bandwidth_utilization is None


def test_a_pause_in_the_short_span_gives_no_negative_speed() -> None:
    adapter = FakeAdapter(FakeClock(), slow=[0.1] * 40)
    outcome = measure(spec(), adapter)
    assert {sample.decode_tokens_per_second for sample in outcome.samples} == {None}
    assert outcome.figures.decode_tokens_per_second is None
    assert outcome.figures.latency_seconds is not None


def test_progress_holds_the_running_median_and_its_interval() -> None:
    told: list[Progress] = []
    measure(spec(stop=StopRule(min_iterations=6)), FakeAdapter(FakeClock(), slow=[1, 1, 2, 3]), told=told)
    assert told[0] == Progress(phase="warming up")
    assert [progress.done for progress in told[1:]] == list(range(1, len(told)))
    third, sixth = told[3], told[6]
    assert (third.phase, third.total, third.low_seconds) == ("measuring", None, None)
    assert third.median_seconds == pytest.approx(1.8)
    assert (sixth.low_seconds, sixth.high_seconds) == pytest.approx((0.9, 2.7))


def test_what_was_not_warm_yet_is_thrown_away_and_iterations_are_numbered_without_it() -> None:
    told: list[Progress] = []
    adapter = FakeAdapter(FakeClock(), slow=[9, 5, 4, 3, 2])
    outcome = measure(spec(), adapter, told=told)
    # 9 never counts; of the others at most two slow ones are left
    assert outcome.figures.warmup_iterations == 1 + 2
    assert outcome.figures.warm is True
    assert [sample.iteration for sample in outcome.samples] == list(range(len(outcome.samples)))
    assert outcome.samples[0].latency_seconds == pytest.approx(3 * 0.9)
    assert outcome.figures.latency_seconds == pytest.approx(0.9)
    assert told[-1].done == len(outcome.samples) == outcome.figures.iterations
    assert sum(new_tokens == 5 for _, new_tokens, _ in adapter.fixed) == 3 + len(outcome.samples)


def test_what_does_not_get_warm_says_so() -> None:
    stop = StopRule(max_warmup_iterations=4, max_iterations=8)
    figures = measure(spec(stop=stop), FakeAdapter(FakeClock(), slow=[0.8**n for n in range(40)])).figures
    assert (figures.warmup_iterations, figures.warm, figures.iterations) == (4, False, 8)


@pytest.mark.parametrize("reading_seconds", [0.0, 100.0])
def test_energy_is_that_of_the_iterations_that_count_and_reading_it_is_in_no_span(reading_seconds: float) -> None:
    adapter = FakeAdapter(FakeClock(), slow=[9, 5, 4, 3, 2])
    counter = FakeCounter(adapter.clock, watts=10, reading_seconds=reading_seconds)
    stop = StopRule(max_iterations=8, min_iterations=8, max_seconds=86_400, max_warmup_seconds=86_400)
    outcome = measure(spec(batch_size=2, stop=stop), adapter, meter=Meter(lambda: counter))
    # A whole iteration is one token, 0.5 s, and five, 0.9 s and slower at first: 3, 2, and six times 1 count.
    joules = 10 * (8 * 0.5 + (3 + 2 + 6) * 0.9)
    assert outcome.energy == {
        "energy_joules": pytest.approx(joules),
        "energy_joules_per_token": pytest.approx(joules / (8 * 2 * (1 + 5))),
        "energy_source": "rapl",
    }
    assert outcome.figures.latency_seconds == pytest.approx(0.9)
    assert [sample.ttft_seconds for sample in outcome.samples] == pytest.approx([0.5] * 8)
    # once before the first and once after each
    assert counter.readings == 1 + 2 + 8


def test_what_the_device_left_to_the_cpu_is_passed_on() -> None:
    outcome = measure(spec(), FakeAdapter(FakeClock()), FakeDevice(fallbacks=("aten::odd",)))
    assert outcome.fallbacks == ("aten::odd",)


@pytest.mark.parametrize("missing", ["prompt_tokens", "new_tokens"])
def test_a_job_without_lengths_is_refused(missing: str) -> None:
    with pytest.raises(InputError, match="needs prompt_tokens and new_tokens"):
        measure(spec(**{missing: None}), FakeAdapter(FakeClock()))


# ---- prompts


@pytest.mark.parametrize(("length", "rows"), [(1, 1), (2, 3), (2000, 2)])
def test_prompts_have_their_exact_length_and_one_first_token(length: int, rows: int) -> None:
    ids = speed_prompts(FakeAdapter(FakeClock()), spec(prompt_tokens=length, batch_size=rows))
    assert ids.shape == (rows, length)
    assert ids[:, 0].tolist() == [1] * rows
    assert not bool((ids[:, 1:] == 1).any())


def test_rows_hold_different_text() -> None:
    ids = speed_prompts(FakeAdapter(FakeClock()), spec(prompt_tokens=33, batch_size=4)).tolist()
    texts = ["".join(chr(number) for number in row[1:]) for row in ids]
    assert texts[0] == "The harbour was quiet before the"
    assert texts[1] == " sun came up. Nets hung over the"
    assert len(set(texts)) == 4


# ---- the stop rule

times = st.lists(st.floats(0.5, 2.0), min_size=1, max_size=60)


@given(times, st.floats(0.001, 0.5), st.integers(1, 20), st.integers(0, 40))
def test_stopping_early_means_that_the_interval_is_narrow(
    latencies: list[float], target: float, least: int, more: int
) -> None:
    stop = StopRule(target=target, min_iterations=least, max_iterations=least + more, max_seconds=1000)
    enough = is_enough(stop, latencies, 10)
    interval = median_interval(latencies)
    if len(latencies) >= least + more:
        assert enough
    elif len(latencies) < least or interval is None:
        assert not enough
    else:
        middle = median(latencies)
        furthest = max(abs(edge - middle) for edge in interval) / middle
        assume(abs(furthest - target) > 1e-9)
        assert enough == (furthest < target)


def test_the_cap_on_seconds_wins_over_the_least_number() -> None:
    stop = StopRule(min_iterations=50, max_iterations=100, max_seconds=60)
    assert not is_enough(stop, [10.0], 59.9)
    assert is_enough(stop, [10.0], 60.0)


def test_at_least_one_iteration_is_measured() -> None:
    assert not is_enough(StopRule(max_seconds=0.001), [], 99)
    outcome = measure(spec(stop=StopRule(max_seconds=0.001)), FakeAdapter(FakeClock()))
    assert outcome.figures.iterations == 1


@pytest.mark.parametrize(("latencies", "enough"), [([1.0] * 5, False), ([1.0] * 6, True), ([1.0] * 5 + [1.1], False)])
def test_six_are_the_fewest_that_have_an_interval(latencies: list[float], enough: bool) -> None:
    assert is_enough(StopRule(), latencies, 1) == enough
