"""Turns a request's fields into a SpeechRequest; they may have OpenAI's, vLLM's or our own names.

The fields are defined once, here, for all routes that speak.
"""

import asyncio
import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field

from wyoming_qwen3.audio.chain import check_installed
from wyoming_qwen3.audio.decode import parse_data_url
from wyoming_qwen3.audio.encode import AudioFormat
from wyoming_qwen3.audio.reference import read_recording
from wyoming_qwen3.core.checkpoints import Kind
from wyoming_qwen3.core.effects import Effect, read_effects
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.foreign_voices import kokoro_language
from wyoming_qwen3.core.request import Description, Reference, Sampling, SpeechRequest, StandbyMode, kind_for
from wyoming_qwen3.core.speakers import Language, Speaker, find_language
from wyoming_qwen3.speech.report import Report, voice_label
from wyoming_qwen3.voices.clone_prompts import prepare
from wyoming_qwen3.voices.resolver import ResolvedVoice, VoiceNames

from .app_keys import Config
from .model_names import STANDBY, ModelWish, find_model
from .speech_response import with_warnings
from .validation import Fields, header_text, in_range

_KIND_USES: dict[Kind, str] = {
    "custom_voice": "speaks as a named speaker; send a voice and no ref_audio",
    "voice_design": "speaks in a voice that is described; send instructions and no voice, or the voice design",
    "base": "clones a voice; send ref_audio, or a kept voice that was cloned",
}
_DESIGN = "design"
"""The voice that the instructions describe, for programs that can't leave `voice` out."""

_DEFAULT = "default"
"""The name by which such programs and vLLM's ask for the default voice."""

_DEFAULT_FORMAT: AudioFormat = "mp3"
"""OpenAI's default, and the format in which Open WebUI stores every answer."""

_REFERENCE_BYTES = 10 * 1024 * 1024

_MAX_INSTRUCTIONS = 100_000
"""Maximum number of characters of instructions that are accepted: some clients send a whole system prompt."""

_MAX_FOLLOWED = 2_000
"""Maximum number of characters of instructions that are passed to a model."""

_ResponseFormat = Annotated[
    AudioFormat,
    BeforeValidator(
        lambda given: _DEFAULT_FORMAT if given is None else given, json_schema_input_type=AudioFormat | None
    ),
]
"""null means the default, as in all other fields."""


Effects = Annotated[list[dict[str, Any]], Field(fail_fast=True)]
"""Each item has a `type`, and may have that effect's parameters."""


def _named_language(given: object) -> object:
    """Return the language of Kokoro's one-letter codes; everything else as it is."""
    return (kokoro_language(given) if isinstance(given, str) else None) or given


class VoiceId(Fields):
    """OpenAI's way to name a custom voice."""

    id: str = Field(max_length=200)


class SpeechFields(Fields):
    """How a text is spoken. Fields that OpenAI has too have OpenAI's names."""

    model: str | None = Field(None, max_length=200, description="qwen3-tts, optionally with size and kind, or standby.")
    voice: Annotated[str, Field(max_length=200)] | VoiceId | None = Field(
        None,
        validation_alias=AliasChoices("voice", "speaker"),
        description="A speaker, a kept voice, or design for a voice that the instructions describe.",
    )
    instructions: str | None = Field(
        None,
        max_length=_MAX_INSTRUCTIONS,
        description="How to speak, or a description of the voice. At most 2,000 characters are followed.",
    )
    voice_design: str | None = Field(None, max_length=_MAX_INSTRUCTIONS, description="The same as instructions.")
    instruct: str | None = Field(None, max_length=_MAX_INSTRUCTIONS, description="The same as instructions.")
    strict: bool | None = Field(
        None,
        description="Whether instructions that can't be followed are an error; by default as the server is set. "
        "Otherwise the text is spoken without them, and X-Warning says so.",
    )
    standby: Literal["auto", "off"] | None = Field(
        None, description="auto: the English standby voice speaks while the model is not ready. off: it never does."
    )
    volume_multiplier: float | None = Field(
        None,
        ge=0.001,
        le=10,
        description="Loudness before the effects, as in Kokoro-FastAPI: 2 is 6 dB louder.",
    )
    language: Annotated[str | None, BeforeValidator(_named_language)] = Field(
        None,
        max_length=100,
        validation_alias=AliasChoices("language", "language_code", "lang_code", "lang"),
        description="Auto, a code such as de or de-CH, or a name.",
    )
    ssml: bool | None = Field(None, description="Whether the text is SSML. Directions in brackets need no SSML.")
    response_format: _ResponseFormat = _DEFAULT_FORMAT
    speed: float | None = Field(None, ge=0.25, le=4.0, description="Above 1 is faster; the pitch stays the same.")
    ref_audio: str | None = Field(None, description="A clip of the voice to clone, as a data: URL; 1 to 30 s.")
    reference_audio: str | None = Field(None, description="The same as ref_audio.")
    ref_text: str | None = Field(None, max_length=2000, description="The text spoken in the clip.")
    clone_transcript: str | None = Field(None, max_length=2000, description="The same as ref_text.")
    x_vector_only_mode: bool | None = Field(None, description="Clone only the timbre, without ref_text.")
    seed: int | None = in_range("seed", description="The same seed and text give the same speech on the same machine.")
    temperature: float | None = in_range("temperature", description="0 always takes the likeliest code.")
    top_k: int | None = in_range("top_k")
    top_p: float | None = in_range("top_p")
    repetition_penalty: float | None = in_range("repetition_penalty")
    max_new_tokens: int | None = Field(
        None, ge=1, le=8192, description="Maximum number of codec frames (80 ms each); longer speech is cut off."
    )
    effects: Effects | None = Field(None, description="Effects on the sound, in order; /api/effects lists them.")
    save: bool | None = Field(
        None, description="Whether to keep the speech in the history; by default as the server is set."
    )


