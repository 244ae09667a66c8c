"""Determines the request for a part of a text that directs how it is spoken: a pure function of the voices' names."""

from dataclasses import replace

from wyoming_qwen3.core.effects import Effect
from wyoming_qwen3.core.errors import InvalidRequest, VoiceNotFound
from wyoming_qwen3.core.foreign_voices import find_foreign
from wyoming_qwen3.core.request import MAX_SPEED, MIN_SPEED, SpeechRequest
from wyoming_qwen3.core.speakers import find_language, quoted
from wyoming_qwen3.text.delivery import Delivery

from .resolver import ResolvedVoice, VoiceNames, VoiceResolver


def apply_delivery(
    resolver: VoiceResolver, request: SpeechRequest, delivery: Delivery
) -> tuple[SpeechRequest, tuple[str, ...]]:
    """Return the request for a part with this delivery, and a warning for each voice tag that can't be followed.

    A language or voice that does not exist leaves that of the request, except that another server's voice is replaced
    as in requests. A voice brings its own style, speed and effects with it. A style is followed where the checkpoint
    can, even if the request is strict about its own.
    """
    warnings: list[str] = []
    if delivery.language:
        try:
            request = replace(request, language=find_language(delivery.language))
        except InvalidRequest as error:
            warnings.append(f"A language in the text was ignored. {error}")
            delivery = replace(delivery, language=None)
    if delivery.voice:
        try:
            resolved = _find_voice(delivery.voice, request, delivery.language, resolver)
            request = _with_voice(request, resolved, resolver.defaults.speed)
            warnings += [resolved.warning] if resolved.warning else []
        except VoiceNotFound:
            warnings.append(f"The text asks for the voice {quoted(delivery.voice)}, which does not exist.")
        except InvalidRequest as error:
            warnings.append(f"A voice in the text was ignored. {error}")
    if delivery.style:
        request = replace(request, instruct=delivery.style, strict=False)
    if delivery.speed != 1.0:
        request = replace(request, speed=min(max(request.speed * delivery.speed, MIN_SPEED), MAX_SPEED))
    if delivery.gain:
        request = replace(request, effects=(*request.effects, Effect("gain", (delivery.gain,))))
    return request, tuple(warnings)


def _find_voice(name: str, request: SpeechRequest, language: str | None, resolver: VoiceResolver) -> ResolvedVoice:
    language_asked = language or (request.language.code if request.language else None)
    try:
        return resolver.choose(name, language_asked)
    except InvalidRequest as error:
        if (foreign := find_foreign(name)) and foreign.gender:
            return resolver.choose_or_replace(VoiceNames(name, language_asked))
        if language or error.param != "language":
            raise
        return resolver.choose(name, None)


def _with_voice(request: SpeechRequest, resolved: ResolvedVoice, usual: float) -> SpeechRequest:
    """Return the request with another voice. A style, speed and effects stay if they do not belong to a kept voice.

    `usual` is the speed of voices that have none of their own.
    """
    kept = request.voice_name is not None
    return replace(
        request,
        voice=resolved.voice,
        language=resolved.language,
        instruct=resolved.instruct or (None if kept else request.instruct),
        speed=resolved.speed if kept or resolved.speed != usual else request.speed,
        effects=resolved.effects if kept or resolved.effects else request.effects,
        voice_name=resolved.name,
    )
