"""Turns a request's fields into a SpeechRequest; they may have OpenAI's, vLLM's or our own names.

The fields are defined once, here, for all routes that speak.
"""

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from wyoming_qwen3.audio.chain import check_installed
from wyoming_qwen3.audio.decode import parse_data_url
from wyoming_qwen3.audio.encode import AudioFormat
from wyoming_qwen3.audio.reference import MAX_SECONDS, read_recording
from wyoming_qwen3.core.checkpoints import KIND_NAMES, PUBLISHED, Checkpoint, Kind, Size
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest, ModelNotFound
from wyoming_qwen3.core.request import Description, Reference, Sampling, SpeechRequest, StandbyMode, kind_for
from wyoming_qwen3.core.speakers import Language, Speaker, find_language
from wyoming_qwen3.speech.report import voice_label
from wyoming_qwen3.voices.clone_prompts import prepare
from wyoming_qwen3.voices.resolver import ResolvedVoice, VoiceNames

from .app_keys import Config
from .speech_response import with_warnings
from .validation import Fields, header_text

MODEL = "qwen3-tts"
STANDBY = "standby"

_KINDS: dict[str, Kind] = {name.lower(): kind for kind, name in KIND_NAMES.items()}
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

_OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")

_REFERENCE_BYTES = 10 * 1024 * 1024

_Format = Annotated[
    AudioFormat,
    BeforeValidator(
        lambda given: _DEFAULT_FORMAT if given is None else given, json_schema_input_type=AudioFormat | None
    ),
]
"""null means the default, as in all other fields."""


Effects = Annotated[list[dict[str, Any]], Field(fail_fast=True)]
"""Each item has a `type`, and may have that effect's parameters."""


class VoiceId(Fields):
    """OpenAI's way to name a custom voice."""

    id: str = Field(max_length=200)


class SpeechFields(Fields):
    """How a text is spoken. Fields that OpenAI has too have OpenAI's names."""

    model: str | None = Field(None, max_length=200, description="qwen3-tts, optionally with size and kind, or standby.")
    voice: Annotated[str, Field(max_length=200)] | VoiceId | None = Field(
        None, description="A speaker, a kept voice, or design for a voice that the instructions describe."
    )
    instructions: str | None = Field(None, max_length=2000, description="How to speak, or a description of the voice.")
    voice_design: str | None = Field(None, max_length=2000, description="The same as instructions.")
    instruct: str | None = Field(None, max_length=2000, description="The same as instructions.")
    language: str | None = Field(None, max_length=100, description="Auto, a code such as de or de-CH, or a name.")
    response_format: _Format = _DEFAULT_FORMAT
    speed: float | None = Field(None, ge=0.25, le=4.0, description="Above 1 is faster; the pitch stays the same.")
    ref_audio: str | None = Field(None, description="A clip of the voice to clone, as a data: URL; 1 to 30 s.")
    reference_audio: str | None = Field(None, description="The same as ref_audio.")
    ref_text: str | None = Field(None, max_length=2000, description="The text spoken in the clip.")
    clone_transcript: str | None = Field(None, max_length=2000, description="The same as ref_text.")
    x_vector_only_mode: bool | None = Field(None, description="Clone only the timbre, without ref_text.")
    seed: int | None = Field(
        None, ge=0, le=2**63 - 1, description="The same seed and text give the same speech on the same machine."
    )
    temperature: float | None = Field(None, ge=0, le=5, description="0 always takes the likeliest code.")
    top_k: int | None = Field(None, ge=0, le=3072)
    top_p: float | None = Field(None, ge=0.01, le=1)
    repetition_penalty: float | None = Field(None, ge=0.5, le=5)
    max_new_tokens: int | None = Field(
        None, ge=1, le=8192, description="Maximum number of codec frames (80 ms each); longer speech is cut off."
    )
    effects: Effects | None = Field(None, description="Effects on the sound, in order; /api/effects lists them.")
    save: bool | None = Field(
        None, description="Whether to keep the speech in the history; by default as the server is set."
    )


@dataclass(frozen=True)
class ModelWish:
    """What a model's name asks for; None leaves the choice to the server."""

    kind: Kind | None = None
    size: Size | None = None
    standby: bool = False


