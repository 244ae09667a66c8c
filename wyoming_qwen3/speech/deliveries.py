"""What an utterance speaks with where its text directs how it is spoken: a request and a backend for each delivery."""

from collections.abc import Callable
from dataclasses import replace

from wyoming_qwen3.core.request import Priority, SpeechRequest
from wyoming_qwen3.core.speakers import Speaker, find_language
from wyoming_qwen3.models.worker import EngineRow
from wyoming_qwen3.text.delivery import DEFAULT_DELIVERY, Delivery
from wyoming_qwen3.text.pieces import Segment, SpokenPiece

from .backend import Backend, EngineBackend, PieceAudio

ApplyDelivery = Callable[[SpeechRequest, Delivery], tuple[SpeechRequest, tuple[str, ...]]]
"""Returns the request for a part of a text, from that of the text, and a warning for each voice tag not followed."""

_ONE_VOICE = "The standby voice speaks the whole text in its own voice, in English."


class DeliveryRequests:
    """The request of each segment of one utterance."""

    def __init__(self, request: SpeechRequest, apply_delivery: ApplyDelivery) -> None:
        self._request = request
        self._apply_delivery = apply_delivery
        self._requests = {DEFAULT_DELIVERY: request}
        self.warnings: list[str] = []
        """A sentence for each voice tag that was not followed."""

        self.standby = False
        """Whether the standby voice spoke the beginning, so that it speaks the rest as well."""

    def find(self, segment: Segment) -> SpeechRequest:
        """Return the request of a segment; that of the utterance for a pause."""
        delivery = segment.delivery if isinstance(segment, SpokenPiece) else DEFAULT_DELIVERY
        if delivery not in self._requests:
            self._requests[delivery], warnings = self._apply_delivery(self._request, delivery)
            self.warnings += warnings
        found = self._requests[delivery]
        return self._spoken_by_standby(found) if self.standby else found

    def outdoes_standby(self, applied: SpeechRequest) -> bool:
        """Return whether a part is directed to be in a voice that the standby voice replaces, unlike the text's own."""
        own, other = self._request.voice, applied.voice
        return isinstance(other, Speaker) and not isinstance(own, Speaker) and not self.standby

    def keep_voice(self, piece: SpokenPiece, why: Exception) -> bool:
        """Have the utterance's own voice speak pieces like this one; return whether another voice was to speak them."""
        applied, own = self.find(piece), self._request
        if applied.voice == own.voice:
            return False
        self._requests[piece.delivery] = replace(applied, voice=own.voice, voice_name=own.voice_name)
        self.warnings.append(f"A voice in the text was ignored. {why}")
        return True

    def _spoken_by_standby(self, applied: SpeechRequest) -> SpeechRequest:
        own = self._request
        if applied.voice != own.voice and _ONE_VOICE not in self.warnings:
            self.warnings.append(_ONE_VOICE)
        language = own.language or find_language("en")
        return replace(
            applied, voice=own.voice, voice_name=own.voice_name, standby="only", language=language, strict=own.strict
        )


class EngagedBackend:
    """The backend that an utterance holds, as it speaks each delivery."""

    def __init__(self, backend: Backend, request: SpeechRequest, piece: SpokenPiece) -> None:
        """`backend` was engaged for this request, which is that of this piece."""
        self.backend = backend
        self.request = request
        self._by_delivery = {piece.delivery: backend}

    @property
    def side_by_side(self) -> int:
        """How many pieces may be generated at a time without changing the audio of any."""
        return self.backend.side_by_side

    def speaks(self, piece: SpokenPiece) -> bool:
        """Return whether pieces with this delivery can be submitted."""
        return piece.delivery in self._by_delivery

    def add_delivery(self, piece: SpokenPiece, backend: Backend) -> None:
        """Have pieces with this delivery spoken by `backend`, which needs no more than what is held."""
        self._by_delivery[piece.delivery] = backend

    def submit(self, piece: SpokenPiece, priority: Priority) -> PieceAudio:
        """Start to speak a piece and return its audio, to be used as a context manager."""
        return self._by_delivery[piece.delivery].submit(piece.text, priority)

    def submit_live(self, piece: SpokenPiece) -> EngineRow:
        """Start a row to which more text can be added. Only for an EngineBackend."""
        backend = self._by_delivery[piece.delivery]
        assert isinstance(backend, EngineBackend)
        return backend.submit(piece.text, live=True)


def sounds_alike(one: SpeechRequest, other: SpeechRequest) -> bool:
    """Return whether the audio of both is processed in the same way after it is generated."""
    return (one.speed, one.effects) == (other.speed, other.effects)
