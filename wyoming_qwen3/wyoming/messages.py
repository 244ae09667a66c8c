"""Wyoming events -> the library's messages, with every field checked.

The library takes whatever a field holds, and drops parts of a voice: its language beside a name, its speaker without
one.
"""

from typing import Any, TypeVar, cast

from wyoming.event import Event
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeVoice

from wyoming_qwen3.core.errors import InvalidRequest

_Message = TypeVar("_Message", bound=Synthesize | SynthesizeStart | SynthesizeChunk)


def parse(message: type[_Message], event: Event) -> _Message:
    """A message from its event. A field that is null counts as absent, and a voice may be a mere name.

    Raises InvalidRequest where fields are missing or of the wrong type.
    """
    data = _without_nulls(event.data)
    voice = _voice(data.pop("voice", {}))
    if message is SynthesizeChunk:
        data.setdefault("text", "")
    if message is not SynthesizeStart and not isinstance(data.get("text"), str):
        raise InvalidRequest(f"A {event.type} event needs a text, which is a string.")
    parsed = cast(_Message, message.from_event(Event(event.type, data)))
    if isinstance(parsed, Synthesize | SynthesizeStart):
        parsed.voice = voice
    return parsed


def pong(event: Event) -> Pong:
    """The answer to a ping. Raises InvalidRequest where its text is no string."""
    text = Ping.from_event(event).text
    if not isinstance(text, str | None):
        raise InvalidRequest("The text of a ping must be a string.")
    return Pong(text=text and sendable(text))


def sendable(text: str) -> str:
    """Text without halves of characters, which JSON can escape and UTF-8 can't hold."""
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
