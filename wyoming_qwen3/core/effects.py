"""The table of effects and their parameters. `audio/chain.py` applies them."""

import itertools
import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .errors import InvalidRequest


@dataclass(frozen=True)
class Parameter:
    """A numeric parameter of an effect, from `low` to `high` inclusive. It is required if `default` is None."""

    name: str
    low: float
    high: float
    default: float | None
    unit: str
    description: str

    def to_json(self) -> dict[str, object]:
        """Return the JSON for a client that lists the effects."""
        return {
            "name": self.name,
            "description": self.description,
            "minimum": self.low,
            "maximum": self.high,
            "default": self.default,
            "unit": self.unit,
            "required": self.default is None,
        }


@dataclass(frozen=True)
class EffectKind:
    """One kind of effect. A `whole` one needs all of the audio before it returns any."""

    type: str
    description: str
    parameters: tuple[Parameter, ...]
    whole: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the JSON for a client that lists the effects."""
        return {
            "type": self.type,
            "description": self.description,
            "whole": self.whole,
            "parameters": [parameter.to_json() for parameter in self.parameters],
        }


EFFECTS: tuple[EffectKind, ...] = (
    EffectKind(
        "pitch",
        "Changes the pitch but not the length.",
        (Parameter("semitones", -12, 12, None, "semitones", "12 is an octave up."),),
    ),
    EffectKind(
        "speed",
        "Changes the speed but not the pitch. All speeds in a chain multiplied must be from 0.25 to 4.",
        (Parameter("factor", 0.25, 4, None, "", "2 is twice as fast."),),
    ),
    EffectKind(
        "reverb",
        "Adds a room around the voice, which rings on after its end.",
        (
            Parameter("room_size", 0, 1, 0.5, "", "A larger room rings on longer."),
            Parameter("damping", 0, 1, 0.5, "", "How much the room absorbs high frequencies."),
            Parameter("wet", 0, 1, 0.25, "", "Level of the reverb."),
            Parameter("dry", 0, 1, 1, "", "Level of the voice; 1 leaves it unchanged."),
        ),
    ),
    EffectKind(
        "low_shelf",
        "Amplifies or attenuates below a frequency.",
        (
            Parameter("gain_db", -24, 24, None, "dB", "Gain well below the frequency; half of it is reached there."),
            Parameter("frequency_hz", 20, 10_000, 200, "Hz", "The middle of the slope."),
        ),
    ),
    EffectKind(
        "high_shelf",
        "Amplifies or attenuates above a frequency.",
        (
            Parameter("gain_db", -24, 24, None, "dB", "Gain well above the frequency; half of it is reached there."),
            Parameter("frequency_hz", 20, 10_000, 4_000, "Hz", "The middle of the slope."),
        ),
    ),
    EffectKind(
        "gain", "Amplifies or attenuates.", (Parameter("gain_db", -60, 24, None, "dB", "6 dB doubles the amplitude."),)
    ),
    EffectKind(
        "loudness",
        "Sets the integrated loudness by ITU-R BS.1770. Silence stays silent.",
        # -16 is what Apple asks of podcasts.
        (Parameter("target_lufs", -40, -8, -16, "LUFS", "The higher, the louder."),),
        whole=True,
    ),
    EffectKind(
        "limiter",
        "Limits peaks to the threshold, and leaves quieter audio unchanged.",
        (
            Parameter("threshold_db", -40, 0, -1, "dBFS", "Level that no sample exceeds."),
            Parameter("release_ms", 1, 1_000, 100, "ms", "Time in which it recovers after a peak."),
        ),
    ),
)

MAX_EFFECTS = 16
"""Maximum number of effects in one chain."""

_KINDS: Mapping[str, EffectKind] = {kind.type: kind for kind in EFFECTS}

_SPEEDS = (0.25, 4.0)
"""Range of the product of all speeds in a chain. Sixteen of 0.25 would make a second last for years."""


@dataclass(frozen=True)
class Effect:
    """An effect with a value for each of its parameters, in the order of the table."""

    type: str
    values: tuple[float, ...]

    @property
    def kind(self) -> EffectKind:
        """The effect's entry in the table."""
        return _KINDS[self.type]

    def to_json(self) -> dict[str, str | float]:
        """Return the JSON that `read_effects` accepts."""
        names = (parameter.name for parameter in self.kind.parameters)
        return {"type": self.type, **dict(zip(names, self.values, strict=True))}


def read_effects(items: object, param: str = "effects") -> tuple[Effect, ...]:
    """Return the chain that a client requests: a list of objects with a `type` and any of its parameters by name.

    Raises InvalidRequest for anything else, such as an unknown effect, an unknown parameter or a value out of range.
    The message says what is accepted. `param` is the field of the request; the error's `param` also has the position in
    it, such as `effects[1].wet`.
    """
    if isinstance(items, str | bytes) or not isinstance(items, Sequence) or len(items) > MAX_EFFECTS:
        raise InvalidRequest(f"{param} must be a list of at most {MAX_EFFECTS} effects.", param=param)
    effects = tuple(_read(item, f"{param}[{number}]") for number, item in enumerate(items))
    low, high = _SPEEDS
    if not low <= (speed := tempo(effects)) <= high:
        raise InvalidRequest(
            f"The speeds in {param} together must be between {low:g} and {high:g}, but are {speed:g}.", param=param
        )
    return effects


def needs_whole(effects: Iterable[Effect]) -> bool:
    """Return whether no audio can be sent before all of it is generated."""
    return any(effect.kind.whole for effect in effects)


def tempo(effects: Iterable[Effect]) -> float:
    """Return the factor by which the effects speed up their input."""
    return math.prod(_speeds(effects))


def stretch(effects: Iterable[Effect]) -> float:
    """Return the longest length after any of the effects, as a multiple of the input's length; at least 1."""
    return 1 / min(itertools.accumulate(_speeds(effects), operator.mul, initial=1.0))


def _speeds(effects: Iterable[Effect]) -> Iterator[float]:
    return (effect.values[0] for effect in effects if effect.type == "speed")


def _read(item: object, place: str) -> Effect:
    types = ", ".join(_KINDS)
    if not isinstance(item, Mapping):
        raise InvalidRequest(f"{place} must be an object with a type, one of {types}.", param=place)
    name = item.get("type")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidRequest(f"{place}.type must be one of {types}.", param=f"{place}.type")
    names = [parameter.name for parameter in kind.parameters]
    for key in item:
        if key not in {"type", *names}:
            raise InvalidRequest(f"{place} takes type, {', '.join(names)} and nothing else.", param=place)
    return Effect(kind.type, tuple(_number(item, parameter, place) for parameter in kind.parameters))


def _number(item: Mapping[str, object], parameter: Parameter, place: str) -> float:
    value = item.get(parameter.name, parameter.default)
    # NaN is in no range, and an integer too large for a float is compared without becoming one.
    if isinstance(value, int | float) and not isinstance(value, bool) and parameter.low <= value <= parameter.high:
        return float(value)
    place = f"{place}.{parameter.name}"
    raise InvalidRequest(f"{place} must be a number between {parameter.low:g} and {parameter.high:g}.", param=place)
