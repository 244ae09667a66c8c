"""POST /v1/audio/conversation: a script of several speakers, spoken as one file."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal, TypeAlias

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from wyoming_qwen3.api.app_keys import CONFIG, SERVICES
from wyoming_qwen3.api.operation import Resource
from wyoming_qwen3.api.speech import MAX_BYTES
from wyoming_qwen3.api.speech_request import Effects, SpeechFields, describe
from wyoming_qwen3.api.speech_response import EVENT_STREAM, stream_audio, whole_audio, with_warnings
from wyoming_qwen3.api.tasks import EventFields, stream_progress, wants_events
from wyoming_qwen3.api.validation import Fields, ignored_headers, parse_body
from wyoming_qwen3.audio.chain import Chain, check_installed
from wyoming_qwen3.audio.encode import MEDIA_TYPES, AudioFormat
from wyoming_qwen3.audio.mix import MAX_SECONDS
from wyoming_qwen3.audio.streaming import processed
from wyoming_qwen3.core.checkpoints import PUBLISHED
from wyoming_qwen3.core.effects import Effect, needs_whole, read_effects, stretch, tempo
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import FloatArray, SpeechRequest
from wyoming_qwen3.core.speakers import voice_key
from wyoming_qwen3.speech.conversation import Conversation, ConversationTurn, TurnResult
from wyoming_qwen3.text.dialogue import MAX_TURNS, Turn, check_speaker, read_script
from wyoming_qwen3.text.markup import MAX_PAUSE

from .sources import bounded, keep
from .speakers import SpeakerFields, Speakers, assign_voices

resource = Resource("Speech")

SCRIPT_INPUTS = 5
"""Maximum number of characters of all turns, in multiples of what one request for speech may have."""

_MAX_SCRIPT = 200_000
"""Maximum number of characters of a script with its names and comments."""

_PAUSE_MS = 1000 * MAX_PAUSE


class TurnFields(Fields):
    """A turn: what a speaker says without interruption."""

    speaker: str = Field(max_length=200)
    text: str = Field(max_length=_MAX_SCRIPT)
    pause_after_ms: float | None = Field(
        None, ge=0, le=_PAUSE_MS, description="Silence after the turn, instead of pause_ms."
    )


def _refuse_for_all(given: object) -> None:
    if given is not None:
        raise PydanticCustomError("for_one_speaker", "Input should be given for a speaker, in speakers")


_OfOneSpeaker: TypeAlias = Annotated[None, BeforeValidator(_refuse_for_all)]


class ConversationBody(SpeechFields):
    """Turns, and how all speakers speak unless a speaker's own fields say otherwise."""

    script: str | None = Field(None, max_length=_MAX_SCRIPT, description="Lines of the form [Speaker] text.")
    turns: list[TurnFields] | None = Field(
        None, min_length=1, max_length=MAX_TURNS, fail_fast=True, description="The turns, instead of a script."
    )
    speakers: Speakers = Field(
        default_factory=dict, description="The voice or the fields of each speaker whose name is not a voice's."
    )
    pause_ms: float = Field(400, ge=0, le=_PAUSE_MS, description="Silence between two turns.")
    effects: Effects | None = Field(None, description="Effects on the whole, in order.")
    stream: bool | None = Field(None, description="false sends the audio only when it is complete, with its length.")
    return_: Literal["audio", "json"] = Field(
        "audio", alias="return", description="The file, or the URL to fetch it from."
    )
    voice: _OfOneSpeaker = None
    ref_audio: _OfOneSpeaker = None
    reference_audio: _OfOneSpeaker = None
    ref_text: _OfOneSpeaker = None
    clone_transcript: _OfOneSpeaker = None
    x_vector_only_mode: _OfOneSpeaker = None


class SpokenTurn(BaseModel):
    """A turn, and its time in the file without the pause after it. `model` is the checkpoint that spoke."""

    speaker: str
    text: str
    start_ms: float
    end_ms: float
    model: str


class ConversationAnswer(BaseModel):
    """A conversation, which can be fetched for a day."""

    audio_url: str
    duration_ms: float
    format: AudioFormat
    turns: list[SpokenTurn]
    warnings: Annotated[list[str], Field(description="Sentences on what could be better about a speaker.")] = []


