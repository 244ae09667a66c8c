"""What is chosen on a CPU by the speeds that were measured, and what is told of them."""

from collections.abc import Mapping

import pytest

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.cpu_speed import (
    RESERVE,
    Quantize,
    choose_quantize,
    choose_size,
    expected_speed,
    quantize_candidates,
    say_speed,
    say_what_to_do,
)

AUTO: tuple[Quantize, ...] = ("int8", "int4")

MACHINES: Mapping[str, tuple[Mapping[Quantize, float], Quantize]] = {
    "never measured": ({}, "int8"),
    "Intel N100": ({"int8": 0.76, "int4": 1.04}, "int4"),
    "Intel N100, int4 not measured yet": ({"int8": 0.76}, "int4"),
    "Raspberry Pi 5": ({"int8": 0.41, "int4": 0.59}, "int4"),
    "desktop with 8 cores and AVX2": ({"int8": 1.55}, "int8"),
    "2 virtual Zen 4 cores": ({"int8": 1.0, "int4": 1.55}, "int4"),
    "keeps up exactly": ({"int8": RESERVE}, "int8"),
    "only the general kernels, where 4 bits are slower": ({"int8": 0.2, "int4": 0.19}, "int8"),
    "4 bits gain nothing to speak of": ({"int8": 0.8, "int4": 0.83}, "int8"),
    "what was measured without rounding does not count": ({"none": 0.2, "int8": 1.2}, "int8"),
}
"""Speeds, and what `--quantize auto` makes of them; those of the first machines are estimates by their memory."""


@pytest.mark.parametrize(("speeds", "chosen"), MACHINES.values(), ids=MACHINES)
def test_weights_are_as_fine_as_keeps_up_with_real_time(speeds: Mapping[Quantize, float], chosen: Quantize) -> None:
    assert choose_quantize(AUTO, speeds) == chosen


@pytest.mark.parametrize("wanted", ["none", "int8", "int4"])
def test_what_a_person_wants_is_not_changed(wanted: Quantize) -> None:
    candidates = quantize_candidates(wanted)
    assert candidates == (wanted,)
    assert choose_quantize(candidates, {"none": 0.1, "int8": 0.1, "int4": 9.0}) == wanted


def test_4_bits_need_our_kernels() -> None:
    assert quantize_candidates("auto") == AUTO
    assert quantize_candidates("auto", kernels=False) == ("int8",)


@pytest.mark.parametrize(
    ("speeds", "there", "size"),
    [
        ({}, True, "0.6B"),
        ({"0.6B": {"int8": 4.0}}, False, "0.6B"),
        ({"0.6B": {"int8": 4.0}}, True, "1.7B"),
        ({"0.6B": {"int8": 1.55}}, True, "1.7B"),  # in 4 bits
        ({"0.6B": {"int8": 0.76, "int4": 1.04}}, True, "0.6B"),
        ({"0.6B": {"int8": 4.0}, "1.7B": {"int8": 0.9, "int4": 1.0}}, True, "0.6B"),
        ({"0.6B": {"int8": 1.0, "int4": 1.4}, "1.7B": {"int8": 0.7, "int4": 1.2}}, True, "1.7B"),
    ],
)
def test_the_large_size_speaks_if_it_is_there_and_fast_enough(
    speeds: Mapping[Size, Mapping[Quantize, float]], there: bool, size: Size
) -> None:
    assert choose_size(AUTO, speeds, large_is_there=there) == size


def test_what_was_measured_is_expected_and_else_the_least_that_follows() -> None:
    speeds: Mapping[Size, Mapping[Quantize, float]] = {"0.6B": {"int8": 2.0, "int4": 2.1}}
    assert expected_speed("0.6B", "int8", speeds) == 2.0
    assert expected_speed("1.7B", "int4", speeds) < 2.1
    assert expected_speed("1.7B", "none", speeds) == 0
    assert expected_speed("1.7B", "int4", {"0.6B": {"none": 3.0}}) == 0


def test_the_speed_is_told_in_one_sentence_and_what_to_do_if_it_is_low() -> None:
    assert say_speed("0.6B", "int4", 1.304) == "This machine speaks 0.6B in int4 at 1.3 times real time."
    assert say_speed("0.6B", "int8", 0.4102) == "This machine speaks 0.6B in int8 at 0.41 times real time."
    assert say_what_to_do(1.0) is None
    advice = say_what_to_do(0.99)
    assert advice is not None
    assert "docs/scaling.md" in advice
