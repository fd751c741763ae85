"""The collector: off while much is made, and afterwards as it was."""

import gc

import pytest

from bench.garbage import uncollected


def _fail() -> None:
    raise ValueError("fault")


def test_nothing_is_collected_meanwhile() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_fault_turns_it_on_again() -> None:
    with pytest.raises(ValueError, match="fault"), uncollected():
        _fail()
    assert gc.isenabled()


def test_who_has_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
