import hashlib
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.spec import JobSpec
from worker.sampling import Decoding, choose, generation_seed, samplers, uniforms

CPU = torch.device("cpu")


def spec(**fields: object) -> JobSpec:
    return JobSpec.model_validate({"model": "m", "workload": "w", **fields})


def test_what_a_job_leaves_open_is_settled() -> None:
    assert Decoding.of(spec()) == Decoding(0.0, 1.0, 0, 1.0, 256)
    given_ = spec(temperature=0.5, top_p=0.9, top_k=40, repetition_penalty=1.1, max_new_tokens=7)
    assert Decoding.of(given_) == Decoding(0.5, 0.9, 40, 1.1, 7)


def test_a_seed_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b'[7,"item-1",2]').digest()
    assert generation_seed(7, "item-1", 2) == int.from_bytes(digest[:8], "big") >> 1


@given(st.integers(0, 2**31 - 1), st.text(), st.integers(0, 1000))
def test_seeds_differ_in_every_part_and_fit_a_generator(seed: int, item: str, sample: int) -> None:
    mine = generation_seed(seed, item, sample)
    assert 0 <= mine < 2**63
    torch.Generator().manual_seed(mine)
    others = {generation_seed(seed + 1, item, sample), generation_seed(seed, item + "x", sample)}
    assert mine not in others | {generation_seed(seed, item, sample + 1)}


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5), st.integers(1, 20))
def test_a_row_s_numbers_do_not_depend_on_the_rows_beside_it(seeds: list[int], steps: int) -> None:
    together = uniforms(seeds, steps)
    assert together.shape == (len(seeds), steps)
    assert bool(((together >= 0) & (together < 1)).all())
    for row, seed in enumerate(seeds):
        assert torch.equal(together[row], uniforms([seed], steps)[0])


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30).filter(lambda weights: sum(weights) > 1e-3),
    st.floats(0, 1, exclude_max=True, width=32),
)
def test_the_token_drawn_is_the_inverse_of_the_distribution(weights: list[float], number: float) -> None:
    probabilities = torch.tensor([weights], dtype=torch.float64)
    probabilities /= probabilities.sum()
    drawn = int(choose(probabilities, torch.tensor([number]))[0])
    values = probabilities[0].tolist()
    assert values[drawn] > 0
    assert math.fsum(values[:drawn]) <= number + 1e-5
    assert math.fsum(values[: drawn + 1]) >= number - 1e-5


def test_draws_follow_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2])
    numbers = uniforms([1], 20_000)[0]
    drawn = choose(probabilities.expand(len(numbers), 4).contiguous(), numbers)
    shares = torch.bincount(drawn, minlength=4) / len(numbers)
    assert torch.allclose(shares, probabilities, atol=0.015)
    assert shares[1] == 0


def test_greedy_decoding_takes_no_processor() -> None:
    assert samplers(Decoding(temperature=0), [1, 2], 5, CPU) == []


@pytest.mark.parametrize(
    ("decoding", "allowed"),
    [
        (Decoding(temperature=1.0, top_k=2), {0, 1}),
        (Decoding(temperature=1.0, top_p=0.5), {0}),
        (Decoding(temperature=0.01), {0}),
        (Decoding(temperature=5.0), {0, 1, 2, 3}),
    ],
)
def test_settings_narrow_what_can_be_drawn(decoding: Decoding, allowed: set[int]) -> None:
    rows = 400
    scores = torch.tensor([[3.0, 2.0, 1.0, 0.0]]).repeat(rows, 1)
    processor = samplers(decoding, list(range(rows)), 3, CPU)[0]
    chosen = processor(torch.zeros(rows, 3, dtype=torch.long), scores)
    assert set(chosen.argmax(dim=1).tolist()) == allowed
    assert bool((chosen.isfinite().sum(dim=1) == 1).all())


def test_each_step_draws_anew_and_the_same_again() -> None:
    scores = torch.zeros(1, 1000)
    processor = samplers(Decoding(temperature=1.0, max_new_tokens=6), [42], 3, CPU)[0]

    def draw(step: int) -> int:
        return int(processor(torch.zeros(1, 3 + step, dtype=torch.long), scores).argmax())

    first = [draw(step) for step in range(6)]
    assert len(set(first)) == 6
    assert [draw(step) for step in range(6)] == first
    # A device may decode one step more than it keeps.
    assert draw(6) == first[-1]
