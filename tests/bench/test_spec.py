"""The job specification: frozen, validated, with a hash that only what differs from the defaults goes into."""

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.spec import PRECISIONS, JobSpec, StopRule, describe, hash_of

QUALITY = JobSpec(model="m", workload="facts", strategy="direct", temperature=0.0)
SPEED = JobSpec(model="m", workload="speed", prompt_tokens=128, new_tokens=64, precision="float16", stop=StopRule())

FIELDS = st.fixed_dictionaries(
    {"model": st.sampled_from(["a", "b"]), "workload": st.sampled_from(["facts", "speed"])},
    optional={
        "temperature": st.sampled_from([None, 0.0, 0.5]),
        "seed": st.integers(0, 3),
        "samples": st.integers(1, 3),
        "precision": st.sampled_from(PRECISIONS),
        "compile": st.booleans(),
        "stop": st.sampled_from([None, StopRule(), StopRule(target=0.1)]),
    },
)


def test_a_specification_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        QUALITY.seed = 1  # type: ignore[misc]


def test_a_key_that_is_none_of_its_fields_is_refused() -> None:
    with pytest.raises(ValidationError, match="temprature"):
        JobSpec.model_validate({"model": "m", "workload": "w", "temprature": 0.5})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 5.1),
        ("temperature", float("nan")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("items", 0),
        ("samples", 0),
        ("seed", -1),
        ("seed", 2**31),
        ("new_tokens", 1),
        ("prompt_tokens", 0),
        ("batch_size", 0),
        ("precision", "fp16"),
        ("attention", "flash"),
        ("device", "gpu"),
        ("machine", "a machine"),
        ("model", ""),
        ("model", "two words"),
        ("workload", "bell\x07"),
        ("isolation", "thread"),
        ("processes", 0),
        ("processes", 101),
    ],
)
def test_a_value_out_of_range_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate({"model": "m", "workload": "w", field: value})
    assert caught.value.errors()[0]["loc"] == (field,)


def test_a_stop_rule_needs_as_many_iterations_at_most_as_at_least() -> None:
    with pytest.raises(ValidationError, match=r"max_iterations \(3\) is below min_iterations \(5\)"):
        StopRule(max_iterations=3)


def test_the_canonical_text_leaves_out_what_is_at_its_default() -> None:
    assert QUALITY.canonical() == '{"model":"m","strategy":"direct","temperature":0.0,"workload":"facts"}'
    assert JobSpec(model="m", workload="facts", strategy="direct", temperature=0.0, seed=0).digest() == QUALITY.digest()


@given(FIELDS)
def test_the_canonical_text_is_the_models_own_json_with_sorted_keys(fields: dict[str, Any]) -> None:
    spec = JobSpec.model_validate(fields)
    dumped = spec.model_dump(exclude_defaults=True)
    assert spec.canonical() == json.dumps(dumped, sort_keys=True, separators=(",", ":"))


def test_the_canonical_text_tells_numbers_of_different_types_apart() -> None:
    one = JobSpec(model="m", workload="w", seed=1, temperature=1.0, top_k=1, compile=True, job_seconds=1.0)
    assert one.canonical() == (
        '{"compile":true,"job_seconds":1.0,"model":"m","seed":1,"temperature":1.0,"top_k":1,"workload":"w"}'
    )


def test_the_canonical_text_of_a_nought_does_not_depend_on_those_before_it() -> None:
    texts = [JobSpec(model="m", workload="w", temperature=value).canonical() for value in (0.0, -0.0, 0.0)]
    assert [text.partition('"temperature":')[2][:4] for text in texts] == ["0.0,", "-0.0", "0.0,"]


def test_the_canonical_text_escapes_what_a_name_may_hold() -> None:
    spec = JobSpec(model='q"w\\é', workload="w")
    assert json.loads(spec.canonical()) == {"model": 'q"w\\é', "workload": "w"}


def test_a_job_of_values_is_the_same_as_one_by_name() -> None:
    values = {"model": "m", "workload": "w", "seed": 3}
    assert JobSpec.of(values) == JobSpec(model="m", workload="w", seed=3)
    assert JobSpec.of(values).model_copy(update={"seed": 4}) == JobSpec(model="m", workload="w", seed=4)
    assert pickle.loads(pickle.dumps(JobSpec.of(values))) == JobSpec.of(values)
    assert hash(JobSpec.of(values)) == hash(JobSpec(model="m", workload="w", seed=3))
    with pytest.raises(ValidationError, match="temprature"):
        JobSpec.of({**values, "temprature": 0.5})


def test_the_digest_stays_what_it_was() -> None:
    # It is stored: were it another, the key of an earlier version's batch would seem to hold another sweep.
    assert QUALITY.digest() == "c89fbd45b38eb23c8b2c42aa63f1c0118731237369b07c6857e6f6f701a40a75"
    assert SPEED.canonical() == (
        '{"model":"m","new_tokens":64,"precision":"float16","prompt_tokens":128,"stop":{},"workload":"speed"}'
    )


@given(FIELDS, FIELDS)
def test_specifications_are_equal_where_their_digests_are(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, other = JobSpec(**first), JobSpec(**second)
    assert (one == other) == (one.digest() == other.digest())


@given(FIELDS)
def test_a_stored_specification_reads_back_as_it_was(fields: dict[str, Any]) -> None:
    spec = JobSpec(**fields)
    assert JobSpec.model_validate_json(spec.canonical()) == spec


def test_a_specification_with_new_tokens_is_one_of_speed() -> None:
    assert SPEED.is_speed
    assert not QUALITY.is_speed


@pytest.mark.parametrize("field", ["max_iterations", "max_seconds", "max_warmup_iterations", "max_warmup_seconds"])
def test_a_cap_of_the_stop_rule_is_above_0(field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        StopRule.model_validate({field: 0})
    assert field in str(caught.value)


def test_several_processes_are_fresh_ones() -> None:
    assert not SPEED.is_isolated
    assert SPEED.model_copy(update={"isolation": "process"}).is_isolated
    assert SPEED.model_copy(update={"processes": 2}).is_isolated


def test_a_line_for_people_names_what_tells_jobs_apart() -> None:
    assert describe(QUALITY) == "m facts direct float32"
    assert describe(QUALITY.model_copy(update={"temperature": 0.3})) == "m facts direct t=0.3 float32"
    assert describe(SPEED) == "m speed 128+64 float16"
    assert describe(SPEED.model_copy(update={"processes": 2})) == "m speed 128+64 float16 in 2 processes"


def test_a_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert hash_of({"a": 1, "b": [2]}) == hash_of({"b": [2], "a": 1}) != hash_of({"a": 1, "b": [3]})
