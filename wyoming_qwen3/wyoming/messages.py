"""Converts Wyoming events to the library's messages and checks every field.

The library accepts any value in a field, and drops parts of a voice: its language if it has a name, its speaker if it
has none.
"""

from typing import Any, TypeVar, cast

from wyoming.event import Event
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeVoice

from wyoming_qwen3.core.errors import InvalidRequest

_SynthesizeMessage = TypeVar("_SynthesizeMessage", bound=Synthesize | SynthesizeStart | SynthesizeChunk)


def parse(message: type[_SynthesizeMessage], event: Event) -> _SynthesizeMessage:
    """Return the message in an event. A null field counts as absent, and a voice may be just a name.

    Raises InvalidRequest if fields are missing or have the wrong type.
    """
    data = _without_nulls(event.data)
    voice = _voice(data.pop("voice", {}))
    if message is SynthesizeChunk:
        data.setdefault("text", "")
    if message is not SynthesizeStart and not isinstance(data.get("text"), str):
        raise InvalidRequest(f"A {event.type} event needs a text, as a string.")
    parsed = cast(_SynthesizeMessage, message.from_event(Event(event.type, data)))
    if isinstance(parsed, Synthesize | SynthesizeStart):
        parsed.voice = voice
    return parsed


def pong(event: Event) -> Pong:
    """Return the answer to a ping. Raises InvalidRequest if its text is not a string."""
    text = Ping.from_event(event).text
    if not isinstance(text, str | None):
        raise InvalidRequest("The text of a ping must be a string.")
    return Pong(text=text and sendable(text))


def sendable(text: str) -> str:
    """Replace lone surrogates, which JSON can contain but UTF-8 can't."""
    return text.encode("utf-8", "replace").decode()


def _voice(given: Any) -> SynthesizeVoice:
    fields = _without_nulls({"name": given} if isinstance(given, str) else given) if given else {}
    if not all(isinstance(value, str) for value in fields.values()):
        raise InvalidRequest(_WRONG_VOICE)
    return SynthesizeVoice(**{name: fields[name] for name in ("name", "language", "speaker") if name in fields})


_WRONG_VOICE = "The voice must be an object with the strings name, language or speaker."


def _without_nulls(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidRequest(_WRONG_VOICE)
    return {name: value for name, value in data.items() if value is not None}
