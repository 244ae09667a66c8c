"""What each element of SSML directs: W3C's, and those that Azure, Google and Amazon add. Pure functions."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from wyoming_qwen3.core.speakers import language_in

from .delivery import DEFAULT_DELIVERY, Delivery
from .prosody import SILENT, gain_after, pitch_style, speed_after
from .style_words import named_style


@dataclass(frozen=True)
class Scope:
    """What applies to the text in an element."""

    without_style: Delivery = DEFAULT_DELIVERY
    """Without a style."""

    manner: str = ""
    role: str = ""
    pitch: str = ""
    is_spoken: bool = True

    @property
    def delivery(self) -> Delivery:
        """How the text is spoken; its style is made of manner, role and pitch."""
        style = ", ".join(filter(None, (self.manner, self.role, self.pitch)))
        return replace(self.without_style, style=style or None)


SENTENCES = frozenset({"p", "paragraph", "s", "sentence"})
"""Elements before and after which a sentence ends."""

EMPTY = frozenset(
    {
        *("break", "mark", "bookmark", "meta", "lexicon", "br", "amazon:breath", "mstts:silence", "mstts:viseme"),
        *("mstts:audioduration", "mstts:backgroundaudio", "mstts:voiceconversion"),
    }
)
"""Elements without content, whether or not they are written so."""


def entered(tag: str, attributes: dict[str, str], scope: Scope) -> Scope:
    """Return what applies in an element, by its name and attributes in lower case and what applies around it.

    A value that is not understood changes nothing.
    """
    if enter := _ELEMENTS.get(tag):
        scope = enter(attributes, scope)
    if language := attributes.get("xml:lang") or attributes.get("lang"):
        scope = replace(scope, without_style=replace(scope.without_style, language=language))
    return scope


_SPEAKERS = {"female": "Serena", "male": "Ryan"}
"""Speakers for a voice that is asked for by its gender alone."""

_ROLES = {
    "girl": "like a young girl",
    "boy": "like a young boy",
    "youngadultfemale": "like a young woman",
    "youngadultmale": "like a young man",
    "olderadultfemale": "like an older woman",
    "olderadultmale": "like an older man",
    "seniorfemale": "like an elderly woman",
    "seniormale": "like an elderly man",
    "narrator": "like a narrator",
}
_INTENSITIES = {"low": "slightly", "high": "very"}


def _voice(attributes: dict[str, str], scope: Scope) -> Scope:
    """A name of a cloud is passed on; the language in it applies, unless the voice is said to speak several."""
    name = attributes.get("name") or attributes.get("speaker") or _SPEAKERS.get(attributes.get("gender", "").lower())
    without_style = scope.without_style
    if name:
        without_style = replace(without_style, voice=name)
        if "multilingual" in name.lower():
            without_style = replace(without_style, language=None)
        elif language := language_in(name):
            without_style = replace(without_style, language=language.code)
    language_list = (attributes.get("language") or attributes.get("languages") or "").split()
    if language_list:
        without_style = replace(without_style, language=language_list[0].partition(":")[0])
    return replace(scope, without_style=without_style)


def _prosody(attributes: dict[str, str], scope: Scope) -> Scope:
    without_style = scope.without_style
    speed = speed_after(attributes.get("rate", ""), without_style.speed)
    gain = gain_after(attributes.get("volume", ""), without_style.gain)
    pitch = pitch_style(attributes.get("pitch", ""))
    is_spoken = scope.is_spoken and gain != SILENT
    without_style = replace(
        without_style,
        speed=without_style.speed if speed is None else speed,
        gain=without_style.gain if gain is None or not is_spoken else gain,
    )
    return replace(
        scope, without_style=without_style, is_spoken=is_spoken, pitch=scope.pitch if pitch is None else pitch
    )


def _express_as(attributes: dict[str, str], scope: Scope) -> Scope:
    if style := attributes.get("style"):
        scope = replace(scope, manner=named_style(style, _degree(attributes.get("styledegree", ""))))
    role = _ROLES.get(attributes.get("role", "").lower())
    return replace(scope, role=role) if role else scope


def _degree(written: str) -> str:
    """Return the word for a degree from 0.01 to 2; 1 is the default."""
    try:
        degree = float(written)
    except ValueError:
        return ""
    return "slightly" if degree < 0.7 else "very" if degree > 1.3 else ""


def _emotion(attributes: dict[str, str], scope: Scope) -> Scope:
    name = attributes.get("name")
    degree = _INTENSITIES.get(attributes.get("intensity", "").lower(), "")
    return replace(scope, manner=named_style(name, degree)) if name else scope


def _named(attributes: dict[str, str], scope: Scope) -> Scope:
    name = attributes.get("name")
    return replace(scope, manner=named_style(name)) if name else scope


def _effect(attributes: dict[str, str], scope: Scope) -> Scope:
    if attributes.get("name", "").lower() == "whispered":
        return replace(scope, manner="whispering")
    if attributes.get("phonation", "").lower() == "soft":
        return replace(scope, manner="in a soft voice")
    return scope


def _unspoken(_: dict[str, str], scope: Scope) -> Scope:
    return replace(scope, is_spoken=False)


_ELEMENTS: dict[str, Callable[[dict[str, str], Scope], Scope]] = {
    "voice": _voice,
    "mstts:turn": _voice,
    "prosody": _prosody,
    "mstts:express-as": _express_as,
    "express-as": _express_as,
    "amazon:domain": _named,
    "amazon:emotion": _emotion,
    "amazon:effect": _effect,
    "google:style": _named,
    "desc": _unspoken,
    "metadata": _unspoken,
}