@resource.operation(
    "POST",
    "/v1/audio/conversation",
    "Speak a conversation",
    body=ConversationBody,
    answers={200: dict.fromkeys(MEDIA_TYPES.values()) | {"application/json": ConversationAnswer, EVENT_STREAM: None}},
    errors=(404, 429, 500, 501, 503, 507),
)
async def converse(request: web.Request) -> web.StreamResponse:
    """Accepts up to 200 turns and sends them as they are spoken. Audio that is not streamed lasts at most 30 minutes.

    The voice of a speaker is the one in `speakers`, or the one that has the speaker's name. The times of the turns in
    the JSON are times in the file: of the effects, only speed changes them. With `Accept: text/event-stream`, the
    server reports how many turns are spoken, and sends the JSON as the last event.
    """
    body = await parse_body(request, ConversationBody, MAX_BYTES)
    services, config = request.app[SERVICES], request.app[CONFIG]
    effects = read_effects(body.effects or [])
    check_installed(effects)
    turns = await asyncio.to_thread(_read_turns, body, config.max_input)
    company = await assign_voices([turn.speaker for turn in turns], body.speakers, body, config, services.synthesizer)
    lines = [_line(turn, company[voice_key(turn.speaker)], body.pause_ms) for turn in turns]
    warnings = _warnings(turns, company)
    headers = with_warnings(_ignored(body) | {"X-Turns": str(len(lines))}, warnings)
    at_once = max(services.admission.max_active // 2, 1)  # the other half is left to requests for a single text
    told = body.return_ == "json"

    async def gather(tell: Callable[[str], None]) -> ConversationAnswer:
        async with (
            Conversation(services.synthesizer, lines, at_once) as conversation,
            contextlib.aclosing(_sound(conversation, effects, gathered=True)) as chunks,
        ):
            url, seconds = await keep(
                services.store.clips, _with_progress(chunks, conversation, tell), body.response_format
            )
            return ConversationAnswer(
                audio_url=url,
                duration_ms=round(1000 * seconds, 1),
                format=body.response_format,
                turns=_turn_entries(lines, conversation.turns, seconds, tempo(effects)),
                warnings=[*warnings, *conversation.warnings],
            )

    async def work(tell: Callable[[str], None]) -> EventFields:
        return {"type": "conversation.done", "conversation": (await gather(tell)).model_dump()}

    if told and wants_events(request):
        kind = "conversation.progress"
        return await stream_progress(request, services.models, PUBLISHED, work, kind=kind, headers=headers)
    if told:
        return web.json_response(text=(await gather(lambda _: None)).model_dump_json(), headers=headers)
    async with (
        Conversation(services.synthesizer, lines, at_once) as conversation,
        contextlib.aclosing(_sound(conversation, effects, gathered=body.stream is False)) as chunks,
    ):

        def more() -> dict[str, str]:
            return with_warnings(headers, conversation.warnings)

        if body.stream is False:
            return await whole_audio(chunks, body.response_format, more)
        return await stream_audio(request, chunks, body.response_format, more)


def _read_turns(body: ConversationBody, most: int) -> Sequence[Turn]:
    """Return the turns. Raises InvalidRequest if there is not exactly one of script and turns or a turn is too long."""
    if (body.script is None) == (body.turns is None):
        raise InvalidRequest("Send either script, with lines of the form [Speaker] text, or turns.", param="script")
    if body.script is not None:
        turns: Sequence[Turn] = read_script(body.script)
    else:
        turns = [_read_turn(number, turn) for number, turn in enumerate(body.turns or ())]
    for number, turn in enumerate(turns):
        if len(turn.text) > most:
            raise InvalidRequest(
                f"Turn {number + 1} ({turn.speaker}) has {len(turn.text)} characters; at most {most} are accepted.",
                param="script" if body.turns is None else f"turns[{number}].text",
            )
    if (characters := sum(len(turn.text) for turn in turns)) > (limit := SCRIPT_INPUTS * most):
        raise InvalidRequest(
            f"All turns have {characters} characters; at most {limit} are accepted.",
            param="script" if body.turns is None else "turns",
        )
    return turns


def _read_turn(number: int, turn: TurnFields) -> Turn:
    place = f"turns[{number}]"
    try:
        speaker = check_speaker(turn.speaker)
    except InvalidRequest as error:
        raise InvalidRequest(f"{place}: {error}", param=f"{place}.speaker") from None
    if not turn.text.strip():
        raise InvalidRequest(f"{place}: {speaker} says nothing.", param=f"{place}.text")
    return Turn(speaker, turn.text, None if turn.pause_after_ms is None else turn.pause_after_ms / 1000)


def _line(turn: Turn, request: SpeechRequest, pause_ms: float) -> ConversationTurn:
    return ConversationTurn(
        turn.speaker, turn.text, request, pause_ms / 1000 if turn.pause_after is None else turn.pause_after
    )


def _warnings(turns: Sequence[Turn], company: Mapping[str, SpeechRequest]) -> list[str]:
    """Return sentences on what could be better about each speaker, in the order in which they first speak."""
    names = {voice_key(turn.speaker): turn.speaker for turn in reversed(turns)}
    return [f"{names[key]}: {told}" for key, request in company.items() for told in describe(request).warnings]


def _ignored(body: ConversationBody) -> dict[str, str]:
    own = [fields for fields in body.speakers.values() if isinstance(fields, SpeakerFields)]
    return ignored_headers(body, *(body.turns or ()), *own)


def _sound(
    conversation: Conversation, effects: Sequence[Effect], *, gathered: bool
) -> AsyncGenerator[FloatArray, None]:
    """Return the chunks of the whole, with its effects. Its length is limited if all of it will be in memory."""
    chunks = aiter(conversation)
    if gathered or needs_whole(effects):
        chunks = bounded(chunks, MAX_SECONDS / stretch(effects))
    return processed(chunks, partial(Chain, effects)) if effects else chunks


async def _with_progress(
    chunks: AsyncIterable[FloatArray], conversation: Conversation, tell: Callable[[str], None]
) -> AsyncGenerator[FloatArray, None]:
    """Yield the chunks, and call `tell` with the number of completed turns when it grows, as "spoken 3"."""
    spoken = 0
    async for chunk in chunks:
        if len(conversation.turns) > spoken:
            spoken = len(conversation.turns)
            tell(f"spoken {spoken}")
        yield chunk


def _turn_entries(
    lines: Sequence[ConversationTurn], spoken: Sequence[TurnResult], seconds: float, speed: float
) -> list[SpokenTurn]:
    """Return the turns as JSON. The file has `seconds` and was made `speed` times as fast as it was spoken."""
    return [
        SpokenTurn(
            speaker=turn.speaker,
            text=line.text,
            start_ms=round(1000 * turn.start / speed, 1),
            end_ms=round(1000 * min(turn.end / speed, seconds), 1),
            model=turn.report.model,
        )
        for line, turn in zip(lines, spoken, strict=True)
    ]