def find_model(name: str | None) -> ModelWish:
    """Return what a model's name asks for: one of ours, OpenAI's, a repository's, or none. Raises ModelNotFound."""
    key = (name or "").strip().lower().removeprefix("qwen/")
    if key in ("", *_OPENAI_MODELS):
        return ModelWish()
    if key == STANDBY:
        return ModelWish(standby=True)
    match = re.fullmatch(rf"qwen3-tts(?:-12hz)?(?:-(1\.7|0\.6)b)?(?:-({'|'.join(_KINDS)}))?", key)
    if match is None:
        raise ModelNotFound(
            f"There is no model {name!r}; use {MODEL}, optionally with a size and a kind as in "
            f"{MODEL}-1.7b-customvoice, or {STANDBY}.",
            param="model",
        )
    size: Size | None = {"1.7": "1.7B", "0.6": "0.6B", None: None}[match[1]]
    wish = ModelWish(_KINDS.get(match[2] or ""), size)
    if wish.kind and size and Checkpoint(wish.kind, size) not in PUBLISHED:
        raise ModelNotFound(f"{name} was never published; VoiceDesign exists in 1.7B only.", param="model")
    return wish


def model_id(checkpoint: Checkpoint) -> str:
    """Return a checkpoint's id, which `find_model` understands."""
    return f"{MODEL}-{checkpoint.size.lower()}-{KIND_NAMES[checkpoint.kind].lower()}"


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
    wish = find_model(fields.model)
    name = ((fields.voice.id if isinstance(fields.voice, VoiceId) else fields.voice) or "").strip()
    words = one_of(fields, "instructions", "voice_design", "instruct")
    reference, warnings = await _reference(fields)
    if reference:
        part = ResolvedVoice(reference, _language(fields, config), words)
    elif words and name.lower() in ("", _DESIGN):
        part = ResolvedVoice(Description(words), _language(fields, config))
    else:
        part = _named(fields, config, name)
        part = replace(part, instruct=" ".join(filter(None, (part.instruct, words))) or None)
    if wish.kind not in (None, kind_for(part.voice)):
        raise InvalidRequest(f"{fields.model} {_KIND_USES[wish.kind]}.", param="model")
    effects = part.effects if fields.effects is None else read_effects(fields.effects)
    check_installed(effects)
    return SpeechRequest(
        part.voice,
        part.language,
        part.instruct,
        _sampling(fields, config.resolver.defaults.sampling),
        speed=fields.speed or part.speed,
        length=fields.max_new_tokens,
        size=wish.size,
        standby=_standby(wish, config),
        effects=effects,
        voice_name=part.name,
        save=fields.save,
        warnings=(*warnings, *([part.warning] if part.warning else [])),
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
    label, spoken = voice_label(request), language.name.title() if language else "Auto"
    if isinstance(voice, Speaker) and language not in (None, voice.native):
        accent = f"{voice.name} is at home in {voice.native.name.title()}; {spoken} may have an accent."
        return Understood(label, spoken, (*request.warnings, accent))
    return Understood(label, spoken, request.warnings)


def voice_headers(request: SpeechRequest) -> dict[str, str]:
    """Return the headers X-Voice, X-Language and X-Warning for a request."""
    told = describe(request)
    return with_warnings({"X-Voice": header_text(told.voice), "X-Language": told.language}, told.warnings)


def _standby(wish: ModelWish, config: Config) -> StandbyMode:
    """Return who speaks: over HTTP the standby voice only if it was asked for, else Qwen3 or an error."""
    return "only" if wish.standby or config.standby_only else "off"


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
    if not text and not fields.x_vector_only_mode:
        raise InvalidRequest(
            "ref_text is missing: send what the clip says, or x_vector_only_mode true to clone only its timbre.",
            param="ref_text",
        )
    return await asyncio.to_thread(read_reference, url, None if fields.x_vector_only_mode else text)


def read_reference(url: str, text: str | None) -> tuple[Reference, tuple[str, ...]]:
    """Return the clip in a data: URL, prepared for cloning, and sentences on what could be better about it.

    Takes tens of milliseconds, so call it on a thread. Raises TooLarge, and InvalidRequest for a clip that could not be
    kept as a voice.
    """
    data = parse_data_url(url, _REFERENCE_BYTES, "ref_audio")
    recording, findings = read_recording(data, text, "ref_audio", max_seconds=MAX_SECONDS)
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