def one_of(fields: SpeechFields, *names: str) -> str | None:
    """Return the value of a field that has several names, or None if all are blank.

    Raises InvalidRequest if two of the names have different values.
    """
    given = {name: value for name in names if (value := (getattr(fields, name) or "").strip())}
    first = next(iter(given.values()), None)
    if any(value != first for value in given.values()):  # no set: hashing a clip of 13 MB takes 10 ms
        raise InvalidRequest(f"{' and '.join(given)} are the same field but differ; send one.", param=next(iter(given)))
    return first


def check_text(text: str, most: int) -> str:
    """Return the text to speak. Raises InvalidRequest if it is blank or has more than `most` characters."""
    if not text.strip():
        raise InvalidRequest("input is empty; send the text to speak.", param="input")
    if len(text) > most:
        raise InvalidRequest(f"input has {len(text)} characters; at most {most} are accepted.", param="input")
    return text


async def understand(fields: SpeechFields, config: Config) -> SpeechRequest:
    """Return the request for speech that these fields mean.

    The first of these that applies decides: a clip is cloned; instructions without a voice (or with the voice "design")
    describe a voice; a named voice follows the instructions after its own; else the default voice speaks. Speed and
    effects replace those of a kept voice. Raises InvalidRequest and its subclasses.
    """
    wish = find_model(fields.model, fallback=config.resolver.fallback == "on")
    name = ((fields.voice.id if isinstance(fields.voice, VoiceId) else fields.voice) or "").strip()
    words = one_of(fields, "instructions", "voice_design", "instruct")
    strict = config.strict if fields.strict is None else fields.strict
    reference, warnings = await _reference(fields)
    if reference:
        resolved = ResolvedVoice(reference, _language(fields, config))
    elif words and name.lower() in ("", _DESIGN):
        resolved, words = ResolvedVoice(_description(words), _language(fields, config)), None
    else:
        resolved = _named(fields, config, name)
    style, too_long = _style(words, strict=strict)
    if wish.kind not in (None, kind_for(resolved.voice)):
        raise InvalidRequest(f"{fields.model} {_KIND_USES[wish.kind]}.", param="model")
    effects = (*_volume(fields), *(resolved.effects if fields.effects is None else read_effects(fields.effects)))
    check_installed(effects)
    return replace(
        resolved.request(_sampling(fields, config.resolver.defaults.sampling), style),
        ssml=bool(fields.ssml),
        speed=fields.speed or resolved.speed,
        length=fields.max_new_tokens,
        size=wish.size,
        standby=_standby(wish, fields, config),
        effects=effects,
        save=fields.save,
        strict=strict,
        warnings=(*warnings, *filter(None, (wish.warning, resolved.warning, too_long))),
    )


@dataclass(frozen=True)
class Understood:
    """The voice and language of a request in words, and warnings about them."""

    voice: str
    language: str
    warnings: tuple[str, ...] = ()


def describe(request: SpeechRequest) -> Understood:
    """Return what was understood of a request, to report to the client."""
    voice, language = request.voice, request.language
    if request.standby == "only":
        return Understood(STANDBY, "English", request.warnings)
    label, spoken = voice_label(request), language.label if language else "Auto"
    if isinstance(voice, Speaker) and language not in (None, voice.native):
        accent = f"{voice.name} is at home in {voice.native.label}; {spoken} may have an accent."
        return Understood(label, spoken, (*request.warnings, accent))
    return Understood(label, spoken, request.warnings)


