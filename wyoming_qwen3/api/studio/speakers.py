"""Who speaks in a conversation: names in a script to requests for speech. Knows no route and no turns."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from wyoming_qwen3.api.app_keys import Config
from wyoming_qwen3.api.speech_request import SpeechFields, understand
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError, VoiceNotFound
from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS, voice_key
from wyoming_qwen3.speech.session import Synthesizer
from wyoming_qwen3.text.dialogue import check_speaker
from wyoming_qwen3.voices.resolver import VoiceResolver

MAX_SPEAKERS = 64


class SpeakerFields(SpeechFields):
    """How one speaker speaks; what is left out is as it is for all."""


def _refuse_a_crowd(given: object) -> object:
    if isinstance(given, dict) and len(given) > MAX_SPEAKERS:  # before each of them is looked at
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
    """How each of the names speaks, by its `voice_key`: case and blanks make no other speaker.

    A name that is not among `speakers` is that of a voice, or of an unknown one where the server replaces these; one
    there whose fields choose no voice is that of a voice if there is such a voice. Raises InvalidRequest for names
    without a voice, and what `understand` and `Synthesizer.check` raise, with the name in the message.
    """
    named = {voice_key(name): name for name in names}
    given = _given(speakers)
    known = {key for key, name in named.items() if _is_voice(config.resolver, name)}
    if config.resolver.fallback == "on":
        known |= named.keys() - given.keys()  # the default voice speaks for those that there are not
    if unknown := [name for key, name in named.items() if key not in known and key not in given]:
        raise _without_voice(unknown, config.resolver)
    company = {}
    for key, name in named.items():
        fields = _merged(shared, given.get(key), name if key in known else None)
        try:
            company[key] = await understand(fields, config)
            synthesizer.check(company[key])  # it would be refused when its turn comes, and others have spoken
        except SpeechError as error:
            param = f"speakers.{name}.{error.param}" if error.param else f"speakers.{name}"
            raise type(error)(f"{name}: {error}", param=param) from None
    return company


def _given(speakers: Speakers) -> dict[str, SpeechFields]:
    """Their own fields, by `voice_key` of the name. Raises InvalidRequest."""
    given: dict[str, SpeechFields] = {}
    for name, own in speakers.items():
        key = voice_key(check_speaker(name))
        if key in given:
            raise InvalidRequest(f"speakers has {name} twice; case and blanks make no other speaker.", param="speakers")
        given[key] = SpeechFields.model_validate({"voice": own}) if isinstance(own, str) else own
        if "response_format" in given[key].model_fields_set:
            raise InvalidRequest(f"{name}: response_format is for the whole, not for a speaker.", param="speakers")
    return given


def _is_voice(among: VoiceResolver, name: str) -> bool:
    try:
        among.choose(name, None)
    except VoiceNotFound:
        return False
    except InvalidRequest:  # there is one, with which nobody can speak
        return True
    return True


def _without_voice(names: Sequence[str], among: VoiceResolver) -> InvalidRequest:
    there = [speaker.name for speaker in SPEAKERS] + [voice.name for voice in among.voices.all() if voice.speaks]
    more = f" and {len(there) - _MAX_TOLD} more" if len(there) > _MAX_TOLD else ""
    who = f"{', '.join(names[:_MAX_TOLD])} {'has' if len(names) == 1 else 'have'} no voice"
    return InvalidRequest(
        f"{who}; give each one in speakers. There is {', '.join(there[:_MAX_TOLD])}{more}.", param="speakers"
    )


_MAX_TOLD = 40
"""Names in a message."""

_WORDS = frozenset({"instructions", "voice_design", "instruct"})
"""One field by three names."""


def _merged(shared: SpeechFields, own: SpeechFields | None, voice: str | None) -> SpeechFields:
    """What holds for a speaker: own fields before those for all, and `voice` where neither chooses another."""
    given = _fields(own) if own else {}
    if voice and not (given.get("voice") or given.get("ref_audio") or given.get("reference_audio")):
        given["voice"] = voice
    unshared = {"effects", "response_format", *(_WORDS if _WORDS & given.keys() else ())}
    for_all = {name: value for name, value in _fields(shared).items() if name not in unshared}
    return SpeechFields.model_construct(**(for_all | given))


def _fields(fields: SpeechFields) -> dict[str, Any]:
    named = {name: getattr(fields, name) for name in SpeechFields.model_fields if name in fields.model_fields_set}
    return {name: value for name, value in named.items() if value is not None}
