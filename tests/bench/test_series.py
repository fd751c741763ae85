"""The series key: what must be equal for two runs to be compared."""

from typing import Any

import pytest

from bench.results import Resolved
from bench.series import series_definition, series_hash
from bench.spec import JobSpec

SPEC = JobSpec(model="m", workload="facts", strategy="direct", temperature=0.0)
RESOLVED = Resolved(
    device="cpu",
    device_name="a CPU",
    revision="abc",
    temperature=0.0,
    top_p=1.0,
    top_k=0,
    repetition_penalty=1.0,
    max_new_tokens=64,
    strategy_hash="s",
)


def key(spec: JobSpec = SPEC, *, workload_hash: str = "w", machine: str = "here", **resolved: Any) -> str:
    """Return the hash of a series, with resolved values changed."""
    values = RESOLVED.model_copy(update=resolved)
    return series_hash(series_definition(spec, values, workload_hash=workload_hash, machine=machine))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "n"),
        ("workload", "other"),
        ("items", 12),
        ("items_seed", 1),
        ("samples", 2),
        ("strategy", "few_shot"),
        ("seed", 1),
        ("prompt_tokens", 128),
        ("new_tokens", 64),
        ("precision", "float16"),
        ("attention", "eager"),
        ("compile", True),
        ("cache", "static"),
        ("batch_size", 2),
        ("isolation", "process"),
        ("processes", 2),
    ],
)
def test_another_specification_is_another_series(field: str, value: Any) -> None:
    assert key(SPEC.model_copy(update={field: value})) != key()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("revision", "def"),
        ("temperature", 0.5),
        ("top_p", 0.9),
        ("top_k", 50),
        ("repetition_penalty", 1.1),
        ("max_new_tokens", 32),
        ("strategy_hash", "t"),
        ("quantiser", "q4"),
        ("device", "mps"),
    ],
)
def test_another_resolved_value_is_another_series(field: str, value: Any) -> None:
    assert key(**{field: value}) != key()


def test_other_data_and_another_machine_are_other_series() -> None:
    assert len({key(), key(workload_hash="v"), key(machine="there")}) == 3


def test_what_was_asked_counts_for_less_than_what_it_resolved_to() -> None:
    # A checkpoint brings defaults of its own: the same value, given or not, is the same series.
    assert key(SPEC.model_copy(update={"top_p": 0.9})) == key()
    assert key(SPEC.model_copy(update={"machine": "here", "device": "cpu"})) == key()


def test_the_name_of_a_device_only_explains() -> None:
    assert key(device_name="another CPU") == key()


def test_the_hash_stays_what_it_was() -> None:
    # It is stored with every run: were it another, all history would begin anew.
    assert key() == "f455a334ada3e11ebe99eae059bc5e3b83b1f32c8617fd257320e3a8e2949ef4"
