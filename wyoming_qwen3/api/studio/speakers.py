"""Assigns voices to the speakers of a conversation."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.api.speech_request import SpeechFields, understand
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError, VoiceNotFound
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speakers import voice_key
from wyoming_qwen3.speech.session import Synthesizer
from wyoming_qwen3.text.dialogue import check_speaker
from wyoming_qwen3.voices.resolver import VoiceResolver

MAX_SPEAKERS = 64


class SpeakerFields(SpeechFields):
    """How one speaker speaks. Fields that are left out are as for all speakers."""


def _refuse_a_crowd(given: object) -> object:
    if isinstance(given, dict) and len(given) > MAX_SPEAKERS:  # before each is validated
        raise PydanticCustomError("crowd", "Input should have at most {most} speakers", {"most": MAX_SPEAKERS})
    return given


Speakers: TypeAlias = Annotated[
    dict[str, Annotated[str, Field(max_length=200)] | SpeakerFields],
    Field(json_schema_extra={"maxProperties": MAX_SPEAKERS}),
    BeforeValidator(_refuse_a_crowd),
]
"""A speaker's name -> a voice, or how that speaker speaks."""


async def assign_voices(
    names: Iterable[str], speakers: Speakers, shared: SpeechFields, config: Config, synthesizer: Synthesizer
) -> dict[str, SpeechRequest]:
    """Return how each of the names speaks, by its `voice_key`, which ignores case and spaces.

    A name that is not in `speakers` must be a voice's, or the default voice speaks if the server replaces unknown
    voices. A name whose fields in `speakers` choose no voice uses the voice of that name, if there is one. Raises
    InvalidRequest for names without a voice, and what `understand` and `Synthesizer.check` raise, with the name in the
    message.
    """
    named = {voice_key(name): name for name in names}
    given = _given(speakers)
    known = {key for key, name in named.items() if _is_voice(config.resolver, name)}
    if config.resolver.fallback == "on":
        known |= named.keys() - given.keys()  # the default voice speaks for unknown voices
    if unknown := [name for key, name in named.items() if key not in known and key not in given]:
        raise _without_voice(unknown, config.resolver)
    company = {}
    for key, name in named.items():
        fields = _merged(shared, given.get(key), name if key in known else None)
        try:
            company[key] = await understand(fields, config)
            await synthesizer.check(company[key])  # else it would be refused only after others have spoken
        except SpeechError as error:
            param = f"speakers.{name}.{error.param}" if error.param else f"speakers.{name}"
            raise type(error)(f"{name}: {error}", param=param) from None
    return company


def _given(speakers: Speakers) -> dict[str, SpeechFields]:
    """Return the speakers' own fields by the `voice_key` of their names. Raises InvalidRequest."""
    given: dict[str, SpeechFields] = {}
    for name, own in speakers.items():
        key = voice_key(check_speaker(name))
        if key in given:
            raise InvalidRequest(f"speakers has {name} twice; case and spaces make no difference.", param="speakers")
        given[key] = SpeechFields.model_validate({"voice": own}) if isinstance(own, str) else own
        if "response_format" in given[key].model_fields_set:
            raise InvalidRequest(
                f"{name}: response_format can't be set for a single speaker; set it for the whole.", param="speakers"
            )
    return given


def _is_voice(among: VoiceResolver, name: str) -> bool:
    try:
        among.choose(name, None)
    except VoiceNotFound:
        return False
    except InvalidRequest:  # the voice exists, but can't speak
        return True
    return True


def _without_voice(names: Sequence[str], among: VoiceResolver) -> InvalidRequest:
    there = among.names()
    more = f" and {len(there) - _MAX_TOLD} more" if len(there) > _MAX_TOLD else ""
    who = f"{', '.join(names[:_MAX_TOLD])} {'has' if len(names) == 1 else 'have'} no voice"
    return InvalidRequest(
        f"{who}; give each one in speakers. Voices are {', '.join(there[:_MAX_TOLD])}{more}.", param="speakers"
    )


_MAX_TOLD = 40
"""Maximum number of names in a message."""

_WORDS = frozenset({"instructions", "voice_design", "instruct"})
"""Three names of one field."""


def _merged(shared: SpeechFields, own: SpeechFields | None, voice: str | None) -> SpeechFields:
    """Return the fields of a speaker: own fields override shared ones, and `voice` is used if no voice is chosen."""
    given = _fields(own) if own else {}
    if voice and not (given.get("voice") or given.get("ref_audio") or given.get("reference_audio")):
        given["voice"] = voice
    unshared = {"effects", "response_format", *(_WORDS if _WORDS & given.keys() else ())}
    for_all = {name: value for name, value in _fields(shared).items() if name not in unshared}
    return SpeechFields.model_construct(**(for_all | given))


def _fields(fields: SpeechFields) -> dict[str, Any]:
    named = {name: getattr(fields, name) for name in SpeechFields.model_fields if name in fields.model_fields_set}
    return {name: value for name, value in named.items() if value is not None}
