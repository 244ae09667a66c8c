"""Wyoming conversations with events twice, too late, too early, and with odd fields; and what is answered to each."""

import asyncio
from dataclasses import dataclass

from wyoming.event import async_read_event

from tests.stress.garbage import event
from tests.waiting import HANG_SECONDS

_NULL_START = b'{"type": "synthesize-start", "data": null, "data_length": null, "payload_length": null}\n'
_START, _STOP = event("synthesize-start"), event("synthesize-stop")
_TEXT = event("synthesize-chunk", {"text": "The front door is open."})
_SPEAK = event("synthesize", {"text": "The front door is open."})
_STREAMED = ("audio-start", "audio-chunk", "audio-stop", "synthesize-stopped")
_WHOLE = _STREAMED[:3]


@dataclass(frozen=True)
class OddConversation:
    """What is sent at once on one connection, and the types of events that are to come back, a run of chunks as one."""

    name: str
    sent: bytes
    answered: tuple[str, ...]

    async def hold(self, host: str, port: int) -> tuple[str, ...]:
        """What came back, with "open" in the place of an error's end where the connection did not close after it.

        One that ends well is asked for a pong, and "no pong" is added where none comes.
        """
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(self.sent)
        types: list[str] = []
        try:
            async with asyncio.timeout(HANG_SECONDS):
                while len(types) < len(self.answered) and (told := await async_read_event(reader)):
                    if not (told.type == "audio-chunk" and types[-1:] == ["audio-chunk"]):
                        types.append(told.type)
                if types[-1:] == ["error"]:
                    return (*types, *(["open"] if await reader.read(1) else []))
                writer.write(event("ping", {"text": self.name}))
                pong = await async_read_event(reader)
                return (*types, *([] if pong and pong.data == {"text": self.name} else ["no pong"]))
        finally:
            writer.close()


CONVERSATIONS = (
    # Twice, too late, too early, and without what it is about.
    OddConversation("stop twice", _START + _TEXT + _STOP + _STOP, _STREAMED),
    OddConversation("stop three times", _START + _TEXT + _STOP * 3 + _SPEAK, (*_STREAMED, *_WHOLE)),
    OddConversation("stop first", _STOP + _SPEAK, _WHOLE),
    OddConversation("start twice", _START + _START + _TEXT + _STOP, _STREAMED),
    OddConversation(
        "chunks without text after the end",
        _START + _TEXT + _STOP + event("synthesize-chunk") + event("synthesize-chunk", {"text": None}),
        _STREAMED,
    ),
    OddConversation("a chunk without text", _START + event("synthesize-chunk") + _TEXT + _STOP, _STREAMED),
    OddConversation("the whole text beside its chunks", _START + _SPEAK + _TEXT + _STOP, _STREAMED),
    OddConversation("no text at all", _START + _STOP, _STREAMED),
    OddConversation("null in a ping", _START + _TEXT + event("ping", {"text": None}) + _STOP, ("pong", *_STREAMED)),
    OddConversation(
        "events of other kinds",
        event("detect") + event("audio-chunk", {}, b"x" * 100) + event("nonsense") + _SPEAK,
        _WHOLE,
    ),
    # Null is absence.
    OddConversation(
        "null everywhere",
        event("synthesize", {"text": "Hi there.", "voice": None, "text_format": None, "context": None}),
        _WHOLE,
    ),
    OddConversation(
        "a voice without a name", event("synthesize-start", {"voice": {"name": None}}) + _TEXT + _STOP, _STREAMED
    ),
    OddConversation("null for data", _NULL_START + _TEXT + _STOP, _STREAMED),
    OddConversation("a mere name for a voice", event("synthesize", {"text": "Hi there.", "voice": "ryan"}), _WHOLE),
    # What is wrong is said after the answers that are owed for what was right.
    OddConversation("a number for a second text", _SPEAK + event("synthesize", {"text": 5}), (*_WHOLE, "error")),
    OddConversation(
        "a number for a second voice",
        _SPEAK + event("synthesize", {"text": "Hi.", "voice": 5}) + _SPEAK,
        (*_WHOLE, "error"),
    ),
    OddConversation("text after the end", _START + _TEXT + _STOP + _TEXT, (*_STREAMED, "error")),
    OddConversation("a second text that is missing", _SPEAK + event("synthesize", {}), (*_WHOLE, "error")),
    OddConversation("a number in a ping", _SPEAK + event("ping", {"text": 5}), (*_WHOLE, "error")),
    # Else at once.
    OddConversation("text before the start", _TEXT, ("error",)),
    OddConversation("no text to speak", event("synthesize", {}), ("error",)),
    OddConversation("a number for a chunk", _START + event("synthesize-chunk", {"text": 5}), ("error",)),
    OddConversation(
        "an empty list for a voice",
        _START + _TEXT + event("synthesize-start", {"voice": []}) + _TEXT + _STOP,
        _STREAMED,
    ),
    OddConversation("a list for a voice", _START + _TEXT + event("synthesize-start", {"voice": [5]}), ("error",)),
    OddConversation("an unknown format", event("synthesize", {"text": "Hi.", "text_format": "html"}), ("error",)),
)
