"""What the iterations of a speed workload come to: figures by their medians."""

from collections.abc import Iterable, Sequence

from bench import statistics
from bench.results import Figures, Sample


def speed_figures(samples: Sequence[Sample]) -> Figures:
    """Summarise iterations. Raises ValueError for none."""
    latencies = [sample.latency_seconds for sample in samples]
    gaps = [gap for sample in samples for gap in sample.inter_token_seconds]
    low, high = statistics.median_interval(latencies) or (None, None)
    return Figures(
        iterations=len(samples),
        ttft_seconds=median_of(sample.ttft_seconds for sample in samples),
        prefill_tokens_per_second=median_of(sample.prefill_tokens_per_second for sample in samples),
        decode_tokens_per_second=median_of(sample.decode_tokens_per_second for sample in samples),
        inter_token_p50_seconds=statistics.earned_percentile(gaps, 50),
        inter_token_p99_seconds=statistics.earned_percentile(gaps, 99),
        latency_seconds=statistics.median(latencies),
        latency_low_seconds=low,
        latency_high_seconds=high,
    )


def tokens_generated(samples: Iterable[Sample]) -> int:
    """Return all tokens of the iterations, each of which generates one token a sequence and then the whole answer."""
    return sum(sample.batch_size + sample.new_tokens for sample in samples)


def median_of(values: Iterable[float | None]) -> float | None:
    """Return the median of the values that are known; None for none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