def spoken_warnings(request: SpeechRequest, report: Report) -> list[str]:
    """Return the warnings about a request and about how it was spoken, a sentence each."""
    return [*describe(request).warnings, *report.warnings]


def voice_headers(request: SpeechRequest) -> dict[str, str]:
    """Return the headers X-Voice, X-Language and X-Warning for a request."""
    told = describe(request)
    return with_warnings({"X-Voice": header_text(told.voice), "X-Language": told.language}, told.warnings)


def _standby(wish: ModelWish, fields: SpeechFields, config: Config) -> StandbyMode:
    """Return when the standby voice may speak over HTTP: only where a client will not mind, or is told.

    A client that named no model of ours gets it while Qwen3 is not ready, if the server is set so. One that named
    Qwen3 gets Qwen3 or an error, unless it allows the standby voice.
    """
    if wish.standby or config.standby_only:
        return "only"
    return fields.standby or ("auto" if wish.any and config.http_standby == "auto" else "off")


def _volume(fields: SpeechFields) -> tuple[Effect, ...]:
    """Return the volume as an effect; nothing if it stays the same."""
    if fields.volume_multiplier in (None, 1.0):
        return ()
    return read_effects([{"type": "gain", "gain_db": 20 * math.log10(fields.volume_multiplier or 1.0)}])


def _style(words: str | None, *, strict: bool) -> tuple[str | None, str | None]:
    """Return the instructions that are passed to a model, and a warning if there are too many to follow.

    Raises InvalidRequest instead if the request is strict.
    """
    if not words or len(words) <= _MAX_FOLLOWED:
        return words, None
    many = f"have {len(words):,} characters; at most {_MAX_FOLLOWED:,} are followed."
    if strict:
        raise InvalidRequest(f"The instructions {many}", param="instructions")
    return None, f"The instructions were left out: they {many}"


def _description(words: str) -> Description:
    """Return the voice that the words describe. Raises InvalidRequest if there are too many."""
    if len(words) > _MAX_FOLLOWED:
        raise InvalidRequest(
            f"The description of the voice has {len(words):,} characters; at most {_MAX_FOLLOWED:,} are accepted.",
            param="instructions",
        )
    return Description(words)


def _language(fields: SpeechFields, config: Config) -> Language | None:
    return find_language(fields.language) if fields.language else config.resolver.defaults.language


def _named(fields: SpeechFields, config: Config, name: str) -> ResolvedVoice:
    if name.lower() == _DESIGN:
        raise InvalidRequest(f"voice is {_DESIGN}, but no instructions describe it.", param="instructions")
    return config.resolver.choose_for("http", VoiceNames(None if name.lower() == _DEFAULT else name, fields.language))


async def _reference(fields: SpeechFields) -> tuple[Reference | None, tuple[str, ...]]:
    """Return the clip to clone, if there is one, and sentences on what could be better about it."""
    url, text = one_of(fields, "ref_audio", "reference_audio"), one_of(fields, "ref_text", "clone_transcript")
    if url is None:
        if text or fields.x_vector_only_mode:
            raise InvalidRequest("ref_text and x_vector_only_mode need ref_audio, which is missing.", param="ref_audio")
        return None, ()
    return await asyncio.to_thread(read_reference, url, text, timbre=bool(fields.x_vector_only_mode))


def read_reference(url: str, text: str | None, *, timbre: bool = False) -> tuple[Reference, tuple[str, ...]]:
    """Return the clip in a data: URL, prepared for cloning, and sentences on what could be better about it.

    Takes tens of milliseconds, so call it on a thread. Raises TooLarge, and InvalidRequest for a clip that could not be
    kept as a voice.
    """
    data = parse_data_url(url, _REFERENCE_BYTES, "ref_audio")
    recording, findings = read_recording(data, text, "ref_audio", timbre=timbre)
    return prepare([recording]), tuple(finding.message for finding in findings)


def _sampling(fields: SpeechFields, default: Sampling) -> Sampling:
    given: dict[str, Any] = {
        "temperature": fields.temperature,
        "top_k": fields.top_k,
        "top_p": fields.top_p,
        "repetition_penalty": fields.repetition_penalty,
        "seed": fields.seed,
    }
    return replace(default, **{name: value for name, value in given.items() if value is not None})
