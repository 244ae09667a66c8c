"""What a client may ask for in a chain of effects, and what it is told when it asks for something else."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wyoming_qwen3.core.effects import EFFECTS, MAX_EFFECTS, Effect, EffectKind, Parameter, needs_whole, read_effects
from wyoming_qwen3.core.errors import InvalidRequest

TYPES = "pitch, speed, reverb, low_shelf, high_shelf, gain, loudness, limiter"


def values(parameter: Parameter) -> st.SearchStrategy[float]:
    return st.floats(parameter.low, parameter.high) | st.integers(math.ceil(parameter.low), math.floor(parameter.high))


def effects_of(kind: EffectKind) -> st.SearchStrategy[Effect]:
    return st.tuples(*map(values, kind.parameters)).map(lambda numbers: Effect(kind.type, tuple(map(float, numbers))))


def test_the_table_can_be_listed_as_json() -> None:
    listed = json.loads(json.dumps([kind.to_json() for kind in EFFECTS], allow_nan=False))
    assert [kind["type"] for kind in listed] == TYPES.split(", ")
    assert [kind["type"] for kind in listed if kind["whole"]] == ["loudness"]
    assert all(kind["description"] and kind["parameters"] for kind in listed)
    reverb = next(kind for kind in listed if kind["type"] == "reverb")
    assert reverb["parameters"][0] == {
        "name": "room_size",
        "description": "A larger room rings on longer.",
        "minimum": 0,
        "maximum": 1,
        "default": 0.5,
        "unit": "",
        "required": False,
    }


@pytest.mark.parametrize("kind", EFFECTS, ids=lambda kind: kind.type)
def test_each_default_is_in_range_and_what_has_none_is_required(kind: EffectKind) -> None:
    for parameter in kind.parameters:
        assert parameter.default is None or parameter.low <= parameter.default <= parameter.high
    required = {parameter.name: parameter.low for parameter in kind.parameters if parameter.default is None}
    (effect,) = read_effects([{"type": kind.type, **required}])
    assert effect.kind is kind
    assert effect.values == tuple(
        parameter.low if parameter.default is None else parameter.default for parameter in kind.parameters
    )


def test_what_is_given_counts_and_what_is_not_has_its_default() -> None:
    chain = read_effects([{"type": "reverb", "room_size": 0.4, "wet": 0.3}, {"type": "pitch", "semitones": -3}])
    assert chain == (Effect("reverb", (0.4, 0.5, 0.3, 1.0)), Effect("pitch", (-3.0,)))
    assert read_effects([]) == ()


@settings(deadline=None)
@given(st.lists(st.sampled_from([kind for kind in EFFECTS if kind.type != "speed"]).flatmap(effects_of), max_size=16))
def test_an_effect_as_json_is_read_as_itself(effects: list[Effect]) -> None:
    assert read_effects(json.loads(json.dumps([effect.to_json() for effect in effects]))) == tuple(effects)


def test_the_whole_sound_is_needed_where_any_effect_needs_it() -> None:
    assert needs_whole(read_effects([{"type": "gain", "gain_db": 1}, {"type": "loudness"}]))
    assert not needs_whole(read_effects([{"type": "gain", "gain_db": 1}, {"type": "limiter"}]))
    assert not needs_whole(())


GAIN = {"type": "gain", "gain_db": 1}


@pytest.mark.parametrize(
    ("items", "param", "message"),
    [
        ([GAIN, "reverb"], "effects[1]", f"effects[1] must be an object with a type, one of {TYPES}."),
        ([None], "effects[0]", f"effects[0] must be an object with a type, one of {TYPES}."),
        ([{}], "effects[0].type", f"effects[0].type must be one of {TYPES}."),
        ([{"type": "echo"}], "effects[0].type", f"effects[0].type must be one of {TYPES}."),
        ([{"type": ["gain"]}], "effects[0].type", f"effects[0].type must be one of {TYPES}."),
        (
            [{"type": "reverb", "size": 1}],
            "effects[0]",
            "effects[0] takes type, room_size, damping, wet, dry and nothing else.",
        ),
        (
            [GAIN, {"type": "reverb", "room_size": 1.5}],
            "effects[1].room_size",
            "effects[1].room_size must be a number between 0 and 1.",
        ),
        (
            [{"type": "low_shelf", "gain_db": 3, "frequency_hz": 19}],
            "effects[0].frequency_hz",
            "effects[0].frequency_hz must be a number between 20 and 10000.",
        ),
        (
            [{"type": "pitch"}],
            "effects[0].semitones",
            "effects[0].semitones must be a number between -12 and 12.",
        ),
        ([GAIN] * (MAX_EFFECTS + 1), "effects", "effects must be a list of at most 16 effects."),
        ("gain", "effects", "effects must be a list of at most 16 effects."),
        ({"type": "gain"}, "effects", "effects must be a list of at most 16 effects."),
        (5, "effects", "effects must be a list of at most 16 effects."),
        (
            [{"type": "speed", "factor": 0.25}] * 2,
            "effects",
            "The speeds in effects together must be between 0.25 and 4, but are 0.0625.",
        ),
    ],
)
def test_what_is_not_accepted_is_refused_with_what_is(items: object, param: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_effects(items)
    assert (refused.value.param, str(refused.value)) == (param, message)


@pytest.mark.parametrize(
    "value",
    [True, "3", None, [], math.nan, math.inf, -math.inf, 25, -61, 10**400, "Infinity"],
    ids=lambda v: repr(v)[:9],
)
def test_only_numbers_in_range_are_numbers(value: object) -> None:
    with pytest.raises(InvalidRequest, match="must be a number between -60 and 24") as refused:
        read_effects([{"type": "gain", "gain_db": value}], "items[3].effects")
    assert refused.value.param == "items[3].effects[0].gain_db"


def test_as_many_effects_as_there_may_be_are_read() -> None:
    assert len(read_effects([GAIN] * MAX_EFFECTS)) == MAX_EFFECTS


def test_speeds_that_make_up_for_each_other_are_read() -> None:
    assert len(read_effects([{"type": "speed", "factor": 0.25}, {"type": "speed", "factor": 4}])) == 2
