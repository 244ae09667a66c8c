"""Speaks a text on this machine, for a person at a terminal."""

import asyncio
import contextlib
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError, VoiceNotFound
from wyoming_qwen3.core.request import SAMPLE_RATE, SpeechRequest
from wyoming_qwen3.core.speakers import Language, find_language, quoted
from wyoming_qwen3.models.state import DOWNLOAD_IT
from wyoming_qwen3.speech.segment_feed import SegmentFeed
from wyoming_qwen3.speech.session import SpeechSession, Synthesizer
from wyoming_qwen3.speech.text_feed import TEXT_TIMEOUT_SECONDS
from wyoming_qwen3.speech.verbalizer import UtteranceVerbalizer, Verbalizer
from wyoming_qwen3.text.markup import Pause
from wyoming_qwen3.text.pieces import Segment, SpokenPiece
from wyoming_qwen3.voices.resolver import VoiceResolver

from .audio_output import check_output, sample_sink
from .messages import tell
from .options import Settings
from .text_input import NOTHING, arriving


def find_request(settings: Settings, resolver: VoiceResolver) -> SpeechRequest:
    """Return how to speak: with a speaker or a kept voice. Raises VoiceNotFound, which names all voices."""
    language = settings.language.code if settings.language else None
    try:
        resolved = resolver.choose(settings.voice_name, language)
    except VoiceNotFound:
        names = ", ".join(resolver.names())
        raise VoiceNotFound(f"There is no voice {quoted(settings.voice_name or '')}; choose one of {names}.") from None
    return replace(resolved.request(settings.sampling, settings.instruct), strict=settings.strict)


async def say(
    synthesizer: Synthesizer, request: SpeechRequest, text: str | None, output: Path | None, size: Size
) -> None:
    """Speak a text, or standard input while it arrives for None. `output` is written completely or not at all.

    Without `output` the audio is played. `size` is that of the checkpoints to advise to download. Raises a SpeechError
    if the text can't be spoken, written or played.
    """
    check_output(output)
    session = synthesizer.open(request, "say")
    feeding = None
    if text is None:
        feeding = asyncio.create_task(_feed_arriving(session), name="standard input")
    else:
        session.add_text(text)
        session.end_text()
    try:
        await _take_all(session, output)
        if feeding:
            await feeding
    except SpeechError as error:
        advice = f"download it with: wyoming-qwen3 download --model {size}"
        raise type(error)(str(error).replace(DOWNLOAD_IT, advice), param=error.param) from error
    finally:
        if feeding:
            feeding.cancel()
        await session.close()
    report = session.report
    tell([*report.warnings, f"Spoken by {report.model}: {report.audio:.1f} s of speech"])


async def _take_all(session: SpeechSession, output: Path | None) -> None:
    """Write or play all audio of a session. Raises InvalidRequest if there was nothing to speak."""
    bar_format = "{n:.1f} s of speech in {elapsed}"
    with sample_sink(output) as sink, tqdm(bar_format=bar_format, disable=None, leave=False) as bar:
        async for chunk in session:
            await asyncio.to_thread(sink.write, chunk)
            bar.update(chunk.size / SAMPLE_RATE)
        if session.report.model == "none":
            raise InvalidRequest(NOTHING)


async def show_text(verbalizer: Verbalizer, language: Language | None, text: str | None) -> None:
    """Print the pieces of a text, or of standard input for None, as they would be spoken, one per line."""
    own = UtteranceVerbalizer(verbalizer, lambda piece: _language_of(piece, language))
    feed = SegmentFeed(own, TEXT_TIMEOUT_SECONDS, ssml=False)
    feed.add_text(sys.stdin.read() if text is None else text)
    feed.end_text()
    while segment := await feed.next():
        sys.stdout.write(_shown(segment) + "\n")


def _language_of(piece: SpokenPiece, language: Language | None) -> Language | None:
    with contextlib.suppress(InvalidRequest):
        return find_language(piece.delivery.language) if piece.delivery.language else language
    return language


def _shown(segment: Segment) -> str:
    """Return a segment for a person, with what the text directs for it in brackets."""
    if isinstance(segment, Pause):
        return f"[pause {segment.seconds:g} s]"
    told = "; ".join(f"{name}: {value}" for name, value in segment.delivery.changes.items())
    return f"[{told}] {segment.text}" if told else segment.text


async def _feed_arriving(session: SpeechSession) -> None:
    try:
        async for part in arriving():
            session.add_text(part)
    finally:
        session.end_text()
