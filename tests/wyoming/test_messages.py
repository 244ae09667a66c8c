"""Every field of every event: absent, null, of the wrong type."""

from typing import Any

import pytest
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeVoice

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.wyoming.messages import parse, pong

Message = type[Synthesize] | type[SynthesizeStart] | type[SynthesizeChunk]
KINDS = {Synthesize: "synthesize", SynthesizeStart: "synthesize-start", SynthesizeChunk: "synthesize-chunk"}
NOBODY = SynthesizeVoice()
ODD: tuple[Any, ...] = (5, 0.5, True, [], ["x"], {}, {"a": 1})


@pytest.mark.parametrize("message", [Synthesize, SynthesizeStart])
@pytest.mark.parametrize(
    ("voice", "meant"),
    [
        (None, NOBODY),
        ({}, NOBODY),
        ("ryan", SynthesizeVoice(name="ryan")),
        ("", NOBODY),
        ({"name": "ryan"}, SynthesizeVoice(name="ryan")),
        ({"name": None, "language": None, "speaker": None}, NOBODY),
        ({"name": "ryan", "language": "de", "speaker": None}, SynthesizeVoice(name="ryan", language="de")),
        ({"language": "de", "speaker": "ryan"}, SynthesizeVoice(language="de", speaker="ryan")),
        ({"name": "ryan", "pitch": "high"}, SynthesizeVoice(name="ryan")),
    ],
)
def test_a_voice_is_what_it_says(message: Message, voice: Any, meant: SynthesizeVoice) -> None:
    parsed = parse(message, Event(KINDS[message], {"text": "Hi.", "voice": voice}))
    assert not isinstance(parsed, SynthesizeChunk)
    assert parsed.voice == meant


@pytest.mark.parametrize("message", [Synthesize, SynthesizeStart])
@pytest.mark.parametrize("voice", [5, 0.5, True, ["ryan"], {"name": 5}, {"language": ["de"]}, {"speaker": {}}])
def test_a_voice_of_the_wrong_type_is_refused(message: Message, voice: Any) -> None:
    with pytest.raises(InvalidRequest, match="The voice must be an object with the strings name, language or speaker"):
        parse(message, Event(KINDS[message], {"text": "Hi.", "voice": voice}))


@pytest.mark.parametrize("message", [Synthesize, SynthesizeStart])
def test_null_is_absence(message: Message) -> None:
    absent = parse(message, Event(KINDS[message], {"text": "Hi."}))
    null = {"text": "Hi.", "voice": None, "text_format": None, "context": None}
    assert parse(message, Event(KINDS[message], null)) == absent


@pytest.mark.parametrize("data", [{}, {"text": None}])
def test_a_chunk_without_text_adds_none_and_a_text_to_speak_must_be_there(data: dict[str, Any]) -> None:
    assert parse(SynthesizeChunk, Event("synthesize-chunk", data)).text == ""
    with pytest.raises(InvalidRequest, match="A synthesize event needs a text, as a string"):
        parse(Synthesize, Event("synthesize", data))
    parse(SynthesizeStart, Event("synthesize-start", data))


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("message", [Synthesize, SynthesizeChunk])
def test_a_text_of_the_wrong_type_is_refused(message: Message, text: Any) -> None:
    with pytest.raises(InvalidRequest, match="needs a text, as a string"):
        parse(message, Event(KINDS[message], {"text": text}))


@pytest.mark.parametrize("message", [Synthesize, SynthesizeStart])
@pytest.mark.parametrize("context", [*ODD, "x"])
def test_a_context_may_be_anything(message: Message, context: Any) -> None:
    parse(message, Event(KINDS[message], {"text": "Hi.", "context": context}))


@pytest.mark.parametrize("text", ODD)
def test_a_ping_of_the_wrong_type_is_refused(text: Any) -> None:
    with pytest.raises(InvalidRequest, match="The text of a ping must be a string"):
        pong(Event("ping", {"text": text}))
    assert pong(Event("ping", {"text": None})).text is None
