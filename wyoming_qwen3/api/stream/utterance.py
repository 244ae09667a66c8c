"""One text of a speech stream and its audio."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from wyoming_qwen3.audio.streaming import encoded, whole
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import SAMPLE_RATE
from wyoming_qwen3.speech.session import SpeechSession

from .messages import SessionConfig, parse_text


@dataclass
class Utterance:
    """One text and its audio."""

    index: int
    session: SpeechSession
    config: SessionConfig
    text: list[str] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by input.done."""

    sent: int = 0
    """Number of bytes of audio that were sent."""

    over: bool = False
    """Whether its speech has ended or failed."""

    failure: InvalidRequest | None = None
    """What is wrong with its text; None if nothing is."""

    def add_text(self, data: str, most: int) -> None:
        """Add an input.text. If it can't be accepted, the utterance fails, so that it does not succeed without it."""
        if self.failure:
            return
        try:
            text = parse_text(data)
            if self.session.report.characters + len(text) > most:
                raise InvalidRequest(
                    f"The text of an utterance may have {most} characters; send input.done and continue in another.",
                    param="text",
                )
        except InvalidRequest as error:
            self.failure = error
            self.session.end_text()
        else:
            self.text.append(text)
            self.session.add_text(text)

    def check(self) -> None:
        """Raise what is wrong with the text, if anything is."""
        if self.failure:
            raise self.failure

    def start(self) -> dict[str, Any]:
        """Return the message that precedes the audio."""
        return {
            "type": "audio.start",
            "utterance_index": self.index,
            "sentence_index": 0,
            "sentence_text": "".join(self.text),
            "format": self.config.response_format,
            "sample_rate": SAMPLE_RATE,
            "channels": 1,
            **({"warnings": self.session.report.warnings} if self.session.report.warnings else {}),
        }

    def audio(self) -> AsyncGenerator[bytes, None]:
        """Yield the audio file in the parts in which it is sent."""
        if self.config.stream_audio is False:
            return self._whole()
        return encoded(self.session, self.config.response_format)

    async def _whole(self) -> AsyncGenerator[bytes, None]:
        audio, _ = await whole(self.session, self.config.response_format)
        yield audio
